"""Files that were compared with the sha256 that their record states: once, then again only if they changed.

What was found is kept in the cache by size, times and inode of the file, so that the next process, and the
next start, read no file whole again.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from pairbridge.datagen.core.atomic_files import DiskFull, held_lock, write_atomically
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.json_digest import Stamp, canonical_json, digest, file_sha256, file_stamp
from pairbridge.datagen.shards.object_store import cache_root


class DataReplaced(PairbridgeError):
    """Data on disk are not those that their record was written for: no reader goes on with others."""


class ProvenFile:
    """One file and the sha256 that it must have. Holds no open file; pickles and forks."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._path, self._sha256 = path, sha256
        self._proven: Stamp | None = None

    def check(self) -> None:
        """Raise DataReplaced unless the file has the bytes of its sha256. A look at its times, if it was
        proven before; else it is read whole, by one process while others wait. OSErrors pass.
        """
        stamp = file_stamp(self._path)
        if stamp == self._proven:
            return
        record = cache_root() / "proven" / f"{digest(str(self._path.absolute()))[:32]}.json"
        proven = {"sha256": self._sha256, "stamp": list(stamp)}
        with _one_at_a_time(record):
            if _read(record) != proven:
                if file_sha256(self._path) != self._sha256:
                    raise DataReplaced(
                        f"{self._path} is not the file that its record was written for (sha256)",
                        consequence="it may hold other pairs than the dataset says; none of them is used",
                        remedy="bring the file back, or run `pairbridge verify` on the dataset: it lists all "
                        "damage and what to rebuild",
                    )
                # Without a cache everything is right, and slower.
                with contextlib.suppress(OSError, DiskFull):
                    write_atomically(record, [canonical_json(proven)])
        self._proven = stamp


@contextlib.contextmanager
def _one_at_a_time(record: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            # A few hundred files for any number of shards.
            held.enter_context(held_lock(record.with_name(f".{record.name[:2]}.lock")))
        yield


def _read(record: Path) -> object:
    try:
        return json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None
