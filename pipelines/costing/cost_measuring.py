"""A few groups of a plan made for real, by the run's own workers, timed and thrown away.

All workers are kept busy, so memory, cores and a card are shared as in the run. Within a recipe, groups are
taken in proportion to a guess of their cost, evenly spread over it: a rare large mesh is met early, and any
number of groups, cut off anywhere, represents the recipe.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import ray

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.lighting.baking.baked import Planned, bake_lighting, planned_lightings
from pairbridge.datagen.models.weights.weight_folders import weights_root
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.shards.layout import GroupSpec, ShardSpec
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.agenda import Attempt
from pairbridge.pipelines.attempts.holes import texts
from pairbridge.pipelines.generation.open_plan import show_model_terms
from pairbridge.pipelines.workers.crew import Crew, crew_of
from pairbridge.pipelines.workers.pools import Pool, pooled_recipes, pools_of
from pairbridge.pipelines.workers.ray_committers import committers_of
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import GroupOutcome, WorkOrder
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

POPULATION = 1000  # groups of each recipe that are looked at; of more, a random choice
# A picture with a ground beside one that objects fill a part of: docs/scenes.md has the figures.
WITH_GROUND = 2.0


class NothingMeasured(PairbridgeError):
    """The time was over before two groups of every recipe were finished."""


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """A group of the run, as far as its cost can be told from the plan; it represents `share` groups."""

    spec: GroupSpec
    share: float
    pixels: int
    photos: frozenset[str]  # each is cut out once by each worker that meets it
    guess: float  # of its cost, relative to others of its recipe

    @property
    def recipe(self) -> str:
        return self.spec.stream.recipe_id


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A group that was made, with all its draws."""

    group: PlannedGroup
    outcome: GroupOutcome
    seconds: float  # without cutting out
    new_photos: int  # that its worker cut out for the first time
    first: bool  # of its worker: "load" holds the start of Blender

    def phase_s(self, phase: str) -> float:
        return self.outcome.phase_s.get(phase, 0.0)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All that was found out. Seconds."""

    plan: DatasetPlan  # the environment maps to be baked have a file of their kind: for reckoning alone
    population: tuple[PlannedGroup, ...]
    groups: tuple[MeasuredGroup, ...]
    pools: tuple[Pool, ...]
    offered: dict[str, float]  # by Ray
    before_s: float  # assets, environment maps, Ray and the workers until the first is ready, and their end
    took_s: float  # altogether


def measure(config: DatasetConfig, *, workers: int, address: str | None, seconds: float) -> Measurements:
    """Make groups for about `seconds`, the workers' start included.

    Raises what `generate` raises for a config or a machine that cannot make the dataset, and NothingMeasured.
    """
    began = time.monotonic()
    show_model_terms(config.recipes.values())
    with TemporaryDirectory(prefix="pairbridge-plan-") as folder:
        out = Path(folder)
        (out / LOGS_NAME).mkdir()
        found = build_catalogue(config.assets, None, bpy_folder=bpy_folder(config.render.python))
        before_s = time.monotonic() - began
        lightings, bake_s = _baked(config, found, out)
        plan = make_plan(config, Catalogue((*found.assets, *lightings), found.left_out))
        population = tuple(group for recipe in plan.recipes for group in planned_groups(plan, recipe))
        weights = weights_root()
        before_s += bake_s - time.monotonic()
        with ray_session(address, workers):
            pools, offered = pools_of(config, workers, address), ray.cluster_resources()
            order = WorkOrder(plan, out, out)
            with (
                committers_of(order, None, workers, address) as committers,
                crew_of(order, pools, address, weights, committers) as crew,
            ):
                groups, ready_s = _make(plan, population, crew, out, began + seconds)
            ended = time.monotonic()
        before_s += ready_s + time.monotonic() - ended
    for recipe in plan.recipes:
        made = sum(each.group.recipe == recipe for each in groups)
        if made < min(2, sum(group.recipe == recipe for group in population)):
            raise NothingMeasured(
                f"{made} of at least two groups of {recipe} were finished within {seconds:g} s",
                consequence="its cost, and how much that differs from group to group, cannot be told",
                remedy="raise --seconds to a few times what one group takes",
            )
    took_s = time.monotonic() - began
    return Measurements(plan, population, tuple(groups), pools, offered, before_s, took_s)


def planned_groups(plan: DatasetPlan, recipe_id: str) -> list[PlannedGroup]:
    """The groups of a recipe, or a random choice of them, in the order in which to measure them: every
    beginning is spread evenly over the sum of the guesses.

    Generic on purpose: it looks for what every recipe's parameters have (`size_WH`, `receivers`, ids of
    assets), so recipes of the user's own are reckoned like ours.
    """
    streams = [stream for stream in plan.streams if stream.recipe_id == recipe_id]
    ends = np.cumsum([stream.num_groups for stream in streams])
    chosen = rng(plan.config.seed, "cost", recipe_id).permutation(ends[-1])[:POPULATION]
    size_WH = getattr(plan.recipes[recipe_id].config, "size_WH", (1, 1))
    groups, known = [], []
    for number in chosen:
        place = int(np.searchsorted(ends, number, side="right"))
        spec = plan.group(streams[place], int(number - ends[place]) + streams[place].num_groups)
        pixels = int(np.prod(spec.params.get("size_WH") or size_WH))
        used = {found for text in texts(spec.params) if (found := plan.catalogue.find(text)) and found.path}
        photos = frozenset(asset.id for asset in used if asset.kind == "photo")
        groups.append(PlannedGroup(spec, ends[-1] / len(chosen), pixels, photos, guess=1.0))
        object_bytes = sum(asset.path.stat().st_size for asset in used if asset.kind == "object")
        known.append((pixels * (WITH_GROUND if _has_ground(spec.params) else 1), object_bytes))
    # In means of what tells groups apart, if anything does.
    told = [values / values.mean() for values in np.array(known, float).T if np.ptp(values) > 0]
    guesses = 0.5 + 0.5 * np.mean(told or [np.ones(len(groups))], axis=0)
    by_guess = np.argsort(guesses, kind="stable")
    return [replace(groups[i], guess=float(guesses[i])) for i in by_guess[spread_indices(guesses[by_guess])]]


def spread_indices(shares: np.ndarray) -> list[int]:
    """Every index once, likelier ones earlier, every beginning of the list evenly spread over `shares`."""
    # The van der Corput sequence: the binary digits of a number behind the point, the last one first.
    turns = (f"{turn:b}"[::-1] for turn in range(1, 16 * len(shares)))
    places = np.array([int(digits, 2) / 2 ** len(digits) for digits in turns]) * shares.sum()
    found = np.searchsorted(np.cumsum(shares), places, side="right").tolist()
    return list(dict.fromkeys([*found, *range(len(shares))]))


def _has_ground(params: Any) -> bool:
    """Whether receivers or a ground are among the parameters, wherever a recipe keeps its scene."""
    if isinstance(params, dict):
        return bool(params.get("receivers") or params.get("ground")) or any(map(_has_ground, params.values()))
    return isinstance(params, list | tuple) and any(map(_has_ground, params))


def _baked(config: DatasetConfig, found: Catalogue, out: Path) -> tuple[list[Asset], float]:
    """Every planned environment map with the file of its kind, as large as its own, and the seconds to bake
    all.
    """
    kinds: dict[str, list[Planned]] = defaultdict(list)
    for planned in planned_lightings(config.seed, config.lightings, found):
        kinds[planned.lighting].append(planned)
    baked, bake_s = [], 0.0
    log_path, threads = out / LOGS_NAME / "lightings.log", os.cpu_count() or 1
    with open_blender(
        config.workbench, scratch_dir=out / "scratch", log_path=log_path, threads=threads
    ) as blender:
        for kind, lightings in kinds.items():
            path = out / f"{kind}.exr"
            # The first may pay for Blender's start, as it does in the run.
            for lighting, times in zip(lightings, (1, len(lightings) - 1), strict=False):
                began = time.monotonic()
                bake_lighting(lighting, path, found, lambda: blender)
                bake_s += (time.monotonic() - began) * times
            baked += [replace(lighting.asset(), path=path) for lighting in lightings]
    return baked, bake_s


class GroupSampler:
    """Hands out groups to measure: of each recipe as many as its part of the whole cost asks for."""

    def __init__(self, groups: Iterable[PlannedGroup]) -> None:
        self._waiting: dict[str, list[PlannedGroup]] = defaultdict(list)
        for group in groups:
            self._waiting[group.recipe].append(group)
        self._whole = {recipe: sum(g.share * g.guess for g in own) for recipe, own in self._waiting.items()}
        self._taken = dict.fromkeys(self._waiting, 0)
        self._rates: dict[str, list[float]] = defaultdict(list)

    def next(self, seconds_left: float) -> PlannedGroup | None:
        """The next group that is likely to be finished in time, or None."""
        for recipe in sorted(self._waiting, key=self._covered):
            waiting = self._waiting[recipe]
            # A group that is cut off says nothing, and those that are cut off are the dear ones.
            if waiting and max(self._rates[recipe], default=0.0) * waiting[0].guess <= seconds_left:
                self._taken[recipe] += 1
                return waiting.pop(0)
        return None

    def measured(self, group: PlannedGroup, seconds: float) -> None:
        self._rates[group.recipe].append(seconds / group.guess)

    def _covered(self, recipe: str) -> tuple[bool, float]:
        taken, rate = self._taken[recipe], statistics.fmean(self._rates[recipe] or [1.0])
        return taken > 1, taken / (self._whole[recipe] * rate)


def _make(
    plan: DatasetPlan, population: Iterable[PlannedGroup], crew: Crew, out: Path, until: float
) -> tuple[list[MeasuredGroup], float]:
    """The measured groups, and when the first worker was ready."""
    samplers = {
        pool: GroupSampler(group for group in population if group.recipe in recipes)
        for pool, recipes in pooled_recipes(plan.config).items()
    }
    for stream in plan.streams:
        (out / stream.name).mkdir()
    in_flight: dict[tuple[str, int], tuple[PlannedGroup, GroupSampler]] = {}
    seen: dict[str, set[str]] = {}
    groups: list[MeasuredGroup] = []
    ready_s = 0.0
    while True:
        for pool, sampler in samplers.items():
            for slot in crew.ready(pool):
                ready_s = ready_s or time.monotonic()
                if (group := sampler.next(until - time.monotonic())) is not None:
                    stream, number = group.spec.stream, group.spec.group
                    shard = ShardSpec(stream.name, stream, index=0, first_group=number, num_groups=1)
                    crew.submit(slot, Attempt(shard, number))
                    in_flight[stream.name, number] = (group, sampler)
        if (ready_s and not in_flight) or time.monotonic() > until:
            return groups, ready_s or time.monotonic()
        for finished in crew.poll():
            group, sampler = in_flight.pop(finished.task.name)
            outcome, first = finished.outcome, finished.worker not in seen
            known = seen.setdefault(finished.worker, set())
            seconds = finished.wait_s + outcome.wall_s
            sampler.measured(group, seconds)
            seconds -= outcome.phase_s.get("cut out", 0.0)
            groups.append(MeasuredGroup(group, outcome, seconds, len(group.photos - known), first))
            known |= group.photos
