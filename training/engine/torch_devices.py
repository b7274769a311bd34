"""Tensors on their way to a device, without the host waiting for them."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` there. Towards a GPU it goes through pinned memory, which is what lets the copy run by
    itself.
    """
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)
