"""What a training says about itself: one line of figures every few steps, and every key it consumed."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.run_log import LogPoint, StepLog

STATS_NAME, CONSUMED_NAME = "stats.jsonl", "consumed.jsonl"


@dataclass(frozen=True, slots=True)
class StepRows:
    """What this rank consumed and measured in one step.

    batches: `keys`, `source_names` and `substitutes` of each, as the loader gives them; the losses are of the
    last. numbers: by name, any number of each. skipped: a gradient was no number, and its losses may be none.
    """

    step: int
    batches: list[Batch]
    numbers: dict[str, list[float]]
    skipped: bool = False


class Telemetry:
    """Collects on every rank since the last line; the first one writes `stats.jsonl` and `consumed.jsonl`."""

    def __init__(
        self, run_dir: Path, *, points: Mapping[str, LogPoint], consumed: Counter[str], ranks: Ranks
    ) -> None:
        """points: where the logs go on, by file name, or from the start; consumed: samples per source up to
        there.
        """
        self.consumed = consumed
        self._ranks = ranks
        self._logs = {
            name: StepLog(run_dir / name, points.get(name, LogPoint()))
            for name in (STATS_NAME, CONSUMED_NAME)
            if ranks.first
        }
        self._unsent: list[StepRows] = []
        self._begin()

    def waited(self, seconds: float) -> None:
        self._waited_s += seconds

    def step(self, rows: StepRows) -> None:
        self._unsent.append(rows)

    def line(
        self,
        step: int,
        *,
        steps: int,
        images: int,
        learning_rate: float,
        remarks: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> dict[str, Any] | None:
        """Write and return the figures since the last line, at `step` of `steps`; `images` is the total so
        far, `remarks` says more about the figures. None, and no line yet, where every step was skipped.
        Collective.

        Every number of the steps is averaged: loss and its terms over samples, the rest over steps.
        loss_per_source: the loss by source. shares: of all samples consumed since step 0. data_wait: share of
        the time in which the loop waited for data. memory_mib: most memory held, of the GPU, or of this
        process where there is none. seconds_left: at this pace.
        """
        self._collect()
        if not self._numbers:
            return None
        elapsed_s = time.perf_counter() - self._since
        losses = list(zip(self._numbers["loss"], self._loss_sources, strict=True))
        total = sum(self.consumed.values())
        record = {
            "step": step,
            "images": images,
            **{name: _mean(values) for name, values in self._numbers.items()},
            "loss_per_source": {
                name: _mean(loss for loss, source in losses if source == name)
                for name in sorted(set(self._loss_sources))
            },
            "learning_rate": learning_rate,
            "images_per_s": self._samples / elapsed_s,
            "data_wait": min(1.0, self._waited_s / elapsed_s),
            "memory_mib": _memory_mib(),
            "seconds_left": (steps - step) * elapsed_s / self._steps,
            "substituted": self._substituted,
            "skipped_steps": self._skipped,
            "shares": {name: count / total for name, count in sorted(self.consumed.items())},
        }
        record |= remarks(record)
        if STATS_NAME in self._logs:
            self._logs[STATS_NAME].append(record)
        self._begin()
        return record

    def sync(self) -> dict[str, LogPoint]:
        """Make the lines durable: a checkpoint must not know of more steps than they do. Where the logs are
        now, on the first rank. Collective.
        """
        self._collect()
        return {name: log.sync() for name, log in self._logs.items()}

    def close(self) -> None:
        for log in self._logs.values():
            log.close()

    def _collect(self) -> None:
        """Bring the steps since the last call together from all ranks: seldom, as it makes them wait."""
        sent = self._ranks.gather(self._unsent)
        self._unsent = []
        # Every rank has the same steps; a stable sort keeps the order of ranks within one.
        for step in sorted({rows.step for rows in sent}):
            parts = [rows for rows in sent if rows.step == step]
            batches = [batch for rows in parts for batch in rows.batches]
            keys, sources, substitutes = (
                [entry for batch in batches for entry in batch[name]]
                for name in ("keys", "source_names", "substitutes")
            )
            self.consumed.update(sources)
            self._skipped += parts[0].skipped
            for rows in [] if parts[0].skipped else parts:
                self._loss_sources += rows.batches[-1]["source_names"]
                for name, values in rows.numbers.items():
                    self._numbers.setdefault(name, []).extend(values)
            self._steps += 1
            self._samples += len(keys)
            self._substituted += len(substitutes)
            if CONSUMED_NAME in self._logs:
                self._logs[CONSUMED_NAME].append({"step": step, "keys": keys, "substitutes": substitutes})

    def _begin(self) -> None:
        self._numbers: dict[str, list[float]] = {}
        self._loss_sources: list[str] = []
        self._steps = self._samples = self._substituted = self._skipped = 0
        self._waited_s = 0.0
        self._since = time.perf_counter()


def _memory_mib() -> float:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20


def _mean(values) -> float:
    values = list(values)
    # Exact before its one rounding: whatever rank a sample was on.
    return math.fsum(values) / len(values)
