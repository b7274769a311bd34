"""The file that takes what Blender prints, beside whatever else its worker appends there."""

import os
from pathlib import Path

TAIL_BYTES = 2000

# Cycles prints some twenty lines a render; a million renders would fill a disk.
LIMIT_BYTES = 16 << 20


class BlenderLog:
    """Reads the tail of an append-only file, and keeps the file short."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes now, 0 before the first line."""
        return self.path.stat().st_size if self.path.exists() else 0

    def tail(self, since: int) -> str:
        """The last lines of what was written after the first `since` bytes."""
        with open(self.path, "rb") as stream:
            stream.seek(max(since, self.size() - TAIL_BYTES))
            return stream.read().decode(errors="replace").strip() or "(it printed nothing)"

    def limit(self) -> None:
        """Cut the file to its tail when it is longer than LIMIT_BYTES; writers append, so it may shrink."""
        if self.size() > LIMIT_BYTES:
            tail = self.tail(0)
            os.truncate(self.path, 0)
            with open(self.path, "a") as stream:
                stream.write(f"(older lines were dropped at {LIMIT_BYTES} bytes)\n{tail}\n")
