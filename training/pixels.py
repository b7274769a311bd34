"""Images between uint8 arrays, (B, H, W, C), and tensors, (B, C, H, W) in [-1, 1]."""

import numpy as np
import torch
from torch import Tensor


def to_unit(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, H, W, C), or (B, H, W) for one channel, -> float32 (B, C, H, W) in [-1, 1]."""
    images = images if images.ndim == 4 else images[..., None]
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def mask_to_unit(masks: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, H, W) -> float32 (B, 1, H, W) in [0, 1]."""
    return torch.from_numpy(masks).to(device)[:, None].float() / 255


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1], clipped, as uint8 of the same shape."""
    return np.rint((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def keep_outside(outputs: np.ndarray, sources: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Outputs where the mask is 255, sources byte for byte where it is 0, mixed in sRGB between."""
    weight = masks[..., None].astype(np.float32) / 255
    return np.rint(sources + weight * (outputs.astype(np.float32) - sources)).astype(np.uint8)
