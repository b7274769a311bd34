"""How far a training is: a bar where a person looks, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

LINE_INTERVAL_S = 10.0


@contextmanager
def show_training(steps: int, *, silent: bool = False) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A callable for `pairbridge.training.bridge_training.loop.train(on_progress=...)`; it takes lines of
    stats.jsonl. `silent`: it ignores them.
    """
    if silent:
        yield lambda line: None
        return
    if not sys.stdout.isatty():
        yield _Lines(steps)
        return
    columns = (
        TextColumn("steps"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("steps", total=steps, rest="")
        yield lambda line: progress.update(bar, completed=line["step"], rest=_figures(line))


@contextmanager
def show_encoding() -> Iterator[Callable[[str, int, int], None]]:
    """A callable for `pairbridge.pipelines.inference.encoding.encode_dataset(on_progress=...)`."""
    if not sys.stdout.isatty():
        last_s: dict[str, float] = {}

        def say(what: str, done: int, total: int) -> None:
            if done == total or time.monotonic() - last_s.get(what, -LINE_INTERVAL_S) >= LINE_INTERVAL_S:
                last_s[what] = time.monotonic()
                print(f"{what}: {done}/{total} pairs", flush=True)

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bars: dict[str, TaskID] = {}

        def move(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done)

        yield move


class _Lines:
    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._next_s = 0.0

    def __call__(self, line: dict[str, Any]) -> None:
        now = time.monotonic()
        if now >= self._next_s or line["step"] == self._steps:
            self._next_s = now + LINE_INTERVAL_S
            print(f"step {line['step']}/{self._steps}, {_figures(line)}", flush=True)


def _figures(line: dict[str, Any]) -> str:
    waiting = f"{line['data_wait']:.0%} waiting for data"
    pace = f"{line['images_per_s']:.3g} images/s, {waiting}, {line['memory_mib'] / 1024:.1f} GiB"
    return f"loss {line['loss']:.5f}, {pace}, ETA {timedelta(seconds=round(line['seconds_left']))}"
