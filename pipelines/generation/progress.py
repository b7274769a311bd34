"""How far a run is: a snapshot that the driver hands out, and two ways to show it."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINE_INTERVAL_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counts over the whole dataset; `pairs_done` includes staged ones, `quarantined` are planned pairs."""

    shards_done: int
    shards_total: int
    pairs_done: int
    pairs_total: int
    quarantined: int
    retries: int
    busy_workers: int
    waiting_workers: int  # that start, which may mean waiting for a machine to join the cluster
    pairs_per_s: float  # of this run alone, since its first worker was ready
    left_s: float | None  # None until something was made in this run
    last: bool = False  # of the run, however it ended

    def line(self) -> str:
        """One line for a log."""
        eta = "unknown" if self.left_s is None else duration(self.left_s)
        waiting = f", {self.waiting_workers} starting" if self.waiting_workers else ""
        return (
            f"shards {self.shards_done}/{self.shards_total}, pairs {self.pairs_done}/{self.pairs_total}, "
            f"{self.pairs_per_s:.2f} pairs/s, ETA {eta}, {self.quarantined} quarantined, "
            f"{self.retries} retries, {self.busy_workers} workers busy{waiting}"
        )


OnProgress = Callable[[Snapshot], None]


class LogLines:
    """Prints a line now and then, and the last one always: for files and pipes."""

    def __init__(self, interval_s: float = LINE_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._next_s = 0.0

    def __call__(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if snapshot.last or now >= self._next_s:
            self._next_s = now + self._interval_s
            print(snapshot.line(), flush=True)


class TerminalBar:
    """A live bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("pairs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rest]}"),
            console=console,
        )
        self._bar = self._progress.add_task("pairs", total=None, rest="")

    def __call__(self, snapshot: Snapshot) -> None:
        self._progress.start()
        eta = "" if snapshot.left_s is None else f", ETA {duration(snapshot.left_s)}"
        self._progress.update(
            self._bar,
            total=snapshot.pairs_total,
            completed=snapshot.pairs_done + snapshot.quarantined,
            rest=f"shards {snapshot.shards_done}/{snapshot.shards_total}, {snapshot.pairs_per_s:.2f} pairs/s"
            f"{eta}, {snapshot.quarantined} quarantined, {snapshot.retries} retries",
        )
        if snapshot.last:
            self._progress.stop()


def show_progress() -> OnProgress:
    """A bar where a person looks, lines elsewhere."""
    return TerminalBar(Console()) if sys.stdout.isatty() else LogLines()


def duration(seconds: float) -> str:
    """4:05, or 1:04:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
