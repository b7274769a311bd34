"""A full or read-only disk, wherever it shows: logs, ledger, scratch files and shards all end in the same
clear stop.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pairbridge.datagen.core.atomic_files import DiskFull
from pairbridge.datagen.core.errors import PairbridgeError


class OutputNotWritable(PairbridgeError):
    """The output folder does not take files: read-only, or another user's."""


@contextmanager
def disk_errors(dataset_dir: Path) -> Iterator[None]:
    """Turn ENOSPC and EDQUOT inside the body into DiskFull, EROFS and EACCES into OutputNotWritable; other
    errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES):
            raise OutputNotWritable(
                f"{error.filename or dataset_dir} cannot be written: {error.strerror}",
                consequence="nothing more can be made; everything committed before is whole",
                remedy=f"mount {dataset_dir} for writing, or give this user the right to, and run the same "
                "command again: it resumes",
            ) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(dataset_dir).free
        raise DiskFull(
            f"no space left while writing {error.filename or 'a log or scratch file'} "
            f"({free} bytes free under {dataset_dir})",
            consequence="what was being made is not finished; everything committed before is whole",
            remedy=f"free some space under {dataset_dir} and run the same command again: it resumes",
        ) from error


_PREFIX = "pairbridge-scratch-"
_SHARED_MEMORY = Path("/dev/shm")
# A container's default of 64 MB would fill with lighting copies.
_MIN_SHARED_MEMORY_BYTES = 512 << 20


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private empty folder on a fast local filesystem, deleted at the end or by the next owner."""
    root = _root()
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
