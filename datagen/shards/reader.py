"""Map-style reading of committed shards: any sample by its position, in one `os.pread`, checked before it
is handed out.

Nothing is opened between reads: a shard can be pickled, forked or spawned freely, ten thousand of them hold
no file descriptor, and no two processes share a file position.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.commit import check_tar_size
from pairbridge.datagen.shards.indexed_shard import IndexedShard, spans_of
from pairbridge.datagen.shards.layout import sidecar_path, tar_path
from pairbridge.datagen.shards.mirror import fetch_tar, origin
from pairbridge.datagen.shards.picture_sizes import PictureSizes
from pairbridge.datagen.shards.proven_files import ProvenFile
from pairbridge.datagen.shards.records import Hole, Sidecar
from pairbridge.datagen.shards.sample import check_key
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.datagen.shards.tar import BLOCK, member_header, padding, read_span


class Shard:
    """One committed shard. Where its samples lie is looked up in the index, not kept."""

    def __init__(self, shards_dir: Path, shard: IndexedShard, url: str | None) -> None:
        """`url`: of the dataset that the folder mirrors, if it does. Raises ShardError where the tar is not
        there in its size, or samples differ in their fields.
        """
        self.path = tar_path(shards_dir, shard.name)
        # A shard of a dataset elsewhere comes here, whole and checked, when it is first read.
        self._url = url
        if url is None or self.path.is_file():
            check_tar_size(shards_dir, shard)
        self.name, self.sha256, self.fields = shard.name, shard.sha256, shard.fields
        self._count, self._shard = shard.count, shard
        self._file = ProvenFile(self.path, shard.sha256)
        self._rows = shard.rows() if shard.count and not shard.fields else None

    @classmethod
    def of(cls, shards_dir: Path, sidecar: Sidecar) -> Self:
        """Of a sidecar that was just read."""
        return cls(shards_dir, IndexedShard.of(shards_dir, sidecar), origin(shards_dir))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_rows": None}

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> np.ndarray:
        """See `IndexedShard.rows`; looked up once."""
        if self._rows is None:
            self._rows = self._shard.rows()
        return self._rows

    @property
    def holes(self) -> tuple[Hole, ...]:
        return self._shard.holes

    @property
    def picture_sizes(self) -> PictureSizes:
        """Width and height of each sample's picture, 0 where it has none."""
        return self._shard.picture_sizes()

    @property
    def keys(self) -> list[str]:
        return [self.key(index) for index in range(len(self))]

    def key(self, index: int) -> str:
        key = self.rows["key"][index].decode("ascii", "replace")
        # Files are named by it, and the index came with the data.
        check_key(key)
        return key

    def fetch(self) -> None:
        """Bring the tar of a dataset elsewhere here, if it is not yet; `read` does so by itself."""
        if self._url is not None:
            fetch_tar(self._url, self.path, self.sha256)

    def prove(self) -> None:
        """Raise DataReplaced unless the tar is, byte for byte, the one that its sidecar was written for.

        Reads all of it the first time; see `pairbridge.datagen.shards.proven_files`. Raises ShardError if it
        has gone.
        """
        self.fetch()
        try:
            self._file.check()
        except OSError as error:
            raise self._damaged("any", error.strerror or str(error)) from error

    def read(self, index: int, fields: Sequence[str] | None = None) -> dict[str, bytes]:
        """Encoded fields of sample `index` in [0, len): all, or `fields` and nothing before or after them.

        Raises ShardError, naming shard and key, if the file has gone or changed size, or if a header is not
        byte for byte the one that the sidecar implies (so links, devices, renamed members and flipped
        header bits). Other bytes inside the data are what `prove` is for.
        """
        self.fetch()
        key, spans = self.key(index), spans_of(self.rows[index])
        members = list(zip(self.fields, spans, strict=True))
        if fields is not None:
            wanted = [place for place, (field, _) in enumerate(members) if field in fields]
            members = members[wanted[0] : wanted[-1] + 1] if wanted else members[:1]
        spans = [span for _, span in members]
        start = spans[0][0] - BLOCK
        end = spans[-1][0] + spans[-1][1]
        if not 0 <= start <= end <= self._shard.bytes:
            raise self._damaged(key, f"it would end at byte {end} of {self._shard.bytes}")
        try:
            data = read_span(self.path, start, end)
        except OSError as error:
            raise self._damaged(key, error.strerror or str(error)) from error
        if len(data) != end - start:
            raise self._damaged(key, f"the file ends at byte {start + len(data)}, inside the sample")
        sample, position = {}, 0
        for field, (offset, size) in members:
            if data[position : position + BLOCK] != member_header(key, field, size):
                raise self._damaged(key, f"the header of {field} is not the one that was committed")
            if fields is None or field in fields:
                sample[field] = data[offset - start : offset - start + size]
            position += BLOCK + size + padding(size)
        return sample

    def _damaged(self, key: str, why: str) -> ShardError:
        return ShardError(
            f"{self.path}, sample {key}: {why}",
            consequence="the sample is not used",
            remedy="run `pairbridge verify` on the dataset; it lists all damage and what to rebuild",
        )


def open_shard(tar: Path) -> Shard:
    """The committed shard whose tar is at `tar`. Raises ShardError if it is not committed or is damaged."""
    return Shard.of(tar.parent, Sidecar.from_file(sidecar_path(tar.parent, tar.stem)))


def open_shards(dataset_dir: Path, recipe: str, split: str) -> Iterator[Shard]:
    """Committed shards of one recipe and split, in order. Gaps are for `verify`: here what is there is
    opened."""
    shards_dir = dataset_dir / "shards"
    index, url, ours = ShardIndex(shards_dir), origin(shards_dir), re.compile(f"{split}-{recipe}-[0-9]{{6}}")
    for name in index.names():
        if ours.fullmatch(name) and (shard := index.find(name)) is not None:
            yield Shard(shards_dir, shard, url)
