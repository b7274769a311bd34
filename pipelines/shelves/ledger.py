"""`ledger.jsonl`: the run's diary, the only file of a dataset that may hold clocks, hosts and attempts."""

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LEDGER_NAME = "ledger.jsonl"


class Ledger:
    """Append-only JSON lines; a context manager. Its one writer holds the lock."""

    def __init__(self, dataset_dir: Path, *observers: Callable[[dict[str, Any]], None]) -> None:
        """`observers` are told each event after it was written."""
        self._observers = observers
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
        entry = {"unix_time_s": round(time.time(), 3), "event": event, **facts}
        line = json.dumps(entry).encode() + b"\n"
        if self._stream.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._stream.name)
        for observer in self._observers:
            observer(entry)


class LedgerReader:
    """Reads a diary that may still be written."""

    def __init__(self, dataset_dir: Path) -> None:
        self._path = dataset_dir / LEDGER_NAME
        self._position = 0

    def new_events(self) -> Iterator[dict[str, Any]]:
        """The whole lines since the last call, oldest first; a line cut by a kill is left out."""
        if not self._path.exists():
            return
        with open(self._path, "rb") as stream:
            stream.seek(self._position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def read_ledger(dataset_dir: Path) -> list[dict[str, Any]]:
    """All events of a diary, oldest first."""
    return list(LedgerReader(dataset_dir).new_events())
