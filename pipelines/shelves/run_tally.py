"""What a run's diary adds up to: a fold over the events of `ledger.jsonl`, one after the other.

Groups that were made twice (a kill between making and staging) count twice here: the ledger tells where time
went. What a dataset holds is counted from its sidecars (`pairbridge.datagen.dataset.verify`).
"""

import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

# The rate is that of the last minutes: what a run did an hour ago says little about what is left.
RATE_WINDOW_S = 300.0
# Asset lists are for a person's eyes.
ASSETS_LISTED = 8
# One slow group is no slow asset.
FEWEST_GROUPS = 3


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
