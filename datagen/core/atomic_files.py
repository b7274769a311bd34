"""Files that are either absent or whole: temp name in the same folder, fsync, rename, fsync of the folder.

A reader, a kill or a power cut never meets half a file under a final name. The temp name starts with a dot
and holds `.tmp-`, so that sweeps and globs can tell it apart.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError

TEMP_MARK = ".tmp-"


class DiskFull(PairbridgeError):
    """The output filesystem has no room; nothing was renamed, so nothing half-written is visible."""


class Written(NamedTuple):
    """What ended up on disk."""

    num_bytes: int
    sha256: str


def write_atomically(path: Path, chunks: Iterable[bytes]) -> Written:
    """Write `chunks` to `path` so that it appears whole or not at all; durable when this returns.

    Raises DiskFull on ENOSPC and EDQUOT. On any error the temp file is removed and `path` is as it was.
    """
    written = 0
    hasher = hashlib.sha256()
    stream = _temporary(path)
    temp = Path(stream.name)
    try:
        with stream:
            for chunk in chunks:
                stream.write(chunk)
                hasher.update(chunk)
                written += len(chunk)
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(temp, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(path, written) from error
        raise
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return Written(written, hasher.hexdigest())


def _temporary(path: Path) -> BinaryIO:
    """The empty temp file of `path`, locked. What a killed writer of this path left is taken over, so that
    nothing is left for ever of a file that is written again; only beside a living one a second is made.
    """
    temp = path.with_name(f".{path.name}{TEMP_MARK}0")
    with contextlib.suppress(OSError):  # another user's, or a link: if it is the disk, it shows again below
        stream = open(temp, "r+b", opener=_created_no_link)  # noqa: SIM115 (the caller's)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed by its writer between the two calls, it would be a finished file that is emptied.
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(temp)):
                _emptied(stream, temp)
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()
    return open(path.with_name(f".{path.name}{TEMP_MARK}{os.getpid()}-{threading.get_ident()}"), "wb")


def _emptied(stream: BinaryIO, temp: Path) -> None:
    if os.fstat(stream.fileno()).st_size:
        try:
            stream.truncate()
        except OSError:
            # The caller writes beside it, and nobody would come back for this one.
            temp.unlink()
            raise


def _created_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def sweep_temporaries(folder: Path) -> None:
    """Delete what a killed `write_atomically` left in `folder`, if it exists. The caller holds its lock,
    so that no other process is writing there.
    """
    if folder.is_dir():
        for path in sorted(folder.glob(f".*{TEMP_MARK}*")):
            if path.is_file():
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames and deletions inside `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _disk_full(path: Path, written: int) -> DiskFull:
    free = shutil.disk_usage(path.parent).free
    return DiskFull(
        f"no space left while writing {path}: {written} bytes in, {free} bytes free without it",
        consequence="nothing was put under a final name; everything committed before is whole",
        remedy=f"free some space under {path.parent} and run the same command again: it resumes",
    )


# Folders that are either absent or whole: filled under a hidden name beside their place, then renamed.


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


@contextlib.contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Of all processes of this machine that enter with the same file, one at a time; the file stays."""
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
