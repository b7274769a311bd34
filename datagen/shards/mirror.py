"""A dataset on an object store, as a folder here: its records copied when it is opened, its shards whole when
they are first read.

Whole, so that a sample is read by its offset like any other and mixing stays exact; each tar is held against
the sha256 of its sidecar before it has its name. `local_folder` is where a dataset that may be remote is
opened; everything after it works on the folder.

Which folder mirrors what is noted in the cache, not in the folder: one that came from elsewhere cannot say of
itself that its shards are to be fetched from some address, with this user's credentials.
"""

import re
from pathlib import Path

from pairbridge.datagen.core.atomic_files import held_lock, write_atomically
from pairbridge.datagen.core.bounded_json import read_json_object
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import canonical_json, digest
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.shards.object_store import ObjectStore, StoreFailed, cache_root, is_url
from pairbridge.datagen.shards.records import Claim, commit_record

_SIDECAR = re.compile(r"shards/(?:train|validation|test)-[a-z0-9_-]+-[0-9]{6}\.json")
_RECORDS = frozenset({"dataset.json", "import.json", "quarantine.jsonl", "README.md", "croissant.json"})


def local_folder(dataset: str | Path) -> Path:
    """The folder of a dataset, which for an URL is a mirror in the cache, brought up to date.

    Raises StoreFailed if the store does not answer, ShardError if the URL holds nothing.
    """
    if not is_url(dataset):
        return Path(dataset)
    url = str(dataset).rstrip("/")
    folder = cache_root() / "datasets" / digest(url)[:16]
    sync(url, folder)
    return folder


def sync(url: str, folder: Path, *, may_be_empty: bool = False) -> None:
    """Make `folder` mirror the records of the dataset at `url`; tars whose record changed are dropped.

    Raises ShardError if there are none, unless it `may_be_empty`.
    """
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    store = ObjectStore(url)
    # Not the dataset's own lock: a driver that works for a store holds that one while it gets its records.
    with held_lock(folder / ".mirror.lock"):
        known = _marker(folder).get("records", {})
        listed = store.list()
        records = {
            name: stored.stamp
            for name, stored in listed.items()
            # By the names that sidecars have: a key on a store may climb out of the folder.
            if name in _RECORDS or _SIDECAR.fullmatch(name)
        }
        if not records and not may_be_empty:
            raise ShardError(
                f"{url} holds no dataset",
                consequence="there is nothing to read",
                remedy="check the URL; `pairbridge generate --out URL` makes one",
            )
        for name in _mirrored(folder):
            if name not in records:
                (folder / name).unlink()
        for name, stamp in records.items():
            if (folder / name).is_file() and stamp and known.get(name) == stamp:
                continue
            if name.startswith("shards/"):
                (folder / name).with_suffix(".tar").unlink(missing_ok=True)
            store.fetch(name, folder / name)
            if name.startswith("shards/") and isinstance(commit_record((folder / name).read_bytes()), Claim):
                (folder / name).unlink()  # its tar is being replaced: it is not committed
        marker = _marker_path(folder)
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(marker, [canonical_json({"url": url, "records": records})])


def origin(shards_dir: Path) -> str | None:
    """The URL that the dataset with this `shards` folder mirrors; None for a dataset that lies here."""
    return _marker(shards_dir.parent).get("url")


def fetch_tar(url: str, path: Path, sha256: str) -> None:
    """Bring a shard's tar to `path`, unless it is there. Safe in any number of processes.

    Raises ShardError if the store has another tar than the sidecar says, or none.
    """
    if path.is_file():
        return
    with held_lock(path.with_name(f".{path.name}.lock")):
        if path.is_file():
            return
        try:
            ObjectStore(url).fetch(f"shards/{path.name}", path, sha256=sha256)
        except StoreFailed as error:
            raise ShardError(
                f"{url}/shards/{path.name}: {error.cause}",
                consequence="its samples are not used",
                remedy=f"run `pairbridge verify {url}`; it lists all damage and what to rebuild",
            ) from error


def _mirrored(folder: Path) -> list[str]:
    names = [path.name for path in sorted(folder.iterdir()) if path.name in _RECORDS]
    return names + [f"shards/{path.name}" for path in sorted((folder / "shards").glob("*.json"))]


def _marker_path(folder: Path) -> Path:
    return cache_root() / "mirrors" / f"{digest(str(folder.resolve()))[:32]}.json"


def _marker(folder: Path) -> dict:
    try:
        return read_json_object(_marker_path(folder), MAX_RECORD_BYTES)
    except (OSError, ValueError):
        return {}
