"""The few things that processes of one training agree on. Alone, each is the identity."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among `world`; a torch process group must be up when `world` is above 1.

    group: that they talk in; None is the one that is up.
    """

    rank: int
    world: int
    group: dist.ProcessGroup | None = None

    @classmethod
    def current(cls) -> Self:
        """From the process group that torchrun's caller initialised; alone without one."""
        if not dist.is_initialized():
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def apart(self) -> Self:
        """The same ranks, talking in a group of their own: for a thread beside the training. Collective."""
        return replace(self, group=dist.new_group(backend="gloo")) if self.world > 1 else self

    def share(self, batch_size: int) -> slice:
        """This rank's rows of a global batch; the world size divides the batch size."""
        rows = batch_size // self.world
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def gather(self, items: list[T]) -> list[T]:
        """Every rank's items, in the order of ranks."""
        if self.world == 1:
            return items
        parts: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(parts, items, group=self.group)
        return [item for part in parts for item in part]

    def any(self, flag: bool, device: torch.device) -> Tensor:
        """1 where any rank says so, else 0, as a tensor on `device` that nothing waits for: all must stop at
        the same step, or the next all-reduce hangs.
        """
        said = torch.full((1,), float(flag), device=device)
        if self.world > 1:
            dist.all_reduce(said, dist.ReduceOp.MAX)
        return said


@contextlib.contextmanager
def process_group() -> Iterator[Ranks]:
    """Under torchrun, the process group that its processes form, for as long as the block lasts; else
    alone.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield Ranks.current()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # Objects travel by gloo, so that gathering a log line does not wait for the GPU.
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    try:
        yield Ranks.current()
    finally:
        dist.destroy_process_group()
