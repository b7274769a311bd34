"""One network over the processes of a training: replicated (DDP) or sharded (FSDP2).

Both leave the weights' names alone. Between two calls of a sharded network nothing of it is gathered: whoever
writes weights writes those of the next call.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from diffusers.models.attention import BasicTransformerBlock, JointTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.ranks import Ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a network lies over the ranks.

    precision: of a sharded network's gathered weights; gradients are summed over ranks in float32 either way.
    cpu_offload: shards, their gradients and optimiser state wait in the host's memory. compile: by
    torch.compile, block by block where the network repeats one.
    """

    kind: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["fp32", "bf16"] = "fp32"
    cpu_offload: bool = False
    compile: bool = False

    def shards(self, ranks: Ranks) -> bool:
        """Whether a network is sharded, also into one shard that waits on the host."""
        return self.kind == "fsdp" and (ranks.world > 1 or self.cpu_offload)


class ParallelNetwork:
    """`network` as this process calls it, on `device`; alone, `network` itself."""

    def __init__(self, network: nn.Module, layout: Layout, ranks: Ranks, device: torch.device) -> None:
        """Moves, compiles and shards `network` in place: make optimisers and EMAs of its weights afterwards.

        For fsdp the first rank's weights count; those of other ranks may be on the meta device. Raises
        ConfigError for an offload without a process group.
        """
        self.module = network
        if layout.compile:
            _compile(network)
        if layout.shards(ranks):
            _shard(network, layout, ranks, device)
            return
        network.to(device)
        if ranks.world > 1:
            # Buffers are constants. Sent with every forward pass, they would be overwritten between two that
            # one backward pass goes through. Gradients are views of what travels: no second copy of them.
            self.module = DistributedDataParallel(
                network, broadcast_buffers=False, gradient_as_bucket_view=True
            )

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


def _repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks that a network is a row of: transformer blocks, and what diffusers' models name as such."""
    named = {name for part in network.modules() for name in getattr(part, "_repeated_blocks", None) or ()}
    return [
        part
        for part in network.modules()
        if isinstance(part, BasicTransformerBlock | JointTransformerBlock) or type(part).__name__ in named
    ]


def sharded_parts(network: nn.Module) -> list[nn.Module]:
    """What is gathered, used and freed as one, each; all other weights belong to the root."""
    return [
        *_repeated_blocks(network),
        *(part for part in network.modules() if isinstance(part, ResnetBlock2D)),
    ]


def _compile(network: nn.Module) -> None:
    # One compilation serves all blocks of a width. Before sharding, whose hooks then stay out of the graphs.
    for part in _repeated_blocks(network) or [network]:
        part.compile()


def _shard(network: nn.Module, layout: Layout, ranks: Ranks, device: torch.device) -> None:
    if not dist.is_initialized():
        raise ConfigError(
            "cpu_offload is set, and no process group is up",
            consequence="weights are offloaded by FSDP2, which needs one, of one process at least",
            remedy="start it as `torchrun --nproc-per-node 1 --no-python -- pairbridge train ...`",
        )
    # FSDP2 shards the first axis of contiguous weights alone.
    network.to(memory_format=torch.contiguous_format)
    first = {name: weight.detach() for name, weight in network.named_parameters()} if ranks.first else {}
    # Whole weights are never on a GPU: each rank makes room for its shards, and the first one fills them.
    network._apply(lambda tensor: tensor.to("meta") if isinstance(tensor, nn.Parameter) else tensor)
    how = {
        "mesh": init_device_mesh(device.type, (ranks.world,)),
        # Also the root: gathered weights that outlive a forward pass without gradients would be those of the
        # next one, whatever was written in between.
        "reshard_after_forward": True,
        # Inputs stay float32: times do not fit bf16, and autocast halves what can be halved.
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if layout.precision == "bf16" else None,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        ),
    }
    if layout.cpu_offload:
        how["offload_policy"] = CPUOffloadPolicy(pin_memory=device.type == "cuda")
    for part in sharded_parts(network):
        fully_shard(part, **how)
    fully_shard(network, **how)
    there = torch.device("cpu") if layout.cpu_offload else device
    network._apply(lambda tensor: torch.empty_like(tensor, device=there) if tensor.is_meta else tensor)
    for buffer in network.buffers():
        buffer.data = buffer.to(device)
        dist.broadcast(buffer, 0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            full = first.pop(name) if ranks.first else torch.empty(weight.shape, dtype=weight.dtype)
            weight.copy_(distribute_tensor(full.to(device), weight.device_mesh, weight.placements))


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every rank; collective where it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor, in its own memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
