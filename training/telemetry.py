"""What a training says about itself: one line of figures every few steps, and every key it consumed."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from training.run_log import StepLog


class Telemetry:
    """Collects since the last line, and writes `metrics.jsonl` and `consumed.jsonl` where it may."""

    def __init__(self, run_dir: Path, *, step: int, consumed: Counter[str], writes: bool) -> None:
        """`consumed` counts samples per source up to `step`; `writes` is true on one rank."""
        self.consumed = consumed
        self._metrics = StepLog(run_dir / "metrics.jsonl", resume_step=step) if writes else None
        self._keys = StepLog(run_dir / "consumed.jsonl", resume_step=step) if writes else None
        self._begin()

    def waited(self, seconds: float) -> None:
        self._waited_s += seconds

    def batch(self, step: int, rows: list[dict[str, Any]], substitutes: list[dict[str, str]]) -> None:
        """Count one global batch.

        Each row has `key`, `source`, `loss` and `components` of one sample; `substitutes` are the loader's
        records of pairs that could not be read.
        """
        self.consumed.update(row["source"] for row in rows)
        self._rows += rows
        self._substituted += len(substitutes)
        if self._keys:
            keys = [row["key"] for row in rows]
            self._keys.append({"step": step, "keys": keys, "substitutes": substitutes})

    def line(self, step: int, *, images: int, gradient_norm: float, learning_rate: float) -> dict[str, Any]:
        """Write and return the figures since the last line; `images` is the total so far.

        loss, loss_<component>: means over samples. loss_per_source: the same, by source. shares: of all
        samples consumed since step 0. data_wait: share of the time in which the loop waited for data.
        """
        elapsed_s = time.perf_counter() - self._since
        rows = self._rows
        total = sum(self.consumed.values())
        names = sorted({row["source"] for row in rows})
        record = {
            "step": step,
            "images": images,
            "loss": _mean(row["loss"] for row in rows),
            **{
                f"loss_{name}": _mean(row["components"][name] for row in rows)
                for name in rows[0]["components"]
            },
            "loss_per_source": {
                name: _mean(row["loss"] for row in rows if row["source"] == name) for name in names
            },
            "gradient_norm": gradient_norm,
            "learning_rate": learning_rate,
            "images_per_s": len(rows) / elapsed_s,
            "data_wait": self._waited_s / elapsed_s,
            "substituted": self._substituted,
            "shares": {name: count / total for name, count in sorted(self.consumed.items())},
        }
        if self._metrics:
            self._metrics.append(record)
        self._begin()
        return record

    def sync(self) -> None:
        """Make the lines durable: a checkpoint must not know of more steps than they do."""
        for log in (self._metrics, self._keys):
            if log:
                log.sync()

    def close(self) -> None:
        for log in (self._metrics, self._keys):
            if log:
                log.close()

    def _begin(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._substituted = 0
        self._waited_s = 0.0
        self._since = time.perf_counter()


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)
