"""A few groups made for real, by the run's own workers, timed and thrown away.

All workers of all pools are kept busy, so memory, cores and a card are shared as in the run. Lightings are
baked one of each kind; it stands in for all others of its kind, which are as large.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import ray

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.assets.sources import build_catalogue
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.lighting.baked import Planned, bake_lighting, planned_lightings
from pairbridge.datagen.models.weights.weight_folders import weights_root
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.pipelines.attempts.agenda import Task
from pairbridge.pipelines.costing.cost_features import Features, features
from pairbridge.pipelines.costing.group_sampling import Candidate, Sampler
from pairbridge.pipelines.generation.generate import crew_of, pools_here
from pairbridge.pipelines.generation.model_notice import show_model_terms
from pairbridge.pipelines.workers.crew import Crew, Finished
from pairbridge.pipelines.workers.pools import Pool, pooled_recipes
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import WorkOrder
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

# A photograph is cut out once by each worker, and then kept like the picture itself.
READING_PHASES = ("load", "cut out")


class NothingMeasured(PairbridgeError):
    """The time was over before a group of every recipe was finished."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One group that was made. `new`: lightings and photographs that its worker read for the first time."""

    draws: tuple[Features, ...]  # as it was planned, and as it was drawn again after a gate had refused it
    weight: float
    seconds: float
    reading_s: float  # of them, in the phases in which assets are read
    pairs: int
    holes: int
    num_bytes: int
    new: tuple[tuple[str, str], ...]
    first_of_worker: bool

    @property
    def recipe(self) -> str:
        return self.draws[0].recipe

    @property
    def megapixels(self) -> float:
        """Of what was planned."""
        return self.draws[0].megapixels


@dataclass(frozen=True, slots=True)
class Measurements:
    """All that was found out. Seconds."""

    plan: DatasetPlan  # with stand-ins for the lightings: for reckoning, not for making pairs
    groups: tuple[Measured, ...]
    unfinished: int  # groups that were in flight when the time was over
    pools: tuple[Pool, ...]
    cpus: int  # that Ray offers
    gpus: float
    plan_s: float  # reading and hashing the assets
    bake_s: dict[str, float]  # of one lighting, by kind
    start_s: float  # Ray and the workers, until the first is ready, and their end
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
        found = build_catalogue(config.assets, None)
        plan_s = time.monotonic() - began
        lightings, bake_s = _stand_ins(config, found, out)
        plan = make_plan(config, Catalogue((*found.assets, *lightings)))
        order = WorkOrder(plan, out, out, name="", threads=1)
        weights = weights_root()
        session_began = time.monotonic()
        with ray_session(address, workers):
            pools = pools_here(config, workers, address)
            offered = ray.cluster_resources()
            with crew_of(order, pools, address, weights) as crew:
                until = began + seconds
                groups, first_ready, unfinished = _make(plan, crew, out, until)
            ended = time.monotonic()
            start_s = first_ready - session_began
        start_s += time.monotonic() - ended
    _check(plan, groups, seconds)
    return Measurements(
        plan=plan,
        groups=tuple(groups),
        unfinished=unfinished,
        pools=pools,
        cpus=int(offered.get("CPU", 0)),
        gpus=offered.get("GPU", 0.0),
        plan_s=plan_s,
        bake_s=bake_s,
        start_s=start_s,
        took_s=time.monotonic() - began,
    )


def _stand_ins(config: DatasetConfig, found: Catalogue, out: Path) -> tuple[list[Asset], dict[str, float]]:
    """Every planned lighting with a file, one baked for each kind, and the seconds that took."""
    planned = list(planned_lightings(config.seed, config.lightings, found))
    first: dict[str, Planned] = {}
    for lighting in planned:
        first.setdefault(lighting.lighting, lighting)
    paths, bake_s = {}, {}
    log_path, threads = out / LOGS_NAME / "lightings.log", os.cpu_count() or 1
    with open_blender(
        config.workbench, scratch_dir=out / "scratch", log_path=log_path, threads=threads
    ) as blender:
        for kind, lighting in first.items():
            paths[kind] = out / f"{lighting.id}.exr"
            if kind == "sky":
                # The first pays for Blender's start.
                bake_lighting(lighting, paths[kind], found, lambda: blender)
            began = time.monotonic()
            bake_lighting(lighting, paths[kind], found, lambda: blender)
            bake_s[kind] = time.monotonic() - began
    return [replace(each.asset(), path=paths[each.lighting]) for each in planned], bake_s


def _make(plan: DatasetPlan, crew: Crew, out: Path, until: float) -> tuple[list[Measured], float, int]:
    """The measured groups, when the first worker was ready, and how many were left unfinished."""
    samplers = {pool: Sampler(plan, recipes) for pool, recipes in pooled_recipes(plan.config).items()}
    in_flight: dict[tuple[str, int], tuple[Candidate, float, str]] = {}
    seen: dict[str, set[tuple[str, str]]] = {}
    groups: list[Measured] = []
    first_ready = 0.0
    while True:
        for pool, sampler in samplers.items():
            for slot in crew.ready(pool):
                now = time.monotonic()
                first_ready = first_ready or now
                candidate = sampler.next(until - now)
                if candidate is None:
                    continue
                task = _task(candidate, out)
                in_flight[task.name] = (candidate, now, pool)
                crew.submit(slot, task)
        if (first_ready and not in_flight) or time.monotonic() > until:
            return groups, first_ready or time.monotonic(), len(in_flight)
        for finished in crew.poll():
            candidate, began, pool = in_flight.pop(finished.task.name)
            measured = _measured(plan, candidate, finished, time.monotonic() - began, seen)
            groups.append(measured)
            samplers[pool].measured(candidate, measured.seconds)


def _task(candidate: Candidate, out: Path) -> Task:
    stream, group = candidate.spec.stream, candidate.spec.group
    (out / stream.name).mkdir(exist_ok=True)
    return Task(ShardSpec(stream.name, stream, index=0, first_group=group, num_groups=1), group)


def _measured(
    plan: DatasetPlan,
    candidate: Candidate,
    finished: Finished,
    seconds: float,
    seen: dict[str, set[tuple[str, str]]],
) -> Measured:
    outcome, spec = finished.outcome, candidate.spec
    again = (plan.group(spec.stream, spec.group, draw) for draw in range(1, outcome.draw + 1))
    draws = (candidate.features, *(features(plan, each) for each in again))
    first = finished.worker not in seen
    known = seen.setdefault(finished.worker, set())
    new = tuple(dict.fromkeys(each for draw in draws for each in draw.read_once if each not in known))
    known.update(new)
    failed = outcome.fault is not None
    return Measured(
        draws=draws,
        weight=candidate.weight,
        seconds=seconds,
        reading_s=sum(outcome.phase_s.get(phase, 0.0) for phase in READING_PHASES),
        pairs=outcome.num_pairs,
        holes=len(spec.keys) if failed else outcome.num_holes,
        num_bytes=outcome.num_bytes,
        new=new,
        first_of_worker=first,
    )


def _check(plan: DatasetPlan, groups: list[Measured], seconds: float) -> None:
    made = {each.recipe for each in groups}
    lacking = sorted({stream.recipe_id for stream in plan.streams} - made)
    if lacking:
        raise NothingMeasured(
            f"no group of {', '.join(lacking)} was finished within {seconds:g} s",
            consequence="there is nothing to reckon its cost from",
            remedy="raise --seconds to a few times what one group takes",
        )
