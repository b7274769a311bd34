"""A look at every photograph of a folder, before a dataset draws from it."""

import io
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from datagen.asset_sources import user_assets
from datagen.assets import Asset, AssetsConfig
from datagen.atomic import write_atomically
from datagen.errors import AssetError
from datagen.near_duplicates import near_duplicates, perceptual_hash
from datagen.photographs import PhotoRules, read_photograph

_PIN_FILE = "catalogue.yaml"


@dataclass(frozen=True, slots=True)
class PhotoAudit:
    """`usable`: how many are fit for use; `problems`: {asset id: why another is not}."""

    usable: int
    problems: dict[str, str]


def audit_photographs(folder: Path, rules: PhotoRules, *, distance: int) -> PhotoAudit:
    """Decode every photograph below `folder` that its catalogue.yaml does not exclude already.

    Of several that show the same picture (within `distance` bits) the one with the most pixels is fit for
    use, the first by id of equals.
    """
    problems: dict[str, str] = {}
    seen: list[tuple[int, str, int]] = []
    for asset in _photographs(folder):
        try:
            image = read_photograph(asset.path, rules)
        except AssetError as error:
            problems[asset.id] = error.cause
            continue
        seen.append((-image.shape[0] * image.shape[1], asset.id, perceptual_hash(image)))
    seen.sort()
    repeats = near_duplicates([value for _, _, value in seen], distance)
    for index, first in repeats.items():
        problems[seen[index][1]] = f"near-duplicate of {seen[first][1]}"
    return PhotoAudit(usable=len(seen) - len(repeats), problems=problems)


def write_exclusions(folder: Path, audit: PhotoAudit) -> Path:
    """Add `exclude: <why>` to the folder's catalogue.yaml for every problem; what it says otherwise stays."""
    path = folder / _PIN_FILE
    # The round trip keeps comments, and builds no objects either.
    round_trip = YAML(typ="rt")
    entries = (round_trip.load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
    for asset_id, problem in sorted(audit.problems.items()):
        entries.setdefault(asset_id, {})["exclude"] = problem
    text = io.BytesIO()
    round_trip.dump(entries, text)
    write_atomically(path, [text.getvalue()])
    return path


def _photographs(folder: Path) -> list[Asset]:
    return user_assets(AssetsConfig(embedded=False, photos=(folder,)), set())
