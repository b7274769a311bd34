"""Paired folders: one file per field and pair, found by path templates."""

from pathlib import Path
from typing import ClassVar, Literal

from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, SidecarPlace
from pairbridge.datagen.imports.field_map import FieldFiles, find_pairs
from pairbridge.datagen.imports.pair_layout import PairLayout
from pairbridge.datagen.shards.fields import FieldStem


class FoldersLayout(PairLayout):
    """Any data set of files that belong together by their paths.

    fields: `{source: img/{id}.jpg, target: gt/{id}.png, mask: mask/{id}.png}`; a field may also be
    `{paths: [...], codec: {...}}`.
    """

    bare: ClassVar[str] = "paths"

    kind: Literal["folders"] = "folders"
    """Selects this layout."""
    fields: dict[FieldStem, FieldFiles]
    """Files of source, target and mask: path templates with {id}, or {paths: [...], codec: {...}}."""
    group_by: Literal["id", "folder"] = "id"
    """Pairs that stay in one split: each pair alone, or all of one folder."""

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
