"""Folders that are either absent or whole: filled under a hidden name beside their place, then renamed.

A kill leaves the hidden folder, which the next call empties and fills again.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from datagen.atomic import TEMP_MARK, sync_folder
from datagen.errors import ConfigError


@contextlib.contextmanager
def folder_atomically(folder: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which becomes `folder` when the body ends; nothing is left if it raises.

    Raises ConfigError if `folder` exists or another process is filling it.
    """
    folder = folder.absolute()
    if folder.exists():
        raise ConfigError(
            f"{folder} exists",
            consequence="nothing is overwritten: someone may be using it",
            remedy="name a new folder, or delete this one",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temp = folder.with_name(f".{folder.name}{TEMP_MARK}folder")
    with _alone_in(temp, folder):
        yield temp
        # One call for what may be a million small files.
        os.sync()
        temp.rename(folder)
        sync_folder(folder.parent)


@contextlib.contextmanager
def _alone_in(temp: Path, folder: Path) -> Iterator[None]:
    """Hold a lock on `temp` itself, so that none is left over; empty before the body, gone if that raises."""
    temp.mkdir(exist_ok=True)
    fd = os.open(temp, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed between the two calls, it would be a finished folder that is emptied.
            ours = os.path.samestat(os.fstat(fd), os.stat(temp))
        except (BlockingIOError, FileNotFoundError):
            ours = False
        if not ours:
            raise ConfigError(
                f"{folder} is being written by another process",
                consequence="two of them would leave a mixture",
                remedy="wait for it, or name another folder",
            )
        try:
            _empty(temp)
            yield
        except BaseException:
            shutil.rmtree(temp, ignore_errors=True)
            raise
    finally:
        os.close(fd)


def _empty(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
