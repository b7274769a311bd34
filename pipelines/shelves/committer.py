"""Makes a shard ready: its parts become a tar and a sidecar, whole and durable in the run's staging folder,
or on the dataset's store. Whoever holds the dataset's lock then gives them their names, which is the commit.

A committer touches nothing outside the folder of its run's token and the store. So one that outlives its run
does no harm: the next driver has renamed the folder (`pairbridge.pipelines.shelves.staging`), and a store
takes its late writes for what they are (`pairbridge.pipelines.shelves.store_commit`). Within a run two
committers may have the same shard, one of them thought dead. What they write has names of its own each time,
and the same bytes; the one whose answer the driver got is placed, the other's goes with the folder.
"""

import contextlib
import os
import shutil
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from pairbridge.datagen.core.atomic_files import DiskFull, write_atomically
from pairbridge.datagen.core.disk_errors import disk_errors
from pairbridge.datagen.shards.commit import assemble
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.object_store import StoreFailed
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, Sidecar
from pairbridge.datagen.shards.shard_index import index_record
from pairbridge.datagen.shards.tar import TRAILER
from pairbridge.pipelines.shelves.lock import Lease
from pairbridge.pipelines.shelves.staging import fenced, record_path, stage_group, staged_parts
from pairbridge.pipelines.shelves.store_commit import commit_on_store
from pairbridge.pipelines.shelves.store_staging import StoreStaging

# Beside a shard and its sidecar: lines of the ledger and of logs, and blocks of the file system.
COMMIT_RESERVE_BYTES = 64 << 10


class Work(NamedTuple):
    """Who has made a shard ready, and how long that took."""

    wall_s: float
    host: str
    pid: int

    @classmethod
    def since(cls, began_s: float) -> Self:
        """Of this process, since that moment of its monotonic clock."""
        return cls(round(time.monotonic() - began_s, 4), socket.gethostname(), os.getpid())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyShard:
    """All that the driver has to know of a shard that is to be committed; no byte of a sample."""

    spec: ShardSpec
    tar: Path | None  # None: it is on the store
    sidecar: Path
    record: bytes  # of the index
    num_pairs: int
    num_holes: int
    num_bytes: int
    work: Work


class Committer:
    """Works in the staging folder of one run, which it has to see; for any number of shards, in any number of
    threads. With a `lease`, the dataset is on that store.
    """

    def __init__(
        self,
        dataset_dir: Path,
        staging_dir: Path,
        lease: Lease | None,
        on_store: StoreStaging | None = None,
    ) -> None:
        """`on_store`: where groups wait that are not in the folder."""
        self._dataset_dir = dataset_dir
        self._staging_dir = staging_dir
        self._lease = lease
        self._on_store = on_store

    def stage(self, shard: str, part: bytes, record: GroupRecord) -> None:
        """Keep a group of a worker that does not see the folder. Raises Fenced, and what `disk_errors`
        does."""
        with disk_errors(self._dataset_dir):
            stage_group(self._staging_dir / shard, part, record)

    def make_ready(self, shard: ShardSpec, info: ShardInfo) -> ReadyShard:
        """Of a shard whose groups are all staged. Safe to repeat.

        Raises Fenced, DiskFull, StoreFailed, ShardError for parts that are not what their records say, and
        what `disk_errors` does.
        """
        began = time.monotonic()
        folder = self._staging_dir / shard.name
        made = uuid.uuid4().hex[:12]
        tar = folder / f"{made}.ready.tar"
        with disk_errors(self._dataset_dir), fenced(folder):
            if self._on_store is not None:
                self._on_store.fetch(shard, self._on_store.records(shard), folder)
            parts = staged_parts(folder, shard)
            # A sidecar says what the records of its groups do.
            num_bytes = sum(
                record.bytes + record_path(folder, record.group).stat().st_size for record, _ in parts
            )
            check_room(self._dataset_dir, shard, num_bytes + len(TRAILER))
            sidecar = self.write_tar(tar, info, parts)
            if self._lease is not None:
                sidecar = commit_on_store(self._lease.store, sidecar, tar, self._lease)
                tar.unlink()
            work = Work.since(began)
            return self._noted(shard, sidecar, work, tar if self._lease is None else None)

    def note(self, shard: ShardSpec, sidecar: Sidecar, work: Work) -> ReadyShard:
        """Of a shard that another committer has put on the store. Raises as `make_ready`."""
        with disk_errors(self._dataset_dir), fenced(self._staging_dir / shard.name):
            return self._noted(shard, sidecar, work, None)

    def clear(self, folder: Path, shard: ShardSpec | None) -> None:
        """Delete what `Staging.retire` has put away of a shard, and its groups on the store, unless someone
        else does (None); what cannot be deleted stays until the run ends.
        """
        shutil.rmtree(folder, ignore_errors=True)
        if self._on_store is not None and shard is not None:
            with contextlib.suppress(StoreFailed):
                self._on_store.clear(shard.name)

    def _noted(self, shard: ShardSpec, sidecar: Sidecar, work: Work, tar: Path | None) -> ReadyShard:
        path = self._staging_dir / shard.name / f"{uuid.uuid4().hex[:12]}.ready.json"
        self.write_sidecar(path, sidecar)
        return ReadyShard(
            spec=shard,
            tar=tar,
            sidecar=path,
            record=index_record(sidecar, path),
            num_pairs=sidecar.count,
            num_holes=len(sidecar.holes),
            num_bytes=sidecar.bytes,
            work=work,
        )

    def write_tar(self, path: Path, info: ShardInfo, parts: list[tuple[GroupRecord, Path]]) -> Sidecar:
        """As `pairbridge.datagen.shards.commit.assemble`."""
        return assemble(path, info, parts)

    def write_sidecar(self, path: Path, sidecar: Sidecar) -> None:
        """Durable at `path`."""
        write_atomically(path, [sidecar.to_json()])


def check_room(folder: Path, shard: ShardSpec, num_bytes: int) -> None:
    """Raise DiskFull unless a shard's bytes find room where `folder` is."""
    needed = num_bytes + COMMIT_RESERVE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"committing {shard.name} needs {needed} bytes; {free} are free under {folder}",
            consequence="its groups wait in staging; everything committed before is whole",
            remedy="free at least the difference and run the same command again: it resumes here",
        )
