"""What a layout hands over: pairs found in a data set, before anything in them was opened.

A layout is a frozen configuration model with `kind`, `roles` and `codecs` (by field). Its `find(root,
sidecars)` gives every pair below `root`, or raises ConfigError if the folder is not laid out like this at
all; its `refuse(candidate, read)` says why a candidate is not to be used after a look at its pixels, or None.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imports.import_manifest import FileRef, TarInfo
from pairbridge.datagen.shards.fields import FieldStem


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One pair. `split` is the layout's own, None where it has none; `size_WH` that of its images, once they
    were looked at.
    """

    id: str
    group: str
    files: Mapping[FieldStem, FileRef]
    split: Split | None = None
    size_WH: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that looks like a pair and is not used; `id` is its id, or a path."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that a layout found, sorted by id; `tars` are those the candidates lie in."""

    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    tars: Mapping[str, TarInfo]


# Decodes one field of a candidate, for layouts that must look at pixels.
ReadField = Callable[[FieldStem], np.ndarray]


@dataclass(frozen=True, slots=True)
class SidecarPlace:
    """Where the sidecars of foreign tars are kept, and whether tars are hashed."""

    cache: Path
    hash_files: bool


def walk_files(root: Path) -> Iterator[str]:
    """Relative paths of all files below `root`, with forward slashes, folders and files in sorted order.

    Hidden ones are passed over (thumbnails, `._` copies). Linked folders are entered, each once.
    """
    entered: set[tuple[int, int]] = set()
    for folder, names, files in os.walk(root, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in entered:
            names.clear()
            continue
        entered.add((state.st_dev, state.st_ino))
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()
