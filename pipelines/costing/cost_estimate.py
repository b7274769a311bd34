"""The cost estimate: hours, gigabytes, shards and money of a dataset, here and on a described cluster.

Seconds of a recipe are the mean over its measured groups of seconds by guess, times the guesses of all its
groups: groups were taken in proportion to their guess, so this holds however wrong the guess is. Left out of
it, and added as often as the run pays for them, are the start of each worker and cutting out a photograph.

The interval is a bootstrap over the measured groups of each recipe, and 5 % for what differs between two
stretches of time on one machine.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.costing.cost_measuring import MeasuredGroup, Measurements, PlannedGroup
from pairbridge.pipelines.workers.committers import WORKERS_PER_COMMITTER, num_committers
from pairbridge.pipelines.workers.pools import Pool, pooled_recipes

# What one driver hands out (docs/benchmarks/driver.md), and what each committer beside it writes to a disk:
# the slower of two measurements.
DRIVER_GROUPS_PER_S = 1500
COMMITTER_BYTES_PER_S = 123e6
MACHINE_ERROR = 0.05
RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Money per hour, in any currency. What is not given costs nothing."""

    node_hour: float = 0.0
    core_hour: float = 0.0
    gpu_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Equal machines; cores and GPUs of each."""

    nodes: int
    cpus: int
    gpus: int = 0


def estimate_cost(found: Measurements, cluster: Cluster | None, prices: Prices) -> dict[str, Any]:
    """What was measured, summed up; JSON-able. Raises ConfigError if no worker fits the machines."""
    plan = found.plan
    recipes = [_recipe(found, recipe) for recipe in plan.recipes]
    here = Cluster(nodes=1, cpus=int(found.offered.get("CPU", 0)), gpus=found.offered.get("GPU", 0.0))
    places = [("this machine", here, found.pools)]
    if cluster is not None:
        places.append(("cluster", cluster, _pools_on(cluster, found)))
    gigabytes = sum(row["gigabytes"] for row in recipes)
    return {
        "dataset": plan.config.name,
        "pairs": plan.num_pairs,
        "groups": plan.num_groups,
        "shards": sum(stream.num_shards for stream in plan.streams),
        "gigabytes": gigabytes,
        "recipes": recipes,
        "sites": [_site(*place, found, gigabytes, prices) for place in places],
        "measured_groups": len(found.groups),
        "measuring_s": found.took_s,
        "assumptions": list(_assumptions(found, cluster)),
    }


def worker_seconds(
    groups: Sequence[PlannedGroup], measured: Sequence[MeasuredGroup], workers: int
) -> dict[str, float]:
    """Seconds of work by recipe, shared by the workers of one pool, with their starts and photographs."""
    total = sum(group.share for group in groups)
    found, num_groups, starts_s = {}, Counter[str](), [0.0]
    for recipe in dict.fromkeys(group.recipe for group in groups):
        planned = [group for group in groups if group.recipe == recipe]
        own = [each for each in measured if each.group.recipe == recipe]
        usual_s = np.median([each.phase_s("load") for each in own if not each.first] or [math.inf])
        start_s = [max(each.phase_s("load") - usual_s, 0.0) if each.first else 0.0 for each in own]
        rates = [(one.seconds - start) / one.group.guess for one, start in zip(own, start_s, strict=True)]
        # Each photograph is cut out by all workers that ever meet it.
        uses = Counter[str]()
        for group in planned:
            uses.update(dict.fromkeys(group.photos, group.share))
        cuts = sum(workers * -math.expm1(-count / workers) for count in uses.values())
        cut_s = sum(each.phase_s("cut out") for each in own) / max(1, sum(each.new_photos for each in own))
        found[recipe] = np.mean(rates) * sum(group.share * group.guess for group in planned) + cuts * cut_s
        num_groups[recipe] = sum(group.share for group in planned)
        starts_s += [start for each, start in zip(own, start_s, strict=True) if each.first]
    starts = min(total, max(workers, total / Limits().groups_per_worker))
    per_group_s = starts / total * sum(starts_s) / max(1, len(starts_s) - 1)
    return {recipe: float(seconds + per_group_s * num_groups[recipe]) for recipe, seconds in found.items()}


def resampled(measured: Sequence[MeasuredGroup]) -> Iterator[list[MeasuredGroup]]:
    """Bootstrap samples within each recipe, of one group less than were measured: unbiased for few."""
    recipes = {each.group.recipe: [] for each in measured}
    for each in measured:
        recipes[each.group.recipe].append(each)
    draw = rng(0, "cost", "bootstrap")
    for _ in range(RESAMPLES):
        yield [own[i] for own in recipes.values() for i in draw.integers(len(own), size=max(1, len(own) - 1))]


def _site(
    name: str, machines: Cluster, pools: Sequence[Pool], found: Measurements, gigabytes: float, prices: Prices
) -> dict[str, Any]:
    """What the dataset takes there; cores and GPUs count whether busy or not, and the truth lies between the
    low and the high time in nine of ten cases.
    """
    bytes_per_s = num_committers(sum(pool.workers for pool in pools)) * COMMITTER_BYTES_PER_S
    driver_s = max(found.plan.num_groups / DRIVER_GROUPS_PER_S, gigabytes * 1e9 / bytes_per_s)
    making = max(_making_s(found, pool) for pool in pools)
    wall_s, low, high = (found.before_s + max(seconds, driver_s) for seconds in making)
    nodes, cpus, gpus = machines.nodes, machines.nodes * machines.cpus, machines.nodes * machines.gpus
    price = nodes * prices.node_hour + cpus * prices.core_hour + gpus * prices.gpu_hour
    return {
        "name": name,
        "nodes": nodes,
        "workers": sum(pool.workers for pool in pools),
        "cpus": cpus,
        "gpus": gpus,
        "wall_s": wall_s,
        "wall_s_low": low,
        "wall_s_high": high,
        "pairs_per_hour": found.plan.num_pairs / wall_s * 3600,
        "node_hours": nodes * wall_s / 3600,
        "core_hours": cpus * wall_s / 3600,
        "gpu_hours": gpus * wall_s / 3600,
        "cost": price * wall_s / 3600 if price else None,
    }


def _making_s(found: Measurements, pool: Pool) -> tuple[float, float, float]:
    """Seconds in which a pool makes its groups, and between which they lie in nine of ten cases."""
    groups, measured = _of_pool(found, pool)
    samples = (measured, *resampled(measured))
    whole, *others = (sum(worker_seconds(groups, each, pool.workers).values()) for each in samples)
    # The last groups keep one worker after another has nothing left.
    squares, seconds = (sum(each.seconds**n / each.group.guess for each in measured) for n in (2, 1))
    making_s = whole / pool.workers + (1 - 1 / pool.workers) * squares / seconds / 2
    reach = math.exp(1.645 * math.hypot(np.std(others) / whole, MACHINE_ERROR))
    return making_s, making_s / reach, making_s * reach


def _of_pool(found: Measurements, pool: Pool) -> tuple[list[PlannedGroup], list[MeasuredGroup]]:
    recipes = pooled_recipes(found.plan.config)[pool.name]
    return (
        [group for group in found.population if group.recipe in recipes],
        [each for each in found.groups if each.group.recipe in recipes],
    )


def _pools_on(cluster: Cluster, found: Measurements) -> tuple[Pool, ...]:
    """Workers of this machine's kind, as many as the cluster has room for; pools of the config stay."""
    if found.plan.config.execution.pools:
        return found.pools
    (pool,) = found.pools
    each = cluster.cpus // pool.cpus
    if pool.gpus:
        each = min(each, int(cluster.gpus / pool.gpus + 1e-9))
    if each < 1:
        raise ConfigError(
            f"a worker takes {pool.cpus} cores and {pool.gpus:g} GPUs, and a machine of the cluster has "
            f"{cluster.cpus} and {cluster.gpus}",
            consequence="none would find room there",
            remedy="describe larger machines, or plan with more --workers here, so that each takes less",
        )
    return (replace(pool, workers=cluster.nodes * each),)


def _recipe(found: Measurements, recipe: str) -> dict[str, Any]:
    """One recipe, on this machine's workers."""
    (pool,) = (pool for pool in found.pools if recipe in pooled_recipes(found.plan.config)[pool.name])
    seconds = worker_seconds(*_of_pool(found, pool), pool.workers)[recipe]
    planned = [group for group in found.population if group.recipe == recipe]
    own = [each for each in found.groups if each.group.recipe == recipe]
    groups = sum(group.share for group in planned)

    def mean(values: Iterable[float]) -> float:
        # Dear groups were taken more often, and weigh less.
        return float(np.average(list(values), weights=[1 / each.group.guess for each in own]))

    per_pixel = mean(each.outcome.num_bytes for each in own) / mean(each.group.pixels for each in own)
    made = mean(each.outcome.num_pairs for each in own) / mean(len(each.group.spec.keys) for each in own)
    return {
        "recipe": recipe,
        "groups": round(groups),
        "pairs": sum(stream.num_pairs for stream in found.plan.streams if stream.recipe_id == recipe),
        "measured_groups": len(own),
        "seconds_per_group": seconds / groups,  # of one worker
        "worker_hours": seconds / 3600,
        "gigabytes": per_pixel * sum(group.share * group.pixels for group in planned) / 1e9,
        "quarantined": 1 - made,  # fraction of its pairs
    }


def _assumptions(found: Measurements, cluster: Cluster | None) -> Iterator[str]:
    yield "nothing else runs on the machine while the dataset is made, and it is as fast as while measuring"
    yield "no machine is lost"
    if cluster is not None:
        yield "a core of the cluster is as fast as one here, with all of its machine's cores at work"
        yield "environment maps are baked on one machine, which is like this one"
        yield "the time until machines are there, and have fetched their assets, is not counted"
        yield (
            f"the driver hands out {DRIVER_GROUPS_PER_S} groups a second at most, and its machine commits "
            f"{COMMITTER_BYTES_PER_S / 1e6:.0f} MB a second for every {WORKERS_PER_COMMITTER} workers"
        )
        if found.plan.config.execution.pools:
            yield "workers are those of execution.pools, however large the cluster is"
