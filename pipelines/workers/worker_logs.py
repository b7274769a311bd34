"""A worker's log and crash file, and what the driver reads from them after the worker is gone.

`logs/<worker>.log` takes Blender's own output and one line per group and phase; `logs/<worker>.crash` takes
the interpreter's last words. They may hold anything and are no part of the dataset's promise. They are in the
dataset's folder, or, of a worker that does not see it, in one of its machine (`node_words` asks there), and
then the lines of every group that has ended come to the dataset's folder with it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

LOGS_NAME = "logs"
TAIL_BYTES = 4096
SENT_BYTES = 64 << 10  # of a group's lines, those that go to the driver with it: Blender may write megabytes
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


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a worker left: its last phase ("start" if it told of none), the last lines of its log for a
    person, and the signal that its own code died of; None without: it was killed from outside.
    """

    phase: str
    tail: str
    signal: str | None


def last_words(home: Path, worker: str) -> LastWords:
    """Of the files below `home`."""
    end = _end_of(log_path(home, worker))
    phases = re.findall(rf"^{re.escape(_PHASE)}(.*)$", end, re.MULTILINE)
    path = crash_path(home, worker)
    crash = path.read_text(errors="replace")[:200] if path.exists() else ""
    signals = (name for text, name in _LAST_WORDS.items() if f"Fatal Python error: {text}" in crash)
    return LastWords(
        phase=phases[-1] if phases else "start",
        tail="\n".join(end.splitlines()[-TAIL_LINES:]),
        signal=next(signals, None),
    )


def written_since(path: str, position: int) -> str:
    """The end of what a log has taken since it was `position` bytes long."""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(position, size - SENT_BYTES))
        return stream.read().decode(errors="replace")


def append(dataset_dir: Path, worker: str, lines: str) -> None:
    """Keep lines that came from a worker's own machine."""
    path = log_path(dataset_dir, worker)
    path.parent.mkdir(exist_ok=True)
    with open(path, "a") as stream:
        stream.write(lines)


def _end_of(path: Path) -> str:
    if not path.exists():
        return ""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - TAIL_BYTES))
        return stream.read().decode(errors="replace")
