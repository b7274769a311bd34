"""The way between a worker that does not see the driver's folders and the driver's side: calls of Ray actors.

Apart from `node_files`, so that pairs can be made where there is no Ray (`pairbridge try`).
"""

import itertools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.object_store import StoreFailed
from pairbridge.datagen.shards.records import GroupRecord
from pairbridge.pipelines.shelves.staging import Fenced
from pairbridge.pipelines.workers.node_files import CommitterUnreachable, FileEntry, FileServer

# Names of large files cost a checksum each; one at a time, so that memory stays at a piece.
_MAX_CONCURRENCY = 4


class RemoteFiles:
    """The driver's side as workers see it that do not see its folders: a `FileServer`, and, once they are
    told, committers that take what they make. Pickles.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._committers: Sequence[tuple[Any, ...]] = ()

    def node(self) -> str:
        """Ray's name of the machine that asks."""
        return ray.get_runtime_context().get_node_id()

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]:
        return ray.get(self._actor.asset.remote(asset_id))

    def models(self) -> tuple[str, ...]:
        return ray.get(self._actor.models.remote())

    def model(self, model_id: str) -> tuple[FileEntry, ...]:
        return ray.get(self._actor.model.remote(model_id))

    def piece(self, sha256: str, offset: int) -> bytes:
        return ray.get(self._actor.piece.remote(sha256, offset))

    def send_to(self, committers: Sequence[tuple[Any, ...]]) -> None:
        """From now on those are there, the first ones to be preferred."""
        self._committers = committers

    def stage(self, shard: str, part: bytes, record: GroupRecord) -> None:
        """All parts of a shard go to one of them, and to the next where that one is gone, or cannot put them
        in place any more.
        """
        number = zlib.crc32(shard.encode())
        turned = [some[number % len(some) :] + some[: number % len(some)] for some in self._committers]
        for committer in itertools.chain(*turned):
            try:
                return ray.get(committer.stage.remote(shard, part, record))
            except RayError as caught:
                error = caught
            if isinstance(error, RayTaskError) and not isinstance(error.cause, (Fenced, StoreFailed)):
                break
        if not isinstance(error, RayTaskError):
            raise CommitterUnreachable(
                f"no process that keeps finished groups could be reached ({type(error).__name__})",
                consequence="the group has to be made again",
                remedy="see whether the driver's machine runs out of memory, and the network between both",
            ) from error
        if isinstance(error.cause, PairbridgeError):
            raise error.cause from error
        raise error


def start_file_server(plan: DatasetPlan, weights: Path) -> RemoteFiles:
    """A server on this machine for the life of the Ray session; `weights`: the folder of models."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = (
        ray.remote(num_cpus=0, max_concurrency=_MAX_CONCURRENCY, scheduling_strategy=here)(FileServer)
        .options(max_restarts=-1, max_task_retries=-1)
        .remote(plan, weights)
    )
    return RemoteFiles(actor)
