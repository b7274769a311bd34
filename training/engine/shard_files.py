"""What `torch.distributed.checkpoint` writes: a safetensors file a rank, the same bytes for the same tensors.

Torch's `HuggingFaceStorageReader` reads them. Its writer puts three entries into the header of a file, whose
order is another in every process; it makes folders anew that were moved, and builds a file in memory first.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

# How Rust, in which safetensors is written, says an errno.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def shard_path(folder: Path, rank: int) -> Path:
    return folder / f"shard-{rank + 1:05d}.safetensors"


class ShardWriter(dcp.StorageWriter):
    """Writes what is planned for this rank to its file in `folder`, which is there; nothing where that is
    nothing. Raises OSError.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.path = shard_path(folder, rank)

    def write_data(self, plan: dcp.SavePlan, planner: dcp.SavePlanner) -> Future[list[WriteResult]]:
        # Not in the order in which an optimiser came by its state, which is another after a resume.
        items = sorted(plan.items, key=lambda item: item.index.fqn)
        tensors = {item.index.fqn: planner.resolve_data(item).detach() for item in items}
        places = {item.index.fqn: {"saved_offsets": item.tensor_data.chunk.offsets} for item in items}
        if tensors:
            _save(tensors, self.path, {"DCP_SHARDING_INFO": json.dumps(places)})
        written: Future[list[WriteResult]] = Future()
        written.set_result(
            [WriteResult(item.index, tensors[item.index.fqn].nbytes, self.path.name) for item in items]
        )
        return written

    def reset(self, checkpoint_id: str | os.PathLike | None = None) -> None: ...

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None: ...

    def prepare_local_plan(self, plan: dcp.SavePlan) -> dcp.SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[dcp.SavePlan]) -> list[dcp.SavePlan]:
        return plans

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None: ...

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike) -> bool:
        return True


def _save(tensors: dict[str, Any], path: Path, header: dict[str, str]) -> None:
    try:
        save_file(tensors, path, header)
    except SafetensorError as error:
        said = _OS_ERROR.search(str(error))
        if said is None:
            raise
        number = int(said[1])
        raise OSError(number, os.strerror(number), str(path)) from error
