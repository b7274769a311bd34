"""`.shards.index` of a dataset: every committed shard in a few bytes a sample, appended when it is committed
and memory-mapped by whoever counts or reads.

It is part of no promise. The sidecars stay the commit; each record says of which state of its sidecar it was
made, and is passed over where that has another size or time. What is missing, cut by a kill or damaged is
made again from the sidecars, by whoever looks next: the file may be deleted at any time. Where the dataset's
folder cannot be written, records that it lacks go to one in the cache.

Nobody writes over a record: others may have it mapped. A new one of the same shard comes after it and counts;
when more than half of a file is passed over it is replaced by a new file.
"""

import contextlib
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from pairbridge.datagen.core.atomic_files import DiskFull, write_atomically
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.shards.indexed_shard import (
    IndexedShard,
    SidecarState,
    packed,
    shard_at,
)
from pairbridge.datagen.shards.layout import sidecar_path
from pairbridge.datagen.shards.object_store import cache_root
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.tar import pread_exactly

INDEX_NAME = ".shards.index"


class ShardIndex:
    """The committed shards of one folder of shards. For one thread; its shards pickle and fork."""

    def __init__(self, shards_dir: Path) -> None:
        """Reads what the index has; sidecars are looked at when a shard is asked for."""
        self.shards_dir = shards_dir
        cached = cache_root() / "indexes" / f"{digest(str(shards_dir.absolute()))[:32]}.index"
        self._files = [_IndexFile(shards_dir, path) for path in (shards_dir.parent / INDEX_NAME, cached)]

    def __iter__(self) -> Iterator[IndexedShard]:
        """Every committed shard, by name. Raises ShardError at the first unusable sidecar."""
        for name in self.names():
            if (shard := self.find(name)) is not None:
                yield shard

    def names(self) -> list[str]:
        """Of the sidecars that there are now, sorted."""
        with contextlib.suppress(FileNotFoundError):
            # Of texts: `stem` and `suffix` of ten thousand paths take a tenth of a loader's start.
            names = [path.name for path in self.shards_dir.iterdir()]
            return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))
        return []

    def find(self, name: str) -> IndexedShard | None:
        """The shard of this name, brought up to date; None if it is not committed. Raises ShardError if its
        sidecar is unusable.
        """
        try:
            # No `Path`: with ten thousand shards that would be most of a loader's start.
            state = SidecarState.of(f"{self.shards_dir}/{name}.json")
            known = self._known(name)
            return known if known is not None and known.is_of(state) else self._bring(name)
        except FileNotFoundError:
            return None

    def prove(self, sidecar: Sidecar) -> None:
        """See to it that the index says what this sidecar does, which was just read, byte for byte."""
        path = sidecar_path(self.shards_dir, sidecar.shard.name)
        state, sha256 = SidecarState.of(path), _sha256(path)
        record = packed(sidecar, state, sha256)
        known = self._known(sidecar.shard.name)
        if known is None or not known.is_record(record):
            self._append(record)

    def _known(self, name: str) -> IndexedShard | None:
        return next((file.shards[name] for file in self._files[::-1] if name in file.shards), None)

    def _bring(self, name: str) -> IndexedShard:
        path = sidecar_path(self.shards_dir, name)
        for file in self._files:
            with contextlib.suppress(OSError, DiskFull), file.writing() as stream:
                # Another process may have brought it while we waited for our turn.
                known, state = self._known(name), SidecarState.of(path)
                if known is None or not known.is_of(state):
                    stream.write(self._record(name, known, state))
                    file.read_on()
                return self._known(name)
        return IndexedShard.of(self.shards_dir, Sidecar.from_file(path))

    def _append(self, record: bytes) -> None:
        for file in self._files:
            with contextlib.suppress(OSError, DiskFull), file.writing() as stream:
                stream.write(record)
                file.read_on()
                return

    def _record(self, name: str, known: IndexedShard | None, state: SidecarState) -> bytes:
        path = sidecar_path(self.shards_dir, name)
        if known is not None and (record := known.restated(state, _sha256(path))) is not None:
            return record
        return packed(Sidecar.from_file(path), state, _sha256(path))


def index_record(sidecar: Sidecar, path: Path) -> bytes:
    """What the index is to say of a sidecar that was just written to `path`, and may be renamed."""
    return packed(sidecar, SidecarState.of(path), _sha256(path))


def append_record(shards_dir: Path, record: bytes) -> None:
    """Add a shard that was just committed. What goes wrong with that is left to whoever looks next."""
    with contextlib.suppress(OSError), _alone_in(shards_dir.parent / INDEX_NAME) as stream:
        stream.write(record)


@lru_cache(maxsize=4)
def _index_of(shards_dir: Path) -> ShardIndex:
    return ShardIndex(shards_dir)


def _found_again(shards_dir: Path, name: str) -> IndexedShard:
    """A shard in a process that it was sent to."""
    found = _index_of(shards_dir).find(name)
    if found is None:
        raise ShardError(
            f"{sidecar_path(shards_dir, name)} has gone",
            consequence="the shard is not committed any more",
            remedy="run `pairbridge generate` again: it makes what is missing",
        )
    return found


@contextlib.contextmanager
def _alone_in(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, unbuffered, to append to, while no other process does."""
    while True:
        with open(path, "ab", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            # It may have been replaced by a new file between the two calls.
            if _is_at(path, os.fstat(stream.fileno())):
                yield stream
                return


def _is_at(path: Path, stat: os.stat_result) -> bool:
    try:
        return os.path.samestat(stat, os.stat(path))
    except FileNotFoundError:
        return False


class _IndexFile:
    """One file of records; `shards` has the last of each shard."""

    def __init__(self, shards_dir: Path, path: Path) -> None:
        self._shards_dir, self._path = shards_dir, path
        self._open()
        self.read_on()

    def read_on(self) -> None:
        """Take in what was appended since; all of it where the file is another one."""
        if not self._mapped.reach():
            self._open()
            self._mapped.reach()
        while found := shard_at(self._shards_dir, self._mapped, self._end, self._mapped.size):
            shard, end = found
            before = self._live.pop(shard.name, (0, 0))
            self._live[shard.name] = (self._end, end)
            self._live_bytes += end - self._end - (before[1] - before[0])
            self.shards[shard.name] = shard
            self._end = end

    @contextlib.contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """The file, to append to, while no other process does: all of its records known, and nothing after
        the last of them.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with _alone_in(self._path) as stream:
                self.read_on()
                whole = os.fstat(stream.fileno()).st_size == self._end
                if whole and self._end <= 2 * self._live_bytes:
                    yield stream
                    return
                # A torn end, or mostly records that others came after. Without those, in a new file.
                spans = self._live.values()
                write_atomically(self._path, (self._mapped.read(start, end) for start, end in spans))

    def _open(self) -> None:
        self._mapped = _MappedFile(self._path)
        self._end = self._live_bytes = 0
        self.shards: dict[str, IndexedShard] = {}
        self._live: dict[str, tuple[int, int]] = {}


class _MappedFile:
    """A file that only grows, mapped. It stays readable when another one takes its place."""

    def __init__(self, path: Path) -> None:
        self._path, self._map = path, b""
        self._stream: BinaryIO | None = None

    @property
    def size(self) -> int:
        return len(self._map)

    def view(self, start: int, end: int) -> memoryview:
        return memoryview(self._map)[start:end]

    def read(self, start: int, end: int) -> bytes:
        return pread_exactly(self._stream.fileno(), end - start, start)

    def reach(self) -> bool:
        """Map it up to its end now; False where another file is in its place."""
        try:
            if self._stream is None:
                self._stream = open(self._path, "rb")  # noqa: SIM115 (as long as its shards)
            stat = os.fstat(self._stream.fileno())
            if not _is_at(self._path, stat) or stat.st_size < self.size:
                return False
            if stat.st_size > self.size:
                self._map = mmap.mmap(self._stream.fileno(), stat.st_size, access=mmap.ACCESS_READ)
        except OSError:
            return self._stream is None
        return True

    def sent(self, shards_dir: Path, name: str) -> tuple[Callable[..., IndexedShard], tuple[Path, str]]:
        return _found_again, (shards_dir, name)


def _sha256(path: Path) -> bytes:
    return bytes.fromhex(file_sha256(path))
