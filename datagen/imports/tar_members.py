"""Where the members of a foreign tar lie: found once by walking its headers, then kept in a sidecar.

Any tar that Python's `tarfile` understands is walked (ustar, GNU, pax); nothing is ever extracted, and only
plain files are listed.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.imports.import_manifest import TarInfo
from pairbridge.datagen.shards.records import Sha256
from pairbridge.datagen.shards.tar import BLOCK

SIDECAR_SUFFIX = ".members.json"

Member = tuple[str, NonNegativeInt, NonNegativeInt]  # name, offset of the data, size


class TarMembers(FrozenModel):
    """The sidecar of a foreign tar. It is believed as long as the tar has this size and modification time."""

    format: Literal["pairbridge-tar-members-1"] = "pairbridge-tar-members-1"
    bytes: PositiveInt
    mtime_ns: NonNegativeInt
    sha256: Sha256 | None
    members: tuple[Member, ...]
    others: dict[str, Annotated[str, Field(min_length=1)]]
    """Members that are no plain files, by name: what they are."""

    @property
    def info(self) -> TarInfo:
        return TarInfo(bytes=self.bytes, sha256=self.sha256)

    @classmethod
    def from_file(cls, path: Path) -> Self | None:
        """None if there is no sidecar, or none that can be used: then the tar is walked again."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None


def tar_members(tar: Path, sidecar: Path, *, hash_file: bool) -> TarMembers:
    """The members of `tar`, from its sidecar or by walking it; the sidecar is (re)written where it was not
    up to date. Raises ShardError for a compressed, damaged or cut tar.
    """
    state = os.stat(tar)
    known = TarMembers.from_file(sidecar)
    fresh = known is not None and (known.bytes, known.mtime_ns) == (state.st_size, state.st_mtime_ns)
    if fresh and (known.sha256 is not None or not hash_file):
        # An import without --hash must not depend on whether an earlier one hashed.
        return known if hash_file else known.model_copy(update={"sha256": None})
    members, others = [], {}
    for member, kind in _walk(tar):
        if kind is None:
            members.append((member.name, member.offset_data, member.size))
        else:
            others[member.name] = kind
    made = TarMembers(
        bytes=state.st_size,
        mtime_ns=state.st_mtime_ns,
        sha256=file_sha256(tar) if hash_file else None,
        members=tuple(members),
        others=others,
    )
    sidecar.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(sidecar, [canonical_json(made.model_dump(mode="json"))])
    return made


def _walk(path: Path) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
    """Every member but folders, with None for a plain file or else what it is."""
    size = path.stat().st_size
    try:
        # "r:" refuses compression, which leaves no byte at a known place.
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isdir():
                    _check_name(path, member.name)
                    if member.offset_data + member.size > size:
                        raise _unusable(path, f"it ends inside {member.name}; it was cut")
                    yield member, _kind(member)
            end = tar.offset
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _unusable(path, f"it is no plain, uncompressed tar: {error}") from error
    # tarfile takes a damaged header for the end of the archive.
    with open(path, "rb") as stream:
        stream.seek(end)
        if stream.read(BLOCK) != bytes(BLOCK):
            raise _unusable(path, f"there is no member and no end at byte {end}; it is damaged or was cut")


def _kind(member: tarfile.TarInfo) -> str | None:
    if member.issparse():
        return "a sparse file"
    if member.isreg():
        return None
    return "a link" if member.islnk() or member.issym() else "neither file nor folder"


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _unusable(path, f"the member name {name!r} is not UTF-8") from None


def _unusable(path: Path, why: str) -> ShardError:
    return ShardError(
        f"{path} is not indexed: {why}",
        consequence="none of its samples is in the import; the other tars are indexed",
        remedy="download it again or repack it, and import anew",
    )
