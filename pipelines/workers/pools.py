"""Pools of workers: who makes which recipes, and what each worker takes from a Ray cluster."""

from collections import Counter
from dataclasses import dataclass

import ray

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.models.provenance import ask_for_gpu

# Of the pool that makes everything where the config describes none.
ONE_POOL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Workers of one kind: how many there are, and what each of them takes."""

    name: str
    workers: int
    cpus: int
    gpus: float
    resources: dict[str, float]  # of Ray, by name
    spread: bool  # over as many machines as there are, instead of filling one after the other

    @property
    def each(self) -> dict[str, float]:
        """What one worker takes, by Ray's names: a machine has to offer all of it."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {}), **self.resources}


def pooled_recipes(config: DatasetConfig) -> dict[str, frozenset[str]]:
    """The recipes that each pool makes, by its name."""
    pools = config.execution.pools
    return {name: frozenset(pool.recipes) for name, pool in pools.items()} or {
        ONE_POOL: frozenset(config.recipes)
    }


def pools_of(config: DatasetConfig, workers: int, address: str | None) -> tuple[Pool, ...]:
    """The pools that the config describes, or one for all recipes: `workers` with an equal share of the
    cores that are there, and of the GPUs if a recipe needs one.

    A Ray of our own (`address` None) offers what it ever will: raises ConfigError if that is less than they
    want. A cluster may have no machine yet: its workers are asked for all the same, since workers that wait
    for room are what its autoscaler adds machines for, and a run goes on with those that found room.
    """
    pools = tuple(
        Pool(
            name=name,
            workers=pool.workers,
            cpus=pool.cpus,
            gpus=pool.gpus,
            resources=dict(pool.resources),
            spread=pool.placement == "spread",
        )
        for name, pool in config.execution.pools.items()
    ) or (_equal_shares(config, workers),)
    if address is None:
        refuse_lack(
            *pools,
            remedy="lower `--workers`, or what execution.pools asks for; set the devices of render, matting "
            "and relighting to cpu where there is no GPU; or connect to a larger cluster with `--address`",
        )
    return pools


def gpu_share(workers: int, gpus: int, workers_per_gpu: int | None) -> float:
    """What each of `workers` takes of a GPU: 1/n, where n workers share one card.

    n is `workers_per_gpu`, or the smallest with which all workers find a place on the `gpus` that are there;
    1 where none is. Never a share such as 2/3, of which a card holds only one.
    """
    return 1 / (workers_per_gpu or (-(-workers // gpus) if gpus else 1))


def _equal_shares(config: DatasetConfig, workers: int) -> Pool:
    needs_gpu = config.render.device != "cpu" or ask_for_gpu(config.recipes.values())
    offered = ray.cluster_resources()
    # The smallest machine decides how many cores a worker can have and still be placed. A cluster that has
    # yet to grow to its workers is asked for one core each.
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    smallest = min((count for count in cores if count), default=1)
    gpus = gpu_share(workers, int(offered.get("GPU", 0)), config.execution.workers_per_gpu)
    return Pool(
        name=ONE_POOL,
        workers=workers,
        cpus=max(1, min(int(offered.get("CPU", 0)) // workers, smallest)),
        gpus=gpus if needs_gpu else 0.0,
        resources={},
        spread=False,
    )


def refuse_lack(*pools: Pool, remedy: str) -> None:
    """Raise ConfigError if they want more than there is in all."""
    wanted: Counter[str] = Counter()
    for pool in pools:
        for name, amount in pool.each.items():
            wanted[name] += amount * pool.workers
    offered = ray.cluster_resources()
    lacking = [
        f"{amount:g} {name} (Ray offers {offered.get(name, 0):g})"
        for name, amount in sorted(wanted.items())
        if amount > offered.get(name, 0)
    ]
    if lacking:
        raise ConfigError(
            f"{sum(pool.workers for pool in pools)} workers want {', '.join(lacking)}",
            consequence="the workers that find no room would never start",
            remedy=remedy,
        )
