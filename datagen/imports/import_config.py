"""The configuration of an import: whose data, where, how it is laid out, and where its pairs belong."""

import fnmatch
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pairbridge.datagen.assets.catalogue import UNSPECIFIED
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.splits import SPLITS, Split
from pairbridge.datagen.imports.candidates import Candidate
from pairbridge.datagen.imports.foreign_tars import ForeignTarsLayout
from pairbridge.datagen.imports.hypersim import HypersimLayout
from pairbridge.datagen.imports.paired_folders import FoldersLayout
from pairbridge.datagen.imports.replica import ReplicaLayout
from pairbridge.datagen.imports.rord import RordLayout
from pairbridge.datagen.imports.vkitti import VkittiLayout
from pairbridge.datagen.sourcing.placement import split_by_hash

AnyLayout = Annotated[
    FoldersLayout | ForeignTarsLayout | RordLayout | HypersimLayout | VkittiLayout | ReplicaLayout,
    Field(discriminator="kind"),
]


class LayoutSplits(FrozenModel):
    """The data set's own split where its layout knows one; by hash of the group for the rest."""

    kind: Literal["layout"] = "layout"
    """Selects the data set's own splits."""

    def place(self, candidate: Candidate) -> Split | None:
        return candidate.split or split_by_hash(candidate.group)

    def hashes(self, candidate: Candidate) -> bool:
        return candidate.split is None


class HashSplits(FrozenModel):
    """0.8 train, 0.1 validation, 0.1 test, by the hash of the group: adding pairs moves no other pair."""

    kind: Literal["hash"]
    """Selects splits by hash."""

    def place(self, candidate: Candidate) -> Split | None:
        return split_by_hash(candidate.group)

    def hashes(self, candidate: Candidate) -> bool:
        return True


class OneSplit(FrozenModel):
    """Everything belongs to one split."""

    kind: Literal["all"]
    """Selects a single split."""
    split: Split
    """Split of every pair."""

    def place(self, candidate: Candidate) -> Split | None:
        return self.split

    def hashes(self, candidate: Candidate) -> bool:
        return False


class PathSplits(FrozenModel):
    """By patterns (`*`, `?`) on the path of the pair's target, or of the tar it lies in.

    Those of test are tried first, then validation, then train, so that train may be `*`, the rest.
    """

    kind: Literal["paths"]
    """Selects splits by path."""
    train: tuple[str, ...] = ()
    """Patterns of the training split."""
    validation: tuple[str, ...] = ()
    """Patterns of the validation split."""
    test: tuple[str, ...] = ()
    """Patterns of the test split."""

    def place(self, candidate: Candidate) -> Split | None:
        path = candidate.files["target"].path
        for split in reversed(SPLITS):
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in getattr(self, split)):
                return split
        return None

    def hashes(self, candidate: Candidate) -> bool:
        return False


AnySplits = Annotated[LayoutSplits | HashSplits | OneSplit | PathSplits, Field(discriminator="kind")]


class ImportConfig(FrozenModel):
    """One import. `root` is absolute once a YAML file was loaded."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    """Name of the import, which a mix gives as `recipe`."""
    root: Path
    """Folder of the data set."""
    layout: AnyLayout
    """How the data set's files belong together."""
    splits: AnySplits = LayoutSplits()
    """How pairs are divided into train, validation and test."""
    licence: str = UNSPECIFIED
    """Licence of the data set."""
    author: str = UNSPECIFIED
    """Authors of the data set."""
