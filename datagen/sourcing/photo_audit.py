"""A look at every photograph of a folder, before a dataset draws from it."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.photographs import PhotoRules, read_header
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import read_document
from pairbridge.datagen.sourcing.fingerprints import hash_of, near_duplicates
from pairbridge.datagen.sourcing.folder_listing import listed_files
from pairbridge.datagen.sourcing.other_files import other_file
from pairbridge.datagen.sourcing.sources import user_files


@dataclass(frozen=True, slots=True)
class PhotoAudit:
    """`usable`: how many are fit for use; `problems`: {asset id: why another is not}; `others`: {path in the
    folder: what it is} of files that are no photographs and may have been meant to be."""

    usable: int
    problems: dict[str, str]
    others: dict[str, str]


def audit_photographs(folder: Path, rules: PhotoRules, *, distance: int) -> PhotoAudit:
    """Decode every photograph below `folder` that its catalogue.yaml does not exclude already.

    Of several that show the same picture (within `distance` bits) the one with the most pixels is fit for
    use, the first by id of equals.
    """
    own, left_out = user_files(AssetsConfig(embedded=False, photos=(folder,), photo_rules=rules), set())
    problems = {left.id: left.reason for left in left_out if left.refused}
    known = {*(one.asset.path for one in own), *(left.path for left in left_out)}
    others = {}
    for listed in listed_files(folder):
        if not listed.ignored and listed.path not in known:
            other = other_file(listed.path, "photo")
            others |= {listed.path.relative_to(folder).as_posix(): other.reason} if other.refused else {}
    seen = []
    for asset in (one.asset for one in own):
        with open(asset.path, "rb") as stream:
            header = read_header(stream, asset.path.name)
        seen.append((-header.width * header.height, asset.id, hash_of(asset.fingerprint)))
    seen.sort()
    repeats = near_duplicates([value for _, _, value in seen], distance)
    for index, first in repeats.items():
        problems[seen[index][1]] = f"near-duplicate of {seen[first][1]}"
    return PhotoAudit(usable=len(seen) - len(repeats), problems=problems, others=others)


def write_exclusions(path: Path, problems: Mapping[str, str]) -> None:
    """Add `exclude: <why>` for every problem, by asset id, to a catalogue.yaml; what else it says stays."""
    # Refused before the round trip, which keeps comments and would follow aliases.
    there = (read_document(path).value if path.is_file() else None) or {}
    if not isinstance(there, dict) or not all(isinstance(entry, dict) for entry in there.values()):
        raise ConfigError(
            f"{path} is not a mapping of asset ids to what is said of each",
            consequence="what is excluded cannot be added to it",
            remedy="name a catalogue.yaml, or a file that is not there yet",
        )
    round_trip = YAML(typ="rt")
    entries = round_trip.load(path.read_text(encoding="utf-8")) if there else {}
    # Ids are text, also where they look like numbers, which the round trip makes of them.
    keys = dict(zip(there, entries, strict=True))
    for asset_id, problem in sorted(problems.items()):
        entries.setdefault(keys.get(asset_id, asset_id), {})["exclude"] = problem
    text = io.BytesIO()
    round_trip.dump(entries, text)
    write_atomically(path, [text.getvalue()])
