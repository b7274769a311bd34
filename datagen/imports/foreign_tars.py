"""Foreign WebDataset shards: tars whose members `<key>.<extension>` make a sample, in whatever order they
lie.

The key is a member's path up to the first dot of its file name, as in webdataset. Hidden members (a Mac's
`._` twins) are passed over. Where the members lie is found once by walking the headers, then kept in a
sidecar. Any tar that Python's `tarfile` understands is walked (ustar, GNU, pax); nothing is ever extracted,
and only plain files are listed.
"""

import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, field_validator, model_validator

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.bounded_files import read_at_most
from pairbridge.datagen.core.bounded_json import JsonRefused
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import parse_record
from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, Refused, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec
from pairbridge.datagen.imports.import_manifest import FileRef, TarInfo
from pairbridge.datagen.imports.pair_layout import PairLayout
from pairbridge.datagen.shards.fields import FieldStem
from pairbridge.datagen.shards.records import Sha256
from pairbridge.datagen.shards.tar import BLOCK

# What a malformed header makes of tarfile, which recurses into extended ones.
_MALFORMED = (EOFError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)

SIDECAR_SUFFIX = ".members.json"

Member = tuple[str, NonNegativeInt, NonNegativeInt]  # name, offset of the data, size
# What a member of a sample may be called to be opened at all. Text, numbers and pickles beside the images are
# passed over unread.
_EXTENSIONS = ("jpg", "jpeg", "png", "webp")


class TarField(FrozenModel):
    """The members of one field: extensions, of which exactly one must be there, and what they hold."""

    extensions: tuple[str, ...]
    """Extensions, of which exactly one must be there for each key."""
    codec: Codec
    """What the members hold."""

    @field_validator("extensions", mode="before", json_schema_input_type=tuple[str, ...] | str)
    @classmethod
    def _one_or_more(cls, extensions: Any) -> Any:
        return (extensions,) if isinstance(extensions, str) else extensions

    @field_validator("extensions")
    @classmethod
    def _allowed(cls, extensions: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in extensions if name.rpartition(".")[2] not in _EXTENSIONS]
        if wrong or not extensions:
            raise ValueError(
                f"{wrong or 'no extension'}: write what follows the key and its dot, in lower case, "
                f"ending in one of {', '.join(_EXTENSIONS)}, such as jpg or mask.png"
            )
        return extensions


class ForeignTarsLayout(PairLayout):
    """fields: `{source: jpg, target: [gt.png, gt.jpg]}`; a field may also be `{extensions: [...],
    codec: {...}}`.
    """

    bare: ClassVar[str] = "extensions"

    kind: Literal["tars"] = "tars"
    """Selects this layout."""
    tars: tuple[str, ...] = ("**/*.tar",)
    """Glob patterns of the tar files, below the root."""
    fields: dict[FieldStem, TarField]
    """Members that hold source, target and mask: extensions, or {extensions: [...], codec: {...}}."""
    group_by: Literal["id", "tar"] = "id"
    """What must not be split up: each sample alone, or all of one tar."""
    sidecars: Literal["cache", "beside"] = "cache"
    """beside: <tar>.members.json next to each tar, for all imports to use. cache: in the import's own folder.
    """

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        candidates: list[Candidate] = []
        refused: list[Refused] = []
        infos: dict[str, TarInfo] = {}
        for tar in self._tars(root):
            name = tar.relative_to(root).as_posix()
            sidecar = tar if self.sidecars == "beside" else sidecars.cache / name
            try:
                listed = tar_members(
                    tar, sidecar.with_name(sidecar.name + SIDECAR_SUFFIX), hash_file=sidecars.hash_files
                )
            except ShardError as error:
                refused.append(Refused(name, error.cause))
                continue
            infos[name] = listed.info
            refused += [
                Refused(f"{name}/{member}", f"it is {kind}") for member, kind in listed.others.items()
            ]
            for outcome in self._samples(name, listed.members):
                (candidates if isinstance(outcome, Candidate) else refused).append(outcome)
        candidates.sort(key=lambda candidate: candidate.id)
        return Found(candidates=tuple(candidates), refused=tuple(refused), tars=infos)

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        return None

    def _tars(self, root: Path) -> list[Path]:
        found = sorted({path for pattern in self.tars for path in root.glob(pattern) if path.is_file()})
        if not found:
            raise ConfigError(
                f"no tar below {root} fits {' or '.join(self.tars)}",
                consequence="there is nothing to import",
                remedy="correct `root` or `layout.tars`",
            )
        return found

    def _samples(self, tar: str, members: tuple[Member, ...]) -> Iterator[Candidate | Refused]:
        by_key: dict[str, dict[str, list[Member]]] = {}
        for member in members:
            if not _is_hidden(member[0]):
                key, extension = _split_name(member[0])
                by_key.setdefault(key, {}).setdefault(extension, []).append(member)
        for key, by_extension in by_key.items():
            # Keys often start anew in every tar, so the tar's name is part of the id.
            yield self._sample(tar, f"{tar.removesuffix('.tar')}/{key}", by_extension)

    def _sample(
        self, tar: str, sample_id: str, by_extension: Mapping[str, list[Member]]
    ) -> Candidate | Refused:
        files: dict[FieldStem, FileRef] = {}
        for name, field in self.fields.items():
            there = [member for ending in field.extensions for member in by_extension.get(ending, ())]
            if len(there) != 1:
                return Refused(
                    sample_id, _lacking(name, field, by_extension) if not there else _several(name, there)
                )
            _, offset, size = there[0]
            if not size:
                return Refused(sample_id, f"{there[0][0]} is empty")
            files[name] = FileRef(path=tar, offset=offset, size=size)
        return Candidate(id=sample_id, group=sample_id if self.group_by == "id" else tar, files=files)


def _lacking(name: str, field: TarField, by_extension: Mapping[str, list[Member]]) -> str:
    for extension, (member, *_) in by_extension.items():
        if extension.endswith(tuple(f".{ending}" for ending in field.extensions)):
            return (
                f"it has no {name}: a key ends at the first dot of a name, so {member[0]} is the field "
                f"{extension!r}"
            )
    return f"it has no {name}"


def _several(name: str, members: Sequence[Member]) -> str:
    names = [member[0] for member in members]
    if len(set(names)) == 1:
        return f"{names[0]} is in the tar {len(names)} times"
    return f"several members could be its {name}: {', '.join(names)}"


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.removeprefix("./").split("/"))


def _split_name(name: str) -> tuple[str, str]:
    """(key, extension in lower case), at the first dot of the file's name."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


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
            return parse_record(cls, read_at_most(path, MAX_RECORD_BYTES), MAX_RECORD_BYTES)
        except (OSError, ValidationError, JsonRefused):
            return None

    @model_validator(mode="after")
    def _inside(self) -> Self:
        # A sidecar beside a tar from elsewhere was made by others, too.
        for name, offset, size in self.members:
            if offset + size > self.bytes:
                raise ValueError(f"{name} ends behind the tar")
        return self


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
            place = -1
            for member in tar:
                # A negative size leads back to where the walk has been, for ever.
                if member.size < 0 or member.offset <= place:
                    raise _not_indexed(path, f"a header at byte {member.offset} leads nowhere")
                place = member.offset
                if not member.isdir():
                    _check_name(path, member.name)
                    if member.offset_data + member.size > size:
                        raise _not_indexed(path, f"it ends inside {member.name}; it was cut")
                    yield member, _kind(member)
            end = tar.offset
    except (tarfile.TarError, *_MALFORMED) as error:
        raise _not_indexed(path, f"it is no plain, uncompressed tar: {error}") from error
    # tarfile takes a damaged header for the end of the archive.
    with open(path, "rb") as stream:
        stream.seek(end)
        if stream.read(BLOCK) != bytes(BLOCK):
            raise _not_indexed(path, f"there is no member and no end at byte {end}; it is damaged or was cut")


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
        raise _not_indexed(path, f"the member name {name!r} is not UTF-8") from None


def _not_indexed(path: Path, why: str) -> ShardError:
    return ShardError(
        f"{path} is not indexed: {why}",
        consequence="none of its samples is in the import; the other tars are indexed",
        remedy="download it again or repack it, and import anew",
    )
