"""From a few measured groups to the seconds of all of them, with an interval.

A group's seconds are fitted as a sum of what nothing of which can be negative, its reading and the rest
apart. Both have a base for its recipe and a slope in the megabytes of its objects' files for each suffix; the
rest has one in the size of its picture, and reading what a new lighting or photograph and a worker's first
group cost on top. Apart, because among few groups nearly every lighting is new, and a fit of the whole would
charge them what is the group's own. The plan says how often each of these comes in the run, which the
measured groups do not. What a fit leaves over on average is added (a generalised regression estimate), so it
need not be right, only helpful.

A group that a gate refused is drawn again, now and then several times, and costs as much again. Its draws are
fitted as what they are; how many there are on average is counted apart, a recipe's with a share of all.

The interval is of the delete-one jackknife, and of 5 % for what differs between two stretches of time on one
machine.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import nnls

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.recipes.workbench import ENVIRONMENT_CACHE_BYTES
from pairbridge.pipelines.costing.cost_features import Features, features, lighting_bytes
from pairbridge.pipelines.costing.cost_measuring import Measured
from pairbridge.pipelines.costing.group_sampling import streams_by_recipe

POPULATION = 1000  # groups of each recipe that are planned; of more, an even choice
MACHINE_ERROR = 0.05
_SHARED_DRAWS = 2  # groups
_STANDARD_ERRORS = 1.7  # of an interval that holds in nine of ten cases


@dataclass(frozen=True, slots=True)
class Planned:
    """One group of the run, which stands for `share` groups."""

    features: Features
    share: float


def population(plan: DatasetPlan, recipe_id: str) -> list[Planned]:
    """The groups of one recipe, or an even choice of them."""
    streams = streams_by_recipe(plan)[recipe_id]
    total = sum(stream.num_groups for stream in streams)
    draw = rng(plan.config.seed, "bill", "population", recipe_id)
    places = [(stream, group) for stream in streams for group in _some(draw, stream.num_groups, total)]
    share = total / len(places)
    return [Planned(features(plan, plan.group(*place)), share) for place in places]


def _some(draw: np.random.Generator, num_groups: int, total: int) -> list[int]:
    if total <= POPULATION:
        return list(range(num_groups))
    count = max(1, round(POPULATION * num_groups / total))
    return sorted(draw.choice(num_groups, size=min(count, num_groups), replace=False).tolist())


class Model:
    """Seconds of a group by its features, fitted to measured ones."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        recipes = sorted({each.recipe for each in measured})
        own = [("recipe", recipe) for recipe in recipes]
        files = _names(draw.object_mb for each in measured for draw in each.draws)
        own += [("object", suffix) for suffix in sorted(files)]
        loads = [("load", recipe) for recipe in recipes if _varies(measured, recipe)]
        new = [("new", kind) for kind in sorted(_names(each.new for each in measured))]
        making = np.array([each.seconds - each.reading_s for each in measured])
        reading = np.array([each.reading_s for each in measured])
        self._making = _Fit(measured, making, [*own, *loads])
        self._reading = _Fit(measured, reading, [*own, *new, ("first", "")])
        self._draws = {recipe: _mean_draws(measured, recipe) for recipe in recipes}

    def seconds(self, group: Features) -> float:
        """Of a group whose worker has read its lightings and photographs before."""
        once = self._making.seconds(group) + self._reading.seconds(group)
        return once * self._draws.get(group.recipe, 1.0)

    def new_s(self, kind: str) -> float:
        """What reading one lighting or photograph for the first time adds."""
        return self._reading.costs.get(("new", kind), 0.0)

    @property
    def first_s(self) -> float:
        """What a worker's first group takes longer: Blender's start."""
        return self._reading.costs[("first", "")]


class _Fit:
    """A part of the groups' seconds as a sum over columns (sort, name), none of them negative."""

    def __init__(
        self, measured: Sequence[Measured], seconds: np.ndarray, columns: list[tuple[str, str]]
    ) -> None:
        rows = np.array([[_value(each, *column) for column in columns] for each in measured])
        roots = np.sqrt([each.weight for each in measured])
        # Columns of one scale, and a faint pull to zero for what the groups cannot tell apart.
        scale = np.maximum(np.abs(rows).max(axis=0), 1e-9)
        ridge = 1e-3 * np.sqrt(len(measured)) * np.eye(len(columns))
        matrix = np.vstack([rows / scale * roots[:, None], ridge])
        solution, _ = nnls(matrix, np.concatenate([seconds * roots, np.zeros(len(columns))]))
        self.costs = dict(zip(columns, solution / scale, strict=True))
        left = seconds - rows @ (solution / scale)
        self._left = {
            name: _weighted_mean(measured, left, name) for sort, name in columns if sort == "recipe"
        }

    def seconds(self, group: Features) -> float:
        """Without what is new, or first."""
        cost = self.costs.get
        made = cost(("recipe", group.recipe), 0.0) + self._left.get(group.recipe, 0.0)
        made += cost(("load", group.recipe), 0.0) * group.load
        made += sum(cost(("object", suffix), 0.0) * megabytes for suffix, megabytes in group.object_mb)
        return max(made, 0.0)


def _value(each: Measured, sort: str, name: str) -> float:
    """What stands in a column for one group, all of its draws together."""
    match sort:
        case "recipe":
            return float(len(each.draws) if each.recipe == name else 0)
        case "load":
            return sum(draw.load for draw in each.draws) if each.recipe == name else 0.0
        case "object":
            return sum(dict(draw.object_mb).get(name, 0.0) for draw in each.draws)
        case "new":
            return float(sum(kind == name for kind, _ in each.new))
        case _:
            return float(each.first_of_worker)


def _names(found: Iterable[Iterable[tuple[str, Any]]]) -> set[str]:
    return {name for entries in found for name, _ in entries}


def _mean_draws(measured: Sequence[Measured], recipe: str) -> float:
    """How often a group of a recipe is drawn; those of all recipes count like `_SHARED_DRAWS` of its own."""
    again = [len(each.draws) - 1 for each in measured]
    own = [count for each, count in zip(measured, again, strict=True) if each.recipe == recipe]
    shared = _SHARED_DRAWS * sum(again) / len(again)
    return 1 + (sum(own) + shared) / (len(own) + _SHARED_DRAWS)


def _varies(measured: Sequence[Measured], recipe: str) -> bool:
    loads = {round(draw.load, 6) for each in measured for draw in each.draws if each.recipe == recipe}
    return len(loads) > 1


def _weighted_mean(measured: Sequence[Measured], values: np.ndarray, recipe: str) -> float:
    chosen = [i for i, each in enumerate(measured) if each.recipe == recipe]
    weights = [measured[i].weight for i in chosen]
    return float(np.average(values[chosen], weights=weights)) if chosen else 0.0


@dataclass(frozen=True)
class Work:
    """What one pool of workers has to do."""

    groups: dict[str, list[Planned]]  # by recipe
    measured: tuple[Measured, ...]
    groups_per_worker: int  # after which one is replaced
    memory: dict[tuple[str, str], float]  # bytes of each lighting

    def worker_seconds(self, workers: int) -> dict[str, float]:
        """Seconds of work by recipe, shared by `workers`; what has to be read first is in it."""
        return self._worker_seconds(self._model, workers)

    def relative_error(self, workers: int) -> float:
        """Standard error of the sum of `worker_seconds`, as a share of it."""
        models = [
            Model([*self.measured[:i], *self.measured[i + 1 :]])
            for i in range(len(self.measured))
            if len(self.measured) > 1
        ]
        totals = np.array([sum(self._worker_seconds(model, workers).values()) for model in models])
        if not len(totals):
            return 1.0
        variance = (len(totals) - 1) / len(totals) * ((totals - totals.mean()) ** 2).sum()
        return math.sqrt(variance) / sum(self.worker_seconds(workers).values())

    def tail_s(self, workers: int) -> float:
        """How long the last groups keep one worker after another has nothing left, on average."""
        seconds = [self._model.seconds(each.features) for groups in self.groups.values() for each in groups]
        longest = sum(value * value for value in seconds) / max(sum(seconds), 1e-9)
        return (1 - 1 / workers) * longest / 2

    @cached_property
    def _model(self) -> Model:
        return Model(self.measured)

    @property
    def num_groups(self) -> float:
        return sum(each.share for groups in self.groups.values() for each in groups)

    def _worker_seconds(self, model: Model, workers: int) -> dict[str, float]:
        starts = max(workers, self.num_groups / self.groups_per_worker)
        starts = min(starts, self.num_groups)
        total = self.num_groups
        found = {}
        for recipe, groups in self.groups.items():
            made = sum(each.share * model.seconds(each.features) for each in groups)
            read = sum(
                model.new_s(kind) * times for kind, times in self._first_reads(groups, workers).items()
            )
            started = starts * model.first_s * sum(each.share for each in groups) / total
            found[recipe] = made + read + started
        return found

    def _first_reads(self, groups: list[Planned], workers: int) -> dict[str, float]:
        """How often any worker reads a lighting or photograph that it does not hold."""
        uses: dict[tuple[str, str], float] = defaultdict(float)
        for each in groups:
            for asset in each.features.read_once:
                uses[asset] += each.share
        memory = sum(self.memory.get(asset, 0.0) for asset in uses)
        kept = min(1.0, ENVIRONMENT_CACHE_BYTES / memory) if memory else 1.0
        reads: dict[str, float] = defaultdict(float)
        for asset, count in uses.items():
            # Workers that ever meet it, and what those that had to drop it read again.
            met = workers * -math.expm1(-count / workers)
            reads[asset[0]] += met + (count - met) * (1 - kept)
        return reads


def bytes_of(groups: list[Planned], measured: Sequence[Measured]) -> float:
    """Bytes of all groups of one recipe, in proportion to their pixels where sizes differ."""
    by_pixels = all(each.megapixels for each in measured)
    written = sum(each.weight * each.num_bytes for each in measured)
    if not by_pixels:
        return written / sum(each.weight for each in measured) * sum(each.share for each in groups)
    of_size = sum(each.weight * each.megapixels for each in measured)
    return written / of_size * sum(each.share * each.features.megapixels for each in groups)


def refused_share(measured: Sequence[Measured]) -> float:
    """Share of a recipe's pairs that ended in quarantine."""
    holes = sum(each.weight * each.holes for each in measured)
    return holes / sum(each.weight * (each.pairs + each.holes) for each in measured)


def work_of(
    plan: DatasetPlan, recipes: frozenset[str], measured: Sequence[Measured], groups_per_worker: int
) -> Work:
    """The work of one pool."""
    groups = {recipe: population(plan, recipe) for recipe in streams_by_recipe(plan) if recipe in recipes}
    lightings = {
        asset
        for planned in groups.values()
        for each in planned
        for asset in each.features.read_once
        if asset[0] == "hdri"
    }
    width = plan.config.lightings.width
    return Work(
        groups=groups,
        measured=tuple(each for each in measured if each.recipe in recipes),
        groups_per_worker=groups_per_worker,
        memory={asset: lighting_bytes(plan.catalogue, asset[1], width) for asset in lightings},
    )


def interval(value: float, relative_error: float) -> tuple[float, float]:
    """Between which the truth lies in nine of ten cases."""
    reach = _STANDARD_ERRORS * math.hypot(relative_error, MACHINE_ERROR)
    return value / (1 + reach), value * (1 + reach)
