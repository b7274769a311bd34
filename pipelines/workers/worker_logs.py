"""A worker's log and crash file, and what the driver reads from them after the worker is gone.

`logs/<worker>.log` takes Blender's own output and one line per group and phase; `logs/<worker>.crash` takes
the interpreter's last words. They may hold anything and are no part of the dataset's promise.
"""

import os
import re
from pathlib import Path
from typing import TextIO

LOGS_NAME = "logs"
TAIL_BYTES = 4096
TAIL_LINES = 15

_GROUP = "[pairbridge] group "
_PHASE = "[pairbridge] phase "

# What CPython's faulthandler writes for each signal.
_LAST_WORDS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating point exception": "SIGFPE",
}


def log_path(dataset_dir: Path, worker: str) -> Path:
    return dataset_dir / LOGS_NAME / f"{worker}.log"


def crash_path(dataset_dir: Path, worker: str) -> Path:
    return dataset_dir / LOGS_NAME / f"{worker}.crash"


def note_group(log: TextIO, shard: str, group: int) -> None:
    log.write(f"{_GROUP}{shard} {group}\n")


def note_phase(log: TextIO, phase: str) -> None:
    log.write(f"{_PHASE}{phase}\n")


def last_phase(dataset_dir: Path, worker: str) -> str:
    """What the worker was doing when it last said so; "start" if it never did."""
    phases = re.findall(rf"^{re.escape(_PHASE)}(.*)$", _end_of(log_path(dataset_dir, worker)), re.MULTILINE)
    return phases[-1] if phases else "start"


def tail(dataset_dir: Path, worker: str) -> str:
    """The last lines of the log, for a person."""
    return "\n".join(_end_of(log_path(dataset_dir, worker)).splitlines()[-TAIL_LINES:])


def crash_signal(dataset_dir: Path, worker: str) -> str | None:
    """The signal the worker's own code died of; None without last words: it was killed from outside."""
    path = crash_path(dataset_dir, worker)
    words = path.read_text(errors="replace")[:200] if path.exists() else ""
    return next((name for text, name in _LAST_WORDS.items() if f"Fatal Python error: {text}" in words), None)


def _end_of(path: Path) -> str:
    if not path.exists():
        return ""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - TAIL_BYTES))
        return stream.read().decode(errors="replace")
