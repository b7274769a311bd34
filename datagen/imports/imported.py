"""Map-style reading of an imported data set, in place: any pair by its position, checked before it is used.

Nothing is opened between reads, so a source can be pickled, forked or spawned; a million pairs take 8 MB of
memory.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from pairbridge.datagen.core.bounded_json import JsonRefused
from pairbridge.datagen.core.errors import AssetError, ConfigError, ShardError
from pairbridge.datagen.core.limits import MAX_FIELD_JSON_BYTES, MAX_PICTURE_BYTES
from pairbridge.datagen.core.record_files import parse_record
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.imports.field_codecs import declared
from pairbridge.datagen.imports.import_manifest import (
    FileRef,
    ImportManifest,
    IndexEntry,
    TarInfo,
    index_path,
    unusable,
)
from pairbridge.datagen.shards.fields import FieldSpec, Roles
from pairbridge.datagen.shards.picture_sizes import PictureSizes
from pairbridge.datagen.shards.proven_files import DataReplaced
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

    @cached_property
    def sizes(self) -> PictureSizes:
        """Width and height of each pair's images, by the index. Raises ShardError."""
        lines = self._path.read_bytes().splitlines()
        sizes = [self._parsed(line, index).size_WH for index, line in enumerate(lines)]
        return PictureSizes.of(np.array(sizes, dtype=np.int32).reshape(len(sizes), 2))

    @property
    def fields(self) -> dict[str, FieldSpec]:
        return {field: declared(codec) for field, codec in self.manifest.codecs.items()}

    @property
    def roles(self) -> Roles:
        return self.manifest.roles

    def key(self, index: int) -> str:
        return self.entry(index).key

    def entry(self, index: int) -> IndexEntry:
        """The index's line `index`, in [0, len). Raises ShardError if the index has gone or changed."""
        start, end = self._starts[index : index + 2].tolist()
        try:
            line = read_span(self._path, start, end)
        except OSError as error:
            raise unusable(self._path, error.strerror or str(error)) from error
        return self._parsed(line, index)

    def _parsed(self, line: bytes, index: int) -> IndexEntry:
        try:
            return parse_record(IndexEntry, line, MAX_FIELD_JSON_BYTES)
        except (ValidationError, JsonRefused) as error:
            raise unusable(self._path, f"line {index + 1} is no entry: {error}") from error

    def read(self, index: int, fields: Sequence[str]) -> tuple[dict[str, Any], Images]:
        """(meta, fields) of pair `index`: those of `fields` that the import has, as `self.fields` says.

        Raises ShardError, naming file and key, for what has gone, changed its size or cannot be decoded.
        """
        entry = self.entry(index)
        try:
            return self._meta(entry), self._images(entry, fields)
        except AssetError as error:
            raise self._damaged(entry.key, error.cause) from error
        except KeyError as error:
            raise self._damaged(entry.key, f"the index names no file for its {error}") from error

    def describe(self, index: int) -> str:
        return f"{self._path}, pair {self.key(index)}"

    def _images(self, entry: IndexEntry, fields: Sequence[str]) -> Images:
        # Late: a mix counts pairs without OpenCV and Pillow.
        from pairbridge.datagen.imports.field_decoding import decode

        return {
            field: decode(codec, self._bytes(entry, field), entry.files[field].name_of(field))
            for field, codec in self.manifest.codecs.items()
            if field in fields
        }

    def _bytes(self, entry: IndexEntry, field: str) -> bytes:
        ref = entry.files[field]
        try:
            data = read_file(self.manifest.root, ref, self.manifest.tars)
        except OSError as error:
            raise self._damaged(entry.key, f"{ref.name_of(field)}: {error.strerror or error}") from error
        if ref.sha256 is not None and hashlib.sha256(data).hexdigest() != ref.sha256:
            raise DataReplaced(
                f"{self._path}, pair {entry.key}: {ref.name_of(field)} is not what was imported (sha256)",
                consequence="it may show something else than the import says; it is not used",
                remedy="bring the file back; if the data set changed on purpose, import it into a new folder",
            )
        return data

    def _meta(self, entry: IndexEntry) -> dict[str, Any]:
        """The same keys as a generated pair's meta.json, where they mean something here."""
        manifest = self.manifest
        return {
            "key": entry.key,
            "dataset": manifest.name,
            "recipe": manifest.name,
            "kind": "imported",
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
        # The index is held against the file before its size is allocated.
        if (ref.offset or 0) + ref.size > state.st_size or ref.size > MAX_PICTURE_BYTES:
            raise OSError(f"{ref.size} bytes are not in it, or above the cap of {MAX_PICTURE_BYTES}")
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
