"""A smooth interpolation of the surroundings that fills a removal hole, instead of noise."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Below, a coarse pixel has seen next to nothing of the image.
_LEAST_WEIGHT = 1e-6


def fill_smoothly(images: Tensor, masks: Tensor, *, levels: int | None = None) -> Tensor:
    """`images` (B, C, H, W) with the pixels of masks (B, 1, H, W) > 0 interpolated from all others.

    levels: coarser grids, as many as the size takes by default; more of them change nothing.
    Pull and push (Gortler et al. 1996, section 3.4.1): averages of the known pixels on ever coarser grids,
    brought back to where finer ones know nothing. Known pixels stay as they are; without any, 0.
    """
    if levels is None:
        levels = (max(images.shape[-2:]) - 1).bit_length()
    return _filled(images, (masks <= 0).to(images.dtype), levels)


def fill_picture_smoothly(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`fill_smoothly` of one picture, uint8 (H, W, 3), with a mask (H, W); grey where nothing is known."""
    image, hole = (torch.from_numpy(np.ascontiguousarray(array)) for array in (picture, mask))
    filled = fill_smoothly(image.permute(2, 0, 1)[None] / 127.5 - 1, hole[None, None])
    levels = ((filled[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    return np.where(mask[..., None] > 0, levels, picture)


def _filled(values: Tensor, weights: Tensor, levels: int) -> Tensor:
    """values where their weight is 1, where it is less mixed with the filled next coarser grid."""
    if levels == 0:
        return values * (weights > _LEAST_WEIGHT)
    height, width = values.shape[-2:]
    seen = _halved(weights)
    averages = _halved(values * weights) / seen.clamp(min=_LEAST_WEIGHT)
    coarse = _filled(averages, seen.mul(4).clamp(max=1), levels - 1)
    finer = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return weights * values + (1 - weights) * finer


def _halved(images: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, at an odd edge of those that there are: with the edge repeated, it is the same.

    A gather rather than `ceil_mode`, whose sizes an exporter cannot follow.
    """
    for axis in (-2, -1):
        side = images.shape[axis]
        places = torch.arange((side + 1) // 2 * 2, device=images.device).clamp(max=side - 1)
        images = images.index_select(axis, places)
    return F.avg_pool2d(images, 2)
