"""`ledger.jsonl`: the run's diary, the only file of a dataset that may hold clocks, hosts and attempts, and
what it adds up to: a fold over its events, one after the other.

Groups that were made twice (a kill between making and staging) count twice here: the ledger tells where time
went. What a dataset holds is counted from its sidecars (`pairbridge.datagen.dataset.verify`).
"""

import errno
import json
import os
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

LEDGER_NAME = "ledger.jsonl"
# The rate is that of the last minutes: what a run did an hour ago says little about what is left.
RATE_WINDOW_S = 300.0
# Asset lists are for a person's eyes.
ASSETS_LISTED = 8
# One slow group is no slow asset.
FEWEST_GROUPS = 3


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


@dataclass(slots=True)
class RecipeTally:
    """Groups of one recipe: seconds of each in `walls_s`, and of all by stage."""

    pairs: int = 0
    walls_s: list[float] = field(default_factory=list)
    stage_s: Counter[str] = field(default_factory=Counter)

    @property
    def median_s(self) -> float:
        return statistics.median(self.walls_s)


@dataclass(slots=True)
class AssetTally:
    """What groups that drew on one asset cost; `refused` counts draws that a gate refused, and holes that it
    is to blame for.
    """

    groups: int = 0
    seconds: float = 0.0
    pairs: int = 0
    refused: int = 0


class RunTally:
    """Sums over every run that the diary knows; `began_unix_s` and the rate are of the latest."""

    def __init__(self) -> None:
        self.began_unix_s: float | None = None
        self.last_unix_s: float | None = None
        self.finished = False
        self.runs = 0
        self.workers = 0
        self.recipes: dict[str, RecipeTally] = {}
        self.wait_s = self.start_s = self.lost_s = 0.0
        self.faults: Counter[str] = Counter()
        self.assets: dict[str, AssetTally] = defaultdict(AssetTally)
        self.waiting: Counter[str] = Counter()  # shard -> pairs that its commit has not counted yet
        self._recent: deque[tuple[float, int]] = deque()

    @classmethod
    def of(cls, events: Iterable[dict[str, Any]]) -> Self:
        """The sum of a whole diary."""
        tally = cls()
        for event in events:
            tally.add(event)
        return tally

    def add(self, event: dict[str, Any]) -> None:
        """Count one event; those of kinds that are not known here change nothing but the time of the last."""
        self.last_unix_s = event["unix_time_s"]
        self.finished = event["event"] == "finished"
        known = {
            "run": self._begin,
            "group": self._group,
            "fault": self._fault,
            "given up": self._give_up,
            "shard": self._shard,
            "rest": self._rest,
        }
        if event["event"] in known:
            known[event["event"]](event)

    @property
    def pairs_per_s(self) -> float | None:
        """Pairs and holes a second over the last minutes of the latest run; None before two groups."""
        if len(self._recent) < 2:
            return None
        seconds = self._recent[-1][0] - self._recent[0][0]
        made = sum(pairs for _, pairs in self._recent) - self._recent[0][1]
        return made / seconds if seconds > 0 else None

    def utilisation(self) -> dict[str, float]:
        """Worker seconds by what they went into, largest first: stages, and what made nothing."""
        seconds: Counter[str] = Counter()
        for recipe in self.recipes.values():
            seconds.update(recipe.stage_s)
        seconds.update({"wait": self.wait_s, "start": self.start_s, "lost to faults": self.lost_s})
        return {name: round(spent, 3) for name, spent in seconds.most_common() if spent > 0}

    def slowest_assets(self, count: int = ASSETS_LISTED) -> list[dict[str, Any]]:
        """By mean seconds of a group that drew on them, the slowest first."""
        known = [(name, one) for name, one in self.assets.items() if one.groups >= FEWEST_GROUPS]
        known.sort(key=lambda entry: (-entry[1].seconds / entry[1].groups, entry[0]))
        return [
            {"asset": name, "groups": one.groups, "mean_s": round(one.seconds / one.groups, 3)}
            for name, one in known[:count]
        ]

    def most_refused_assets(self, count: int = ASSETS_LISTED) -> list[dict[str, Any]]:
        """By draws that were refused, the most first; those without any are left out."""
        known = [(name, one) for name, one in self.assets.items() if one.refused]
        known.sort(key=lambda entry: (-entry[1].refused, entry[0]))
        return [{"asset": name, "refused": one.refused, "pairs": one.pairs} for name, one in known[:count]]

    def _begin(self, event: dict[str, Any]) -> None:
        self.runs += 1
        self.workers = event["workers"]
        self.began_unix_s = event["unix_time_s"]
        self._recent.clear()

    def _group(self, event: dict[str, Any]) -> None:
        self._wait(event)
        recipe = self.recipes.setdefault(_recipe_of(event["shard"]), RecipeTally())
        recipe.pairs += event["pairs"]
        recipe.walls_s.append(event["wall_s"])
        recipe.stage_s.update(event["phase_s"])
        self.waiting[event["shard"]] += event["pairs"] + event["holes"]
        self._recent.append((event["unix_time_s"], event["pairs"] + event["holes"]))
        while self._recent[-1][0] - self._recent[0][0] > RATE_WINDOW_S:
            self._recent.popleft()
        for asset in event.get("assets", ()):
            one = self.assets[asset]
            one.groups += 1
            one.seconds += event["wall_s"]
            one.pairs += event["pairs"]
        for asset, count in event.get("refused", {}).items():
            self.assets[asset].refused += count

    def _fault(self, event: dict[str, Any]) -> None:
        self._wait(event)
        self.lost_s += event["wall_s"]
        self.faults[event["fault"]] += 1

    def _give_up(self, event: dict[str, Any]) -> None:
        self.waiting[event["shard"]] += event["holes"]
        for asset in event["assets"]:
            self.assets[asset].refused += event["holes"]

    def _shard(self, event: dict[str, Any]) -> None:
        self.waiting.pop(event["shard"], None)

    def _rest(self, event: dict[str, Any]) -> None:
        self.wait_s += sum(event["wait_s"].values())

    def _wait(self, event: dict[str, Any]) -> None:
        self.wait_s += event.get("wait_s", 0.0)
        self.start_s += event.get("start_s", 0.0)


def _recipe_of(shard: str) -> str:
    return shard.partition("-")[2].rpartition("-")[0]
