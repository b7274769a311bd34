"""JSON lines, one per step, that never disagree with the checkpoint a training resumes from.

A checkpoint knows how long each log was and the digest of all of it, and holds the lines since the checkpoint
before. So a log that was torn is made whole again, and one whose history is another is refused.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from pairbridge.datagen.core.atomic_files import sync_folder
from pairbridge.datagen.core.frozen import FrozenModel

_CHUNK_BYTES = 2**20


class LogPoint(FrozenModel):
    """A log as it was at a checkpoint: its size, the sha256 of all of it, and its newest lines."""

    bytes: NonNegativeInt = 0
    sha256: str = hashlib.sha256().hexdigest()
    recent: str = ""

    @property
    def before(self) -> int:
        """Bytes before the newest lines."""
        return self.bytes - len(self.recent.encode())


class StepLog:
    """`{"step": n, ...}` per line, steps rising. Opening it at a point drops later lines: they come again."""

    def __init__(self, path: Path, point: LogPoint) -> None:
        """`point`: of a log that `is_whole` up to there."""
        self._hasher = _hash_to(path, point.before)
        self._bytes, self._recent = point.before, bytearray()
        # Not buffered: a line that found no room must not be tried again when the file is closed.
        self._stream = path.open("ab", buffering=0)
        self._stream.truncate(point.before)
        self._write(point.recent.encode())
        sync_folder(path.parent)
        self._recent.clear()

    def append(self, record: dict[str, Any]) -> None:
        self._write((json.dumps(record, sort_keys=True, allow_nan=False) + "\n").encode())

    def sync(self) -> LogPoint:
        """Make every line durable; called before a checkpoint that counts on them, which keeps the point."""
        os.fsync(self._stream.fileno())
        recent, self._recent = self._recent, bytearray()
        return LogPoint(bytes=self._bytes, sha256=self._hasher.hexdigest(), recent=recent.decode())

    def close(self) -> None:
        self._stream.close()

    def _write(self, data: bytes) -> None:
        self._hasher.update(data)
        self._bytes += len(data)
        self._recent += data
        # The system may take a part at a time, on a disk that is nearly full.
        while data:
            data = data[self._stream.write(data) :]


def is_whole(path: Path, point: LogPoint) -> bool:
    """Whether the log has the history that it had at `point`, but for its newest lines, which the point
    has.
    """
    if not path.exists():
        return point.before == 0
    hasher = _hash_to(path, point.before)
    hasher.update(point.recent.encode())
    return hasher.hexdigest() == point.sha256


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a kill can leave half a last one, which is dropped. Empty without a file."""
    if not path.exists():
        return []
    complete = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in complete]


def _hash_to(path: Path, end: int) -> "hashlib._Hash":
    """Of the first `end` bytes, or of all where the file is shorter."""
    hasher = hashlib.sha256()
    if end:
        with open(path, "rb") as stream:
            while end and (chunk := stream.read(min(end, _CHUNK_BYTES))):
                hasher.update(chunk)
                end -= len(chunk)
    return hasher
