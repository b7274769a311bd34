"""CIELAB as a differentiable function of images, so that a distance of colours has a gradient."""

import torch
from torch import Tensor

from pairbridge.datagen.imaging.colour import DELTA, WHITE_XYZ, XYZ_OF_RGB

# sRGB's transfer function is a line below this, in [0, 1].
_LINE = 0.04045


def to_lab(images: Tensor) -> Tensor:
    """sRGB (B, 3, H, W) in [-1, 1] -> L, a, b (D65) over 100, so that black and white are 1 apart.

    As `pairbridge.datagen.imaging.colour.rgb_to_lab`, and its continuation outside [-1, 1], where an
    estimate may lie: it has a slope there that leads back.
    """
    srgb = (images + 1) / 2
    # Clamped inside the unused branch: a NaN there would be one in the gradient.
    power = ((srgb.clamp(min=_LINE) + 0.055) / 1.055) ** 2.4
    linear = torch.where(srgb <= _LINE, srgb / 12.92, power)
    matrix = torch.as_tensor(XYZ_OF_RGB / WHITE_XYZ[:, None], dtype=images.dtype, device=images.device)
    relative = torch.einsum("kc,bchw->bkhw", matrix, linear)
    root = relative.clamp(min=DELTA**3) ** (1 / 3)
    f = torch.where(relative > DELTA**3, root, relative / (3 * DELTA**2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], dim=1)
