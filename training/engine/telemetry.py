"""What a training says about itself: one line of figures every few steps, and every key it consumed."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.run_log import StepLog


@dataclass(frozen=True, slots=True)
class StepRows:
    """One step's samples of this rank: keys, sources, losses and their components, in one order."""

    step: int
    keys: list[str]
    sources: list[str]
    losses: list[float]
    components: dict[str, list[float]]
    # The loader's records of pairs that could not be read.
    substitutes: list[dict[str, str]] = field(default_factory=list)


class Telemetry:
    """Collects on every rank since the last line; the first one writes `stats.jsonl` and `consumed.jsonl`."""

    def __init__(self, run_dir: Path, *, step: int, consumed: Counter[str], ranks: Ranks) -> None:
        """`consumed` counts samples per source up to `step`."""
        self.consumed = consumed
        self._ranks = ranks
        self._stats = StepLog(run_dir / "stats.jsonl", resume_step=step) if ranks.first else None
        self._keys = StepLog(run_dir / "consumed.jsonl", resume_step=step) if ranks.first else None
        self._unsent: list[StepRows] = []
        self._begin()

    def waited(self, seconds: float) -> None:
        self._waited_s += seconds

    def step(self, rows: StepRows) -> None:
        self._unsent.append(rows)

    def line(
        self, step: int, *, images: int, total_images: int, gradient_norm: float, learning_rate: float
    ) -> dict[str, Any]:
        """Write and return the figures since the last line; `images` is the total so far. Collective.

        loss, loss_<component>: means over samples. loss_per_source: the same, by source. shares: of all
        samples consumed since step 0. data_wait: share of the time in which the loop waited for data.
        memory_mib: most memory held, of the GPU, or of this process where there is none. seconds_left: at
        this pace.
        """
        self._collect()
        elapsed_s = time.perf_counter() - self._since
        losses, sources = self._losses, self._sources
        total = sum(self.consumed.values())
        pace = len(losses) / elapsed_s
        record = {
            "step": step,
            "images": images,
            "loss": _mean(losses),
            **{f"loss_{name}": _mean(values) for name, values in self._components.items()},
            "loss_per_source": {
                name: _mean(loss for loss, source in zip(losses, sources, strict=True) if source == name)
                for name in sorted(set(sources))
            },
            "gradient_norm": gradient_norm,
            "learning_rate": learning_rate,
            "images_per_s": pace,
            "data_wait": min(1.0, self._waited_s / elapsed_s),
            "memory_mib": memory_mib(),
            "seconds_left": (total_images - images) / pace,
            "substituted": self._substituted,
            "shares": {name: count / total for name, count in sorted(self.consumed.items())},
        }
        if self._stats:
            self._stats.append(record)
        self._begin()
        return record

    def sync(self) -> None:
        """Make the lines durable: a checkpoint must not know of more steps than they do. Collective."""
        self._collect()
        for log in (self._stats, self._keys):
            if log:
                log.sync()

    def close(self) -> None:
        for log in (self._stats, self._keys):
            if log:
                log.close()

    def _collect(self) -> None:
        """Bring the steps since the last call together from all ranks: seldom, as it makes them wait."""
        sent = self._ranks.gather(self._unsent)
        self._unsent = []
        # Every rank has the same steps; a stable sort keeps the order of ranks within one.
        for step in sorted({rows.step for rows in sent}):
            parts = [rows for rows in sent if rows.step == step]
            keys = [key for rows in parts for key in rows.keys]
            substitutes = [entry for rows in parts for entry in rows.substitutes]
            for rows in parts:
                self.consumed.update(rows.sources)
                self._sources += rows.sources
                self._losses += rows.losses
                for name, values in rows.components.items():
                    self._components.setdefault(name, []).extend(values)
            self._substituted += len(substitutes)
            if self._keys:
                self._keys.append({"step": step, "keys": keys, "substitutes": substitutes})

    def _begin(self) -> None:
        self._losses: list[float] = []
        self._sources: list[str] = []
        self._components: dict[str, list[float]] = {}
        self._substituted = 0
        self._waited_s = 0.0
        self._since = time.perf_counter()


def memory_mib() -> float:
    """Most memory held, of the GPU, or of this process where there is none."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)
