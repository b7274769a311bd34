"""The loss of LBM (Eq. 7): a latent regression plus a pixel loss on the decoded target estimate.

Every term is a mean over all its elements, per sample first, so that it can be reported per source.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from datagen.frozen import FrozenModel


class LatentWeighting(StrEnum):
    """|v - v*|^2 as it stands, or times (1-t)^2, which makes it |x1_hat - x1|^2 and bounds it at t -> 1."""

    FIELD = "field"
    ESTIMATE = "estimate"


class LossConfig(FrozenModel):
    latent_weight: float = Field(default=1.0, ge=0)
    latent_weighting: LatentWeighting = LatentWeighting.ESTIMATE
    pixel_weight: float = Field(default=0.0, ge=0)
    pixel_norm: Literal["l1", "l2"] = "l1"
    # Larger images are decoded and compared on one random crop of this side: decoding is most of the memory.
    pixel_crop: int = Field(default=512, ge=8)


@dataclass(frozen=True, slots=True)
class Loss:
    """`per_sample` (B,) is the weighted sum; `components` are its unweighted terms, (B,) each, detached."""

    per_sample: Tensor
    components: dict[str, Tensor]


def latent_loss(v: Tensor, v_target: Tensor, t: Tensor, weighting: LatentWeighting) -> Tensor:
    """Mean square error of the field per sample, (B,)."""
    error = (v - v_target).square().mean(dim=(1, 2, 3))
    return error * (1 - t).square() if weighting is LatentWeighting.ESTIMATE else error


def pixel_loss(
    x1_hat: Tensor,
    target: Tensor,
    *,
    decode: Callable[[Tensor], Tensor],
    factor: int,
    norm: Literal["l1", "l2"],
    crop: int,
    generator: torch.Generator,
) -> Tensor:
    """Error of decode(x1_hat) against target images (B, 3, H, W), per sample, (B,).

    Images with a side above `crop` pixels are compared on one crop that is aligned to latent cells and
    equally likely anywhere, the first row and column included; one place for the whole batch.
    """
    cells = max(1, crop // factor)
    rows, columns = x1_hat.shape[-2:]
    top, left = (_offset(side, cells, generator) for side in (rows, columns))
    window = x1_hat[..., top : top + cells, left : left + cells]
    height, width = (side * factor for side in window.shape[-2:])
    wanted = target[..., top * factor : top * factor + height, left * factor : left * factor + width]
    error = decode(window) - wanted
    return (error.abs() if norm == "l1" else error.square()).mean(dim=(1, 2, 3))


def _offset(side: int, cells: int, generator: torch.Generator) -> int:
    if side <= cells:
        return 0
    return int(torch.randint(0, side - cells + 1, (), generator=generator))
