"""Paired folders: one file per field and pair, found by path templates."""

from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from datagen.field_codecs import Codec, ImageCodec, MaskCodec
from datagen.frozen import FrozenModel
from datagen.import_manifest import FieldKind, ImportKind
from datagen.imports.candidates import Candidate, Found, ReadField, SidecarPlace
from datagen.imports.field_map import FieldFiles, find_pairs

DEFAULT_CODECS: dict[FieldKind, Codec] = {
    "source": ImageCodec(),
    "target": ImageCodec(),
    "mask": MaskCodec(),
}

Task = Literal["translation", "removal"]


class FoldersLayout(FrozenModel):
    """Any data set of files that belong together by their paths.

    fields: `{source: img/{id}.jpg, target: gt/{id}.png, mask: mask/{id}.png}`; a field may also be
    `{paths: [...], codec: {...}}`. A translation needs source and target; a removal target and mask, and a
    source too where shadows or reflections of the object lie outside its mask.
    """

    kind: Literal["folders"] = "folders"
    task: Task = "translation"
    fields: dict[FieldKind, FieldFiles]
    # What belongs together and must not be split up: each pair alone, or all of one folder of the ids.
    group_by: Literal["id", "folder"] = "id"

    @field_validator("fields", mode="before")
    @classmethod
    def _short_forms(cls, fields: Any) -> Any:
        """A bare path, or a list of them, means the field's usual codec."""
        if not isinstance(fields, dict):
            return fields
        return {name: _written_out(name, value) for name, value in fields.items()}

    @model_validator(mode="after")
    def _complete(self) -> "FoldersLayout":
        check_fields(self.task, set(self.fields))
        return self

    @property
    def import_kind(self) -> ImportKind:
        return kind_of(self.task)

    @property
    def codecs(self) -> dict[FieldKind, Codec]:
        return {name: files.codec for name, files in self.fields.items()}

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        pairs, refused = find_pairs(root, self.fields)
        candidates = tuple(
            Candidate(id=pair_id, group=self._group(pair_id), files=files)
            for pair_id, (_, files) in pairs.items()
        )
        return Found(candidates=candidates, refused=tuple(refused), tars={})

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        return None

    def _group(self, pair_id: str) -> str:
        return pair_id if self.group_by == "id" else pair_id.rpartition("/")[0]


def kind_of(task: Task) -> ImportKind:
    return "imported_removal" if task == "removal" else "imported_pairs"


def check_fields(task: Task, fields: set[str]) -> None:
    """Raise ValueError unless these fields make a pair of the task."""
    needed = {"target", "mask"} if task == "removal" else {"source", "target"}
    if not needed <= fields:
        raise ValueError(f"a {task} needs {' and '.join(sorted(needed))}; there is {sorted(fields)}")


def _written_out(name: str, value: Any) -> Any:
    if isinstance(value, (str, list, tuple)):
        value = {"paths": value}
    if isinstance(value, dict) and name in DEFAULT_CODECS:
        value = {"codec": DEFAULT_CODECS[name], **value}
    return value
