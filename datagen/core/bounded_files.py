"""Files from elsewhere, opened and read so that none holds its reader for ever or fills its memory."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """A file, opened to be read. Raises OSError: EINVAL for a pipe, for which a reader would wait, or a
    device, which may have no end.
    """
    return open(path, "rb", opener=_open_regular)


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file, of a larger one the first `most_bytes` and one more. Raises OSError."""
    with open_regular(path) as stream:
        return stream.read(most_bytes + 1)


def _open_regular(path: str, flags: int) -> int:
    # Without O_NONBLOCK the opening of a pipe waits for its writer.
    fd = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    # `open` itself refuses a folder by its own error.
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "it is no regular file", path)
