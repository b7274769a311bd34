"""Map-style reading of an imported data set, in place: any pair by its position, checked before it is used.

Nothing is opened between reads, so a source can be pickled, forked or spawned; a million pairs take 8 MB of
memory.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from pairbridge.datagen.core.errors import AssetError, ConfigError, ShardError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.imports.field_codecs import DepthCodec, decode, decode_depth
from pairbridge.datagen.imports.import_manifest import (
    FileRef,
    ImportManifest,
    IndexEntry,
    TarInfo,
    index_path,
    unusable,
)
from pairbridge.datagen.shards.tar import pread_exactly, read_span

Images = dict[str, np.ndarray]


class ImportedPairs:
    """The pairs of one split of an import, in the order of its index."""

    def __init__(self, folder: Path, recipe: str, split: str) -> None:
        """recipe: the import's name. Raises ConfigError if it has another name or lacks the split, ShardError
        if its own files are damaged.
        """
        self.manifest = ImportManifest.from_folder(folder)
        self.split = split
        if recipe != self.manifest.name or split not in self.manifest.splits:
            raise ConfigError(
                f"{folder} holds the import {self.manifest.name!r} with splits "
                f"{sorted(self.manifest.splits)}, not {recipe!r} with {split!r}",
                consequence="the source would be empty",
                remedy=f"write `recipe: {self.manifest.name}`"
                if recipe != self.manifest.name
                else f"import it into a new folder with pairs in {split!r}, by `splits` or `group_by`",
            )
        self._path = index_path(folder, split)
        self._starts = _line_starts(self._path, self.manifest.splits[split].sha256)
        if len(self) != self.manifest.splits[split].pairs:
            raise unusable(self._path, f"{len(self)} lines instead of {self.manifest.splits[split].pairs}")

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def planned(self) -> int:
        return len(self)

    @property
    def digest(self) -> str:
        return self.manifest.split_digest(self.split)

    @property
    def fields(self) -> set[str]:
        return {*self.manifest.codecs, "mask"}

    @property
    def is_removal(self) -> bool:
        return self.manifest.kind == "imported_removal"

    def key(self, index: int) -> str:
        return self.entry(index).key

    def entry(self, index: int) -> IndexEntry:
        """The index's line `index`, in [0, len). Raises ShardError if the index has gone or changed."""
        start, end = self._starts[index : index + 2].tolist()
        try:
            line = read_span(self._path, start, end)
        except OSError as error:
            raise unusable(self._path, error.strerror or str(error)) from error
        try:
            return IndexEntry.model_validate_json(line)
        except ValidationError as error:
            raise unusable(self._path, f"line {index + 1} is no entry: {error}") from error

    def read(self, index: int, fields: Sequence[str] = ()) -> tuple[dict[str, Any], Images]:
        """(meta, images) of pair `index`: `target` uint8 (H, W, 3), `mask` (H, W), and `source` where there
        is one; all that the import has, whatever `fields` asks for.

        The mask is the data set's; else where the target's depth is valid; else 255 everywhere. Raises
        ShardError, naming file and key, for what has gone, changed its size or cannot be decoded.
        """
        entry = self.entry(index)
        try:
            return self._meta(entry), self._images(entry)
        except AssetError as error:
            raise self._damaged(entry.key, error.cause) from error

    def describe(self, index: int) -> str:
        return f"{self._path}, pair {self.key(index)}"

    def _images(self, entry: IndexEntry) -> Images:
        images: Images = {}
        valid = None
        for field, codec in self.manifest.codecs.items():
            data = self._bytes(entry, field)
            name = entry.files[field].name_of(field)
            if isinstance(codec, DepthCodec):
                images[field], valid = decode_depth(codec, data, name)
            else:
                images[field] = decode(codec, data, name)
        if "mask" not in images:
            images["mask"] = np.full(images["target"].shape[:2], 255, np.uint8) if valid is None else valid
        return images

    def _bytes(self, entry: IndexEntry, field: str) -> bytes:
        try:
            return read_file(self.manifest.root, entry.files[field], self.manifest.tars)
        except OSError as error:
            why = f"{entry.files[field].name_of(field)}: {error.strerror or error}"
            raise self._damaged(entry.key, why) from error

    def _meta(self, entry: IndexEntry) -> dict[str, Any]:
        """The same keys as a generated pair's meta.json, where they mean something here."""
        manifest = self.manifest
        return {
            "key": entry.key,
            "dataset": manifest.name,
            "recipe": manifest.name,
            "kind": manifest.kind,
            "split": self.split,
            "assets": [
                {
                    "role": "photo",
                    "id": entry.group,
                    "sha256": entry.files["target"].sha256 or "",
                    "licence": manifest.licence,
                    "author": manifest.author,
                }
            ],
            "mask_source": "imported" if "mask" in manifest.codecs else "none",
            "relighter": "none",
            "params": json.dumps({"id": entry.id, "fill_seed": seed31(0, "imported", entry.key)}),
        }

    def _damaged(self, key: str, why: str) -> ShardError:
        return ShardError(
            f"{self._path}, pair {key}: {why}",
            consequence="the pair is not used",
            remedy="run `pairbridge verify` on the import; it lists all damage. If the data set changed on "
            "purpose, import it into a new folder",
        )


def read_file(root: Path, ref: FileRef, tars: Mapping[str, TarInfo]) -> bytes:
    """The bytes of one field. Raises OSError if they are not there or the file's size has changed."""
    # O_NONBLOCK: a pipe put in a file's place would otherwise block for ever.
    fd = os.open(root / ref.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        state = os.fstat(fd)
        if ref.offset is not None and ref.path not in tars:
            raise OSError("import.json does not list this tar")
        expected = ref.size if ref.offset is None else tars[ref.path].bytes
        if not stat.S_ISREG(state.st_mode) or state.st_size != expected:
            raise OSError(f"it has {state.st_size} bytes; when it was imported it had {expected}")
        return pread_exactly(fd, ref.size, ref.offset or 0)
    finally:
        os.close(fd)


def _line_starts(path: Path, sha256: str) -> np.ndarray:
    """Byte offsets of the lines' starts and of the file's end, after the file's hash was checked."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise unusable(path, "its sha256 is not the one import.json states")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    return np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])
