"""Where committed shards are: in the dataset's folder, or on an object store that the folder works for.

On a store a shard is committed when its sidecar is there, as in a folder: the tar is put and read back, then
the sidecar. The work folder keeps every sidecar, and a tar only until the store has confirmed it, so a run
that is killed in between goes on with the upload. The store is the authority: what it has not is made again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME
from pairbridge.datagen.shards.commit import (
    check_size,
    commit_shard,
    committed_sidecar,
    matching_sidecar,
    sidecar_path,
    split_shard,
    sweep_unfinished,
    tar_path,
    uncommit_shard,
)
from pairbridge.datagen.shards.mirror import fetch_tar, sync
from pairbridge.datagen.shards.object_store import ObjectStore, cache_root
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, Sidecar
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME
from pairbridge.pipelines.shelves.lock import store_lease

SHARDS_NAME = "shards"
LIGHTINGS_NAME = "lightings"
# Two uploads keep a connection busy while the next shard is read back; more would only take memory.
UPLOADS = 2
# Complete shards that may wait for the store; above this the driver waits too, for the disk is finite.
MAX_WAITING = 8


def work_folder(url: str) -> Path:
    """Where this machine works for a dataset on a store, unless told otherwise."""
    return cache_root() / "work" / digest(url.rstrip("/"))[:16]


class FolderShelf:
    """Shards in `<dataset>/shards`. The caller holds the dataset's lock."""

    def __init__(self, dataset_dir: Path) -> None:
        self.dataset_dir = dataset_dir
        self.folder = dataset_dir / SHARDS_NAME
        self.folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> list[str]:
        """Delete what was not committed; its names."""
        return sweep_unfinished(self.folder)

    def there(self, name: str) -> Sidecar | None:
        """The sidecar of a committed shard, whatever plan it is of."""
        path = sidecar_path(self.folder, name)
        return Sidecar.from_file(path) if path.exists() else None

    def committed(self, shard: ShardInfo) -> Sidecar | None:
        """As `pairbridge.datagen.shards.commit.committed_sidecar`."""
        return committed_sidecar(self.folder, shard)

    def commit(self, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
        """As `pairbridge.datagen.shards.commit.commit_shard`; on a store it is done when `settle` returns."""
        return commit_shard(self.folder, shard, parts)

    def split(
        self, sidecar: Sidecar, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
    ) -> Iterator[tuple[bytes, GroupRecord]]:
        """As `pairbridge.datagen.shards.commit.split_shard`."""
        return split_shard(self.folder, sidecar, keys_of_groups)

    def uncommit(self, name: str) -> None:
        """As `pairbridge.datagen.shards.commit.uncommit_shard`."""
        uncommit_shard(self.folder, name)

    def check(self) -> None:
        """Raise what went wrong with a commit since."""

    def settle(self) -> None:
        """Wait until every commit is done; raises what went wrong with one."""

    def put_records(self, *names: str) -> None:
        """Files of the dataset's folder that belong beside the shards."""


class StoreShelf(FolderShelf):
    """Shards on an object store; `dataset_dir` is the work folder. Open it with `adopt`."""

    def __init__(self, dataset_dir: Path, store: ObjectStore, still_ours: Callable[[], None]) -> None:
        """`still_ours` raises once another run has taken the store over."""
        super().__init__(dataset_dir)
        self._store = store
        self._still_ours = still_ours
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")
        self._waiting: list[Future[None]] = []
        self._sizes: dict[str, int] = {}

    @classmethod
    def adopt(cls, dataset_dir: Path, store: ObjectStore, still_ours: Callable[[], None]) -> "StoreShelf":
        """Bring the work folder in line with the store, after uploading what an earlier run had finished."""
        shelf = cls(dataset_dir, store, still_ours)
        sweep_unfinished(shelf.folder)
        manifest = dataset_dir / MANIFEST_NAME
        same = manifest.is_file() and store.read(MANIFEST_NAME) == manifest.read_bytes()
        for tar in sorted(shelf.folder.glob("*.tar")):
            if same:
                shelf._upload(tar.stem)
            else:
                uncommit_shard(shelf.folder, tar.stem)
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
        doomed = [
            name
            for name in listed
            if name.endswith(".tar") and f"{name.removesuffix('.tar')}.json" not in listed
        ]
        for name in doomed:
            self._store.remove(name)
        return [Path(name).name for name in doomed]

    def committed(self, shard: ShardInfo) -> Sidecar | None:
        sidecar = matching_sidecar(self.folder, shard)
        if sidecar is not None:
            size = self._sizes.get(shard.name)
            check_size(f"{self._store.url}/{SHARDS_NAME}/{shard.name}.tar", size, sidecar.bytes)
        return sidecar

    def commit(self, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
        sidecar = super().commit(shard, parts)
        while len(self._waiting) >= MAX_WAITING:
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(self._upload, shard.name))
        return sidecar

    def split(
        self, sidecar: Sidecar, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
    ) -> Iterator[tuple[bytes, GroupRecord]]:
        fetch_tar(self._store.url, tar_path(self.folder, sidecar.shard.name), sidecar.sha256)
        return super().split(sidecar, keys_of_groups)

    def uncommit(self, name: str) -> None:
        self._still_ours()
        self._store.remove(f"{SHARDS_NAME}/{name}.json")
        self._store.remove(f"{SHARDS_NAME}/{name}.tar")
        super().uncommit(name)

    def check(self) -> None:
        done, self._waiting = (
            [each for each in self._waiting if each.done()],
            [each for each in self._waiting if not each.done()],
        )
        for upload in done:
            upload.result()

    def settle(self) -> None:
        while self._waiting:
            self._waiting.pop(0).result()

    def put_records(self, *names: str) -> None:
        self._still_ours()
        for name in names:
            self._store.put(name, self.dataset_dir / name)

    def close(self) -> None:
        """Give up what `settle` did not wait for."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _upload(self, name: str) -> None:
        tar, sidecar = tar_path(self.folder, name), sidecar_path(self.folder, name)
        self._still_ours()
        self._store.put(f"{SHARDS_NAME}/{tar.name}", tar)
        self._still_ours()
        self._store.put(f"{SHARDS_NAME}/{sidecar.name}", sidecar)
        # Only now: until the store has both, this folder is where a later run finds them.
        tar.unlink()


@contextlib.contextmanager
def open_shelf(dataset_dir: Path, url: str | None, token: str) -> Iterator[FolderShelf]:
    """The shards of a dataset for the body: in its folder, or, with an `url`, on an object store whose lease
    is held meanwhile. The caller holds the folder's lock under `token`. Raises DatasetLocked.
    """
    if url is None:
        yield FolderShelf(dataset_dir)
        return
    store = ObjectStore(url)
    with store_lease(store, dataset_dir, token) as still_ours:
        shelf = StoreShelf.adopt(dataset_dir, store, still_ours)
        try:
            yield shelf
        finally:
            shelf.close()
