"""`ledger.jsonl`: the run's diary, the only file of a dataset that may hold clocks, hosts and attempts."""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

LEDGER_NAME = "ledger.jsonl"


class Ledger:
    """Append-only JSON lines; a context manager. Its one writer holds the lock."""

    def __init__(self, dataset_dir: Path) -> None:
        # Unbuffered: after a full disk nothing may be left over that fails again when the file is closed.
        self._stream = open(dataset_dir / LEDGER_NAME, "a+b", buffering=0)  # noqa: SIM115 (held for a run)
        # A driver killed in mid-line leaves half a line; ours must not continue it.
        size = self._stream.seek(0, os.SEEK_END)
        if size:
            self._stream.seek(size - 1)
            if self._stream.read(1) != b"\n":
                self._stream.write(b"\n")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.close()

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with the time of day. OSError (a full disk) passes through to the caller."""
        line = json.dumps({"unix_time_s": round(time.time(), 3), "event": event, **facts}).encode() + b"\n"
        if self._stream.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._stream.name)


def read_ledger(dataset_dir: Path) -> list[dict[str, Any]]:
    """All whole lines of the diary, oldest first; a line cut by a kill is left out."""
    events = []
    path = dataset_dir / LEDGER_NAME
    if not path.exists():
        return events
    for line in path.read_bytes().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
