"""A smooth interpolation of the surroundings that fills a removal hole, instead of noise."""

import torch.nn.functional as F
from torch import Tensor

# Below, a coarse pixel has seen next to nothing of the image.
_LEAST_WEIGHT = 1e-6


def fill_smoothly(images: Tensor, masks: Tensor) -> Tensor:
    """`images` (B, C, H, W) with the pixels of masks (B, 1, H, W) > 0 interpolated from all others.

    Pull and push (Gortler et al. 1996, section 3.4.1): averages of the known pixels on ever coarser grids,
    brought back to where finer ones know nothing. Known pixels stay as they are; without any, 0.
    """
    return _filled(images, (masks <= 0).to(images.dtype))


def _filled(values: Tensor, weights: Tensor) -> Tensor:
    """values where their weight is 1, where it is less mixed with the filled next coarser grid."""
    height, width = values.shape[-2:]
    if height == 1 and width == 1:
        return values * (weights > _LEAST_WEIGHT)
    seen = F.avg_pool2d(weights, 2, ceil_mode=True)
    averages = F.avg_pool2d(values * weights, 2, ceil_mode=True) / seen.clamp(min=_LEAST_WEIGHT)
    coarse = _filled(averages, seen.mul(4).clamp(max=1))
    finer = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return weights * values + (1 - weights) * finer
