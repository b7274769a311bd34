"""One committed shard as the dataset's index has it: what its sidecar says, as bytes to look into.

    head      fixed size: counts, sizes, digests, which state of the sidecar it was made of; with a checksum
    names     the shard's name and its fields
    notes     holes and rejections, JSON, empty where there are none
    pictures  the sizes that pictures have, and which of them each sample has, if there is more than one
    rows      one per sample, for NumPy: key, where it begins in the tar, size of each field

A parsed sidecar takes 2.4 kB and 35 us a sample for the same. Where a file of a sample lies follows from
sizes alone (`pairbridge.datagen.shards.records`), so offsets are not kept. A loader that starts wants the
pictures' sizes and no row: rows are most of the file.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from pydantic import TypeAdapter

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.shards.layout import sidecar_path
from pairbridge.datagen.shards.picture_sizes import PictureSizes, code_type
from pairbridge.datagen.shards.records import Hole, Rejection, ShardInfo, Sidecar
from pairbridge.datagen.shards.tar import BLOCK, padding

_MAGIC = b"PAIRIDX2"
_HEAD = struct.Struct("<8sQIIQQQQQQQqIIIIII32s32s32s32s")
_CHECKSUM = struct.Struct("<Q")
_ALIGN = 8
_MOST = 2**63
_MOST_NAMES = 2**16
_USUAL_NAMES = 256


class _Head(NamedTuple):
    magic: bytes
    length: int  # of the record, all its parts and padding
    names_bytes: int
    notes_bytes: int
    count: int
    num_holes: int
    num_rejections: int
    tar_bytes: int
    first_group: int
    num_groups: int
    sidecar_size: int
    sidecar_mtime_ns: int
    key_bytes: int
    size_bytes: int  # 4, or 8 where a file is larger than 4 GiB; 0: there are no rows
    num_sizes: int  # different ones, of pictures
    notes_crc: int
    pictures_crc: int
    rows_crc: int
    tar_sha256: bytes
    plan_digest: bytes
    config_digest: bytes
    sidecar_sha256: bytes


HEAD_BYTES = _HEAD.size + _CHECKSUM.size


class _Notes(NamedTuple):
    holes: tuple[Hole, ...]
    rejections: tuple[Rejection, ...]


_NOTES = TypeAdapter(_Notes)


class SidecarState(NamedTuple):
    """Of a sidecar on disk: size in bytes, time of its last change."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Raises FileNotFoundError."""
        stat = os.stat(path)
        return cls(stat.st_size, stat.st_mtime_ns)


class Bytes(Protocol):
    """Where records lie."""

    def view(self, start: int, end: int) -> memoryview:
        """Mapped, for what is looked into again and again."""

    def read(self, start: int, end: int) -> bytes:
        """Copied: counting over millions of samples then maps none of their rows."""

    def sent(self, shards_dir: Path, name: str) -> tuple[Callable, tuple]:
        """What makes the shard whose record is there anew in another process, and its arguments."""


class InMemory:
    """A record that no file has."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def view(self, start: int, end: int) -> memoryview:
        return memoryview(self._data)[start:end]

    def read(self, start: int, end: int) -> bytes:
        return self._data[start:end]

    def sent(self, shards_dir: Path, name: str) -> tuple[Callable, tuple]:
        return _alone, (shards_dir, self._data)


class IndexedShard:
    """What `Sidecar` says, read where it is asked for; a kilobyte of memory whatever the shard holds.

    Pickles and forks. It never fails for the index's sake: where that is damaged or was replaced, the sidecar
    is read.
    """

    __slots__ = ("_bytes", "_head", "_shards_dir", "_start", "fields", "name")

    def __init__(self, shards_dir: Path, head: _Head, names: bytes, records: Bytes, start: int) -> None:
        """`records` has this shard's at `start`."""
        self._shards_dir, self._head, self._bytes, self._start = shards_dir, head, records, start
        name, _, fields = names.decode("ascii").partition("\0")
        self.name = name
        # Of every sample, sorted. The same few texts for all shards.
        self.fields = _fields(fields)

    @classmethod
    def of(cls, shards_dir: Path, sidecar: Sidecar) -> Self:
        """Of a sidecar that was just read, without an index."""
        return _alone(shards_dir, packed(sidecar, SidecarState(0, 0), bytes(32)))

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self._bytes.sent(self._shards_dir, self.name)

    @property
    def count(self) -> int:
        """Samples in the shard."""
        return self._head.count

    @property
    def num_holes(self) -> int:
        return self._head.num_holes

    @property
    def num_rejections(self) -> int:
        return self._head.num_rejections

    @property
    def sha256(self) -> str:
        return self._head.tar_sha256.hex()

    @property
    def shard(self) -> ShardInfo:
        head = self._head
        return ShardInfo(
            name=self.name,
            first_group=head.first_group,
            num_groups=head.num_groups,
            plan_digest=head.plan_digest.hex(),
            config_digest=head.config_digest.hex(),
        )

    @property
    def holes(self) -> tuple[Hole, ...]:
        return self._notes.holes if self.num_holes else ()

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        return self._notes.rejections if self.num_rejections else ()

    def rows(self) -> np.ndarray:
        """(count,) of `key`, `start` (of its first header in the tar) and `sizes` (fields,), in the order of
        the tar. Raises ShardError where samples differ in their fields.
        """
        head = self._head
        rows = self._bytes.view(self._start + _rows_start(head), self._start + head.length)
        # Whatever its checksum says, it is a file that may have come with the data.
        with contextlib.suppress(ValueError, TypeError):
            if head.size_bytes and zlib.crc32(rows) == head.rows_crc:
                return np.frombuffer(
                    rows, _row_dtype(head.key_bytes, head.size_bytes, len(self.fields)), head.count
                )
        return _rows(self._sidecar())[1]

    def picture_sizes(self) -> PictureSizes:
        """Of every sample, in the order of the tar, 0x0 where it has no picture. Raises ShardError."""
        head = self._head
        data = self._bytes.read(self._start + _pictures_start(head), self._start + _rows_start(head))
        with contextlib.suppress(ValueError, TypeError):
            if head.size_bytes and zlib.crc32(data) == head.pictures_crc:
                return _unpacked_sizes(data, head.num_sizes, head.count)
        return _picture_sizes(self._sidecar())

    def is_of(self, state: SidecarState) -> bool:
        """Whether it was made of the sidecar in this state."""
        return (self._head.sidecar_size, self._head.sidecar_mtime_ns) == state

    def is_record(self, record: bytes) -> bool:
        """Whether the index has exactly these bytes."""
        return self._bytes.read(self._start, self._start + self._head.length) == record

    def restated(self, state: SidecarState, sidecar_sha256: bytes) -> bytes | None:
        """The same record for a sidecar that was only copied; None if it is another sidecar."""
        head = self._head
        record = self._bytes.read(self._start, self._start + head.length)
        notes = record[_notes_start(head) : _pictures_start(head)]
        pictures, rows = record[_pictures_start(head) : _rows_start(head)], record[_rows_start(head) :]
        if (sidecar_sha256, zlib.crc32(notes), zlib.crc32(pictures), zlib.crc32(rows)) != (
            head.sidecar_sha256,
            head.notes_crc,
            head.pictures_crc,
            head.rows_crc,
        ):
            return None
        head = head._replace(sidecar_size=state.size, sidecar_mtime_ns=state.mtime_ns)
        return _with_head(head, record[HEAD_BYTES : _notes_start(head)]) + notes + pictures + rows

    @property
    def _notes(self) -> _Notes:
        head = self._head
        notes = self._bytes.read(self._start + _notes_start(head), self._start + _pictures_start(head))
        with contextlib.suppress(ValueError):
            if zlib.crc32(notes) == head.notes_crc:
                return _NOTES.validate_json(notes[: head.notes_bytes], strict=False)
        sidecar = self._sidecar()
        return _Notes(sidecar.holes, sidecar.rejections)

    def _sidecar(self) -> Sidecar:
        return Sidecar.from_file(sidecar_path(self._shards_dir, self.name))

    # The last, for from here on the name means no type any more.
    @property
    def bytes(self) -> int:
        """Of the tar."""
        return self._head.tar_bytes


def packed(sidecar: Sidecar, state: SidecarState, sidecar_sha256: bytes) -> bytes:
    """The record of a sidecar in a state; a function of the three."""
    try:
        (fields, rows), sizes = _rows(sidecar), _picture_sizes(sidecar)
        pictures = _packed_sizes(sizes)
    except ShardError:
        fields, rows, pictures = (), None, b""  # whoever wants them is told by the sidecar itself
    names = "\0".join((sidecar.shard.name, *fields)).encode()
    notes = b""
    if sidecar.holes or sidecar.rejections:
        both = [sidecar.holes, sidecar.rejections]
        notes = canonical_json([[each.model_dump(mode="json") for each in own] for own in both])
    num_notes = len(notes)
    notes += bytes(-(HEAD_BYTES + len(names) + len(notes)) % _ALIGN)
    rows_bytes = b"" if rows is None else rows.tobytes()
    rows_bytes += bytes(-len(rows_bytes) % _ALIGN)
    head = _Head(
        magic=_MAGIC,
        length=HEAD_BYTES + len(names) + len(notes) + len(pictures) + len(rows_bytes),
        names_bytes=len(names),
        notes_bytes=num_notes,
        count=sidecar.count,
        num_holes=len(sidecar.holes),
        num_rejections=len(sidecar.rejections),
        tar_bytes=sidecar.bytes,
        first_group=sidecar.shard.first_group,
        num_groups=sidecar.shard.num_groups,
        sidecar_size=state.size,
        sidecar_mtime_ns=state.mtime_ns,
        key_bytes=0 if rows is None else rows.dtype["key"].itemsize,
        size_bytes=0 if rows is None else rows.dtype["sizes"].base.itemsize,
        num_sizes=0 if rows is None else len(sizes.table),
        notes_crc=zlib.crc32(notes),
        pictures_crc=zlib.crc32(pictures),
        rows_crc=zlib.crc32(rows_bytes),
        tar_sha256=bytes.fromhex(sidecar.sha256),
        plan_digest=bytes.fromhex(sidecar.shard.plan_digest),
        config_digest=bytes.fromhex(sidecar.shard.config_digest),
        sidecar_sha256=sidecar_sha256,
    )
    return _with_head(head, names) + notes + pictures + rows_bytes


def shard_at(shards_dir: Path, records: Bytes, start: int, end: int) -> tuple[IndexedShard, int] | None:
    """(the shard, where the next record begins), if a whole record begins at `start` and ends by `end`; of
    its notes and rows nothing is read.
    """
    if end - start < HEAD_BYTES:
        return None
    data = records.read(start, min(end, start + HEAD_BYTES + _USUAL_NAMES))
    head = _Head(*_HEAD.unpack_from(data))
    if head.magic != _MAGIC or not _rows_start(head) <= head.length <= end - start:
        return None
    if not (head.first_group < _MOST and 0 < head.num_groups < _MOST and head.names_bytes < _MOST_NAMES):
        return None
    names = data[HEAD_BYTES : _notes_start(head)]
    if len(names) < head.names_bytes:
        names = records.read(start + HEAD_BYTES, start + _notes_start(head))
    if _CHECKSUM.unpack_from(data, _HEAD.size) != (zlib.crc32(names, zlib.crc32(data[: _HEAD.size])),):
        return None
    try:
        return IndexedShard(shards_dir, head, names, records, start), start + head.length
    except UnicodeDecodeError:
        return None


def spans_of(row: np.void) -> list[tuple[int, int]]:
    """(offset, size) of each field of one of `IndexedShard.rows`."""
    spans, position = [], int(row["start"])
    for size in row["sizes"].tolist():
        spans.append((position + BLOCK, size))
        position += BLOCK + size + padding(size)
    return spans


def _with_head(head: _Head, names: bytes) -> bytes:
    data = _HEAD.pack(*head)
    return data + _CHECKSUM.pack(zlib.crc32(names, zlib.crc32(data))) + names


def _alone(shards_dir: Path, record: bytes) -> IndexedShard:
    """The shard of a record that no file has."""
    shard, _ = shard_at(shards_dir, InMemory(record), 0, len(record))
    return shard


def _notes_start(head: _Head) -> int:
    return HEAD_BYTES + head.names_bytes


def _pictures_start(head: _Head) -> int:
    start = _notes_start(head) + head.notes_bytes
    return start + -start % _ALIGN


def _rows_start(head: _Head) -> int:
    return _pictures_start(head) + (_pictures_bytes(head.num_sizes, head.count) if head.size_bytes else 0)


def _pictures_bytes(num_sizes: int, count: int) -> int:
    size = 8 * num_sizes + (code_type(num_sizes).itemsize * count if num_sizes > 1 else 0)
    return size + -size % _ALIGN


def _packed_sizes(sizes: PictureSizes) -> bytes:
    table = sizes.table.astype("<i4").tobytes()
    codes = sizes.codes.astype(sizes.codes.dtype.newbyteorder("<")).tobytes() if len(sizes.table) > 1 else b""
    return (table + codes).ljust(_pictures_bytes(len(sizes.table), len(sizes)), b"\0")


def _unpacked_sizes(data: bytes, num_sizes: int, count: int) -> PictureSizes:
    """Raises ValueError where `data` are not the sizes of so many pictures."""
    table = np.frombuffer(data, "<i4", 2 * num_sizes).reshape(num_sizes, 2)
    if num_sizes == 1:
        return PictureSizes(table, np.zeros(count, np.uint8))
    codes = np.frombuffer(data, code_type(num_sizes).newbyteorder("<"), count, offset=8 * num_sizes)
    if count and codes.max() >= num_sizes:
        raise ValueError(f"size {codes.max()} of {num_sizes}")
    return PictureSizes(table, codes)


@lru_cache(maxsize=256)
def _fields(names: str) -> tuple[str, ...]:
    return tuple(names.split("\0")) if names else ()


def _rows(sidecar: Sidecar) -> tuple[tuple[str, ...], np.ndarray]:
    """(fields, rows). Raises ShardError where samples differ in their fields."""
    fields = tuple(sorted(sidecar.samples[0].fields)) if sidecar.samples else ()
    for sample in sidecar.samples:
        if tuple(sorted(sample.fields)) != fields:
            raise ShardError(
                f"{sidecar.shard.name}: {sample.key} has {sorted(sample.fields)}, the first {list(fields)}",
                consequence="no batch could be formed, and other readers infer wrong columns",
                remedy="rebuild the shard; every sample of a recipe must have the same fields",
            )
    sizes = [[sample.fields[field][1] for field in fields] for sample in sidecar.samples]
    largest = max((size for own in sizes for size in own), default=0)
    keys = np.array([sample.key for sample in sidecar.samples], dtype=np.bytes_)
    rows = np.zeros(
        len(sizes), _row_dtype(max(1, keys.dtype.itemsize), 4 if largest < 2**32 else 8, len(fields))
    )
    rows["key"] = keys
    if not sizes:
        return fields, rows
    rows["start"] = [sample.fields[fields[0]][0] - BLOCK for sample in sidecar.samples]
    rows["sizes"] = sizes
    return fields, rows


def _picture_sizes(sidecar: Sidecar) -> PictureSizes:
    sizes = [sample.size_WH or (0, 0) for sample in sidecar.samples]
    if any(side >= 2**31 for both in sizes for side in both):
        raise ShardError(
            f"{sidecar.shard.name}: a picture's size is beyond any picture's",
            consequence="its samples could be put into no bucket",
            remedy="rebuild the shard",
        )
    return PictureSizes.of(np.array(sizes, dtype=np.int32).reshape(len(sizes), 2))


def _row_dtype(key_bytes: int, size_bytes: int, num_fields: int) -> np.dtype:
    return np.dtype(
        [
            ("key", f"S{key_bytes}"),
            ("start", "<i8"),
            ("sizes", f"<u{size_bytes}", (num_fields,)),
        ]
    )
