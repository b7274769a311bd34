"""Commits shards of a dataset on a store, on a machine that has credentials for it and sees nothing of the
driver's: the groups wait on the store, and the shard is assembled in a folder of this machine.

The writes are those of a committer beside the driver (`pairbridge.pipelines.shelves.store_commit`), under the
run's lease. The driver is told what the sidecar says, and counts the shard when it has noted that.
"""

import time

from pairbridge.datagen.core.disk_errors import disk_errors
from pairbridge.datagen.shards.commit import assemble
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.object_store import ObjectStore, cache_root
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, Sidecar
from pairbridge.pipelines.shelves.committer import Work, check_room
from pairbridge.pipelines.shelves.lock import Lease
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
from pairbridge.pipelines.shelves.staging import staged_parts
from pairbridge.pipelines.shelves.store_commit import commit_on_store
from pairbridge.pipelines.shelves.store_staging import StoreStaging


class StoreCommitter:
    """For any number of threads."""

    def __init__(self, url: str, token: str, generation: int, plan_digest: str) -> None:
        """`token`, `generation`: of the run's lease. What gives access is in this process's environment."""
        store = ObjectStore(url)
        self._lease = Lease(store, token, generation)
        self._on_store = StoreStaging(store, plan_digest)

    def stage(self, shard: str, part: bytes, record: GroupRecord) -> None:
        """Keep a group of a worker that does not reach the store. Raises StoreFailed."""
        self._on_store.stage(shard, part, record)

    def commit(self, shard: ShardSpec, info: ShardInfo) -> tuple[Sidecar, Work] | None:
        """The shard; None if groups of it wait elsewhere, which the driver alone can see. Safe to repeat.
        Raises what `pairbridge.pipelines.shelves.committer.Committer.make_ready` does.
        """
        began = time.monotonic()
        records = self._on_store.records(shard)
        if len(records) < shard.num_groups:
            return None
        root = cache_root() / "committing"
        with disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            with scratch_folder(root) as folder:
                # The parts, and the tar that is made of them.
                check_room(root, shard, 2 * sum(record.bytes for record in records))
                self._on_store.fetch(shard, records, folder)
                tar = folder / "ready.tar"
                sidecar = assemble(tar, info, staged_parts(folder, shard))
                sidecar = commit_on_store(self._lease.store, sidecar, tar, self._lease)
        return sidecar, Work.since(began)

    def clear(self, shard: ShardSpec) -> None:
        """Delete the groups of a shard that is committed. Raises StoreFailed."""
        self._on_store.clear(shard.name)
