"""A Ray cluster whose only working machine cannot see the driver's folders: two raylets, the second in a
mount namespace of its own where an empty filesystem lies over them.

The head has no cores, so every group is made where nothing of the driver's can be seen. The second raylet
joins late, as a pod does: a job is there before it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ray_jobs import RayHead, free_port, ray_head, start, stop

JOINS_AFTER_S = 15


@dataclass(frozen=True)
class BlindCluster:
    """`seen` lists what the second raylet saw of the driver's folders; `cache` is its own."""

    head: RayHead
    cache: Path
    seen: Path


@contextlib.contextmanager
def blind_cluster(hidden: Path, folder: Path, **environment: str) -> Iterator[BlindCluster]:
    """The cluster for the body; `hidden` is what its workers cannot see, `folder` takes logs and caches,
    `environment` is the second raylet's.
    """
    cache, seen = folder / "cache of the node", folder / "seen.txt"
    cache.mkdir()
    with ray_head(folder, cpus=0) as head:
        script = (
            f"mount -t tmpfs none '{hidden}' && find '{hidden}' -type f > '{seen}' && "
            f"sleep {JOINS_AFTER_S} && exec '{head.ray}' start --address={head.address} --num-cpus=2 "
            f"--dashboard-agent-listen-port={free_port()} --object-store-memory=100000000 --block"
        )
        node = start(
            ["unshare", "--mount", "sh", "-c", script],
            head.environment | {"PAIRBRIDGE_CACHE": str(cache)} | environment,
            folder / "node.log",
        )
        try:
            yield BlindCluster(head, cache, seen)
        finally:
            stop(node)
