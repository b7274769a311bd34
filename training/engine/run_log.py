"""JSON lines, one per step, that never disagree with the checkpoint a training resumes from."""

import json
import os
from pathlib import Path
from typing import Any


class StepLog:
    """`{"step": n, ...}` per line, steps rising. Opening it at step s drops later lines: they come again."""

    def __init__(self, path: Path, *, resume_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_lines(path) if line["step"] <= resume_step]
        temp = path.with_name(path.name + ".tmp")
        temp.write_text("".join(_line(line) for line in kept))
        temp.replace(path)
        self._stream = path.open("a")

    def append(self, record: dict[str, Any]) -> None:
        self._stream.write(_line(record))
        self._stream.flush()

    def sync(self) -> None:
        """Make every line durable; called before a checkpoint that counts on them."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a kill can leave half a last one, which is dropped. Empty without a file."""
    if not path.exists():
        return []
    complete = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in complete]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False) + "\n"
