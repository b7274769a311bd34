"""A full, read-only or failing disk, wherever it shows: logs, ledger, scratch files, shards and checkpoints
all end in the same clear stop.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pairbridge.datagen.core.atomic_files import DiskFull
from pairbridge.datagen.core.errors import PairbridgeError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES}
# A disk, a network mount or a FUSE daemon that does not do what it was asked.
_FAILING = {
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.EREMOTEIO,
    errno.EUCLEAN,
}


class OutputNotWritable(PairbridgeError):
    """The output folder does not take files: read-only, or another user's."""


class FileSystemFailed(PairbridgeError):
    """The file system returned an error of its own: a broken disk, a lost mount."""


class OutputMoved(PairbridgeError):
    """The output folder is no longer where it was when the run began."""


def output_moved(folder: Path) -> OutputMoved:
    """The stop of a run whose output folder was renamed, deleted or replaced by another."""
    return OutputMoved(
        f"{folder} was renamed, deleted or replaced while this run was writing to it",
        consequence="the run stops; everything committed before is whole, wherever the folder is now",
        remedy=f"put the folder back as {folder}, or name its new place, and run the same command again: it "
        "resumes",
    )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError inside the body that speaks of the disk below `folder` into DiskFull (ENOSPC, EDQUOT),
    OutputNotWritable (EROFS, EACCES), FileSystemFailed (EIO, ESTALE, ...) or OutputMoved (ENOENT, and
    the folder is gone); other errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT and not folder.is_dir():
            raise output_moved(folder) from error
        where = error.filename or f"a file under {folder}"
        if error.errno in _NOT_WRITABLE:
            raise OutputNotWritable(
                f"{where} cannot be written: {error.strerror}",
                consequence="nothing more can be made; everything committed before is whole",
                remedy=f"mount {folder} for writing, or give this user the right to, and run the same "
                "command again: it resumes",
            ) from error
        if error.errno in _FAILING:
            raise FileSystemFailed(
                f"{where}: {error.strerror}",
                consequence="what was being made is not finished; everything committed before is whole",
                remedy="see what the system's log says of this disk or mount, and run the same command "
                "again: it resumes",
            ) from error
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            f"no space left while writing {where}{_free(folder)}",
            consequence="what was being made is not finished; everything committed before is whole",
            remedy=f"free some space under {folder} and run the same command again: it resumes",
        ) from error


def _free(folder: Path) -> str:
    # The error is about a disk that may not answer this either.
    with suppress(OSError):
        return f" ({shutil.disk_usage(folder).free} bytes free under {folder})"
    return ""
