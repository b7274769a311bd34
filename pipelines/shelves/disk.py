"""A full or read-only disk, wherever it shows: logs, ledger, scratch files and shards all end in the same
clear stop.
"""

import errno
import shutil
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
