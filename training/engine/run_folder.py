"""The folder of a training while it is written: held by one training at a time, and what its disk does wrong
said in words.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pairbridge.datagen.core.atomic_files import sweep_temporaries
from pairbridge.datagen.core.disk_errors import disk_errors
from pairbridge.datagen.core.folder_lock import FolderLock, folder_lock
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.rank_agreement import first_says


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A training's folder, whose lock the first rank holds for all of them."""

    path: Path
    ranks: Ranks
    lock: FolderLock | None = None

    def check_place(self) -> None:
        """Raise OutputMoved where the folder was renamed under the training."""
        if self.lock:
            self.lock.check_place()


@contextlib.contextmanager
def run_folder(path: Path, ranks: Ranks) -> Iterator[RunFolder]:
    """Make the folder if need be, and hold it for the body. Collective.

    Raises FolderLocked, on every rank, while another process holds it; OutputMoved where it is renamed during
    the body; DiskFull, OutputNotWritable and FileSystemFailed.
    """
    with disk_errors(path), contextlib.ExitStack() as held:
        locks: list[FolderLock] = []

        def hold() -> None:
            path.mkdir(parents=True, exist_ok=True)
            locks.append(held.enter_context(folder_lock(path, "train")))
            for written in (path, path / "pictures"):
                sweep_temporaries(written)

        first_says(ranks, hold)
        folder = RunFolder(path, ranks, *locks)
        try:
            yield folder
        except OSError:
            folder.check_place()
            raise
