"""Sidecars as they are on disk, without the index."""

from collections.abc import Iterator
from pathlib import Path

from pairbridge.datagen.shards.records import Sidecar


def read_sidecars(shards_dir: Path) -> Iterator[Sidecar]:
    """Every committed shard's sidecar, by name. Raises ShardError at the first unusable one."""
    for path in sorted(shards_dir.glob("*.json")):
        yield Sidecar.from_file(path)
