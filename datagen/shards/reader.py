"""Map-style reading of committed shards: any sample by its position, in one `os.pread`, checked before it
is handed out.

Nothing is opened between reads: a shard can be pickled, forked or spawned freely, ten thousand of them hold
no file descriptor, and no two processes share a file position.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.commit import check_tar_size, sidecar_path, tar_path
from pairbridge.datagen.shards.mirror import fetch_tar, origin
from pairbridge.datagen.shards.records import Hole, Sidecar
from pairbridge.datagen.shards.tar import BLOCK, member_header, padding, read_span


class Shard:
    """One committed shard. About 30 bytes of memory a sample plus 16 a field."""

    def __init__(self, shards_dir: Path, sidecar: Sidecar) -> None:
        self.path = tar_path(shards_dir, sidecar.shard.name)
        # A shard of a dataset elsewhere comes here, whole and checked, when it is first read.
        self._origin = origin(shards_dir)
        if self._origin is None or self.path.is_file():
            check_tar_size(shards_dir, sidecar)
        self.name = sidecar.shard.name
        self.sha256 = sidecar.sha256
        self.holes: tuple[Hole, ...] = sidecar.holes
        self.fields = tuple(sorted(sidecar.samples[0].fields)) if sidecar.samples else ()
        for sample in sidecar.samples:
            if tuple(sorted(sample.fields)) != self.fields:
                raise ShardError(
                    f"{self.name}: {sample.key} has {sorted(sample.fields)}, the first {list(self.fields)}",
                    consequence="no batch could be formed, and other readers infer wrong columns",
                    remedy="rebuild the shard; every sample of a recipe must have the same fields",
                )
        # Arrays instead of records: a million samples must fit in every loader worker.
        self._keys = np.array([sample.key for sample in sidecar.samples], dtype=np.bytes_)
        spans = [[sample.fields[field] for field in self.fields] for sample in sidecar.samples]
        self._spans = np.array(spans, dtype=np.int64).reshape(len(spans), len(self.fields), 2)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> list[str]:
        return [key.decode() for key in self._keys]

    def key(self, index: int) -> str:
        return self._keys[index].decode()

    def fetch(self) -> None:
        """Bring the tar of a dataset elsewhere here, if it is not yet; `read` does so by itself."""
        if self._origin is not None:
            fetch_tar(self._origin, self.path, self.sha256)

    def read(self, index: int, fields: Sequence[str] | None = None) -> dict[str, bytes]:
        """Encoded fields of sample `index` in [0, len): all, or `fields` and nothing before or after them.

        Raises ShardError, naming shard and key, if the file has gone or changed size, or if a header is not
        byte for byte the one that the sidecar implies (so links, devices, renamed members and flipped
        header bits). Flips inside the data show when it is decoded (PNG and JSON check themselves) and in
        `pairbridge verify`.
        """
        self.fetch()
        key, spans = self.key(index), self._spans[index].tolist()
        members = list(zip(self.fields, spans, strict=True))
        if fields is not None:
            wanted = [place for place, (field, _) in enumerate(members) if field in fields]
            members = members[wanted[0] : wanted[-1] + 1] if wanted else members[:1]
        spans = [span for _, span in members]
        start = spans[0][0] - BLOCK
        end = spans[-1][0] + spans[-1][1]
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
    return Shard(tar.parent, Sidecar.from_file(sidecar_path(tar.parent, tar.stem)))


def open_shards(dataset_dir: Path, recipe: str, split: str) -> Iterator[Shard]:
    """Committed shards of one recipe and split, in order. Gaps are for `verify`: here what is there is
    opened."""
    prefix = f"{split}-{recipe}-"
    for path in sorted((dataset_dir / "shards").glob(f"{prefix}??????.json")):
        yield open_shard(path.with_suffix(".tar"))
