"""Connecting to Ray: the caller's instance, an existing cluster, or one of our own for one run."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from datagen.errors import ConfigError
from pipelines.crew import Resources

# Pixels travel through files; the store holds the plan and each group's parameters.
OBJECT_STORE_BYTES = 128 << 20


@contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Use Ray for the body: the instance this process already has, the cluster at `address`, or a local one.

    Ray's usage reports are switched off unless the user chose otherwise: nothing here reaches out by itself.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = os.cpu_count() or 1
        # "local": without it Ray joins whatever cluster last left its address on this machine, dead or alive.
        ray.init(
            address="local",
            num_cpus=max(cores, workers),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    else:
        ray.init(address=address, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def share_of_cluster(workers: int, *, needs_gpu: bool, workers_per_gpu: int | None = None) -> Resources:
    """An equal share of the cluster's cores, and of its GPUs if one is needed, for each of `workers`.

    Raises ConfigError if there are fewer cores than workers, or no GPU: Ray would wait for them in silence.
    """
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
            "render.device, or the device of a masker or relighter, asks for a GPU, and Ray offers none",
            consequence="every worker would fail when it first needs it",
            remedy="set the device to cpu, or start Ray on machines with GPUs that it can see",
        )
    # The smallest machine decides how many cores a worker can have and still be placed.
    smallest = min(int(node["Resources"].get("CPU", 0)) for node in _usable_nodes())
    threads = max(1, min(cpus // workers, smallest))
    return Resources(cpus=threads, gpus=gpu_share(workers, int(gpus), workers_per_gpu) if needs_gpu else 0.0)


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


def _usable_nodes() -> list[dict]:
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
