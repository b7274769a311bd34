"""Which groups are measured: later groups of the plan, dear ones more often, recipes in turn as they matter.

Candidates are groups that the run never makes, of the same law as those it makes. Within a recipe they are
taken with probability proportional to a rough guess of their cost, evenly spread over it, so that a rare
large mesh is met early and any number of them, cut off anywhere, represents the recipe; `weight` undoes the
preference. Between recipes the next group goes where it narrows the total most for its time.
"""

import math
import statistics
from dataclasses import dataclass, field

import numpy as np

from pairbridge.datagen.core.random_draws import index_at
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import GroupSpec, Stream
from pairbridge.pipelines.costing.cost_features import Features, features, later_group

CANDIDATES = 240  # of each recipe; planning one takes below a millisecond
# Spread of a recipe's seconds around what was guessed, as a share: until some are measured, and at the least.
_USUAL_SPREAD, _LEAST_SPREAD = 0.5, 0.1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A group that may be measured; `weight` is how many of its recipe's it stands for, up to a factor."""

    spec: GroupSpec
    features: Features
    weight: float


@dataclass(slots=True)
class _Recipe:
    num_groups: int
    waiting: list[Candidate]
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # the same, each for its guess
    in_flight: int = 0

    @property
    def mean_s(self) -> float | None:
        return statistics.fmean(self.seconds) if self.seconds else None

    def worth(self) -> float:
        """By how much one more group narrows the recipe's share of the total, per second."""
        known = len(self.seconds) + self.in_flight
        if known < 2:
            return math.inf
        mean, spread = self.mean_s or 1.0, _USUAL_SPREAD
        if len(self.rates) > 2:
            spread = max(statistics.stdev(self.rates) / statistics.fmean(self.rates), _LEAST_SPREAD)
        return (self.num_groups * mean * spread) ** 2 / (known * (known + 1)) / mean


class Sampler:
    """Hands out groups to measure, one after the other."""

    def __init__(self, plan: DatasetPlan, recipes: frozenset[str]) -> None:
        """Of the recipes that one pool of workers makes."""
        self._recipes = {
            recipe_id: _Recipe(sum(stream.num_groups for stream in streams), _ordered(plan, streams))
            for recipe_id, streams in streams_by_recipe(plan).items()
            if recipe_id in recipes
        }

    def next(self, seconds_left: float) -> Candidate | None:
        """The next group that is likely to be finished in time, or None."""
        for recipe in sorted(self._recipes.values(), key=_Recipe.worth, reverse=True):
            if recipe.waiting and self._expected_s(recipe) <= seconds_left:
                recipe.in_flight += 1
                return recipe.waiting.pop(0)
        return None

    def measured(self, candidate: Candidate, seconds: float) -> None:
        """It took so long."""
        recipe = self._recipes[candidate.features.recipe]
        recipe.in_flight -= 1
        recipe.seconds.append(seconds)
        recipe.rates.append(seconds * candidate.weight)

    def _expected_s(self, recipe: _Recipe) -> float:
        # A group that is cut off says nothing, and those that are cut off are the dear ones.
        if recipe.seconds:
            return max(recipe.rates) / recipe.waiting[0].weight
        return max((each.mean_s for each in self._recipes.values() if each.mean_s), default=0.0)


def streams_by_recipe(plan: DatasetPlan) -> dict[str, list[Stream]]:
    """The streams of each recipe that has any."""
    found: dict[str, list[Stream]] = {}
    for stream in plan.streams:
        found.setdefault(stream.recipe_id, []).append(stream)
    return found


def spread_indices(shares: np.ndarray) -> list[int]:
    """Every index once, likelier ones earlier, every beginning of the list evenly spread over `shares`."""
    order: dict[int, None] = {}
    for turn in range(1, 16 * len(shares)):
        order[index_at(_van_der_corput(turn), shares)] = None
    return [*order, *(index for index in range(len(shares)) if index not in order)]


def _ordered(plan: DatasetPlan, streams: list[Stream]) -> list[Candidate]:
    draw = rng(plan.config.seed, "bill", streams[0].recipe_id)
    sizes = np.array([stream.num_groups for stream in streams])
    taken = [0] * len(streams)
    specs = []
    for index in draw.choice(len(streams), size=CANDIDATES, p=sizes / sizes.sum()):
        specs.append(later_group(plan, streams[index], taken[index]))
        taken[index] += 1
    known = [features(plan, spec) for spec in specs]
    told = [np.array(values) for values in ([each.load for each in known], [f.total_mb for f in known])]
    # In means of what tells groups apart, if anything does.
    relative = [values / values.mean() for values in told if np.ptp(values) > 0]
    guess = 0.5 + 0.5 * np.mean(relative, axis=0) if relative else np.ones(len(known))
    order = np.argsort(guess, kind="stable")
    candidates = [Candidate(specs[i], known[i], float(1 / guess[i])) for i in order]
    # Not more than there are to make: measuring would take longer than the run.
    return [candidates[i] for i in spread_indices(guess[order])[: sizes.sum()]]


def _van_der_corput(number: int) -> float:
    value, share = 0.0, 0.5
    while number:
        value += share * (number & 1)
        number >>= 1
        share /= 2
    return value
