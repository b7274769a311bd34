"""Light by direction as a convolutional network can use it: nine numbers a colour, the same in every pixel.

A network of small receptive field cannot find a sun at one place of a map and use it at another. What a
diffuse surface shows of a distant light depends on its normal n alone, and a quadratic polynomial in n has
all but one percent of it (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment
Maps", SIGGRAPH 2001): the radiance of a white ball is

    r(n) = sum_k c_k p_k(n),   c_k = a_k N_k^2 integral L(d) p_k(d) dw,

with p = 1, x, y, z, xy, yz, xz, 3 z^2 - 1, x^2 - y^2 of camera coordinates (x right, y up, z towards the
camera), N_k^2 the inverse of p_k's square over the sphere, and a = 1, 2/3, 1/4 for the degrees 0, 1, 2 of
the cosine.
"""

import math

import torch
from torch import Tensor

from pairbridge.training.data.targets import BRIGHTEST, LOG_BRIGHTEST

# Polynomials, and what they are multiplied with: a_k N_k^2.
_WEIGHTS = tuple(
    share / (4 * math.pi) for share in (1.0, *(3 * 2 / 3,) * 3, *(15 / 4,) * 3, 5 / 4 / 4, 15 / 4 / 4)
)
# The mean radiance that counts as black: a light below it is none.
_DARK = 1e-3


def irradiance_numbers(planes: Tensor) -> Tensor:
    """(B, 27) of environment maps (B, 6 or 3, H, W) in camera coordinates, as
    `pairbridge.training.data.targets.light_planes` has them, or the logarithm alone.

    Number 3 k + colour is of polynomial k: of the first the natural logarithm of the mean radiance (0.001 for
    less), of all others c_k over the mean of the three colours' mean radiance, within [-2, 2] or so.
    """
    radiance = torch.expm1((planes[:, -3:] + 1) * (LOG_BRIGHTEST / 2)).clamp(min=0)
    coefficients = torch.einsum("khw,bchw->bkc", _projections(*radiance.shape[-2:], radiance), radiance)
    mean = coefficients[:, :1]
    relative = coefficients[:, 1:] / mean.mean(dim=2, keepdim=True).clamp(min=_DARK)
    return torch.cat([mean.clamp(min=_DARK).log(), relative], dim=1).flatten(1)


def logarithm_of(radiance: Tensor) -> Tensor:
    """The logarithm among `light_planes`, of linear radiance (B, 3, H, W)."""
    return torch.log1p(radiance.clamp(0.0, BRIGHTEST)) * (2 / LOG_BRIGHTEST) - 1


def _projections(height: int, width: int, like: Tensor) -> Tensor:
    """(9, height, width): what the radiance of every texel adds to each c_k."""
    rows = (torch.arange(height + 1, device=like.device, dtype=like.dtype) / height * math.pi).cos()
    solid_angle = (rows[:-1] - rows[1:])[:, None] * (2 * math.pi / width)
    elevation = (0.5 - (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height) * math.pi
    azimuth = ((torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width - 0.5) * 2 * math.pi
    level, y = elevation.cos()[:, None], elevation.sin()[:, None].expand(height, width)
    x, z = level * azimuth.sin(), -level * azimuth.cos()
    one = torch.ones_like(x)
    polynomials = (one, x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y)
    weighted = [weight * own for weight, own in zip(_WEIGHTS, polynomials, strict=True)]
    return torch.stack(weighted) * solid_angle
