"""One network over the processes of a training: replicated (DDP) or sharded (FSDP2), and whole again on disk.

Both leave the weights' names alone, and what is written is always the whole tensor: a checkpoint of any
layout and any number of ranks opens in any other.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from pairbridge.training.data.ranks import Ranks

# What is gathered, used and freed as one; everything else belongs to the root.
_SHARDED_TOGETHER = (BasicTransformerBlock, ResnetBlock2D)


class ParallelNetwork:
    """`network` as this process calls it; alone, `network` itself."""

    def __init__(self, network: nn.Module, kind: Literal["ddp", "fsdp"], ranks: Ranks) -> None:
        """Shards `network` in place for fsdp: make optimisers and EMAs of its weights afterwards."""
        self.module = network
        if ranks.world == 1:
            return
        if kind == "fsdp":
            # FSDP2 shards the first axis of contiguous weights alone.
            network.to(memory_format=torch.contiguous_format)
            for part in list(network.modules()):
                if isinstance(part, _SHARDED_TOGETHER):
                    fully_shard(part)
            fully_shard(network)
        else:
            # Buffers are constants. Sent with every forward pass, they would be overwritten between two that
            # one backward pass goes through.
            self.module = DistributedDataParallel(network, broadcast_buffers=False)

    @contextlib.contextmanager
    def accumulating(self, more_to_come: bool) -> Iterator[None]:
        """Around a forward and backward pass: gradients travel only with the last of a step."""
        if isinstance(self.module, FSDPModule):
            self.module.set_requires_gradient_sync(not more_to_come)
            yield
        elif isinstance(self.module, DistributedDataParallel) and more_to_come:
            with self.module.no_sync():
                yield
        else:
            yield


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every rank; collective where it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """All of every tensor, on the first rank's CPU; nothing elsewhere. Collective, tensor after tensor."""
    gathered = {}
    for name, tensor in tensors.items():
        full = whole(tensor.detach())
        if ranks.first:
            gathered[name] = full.cpu()
    return gathered


def laid_out_like(full: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, the same on every rank, on the device and in the layout of `like`: sharded as it is,
    and with its strides, which a fused optimiser takes to be those of the weight.
    """
    if isinstance(like, DTensor):
        return distribute_tensor(full.to(like.device), like.device_mesh, like.placements)
    return torch.empty_like(like, dtype=full.dtype, requires_grad=False).copy_(full)


@torch.no_grad()
def fill(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy whole `values` into tensors of any layout, by name. Raises KeyError where one is missing."""
    for name, tensor in tensors.items():
        tensor.copy_(laid_out_like(values[name], tensor))
