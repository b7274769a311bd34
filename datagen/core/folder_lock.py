"""One process at a time per folder that is written for hours: a dataset, a training, a run.

The lock is a kernel flock on a file in the folder. It ends with the process that holds it, however that
process ends, so there is no stale lock to clean up; children that a holder forks do not hold it on.
"""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pairbridge.datagen.core.disk_errors import output_moved
from pairbridge.datagen.core.errors import PairbridgeError

LOCK_NAME = ".lock"

_held: set[int] = set()


class FolderLocked(PairbridgeError):
    """Another process is working in this folder."""


class FolderLock:
    """A lock that is held."""

    def __init__(self, folder: Path, fd: int) -> None:
        self._folder, self._fd = folder, fd

    def check_place(self) -> None:
        """Raise OutputMoved unless the folder is still where it was: what is written next would begin another
        one under its name.
        """
        try:
            there = os.path.samestat(os.fstat(self._fd), os.stat(self._folder / LOCK_NAME))
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if not there:
            raise output_moved(self._folder)


@contextlib.contextmanager
def folder_lock(folder: Path, token: str) -> Iterator[FolderLock]:
    """Hold the folder's lock for the body, or raise FolderLocked naming the holder.

    The file stays behind, empty of meaning: deleting it would let two processes lock two different files.
    """
    path = folder / LOCK_NAME
    # Without O_TRUNC: the holder's details must survive our attempt.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _held.add(fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderLocked(
                f"{folder} is in use by {_holder(path)}",
                consequence="two of them would write the same files; nothing was touched",
                remedy="wait for the other process, stop it, or choose another folder",
            ) from None
        os.ftruncate(fd, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "token": token}
        os.pwrite(fd, json.dumps(holder).encode(), 0)
        yield FolderLock(folder, fd)
    finally:
        # Not in a forked child, which has closed its copy: the number may be another file's there.
        if fd in _held:
            _held.discard(fd)
            os.close(fd)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        # The holder writes its details just after taking the lock.
        return "another process that has just started"


def _let_go() -> None:
    """In a forked child: a flock lasts until the last copy of its descriptor is closed, and a child that
    outlives a killed holder for some seconds would keep the next one out.
    """
    for fd in _held:
        os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
