"""Private folders on a fast local filesystem, swept by whoever comes next."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "pairbridge-scratch-"
_SHARED_MEMORY = Path("/dev/shm")
# A container's default of 64 MB would fill with lighting copies.
_MIN_SHARED_MEMORY_BYTES = 512 << 20


@contextlib.contextmanager
def scratch_folder(root: Path | None = None) -> Iterator[Path]:
    """A private empty folder below `root`, by default on a fast local filesystem, deleted at the end or by
    the next owner.
    """
    root = root or _root()
    _sweep(root)
    lock_fd, lock_path = _locked_file(root)
    folder = lock_path.with_suffix("")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder, lock_path)
        os.close(lock_fd)


def _root() -> Path:
    usable = _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK)
    if usable and shutil.disk_usage(_SHARED_MEMORY).free >= _MIN_SHARED_MEMORY_BYTES:
        return _SHARED_MEMORY
    return Path(tempfile.gettempdir())


def _locked_file(root: Path) -> tuple[int, Path]:
    while True:
        fd, name = tempfile.mkstemp(prefix=_PREFIX, suffix=".lock", dir=root)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # A sweeper may have deleted the file between the two calls: then our lock guards nothing.
        if os.path.exists(name):
            return fd, Path(name)
        os.close(fd)


def _sweep(root: Path) -> None:
    for lock_path in sorted(root.glob(f"{_PREFIX}*.lock")):
        try:
            fd = os.open(lock_path, os.O_RDWR)
        except (FileNotFoundError, PermissionError):  # swept by another, or another user's
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(lock_path.with_suffix(""), lock_path)
        except BlockingIOError:  # its owner lives
            pass
        finally:
            os.close(fd)


def _remove(folder: Path, lock_path: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock_path.unlink(missing_ok=True)
