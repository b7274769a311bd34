"""The few things that processes of one training agree on. Alone, each is the identity."""

from dataclasses import dataclass
from typing import Self, TypeVar

import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among `world`; a torch process group must be up when `world` is above 1."""

    rank: int
    world: int

    @classmethod
    def current(cls) -> Self:
        """From the process group that torchrun's caller initialised; alone without one."""
        if not dist.is_initialized():
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """This rank's rows of a global batch; the world size divides the batch size."""
        rows = batch_size // self.world
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def gather(self, items: list[T]) -> list[T]:
        """Every rank's items, in the order of ranks."""
        if self.world == 1:
            return items
        parts: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(parts, items)
        return [item for part in parts for item in part]

    def any(self, flag: bool) -> bool:
        """Whether any rank says so: all must stop at the same step, or the next all-reduce hangs."""
        return flag if self.world == 1 else any(self.gather([flag]))

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()
