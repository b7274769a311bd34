"""The device of this rank, and tensors on their way to it without the host waiting for them."""

import os

import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.ranks import Ranks


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` there. Towards a GPU it goes through pinned memory, which is what lets the copy run by
    itself.
    """
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def training_device(wanted: str, ranks: Ranks) -> torch.device:
    """The CPU, or this rank's GPU; `wanted` is cpu or cuda. Raises ConfigError without one."""
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "device is cuda, and torch finds no GPU",
            consequence="training on the CPU instead would take many times as long without a word",
            remedy="set device to cpu, or see what `pairbridge doctor` says about the GPU",
        )
    local_rank = int(os.environ.get("LOCAL_RANK", ranks.rank % torch.cuda.device_count()))
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    # TF32 where autocast leaves float32.
    torch.set_float32_matmul_precision("high")
    return device
