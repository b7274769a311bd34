"""Where committed shards are: in the dataset's folder, or on an object store that the folder works for.

On a store a shard is committed when its sidecar is there, as in a folder
(`pairbridge.pipelines.shelves.store_commit` says how). The work folder keeps every sidecar, and in staging
the parts of a shard until the store has confirmed it, so a run that is killed in between assembles and
uploads it again. The store is the authority: what it has not is made again.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pairbridge.datagen.core.disk_errors import output_moved
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.shards.commit import (
    check_size,
    committed_shard,
    place_sidecar,
    place_tar,
    planned_shard,
    split_shard,
    sweep_unfinished,
    uncommit_shard,
)
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.layout import sidecar_path, tar_path
from pairbridge.datagen.shards.mirror import fetch_tar, sync
from pairbridge.datagen.shards.object_store import ObjectStore, cache_root
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, Sidecar
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.pipelines.shelves.committer import ReadyShard
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME
from pairbridge.pipelines.shelves.lock import Lease, store_lease
from pairbridge.pipelines.shelves.store_commit import (
    SHARDS_NAME,
    drop_proposals,
    finish_on_store,
    reopen_on_store,
)

LIGHTINGS_NAME = "lightings"


def work_folder(url: str) -> Path:
    """Where this machine works for a dataset on a store, unless told otherwise."""
    return cache_root() / "work" / digest(url.rstrip("/"))[:16]


class FolderShelf:
    """Shards in `<dataset>/shards`. The caller holds the dataset's lock."""

    lease: Lease | None = None
    """Under which committers write to a store."""

    def __init__(self, dataset_dir: Path) -> None:
        self.dataset_dir = dataset_dir
        self.folder = dataset_dir / SHARDS_NAME
        self.folder.mkdir(parents=True, exist_ok=True)
        self._place = self.folder.stat()
        self._index = ShardIndex(self.folder)

    def sweep(self) -> list[str]:
        """Delete what was not committed; its names."""
        return sweep_unfinished(self.folder)

    def there(self, name: str) -> IndexedShard | None:
        """A committed shard, whatever plan it is of."""
        return self._index.find(name)

    def committed(self, shard: ShardInfo) -> IndexedShard | None:
        """As `pairbridge.datagen.shards.commit.committed_shard`."""
        return committed_shard(self._index, shard)

    def place(self, ready: ReadyShard) -> None:
        """Commit what a committer has made ready. Call it from the driver alone, which holds the lock."""
        if ready.tar is not None:
            place_tar(self.folder, ready.spec.name, ready.tar)
        place_sidecar(self.folder, ready.spec.name, ready.sidecar, ready.record)

    def split(
        self, name: str, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
    ) -> Iterator[tuple[bytes, GroupRecord]]:
        """As `pairbridge.datagen.shards.commit.split_shard`."""
        return split_shard(self.folder, name, keys_of_groups)

    def uncommit(self, name: str) -> None:
        """As `pairbridge.datagen.shards.commit.uncommit_shard`."""
        uncommit_shard(self.folder, name)

    def check(self) -> None:
        """Raise OutputMoved if the folder is another one."""
        try:
            same = os.path.samestat(self._place, self.folder.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise output_moved(self.dataset_dir)

    def put_records(self, *names: str) -> None:
        """Files of the dataset's folder that belong beside the shards."""


class StoreShelf(FolderShelf):
    """Shards on an object store; `dataset_dir` is the work folder. Open it with `adopt`."""

    def __init__(self, dataset_dir: Path, lease: Lease) -> None:
        super().__init__(dataset_dir)
        self.lease = lease
        self._store = lease.store
        self._sizes: dict[str, int] = {}

    @classmethod
    def adopt(cls, dataset_dir: Path, lease: Lease) -> "StoreShelf":
        """Bring the work folder in line with the store."""
        shelf = cls(dataset_dir, lease)
        store = lease.store
        sweep_unfinished(shelf.folder)
        for tar in sorted(shelf.folder.glob("*.tar")):
            tar.unlink()  # of a shard that was being taken apart: a copy
        finish_on_store(store)
        sync(store.url, dataset_dir, may_be_empty=True)
        for name in store.list(LIGHTINGS_NAME):
            if not (dataset_dir / name).is_file():
                (dataset_dir / name).parent.mkdir(exist_ok=True)
                store.fetch(name, dataset_dir / name)
        if not (dataset_dir / LEDGER_NAME).is_file() and store.read(LEDGER_NAME) is not None:
            store.fetch(LEDGER_NAME, dataset_dir / LEDGER_NAME)
        return shelf

    def sweep(self) -> list[str]:
        listed = self._store.list(SHARDS_NAME)
        self._sizes = {Path(name).stem: each.size for name, each in listed.items() if name.endswith(".tar")}
        # No tar: a run that is not known to be dead may be about to commit it, and the commit of a shard
        # takes care of what stands in its way.
        return drop_proposals(self._store, lambda name: sidecar_path(self.folder, name).exists())

    def committed(self, shard: ShardInfo) -> IndexedShard | None:
        there = planned_shard(self._index, shard)
        if there is not None:
            size = self._sizes.get(shard.name)
            check_size(f"{self._store.url}/{SHARDS_NAME}/{shard.name}.tar", size, there.bytes)
        return there

    def split(
        self, name: str, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
    ) -> Iterator[tuple[bytes, GroupRecord]]:
        sidecar = Sidecar.from_file(sidecar_path(self.folder, name))
        fetch_tar(self._store.url, tar_path(self.folder, name), sidecar.sha256)
        return super().split(name, keys_of_groups)

    def uncommit(self, name: str) -> None:
        sidecar = Sidecar.from_file(sidecar_path(self.folder, name))
        reopen_on_store(self._store, sidecar.shard, self.lease)
        super().uncommit(name)

    def put_records(self, *names: str) -> None:
        for name in names:
            self._store.put(name, self.dataset_dir / name, self.lease)


@contextlib.contextmanager
def open_shelf(dataset_dir: Path, url: str | None, token: str) -> Iterator[FolderShelf]:
    """The shards of a dataset for the body: in its folder, or, with an `url`, on an object store whose lease
    is held meanwhile. The caller holds the folder's lock under `token`. Raises DatasetLocked.
    """
    if url is None:
        yield FolderShelf(dataset_dir)
        return
    with store_lease(ObjectStore(url), dataset_dir, token) as lease:
        yield StoreShelf.adopt(dataset_dir, lease)
