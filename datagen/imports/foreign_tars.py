"""Foreign WebDataset shards: tars whose adjacent members `<key>.<extension>` make a sample.

The key is a member's path up to the first dot of its file name, as in webdataset.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, Refused, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec
from pairbridge.datagen.imports.import_manifest import FieldKind, FileRef, TarInfo
from pairbridge.datagen.imports.pair_layout import PairLayout
from pairbridge.datagen.imports.tar_members import SIDECAR_SUFFIX, Member, tar_members

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
    fields: dict[FieldKind, TarField]
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
        seen: set[str] = set()
        for key, group in groupby(members, key=lambda member: _split_name(member[0])[0]):
            # Keys often start anew in every tar, so the tar's name is part of the id.
            sample_id = f"{tar.removesuffix('.tar')}/{key}"
            if key in seen:
                yield Refused(sample_id, f"its members are scattered in {tar}, or its key is used twice")
                continue
            seen.add(key)
            by_extension: dict[str, list[Member]] = {}
            for member in group:
                by_extension.setdefault(_split_name(member[0])[1], []).append(member)
            yield self._sample(tar, sample_id, by_extension)

    def _sample(
        self, tar: str, sample_id: str, by_extension: Mapping[str, list[Member]]
    ) -> Candidate | Refused:
        files: dict[FieldKind, FileRef] = {}
        for name, field in self.fields.items():
            there = [member for ending in field.extensions for member in by_extension.get(ending, ())]
            if len(there) != 1:
                several = f"several members could be its {name}: {', '.join(member[0] for member in there)}"
                return Refused(sample_id, several if there else f"it has no {name}")
            _, offset, size = there[0]
            if not size:
                return Refused(sample_id, f"{there[0][0]} is empty")
            files[name] = FileRef(path=tar, offset=offset, size=size)
        return Candidate(id=sample_id, group=sample_id if self.group_by == "id" else tar, files=files)


def _split_name(name: str) -> tuple[str, str]:
    """(key, extension in lower case), at the first dot of the file's name."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()
