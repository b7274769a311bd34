"""Pools of workers: who makes which recipes, and what each worker takes from a Ray cluster."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import ray

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.models.provenance import ask_for_gpu

# Of the pool that makes everything where the config describes none.
ONE_POOL = "all"
JOIN_POLL_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Workers of one kind: how many there are, and what each of them takes."""

    name: str
    workers: int
    cpus: int
    gpus: float
    resources: dict[str, float]  # of Ray, by name
    spread: bool  # over as many machines as there are, instead of filling one after the other


def pooled_recipes(config: DatasetConfig) -> dict[str, frozenset[str]]:
    """The recipes that each pool makes, by its name."""
    pools = config.execution.pools
    return {name: frozenset(pool.recipes) for name, pool in pools.items()} or {
        ONE_POOL: frozenset(config.recipes)
    }


def pools_of(config: DatasetConfig, workers: int, address: str | None) -> tuple[Pool, ...]:
    """The pools that the config describes, or one for all recipes: `workers` with an equal share of the
    cluster's cores, and of its GPUs if a recipe needs one.

    A job may start before the machines of the cluster at `address` have joined: they get the config's
    `join_timeout_s`. Raises ConfigError if Ray offers less than they want even then: it would wait in
    silence.
    """
    join_timeout_s = config.execution.join_timeout_s if address is not None else 0.0
    if not config.execution.pools:
        _await_offer({"CPU": workers}, join_timeout_s)
        return (_equal_shares(config, workers),)
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
    )
    wanted = _wanted(pools)
    _await_offer(wanted, join_timeout_s)
    if lacking := _lacking(wanted):
        raise ConfigError(
            f"execution.pools wants {', '.join(lacking)}",
            consequence="the workers that find no room would never start",
            remedy="lower the pools' workers, cpus or gpus, or connect to a larger cluster with `--address`",
        )
    return pools


def gpu_share(workers: int, gpus: int, workers_per_gpu: int | None) -> float:
    """What each of `workers` takes of a GPU: 1/n, where n workers share one card.

    n is `workers_per_gpu`, or the smallest with which all workers find a place. Never a share such as 2/3,
    of which a card holds only one. Raises ConfigError if there are more workers than places.
    """
    sharing = workers_per_gpu or -(-workers // gpus)
    if workers > gpus * sharing:
        raise ConfigError(
            f"{workers} workers, {sharing} to a GPU, need {-(-workers // sharing)} GPUs; Ray offers {gpus}",
            consequence="the workers without a place would never start",
            remedy=f"ask for at most {gpus * sharing} workers, or raise execution.workers_per_gpu",
        )
    return 1 / sharing


def _equal_shares(config: DatasetConfig, workers: int) -> Pool:
    needs_gpu = config.render.device != "cpu" or ask_for_gpu(config.recipes.values())
    offered = ray.cluster_resources()
    cpus, gpus = int(offered.get("CPU", 0)), offered.get("GPU", 0.0)
    if cpus < workers:
        raise ConfigError(
            f"{workers} workers want a core each, and Ray offers {cpus}",
            consequence="the workers without a core would never start",
            remedy=f"ask for at most {cpus} workers, or connect to a larger cluster with `--address`",
        )
    if needs_gpu and not gpus:
        raise ConfigError(
            "render.device, or a matting or relighting model's device, asks for a GPU, and Ray offers none",
            consequence="every worker would fail when it first needs it",
            remedy="set the device to cpu, or start Ray on machines with GPUs that it can see",
        )
    # The smallest machine decides how many cores a worker can have and still be placed.
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    smallest = min(count for count in cores if count)
    return Pool(
        name=ONE_POOL,
        workers=workers,
        cpus=max(1, min(cpus // workers, smallest)),
        gpus=gpu_share(workers, int(gpus), config.execution.workers_per_gpu) if needs_gpu else 0.0,
        resources={},
        spread=False,
    )


def _wanted(pools: tuple[Pool, ...]) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for pool in pools:
        for name, amount in {"CPU": pool.cpus, "GPU": pool.gpus, **pool.resources}.items():
            wanted[name] += amount * pool.workers
    return wanted


def _lacking(wanted: Mapping[str, float]) -> list[str]:
    offered = ray.cluster_resources()
    return [
        f"{amount:g} {name} (Ray offers {offered.get(name, 0):g})"
        for name, amount in sorted(wanted.items())
        if amount > offered.get(name, 0)
    ]


def _await_offer(wanted: Mapping[str, float], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    lacking = _lacking(wanted)
    if lacking and timeout_s:
        _log.warning("waiting up to %g s for machines to join: %s", timeout_s, ", ".join(lacking))
    while lacking and time.monotonic() < deadline:
        time.sleep(JOIN_POLL_S)
        lacking = _lacking(wanted)
