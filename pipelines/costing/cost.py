"""The bill: hours, gigabytes, shards and cost of a dataset, on this machine and on a described cluster."""

from dataclasses import asdict, dataclass
from typing import Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.lighting.baked import planned_lightings
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.costing.cost_estimate import Work, bytes_of, interval, refused_share, work_of
from pairbridge.pipelines.costing.cost_measuring import Measurements
from pairbridge.pipelines.workers.pools import Pool, pooled_recipes

# What one driver hands out, however many workers there are (docs/benchmarks/driver.md).
DRIVER_GROUPS_PER_S = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Money per hour, in any currency. What is not given costs nothing."""

    node_hour: float = 0.0
    core_hour: float = 0.0
    gpu_hour: float = 0.0

    @property
    def given(self) -> bool:
        return any((self.node_hour, self.core_hour, self.gpu_hour))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Equal machines."""

    nodes: int
    cpus: int  # of each
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a dataset is made, and what it takes there. Cores and GPUs count whether busy or not."""

    name: str
    nodes: int
    workers: int
    cpus: int
    gpus: float
    wall_s: float
    wall_s_low: float  # in nine of ten cases the truth lies between these two
    wall_s_high: float
    pairs_per_hour: float
    node_hours: float
    core_hours: float
    gpu_hours: float
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeBill:
    """One recipe, on this machine's workers."""

    recipe: str
    groups: int
    pairs: int
    measured_groups: int
    seconds_per_group: float  # of one worker
    worker_hours: float
    gigabytes: float
    quarantined: float  # share of its pairs that gates and broken assets are expected to cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """The whole of it."""

    dataset: str
    pairs: int
    groups: int
    shards: int
    gigabytes: float
    recipes: tuple[RecipeBill, ...]
    sites: tuple[Site, ...]
    measured_groups: int
    unfinished_groups: int
    measuring_s: float
    assumptions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_bill(found: Measurements, config: DatasetConfig, cluster: Cluster | None, prices: Prices) -> Bill:
    """Reckon up what was measured. Raises ConfigError if no worker fits a machine of the cluster."""
    plan = found.plan
    recipes = pooled_recipes(config)
    limits = Limits()
    works = {
        pool.name: work_of(plan, recipes[pool.name], found.groups, limits.groups_per_worker)
        for pool in found.pools
    }
    pools_there = {pool.name: pool for pool in found.pools}
    sites = [_site("this machine", found, works, found.pools, 1, found.cpus, found.gpus, prices)]
    if cluster is not None:
        pools = _pools_on(cluster, found.pools, config)
        cpus, gpus = cluster.nodes * cluster.cpus, cluster.nodes * cluster.gpus
        sites.append(_site("cluster", found, works, pools, cluster.nodes, cpus, gpus, prices))
    rows = [
        _recipe_bill(found, works[name], pools_there[name].workers, recipe)
        for name, made in recipes.items()
        for recipe in works[name].groups
        if recipe in made
    ]
    order = list(config.recipes)
    return Bill(
        dataset=config.name,
        pairs=plan.num_pairs,
        groups=plan.num_groups,
        shards=sum(stream.num_shards for stream in plan.streams),
        gigabytes=sum(row.gigabytes for row in rows),
        recipes=tuple(sorted(rows, key=lambda row: order.index(row.recipe))),
        sites=tuple(sites),
        measured_groups=len(found.groups),
        unfinished_groups=found.unfinished,
        measuring_s=found.took_s,
        assumptions=tuple(_assumptions(found, cluster, config)),
    )


def _site(
    name: str,
    found: Measurements,
    works: dict[str, Work],
    pools: tuple[Pool, ...],
    nodes: int,
    cpus: int,
    gpus: float,
    prices: Prices,
) -> Site:
    making: dict[str, float] = {}
    for pool in pools:
        work = works[pool.name]
        shared = sum(work.worker_seconds(pool.workers).values()) / pool.workers
        making[pool.name] = shared + work.tail_s(pool.workers)
    slowest = max(pools, key=lambda pool: making[pool.name])
    error = works[slowest.name].relative_error(slowest.workers)
    low, high = interval(making[slowest.name], error)
    planned = planned_lightings(found.plan.config.seed, found.plan.config.lightings, found.plan.catalogue)
    before = found.plan_s + found.start_s + sum(found.bake_s[each.lighting] for each in planned)
    handing_out_s = found.plan.num_groups / DRIVER_GROUPS_PER_S
    wall_s = before + max(making[slowest.name], handing_out_s)
    hours = wall_s / 3600
    cost = hours * (nodes * prices.node_hour + cpus * prices.core_hour + gpus * prices.gpu_hour)
    return Site(
        name=name,
        nodes=nodes,
        workers=sum(pool.workers for pool in pools),
        cpus=cpus,
        gpus=gpus,
        wall_s=wall_s,
        wall_s_low=before + max(low, handing_out_s),
        wall_s_high=before + max(high, handing_out_s),
        pairs_per_hour=found.plan.num_pairs / hours,
        node_hours=nodes * hours,
        core_hours=cpus * hours,
        gpu_hours=gpus * hours,
        cost=cost if prices.given else None,
    )


def _pools_on(cluster: Cluster, pools: tuple[Pool, ...], config: DatasetConfig) -> tuple[Pool, ...]:
    """Workers of this machine's kind, as many as the cluster has room for; pools of the config stay."""
    if config.execution.pools:
        return pools
    (pool,) = pools
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
    workers = cluster.nodes * each
    return (Pool(**{**asdict(pool), "workers": workers}),)


def _recipe_bill(found: Measurements, work: Work, workers: int, recipe: str) -> RecipeBill:
    measured = [each for each in found.groups if each.recipe == recipe]
    groups = sum(stream.num_groups for stream in found.plan.streams if stream.recipe_id == recipe)
    seconds = work.worker_seconds(workers)[recipe]
    return RecipeBill(
        recipe=recipe,
        groups=groups,
        pairs=sum(stream.num_pairs for stream in found.plan.streams if stream.recipe_id == recipe),
        measured_groups=len(measured),
        seconds_per_group=seconds / groups,
        worker_hours=seconds / 3600,
        gigabytes=bytes_of(work.groups[recipe], measured) / 1e9,
        quarantined=refused_share(measured),
    )


def _assumptions(found: Measurements, cluster: Cluster | None, config: DatasetConfig) -> list[str]:
    lines = [
        "nothing else runs on the machine while the dataset is made, and it is as fast as while measuring",
        "writing shards goes on beside the workers' work, and no machine is lost",
    ]
    planned = {suffix for each in found.groups for draw in each.draws for suffix, _ in draw.object_mb}
    there = {
        asset.path.suffix.lower()
        for asset in found.plan.catalogue.assets
        if asset.kind == "object" and asset.path
    }
    if there - planned:
        lines.append(f"objects of {', '.join(sorted(there - planned))} cost as others: none was measured")
    if found.unfinished:
        lines.append(
            f"{found.unfinished} groups were not finished in time and are left out: dear ones may be missing"
        )
    if cluster is not None:
        lines += [
            "a core of the cluster is as fast as one here, with all of its machine's cores at work",
            "lightings are baked on one machine, which is like this one",
            "the time until machines are there, and have fetched their assets, is not counted",
            f"the driver hands out {DRIVER_GROUPS_PER_S} groups a second at most, however many workers wait",
        ]
        if config.execution.pools:
            lines.append("workers are those of execution.pools, however large the cluster is")
    return lines
