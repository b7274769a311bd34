"""A run's figures for Prometheus, through Ray's own exporter on the driver's machine (docs/watching.md).

They are made of the same events as `ledger.jsonl`, so both tell the same story. Ray passes them on some
seconds later; a driver that has ended exports nothing more, which is what the ledger is for.
"""

import time
from collections import Counter as Sums
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from pairbridge.pipelines.generation.progress import Snapshot

# A record costs microseconds, and a group has some fifteen: passed on in sums, they are not felt.
FLUSH_S = 1.0
# From a photograph's composite to a large scene at many samples.
GROUP_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]

# Name without prefix and suffix -> what it counts and the labels it has beside `dataset`.
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "pairs": ("Pairs made.", ("recipe", "split")),
    "quarantined": ("Planned pairs that ended in quarantine.", ("recipe", "split")),
    "groups": ("Groups made.", ("recipe", "split")),
    "shards": ("Shards committed.", ("recipe", "split")),
    "bytes": ("Bytes of committed shards.", ("recipe", "split")),
    "retries": ("Attempts at a group that failed and are made again.", ("recipe", "split", "fault")),
    "stage_seconds": (
        "Seconds of workers by stage; wait, start and lost made nothing.",
        ("recipe", "stage"),
    ),
}
GAUGES = {
    "busy_workers": "Workers making a group now.",
    "waiting_workers": "Workers that start, or wait for a machine to join.",
    "pairs_left": "Planned pairs neither made nor in quarantine.",
}
PREFIX = "pairbridge_"


class _Instruments:
    """Ray's side; made while this process is connected to Ray."""

    def __init__(self) -> None:
        self.counters = {
            name: Counter(f"{PREFIX}{name}", description=about, tag_keys=("dataset", *labels))
            for name, (about, labels) in COUNTERS.items()
        }
        self.gauges = {
            name: Gauge(f"{PREFIX}{name}", description=about, tag_keys=("dataset",))
            for name, about in GAUGES.items()
        }
        self.group_seconds = Histogram(
            f"{PREFIX}group_seconds",
            description="Seconds of one attempt at a group.",
            boundaries=GROUP_SECONDS,
            tag_keys=("dataset", "recipe"),
        )


class RunMetrics:
    """Takes a run's events and snapshots; every value has the label `dataset`. For one thread."""

    def __init__(self, dataset: str) -> None:
        self._dataset = {"dataset": dataset}
        self._instruments: _Instruments | None = None
        self._sums: Sums[tuple[str, tuple[str, ...]]] = Sums()
        self._attempts: list[tuple[str, float]] = []
        self._now: dict[str, int] = {}
        self._next_s = 0.0

    @contextmanager
    def exported(self) -> Iterator[None]:
        """Pass the figures to Ray during the body, in which this process must be connected to it."""
        self._instruments = _Instruments()
        try:
            yield
        finally:
            self._now |= {"busy_workers": 0, "waiting_workers": 0}
            self._flush(self._instruments)
            self._instruments = None

    def event(self, event: dict[str, Any]) -> None:
        """Count one event of the ledger."""
        kind = event["event"]
        if kind not in ("group", "fault", "shard", "given up"):
            return
        split, _, rest = event["shard"].partition("-")
        recipe = rest.rpartition("-")[0]
        stream = (recipe, split)
        if kind == "shard":
            self._add("shards", stream, 1)
            self._add("bytes", stream, event["bytes"])
        elif kind == "given up":
            self._add("quarantined", stream, event["holes"])
        else:
            self._attempt(event, stream)

    def progress(self, snapshot: Snapshot) -> None:
        """Take the figures of now, and pass on what came together, once a second."""
        self._now = {
            "busy_workers": snapshot.busy_workers,
            "waiting_workers": snapshot.waiting_workers,
            "pairs_left": snapshot.pairs_total - snapshot.pairs_done - snapshot.quarantined,
        }
        if self._instruments is not None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + FLUSH_S
            self._flush(self._instruments)

    def _attempt(self, event: dict[str, Any], stream: tuple[str, str]) -> None:
        recipe, _ = stream
        self._attempts.append((recipe, event["wall_s"]))
        self._add("stage_seconds", (recipe, "wait"), event["wait_s"])
        self._add("stage_seconds", (recipe, "start"), event["start_s"])
        if event["event"] == "fault":
            self._add("stage_seconds", (recipe, "lost"), event["wall_s"])
            if event["verdict"].startswith("retry"):
                self._add("retries", (*stream, event["fault"]), 1)
            return
        self._add("groups", stream, 1)
        self._add("pairs", stream, event["pairs"])
        self._add("quarantined", stream, event["holes"])
        for stage, seconds in event["phase_s"].items():
            self._add("stage_seconds", (recipe, stage), seconds)

    def _add(self, name: str, labels: tuple[str, ...], amount: float) -> None:
        if amount > 0:
            self._sums[name, labels] += amount

    def _flush(self, instruments: _Instruments) -> None:
        for name, value in self._now.items():
            instruments.gauges[name].set(value, self._dataset)
        for (name, values), amount in self._sums.items():
            labels = dict(zip(COUNTERS[name][1], values, strict=True))
            instruments.counters[name].inc(amount, self._dataset | labels)
        for recipe, seconds in self._attempts:
            instruments.group_seconds.observe(seconds, {**self._dataset, "recipe": recipe})
        self._sums.clear()
        self._attempts.clear()
