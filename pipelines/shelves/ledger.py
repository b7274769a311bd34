"""`ledger.jsonl`: the run's diary, the only file of a dataset that may hold clocks, hosts and attempts, and
what it adds up to: a fold over its events, one after the other.

It rotates: a full file becomes `ledger-000001.jsonl` and so on, and the new one begins with what they all add
up to (`carried`), so that nobody who wants sums reads more than one file of `FULL_BYTES`.

Groups that were made twice (a kill between making and staging) count twice here: the ledger tells where time
went. What a dataset holds is counted from its sidecars (`pairbridge.datagen.dataset.verify`).
"""

import contextlib
import errno
import json
import os
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

from pairbridge.datagen.core.atomic_files import write_atomically

LEDGER_NAME = "ledger.jsonl"
_ROTATED = "ledger-??????.jsonl"
# Some forty thousand groups: a tenth of a second to add up, and no editor minds it.
FULL_BYTES = 16 << 20
CARRIED = "carried"
# The rate is that of the last minutes: what a run did an hour ago says little about what is left.
RATE_WINDOW_S = 300.0
# Asset lists are for a person's eyes.
ASSETS_LISTED = 8
# Of faults, those that are shown with all that is known of them.
FAULTS_KEPT = 50
FAULT_FACTS = ("unix_time_s", "fault", "shard", "group", "worker", "host", "reason", "message", "verdict")
# One slow group is no slow asset.
FEWEST_GROUPS = 3
# Beyond so many the median is that of every second, fourth ... group.
MOST_WALLS = 4096


class Ledger:
    """Append-only JSON lines; a context manager. Its one writer holds the lock."""

    def __init__(
        self,
        dataset_dir: Path,
        *observers: Callable[[dict[str, Any]], None],
        full_bytes: int = FULL_BYTES,
    ) -> None:
        """`observers` are told each event after it was written."""
        self._dataset_dir, self._observers, self._full_bytes = dataset_dir, observers, full_bytes
        self._open()
        # A driver killed in mid-line leaves half a line; ours must not continue it.
        if self._size:
            self._stream.seek(self._size - 1)
            if self._stream.read(1) != b"\n":
                self._size += self._stream.write(b"\n")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.close()

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with the time of day. OSError (a full disk) passes through to the caller."""
        entry = {"unix_time_s": round(time.time(), 3), "event": event, **facts}
        line = json.dumps(entry).encode() + b"\n"
        if self._size + len(line) > self._full_bytes:
            self._rotate()
        written = self._stream.write(line)
        self._size += written
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._stream.name)
        for observer in self._observers:
            observer(entry)

    def _open(self) -> None:
        path, before = self._dataset_dir / LEDGER_NAME, _rotated(self._dataset_dir)
        if before and not path.exists():
            tally = RunTally.of(_events(before[-1]))
            entry = {"unix_time_s": tally.last_unix_s, "event": CARRIED, "state": tally.state()}
            write_atomically(path, [json.dumps(entry).encode() + b"\n"])
        # Unbuffered: after a full disk nothing may be left over that fails again when the file is closed.
        self._stream = open(path, "a+b", buffering=0)  # noqa: SIM115 (held for a run)
        self._size = self._stream.seek(0, os.SEEK_END)
        self._first = self._size if before else 0

    def _rotate(self) -> None:
        if self._size <= self._first:
            return  # what is carried may be larger than a file by itself
        number = len(_rotated(self._dataset_dir)) + 1
        self._stream.close()
        # A kill after this leaves no ledger, and `_open` begins the next one.
        (self._dataset_dir / LEDGER_NAME).rename(self._dataset_dir / f"ledger-{number:06d}.jsonl")
        self._open()


class LedgerReader:
    """Reads a diary that may still be written."""

    def __init__(self, dataset_dir: Path) -> None:
        self._path = dataset_dir / LEDGER_NAME
        self._file, self._position = 0, 0

    def new_events(self) -> Iterator[dict[str, Any]]:
        """The whole lines since the last call, oldest first; a line cut by a kill is left out. After it
        rotated those of the new file, the first of which is all that was before.
        """
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as stream:
            file = os.fstat(stream.fileno()).st_ino
            if file != self._file:
                self._file, self._position = file, 0
            stream.seek(self._position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def read_ledger(dataset_dir: Path) -> Iterator[dict[str, Any]]:
    """All events of a diary, oldest first, those of rotated files included."""
    for path in (*_rotated(dataset_dir), dataset_dir / LEDGER_NAME):
        yield from (event for event in _events(path) if event["event"] != CARRIED)


def ledger_files(dataset_dir: Path) -> list[str]:
    """Names of the files of a diary, oldest first."""
    return [path.name for path in (*_rotated(dataset_dir), dataset_dir / LEDGER_NAME)]


def _rotated(dataset_dir: Path) -> list[Path]:
    return sorted(dataset_dir.glob(_ROTATED))


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                yield json.loads(line)


@dataclass(slots=True)
class Walls:
    """Seconds of groups; of many the evenly spread ones that a median needs."""

    count: int = 0
    total_s: float = 0.0
    every: int = 1
    kept_s: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        if self.count % self.every == 0:
            self.kept_s.append(seconds)
        self.count += 1
        self.total_s += seconds
        if len(self.kept_s) > MOST_WALLS:
            self.kept_s, self.every = self.kept_s[::2], 2 * self.every


@dataclass(slots=True)
class RecipeTally:
    """Groups of one recipe: their seconds, and those of all by stage."""

    pairs: int = 0
    walls: Walls = field(default_factory=Walls)
    stage_s: Counter[str] = field(default_factory=Counter)

    @property
    def median_s(self) -> float:
        return statistics.median(self.walls.kept_s)


@dataclass(slots=True)
class AssetTally:
    """What groups that drew on one asset cost; `refused` counts draws that a gate refused, and holes that it
    is to blame for.
    """

    groups: int = 0
    seconds: float = 0.0
    pairs: int = 0
    refused: int = 0


_CARRIED_AS_THEY_ARE = (
    "began_unix_s",
    "last_unix_s",
    "finished",
    "runs",
    "workers",
    "wait_s",
    "start_s",
    "lost_s",
)


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
        self.last_faults: deque[dict[str, Any]] = deque(maxlen=FAULTS_KEPT)
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
        if event["event"] == CARRIED:
            self._carry(event["state"])
            return
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

    def state(self) -> dict[str, Any]:
        """All of it but the rate, JSON-able."""
        return {
            **{name: getattr(self, name) for name in _CARRIED_AS_THEY_ARE},
            "faults": dict(self.faults),
            "waiting": dict(self.waiting),
            "last_faults": list(self.last_faults),
            "assets": {name: list(astuple(one)) for name, one in self.assets.items()},
            "recipes": {
                name: [one.pairs, list(astuple(one.walls)), dict(one.stage_s)]
                for name, one in self.recipes.items()
            },
        }

    def _carry(self, state: dict[str, Any]) -> None:
        for name in _CARRIED_AS_THEY_ARE:
            setattr(self, name, state[name])
        self.faults, self.waiting = Counter(state["faults"]), Counter(state["waiting"])
        self.last_faults = deque(state["last_faults"], maxlen=FAULTS_KEPT)
        self.assets = defaultdict(AssetTally)
        self.assets |= {name: AssetTally(*one) for name, one in state["assets"].items()}
        self.recipes = {
            name: RecipeTally(pairs, Walls(*walls), Counter(stages))
            for name, (pairs, walls, stages) in state["recipes"].items()
        }

    def _begin(self, event: dict[str, Any]) -> None:
        self.runs += 1
        self.workers = event["workers"]
        self.began_unix_s = event["unix_time_s"]
        self._recent.clear()

    def _group(self, event: dict[str, Any]) -> None:
        self._wait(event)
        recipe = self.recipes.setdefault(_recipe_of(event["shard"]), RecipeTally())
        recipe.pairs += event["pairs"]
        recipe.walls.add(event["wall_s"])
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
        self.last_faults.append({name: event.get(name, "") for name in FAULT_FACTS})

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
