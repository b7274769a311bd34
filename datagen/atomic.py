"""Files that are either absent or whole: temp name in the same folder, fsync, rename, fsync of the folder.

A reader, a kill or a power cut never meets half a file under a final name. The temp name starts with a dot
and holds `.tmp-`, so that sweeps and globs can tell it apart.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datagen.errors import PairbridgeError

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
    temp = path.with_name(f".{path.name}{TEMP_MARK}{os.getpid()}")
    written = 0
    hasher = hashlib.sha256()
    try:
        with open(temp, "wb") as stream:
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
