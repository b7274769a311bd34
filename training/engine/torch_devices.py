"""The device of this rank, its precision, and tensors on their way to it without the host waiting."""

import contextlib
import os
from typing import Literal

import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.ranks import Ranks

Precision = Literal["fp32", "bf16"]

ALONE = Ranks(0, 1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` there. Towards a GPU it goes through pinned memory, which is what lets the copy run by
    itself.
    """
    if device.type == "cpu" or tensor.device == device:
        return tensor.to(device)
    if device.type == "cuda" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def computing_in(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """For bf16, autocast on `device`."""
    # Not autocast(enabled=False): that refuses the meta device, where tests run.
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def found_device(wanted: str, ranks: Ranks = ALONE) -> torch.device:
    """The CPU, or this rank's GPU; `wanted` is cpu or cuda. Training, translation and evaluation all come
    here. Raises ConfigError for another word, or without a GPU.
    """
    if wanted not in ("cpu", "cuda"):
        raise ConfigError(
            f"there is no device {wanted!r}",
            consequence="it is not known where to compute",
            remedy="name cpu or cuda; CUDA_VISIBLE_DEVICES chooses among several GPUs",
        )
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "device is cuda, and torch finds no GPU",
            consequence="on the CPU instead it would take many times as long without a word",
            remedy="set device to cpu (--device cpu), or see what `pairbridge doctor` says about the GPU",
        )
    local_rank = int(os.environ.get("LOCAL_RANK", ranks.rank % torch.cuda.device_count()))
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    # TF32 where autocast leaves float32.
    torch.set_float32_matmul_precision("high")
    return device
