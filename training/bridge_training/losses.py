"""The loss of LBM (Eq. 7): a latent regression plus a pixel loss on the decoded target estimate.

Every term is a mean over the elements that count, per sample first, so that it can be reported per source.
Where a target holds only in part, the mean is over that part: the scale of a loss does not depend on how
much is valid, and a sample without anything valid costs nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, NamedTuple, Protocol, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.engine.torch_devices import to_device
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.perceptual.lpips import SMALLEST_SIDE, Lpips, LpipsConfig


class LatentWeighting(StrEnum):
    """The error of v as it stands, or times 1-t (squared for l2), which makes it that of x1_hat and bounds
    it at t -> 1.
    """

    FIELD = "field"
    ESTIMATE = "estimate"


class LossTerm(Protocol):
    """A loss of the user's own: a torch.nn.Module, made as `Class(**settings)`. It is not trained."""

    def forward(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """(B,) from the decoded target estimate and the target (B, 3, h, w), nominally in [-1, 1], and the
        pairs' mask (B, 1, h, w) in [0, 1], on one crop each. Where a target is not valid both are 0.
        """


class OwnLossTerm(UserCode):
    """A class of the user's own: a `LossTerm`, made from its settings."""

    named_by: ClassVar[str] = "loss"
    group: ClassVar[str] = "pairbridge.losses"
    method: ClassVar[str] = "forward"

    loss: str
    """The loss's class: path/to/file.py:Class, or the name of an entry point."""
    weight: float = Field(default=1.0, gt=0)
    """The term counts this many times in the sum."""


class LossConfig(FrozenModel):
    latent_weight: float = Field(default=1.0, ge=0)
    """Weight of the regression loss in latent space, 0 or more."""
    latent_norm: Literal["l1", "l2"] = "l2"
    """Norm of the regression loss: absolute (l1) or squared (l2) error."""
    latent_weighting: LatentWeighting = LatentWeighting.ESTIMATE
    """Weighting over timesteps. field: the error of the prediction as it stands. estimate: that of the target
    estimate, which stays bounded towards t = 1."""
    pixel_weight: float = Field(default=0.0, ge=0)
    """Weight (lambda) of the loss on decoded images, 0 or more. 0: nothing is decoded for it."""
    pixel_norm: Literal["l1", "l2", "lpips", "foreground_psnr"] = "l1"
    """Norm of the loss on decoded images. lpips needs weights, see `lpips`. foreground_psnr: the logarithm of
    the mean squared error under the mask, so that every pair counts by its decibels, however large its object
    and far its target; for pairs whose mask shows what is relit."""
    pixel_crop: int = Field(default=512, ge=8)
    """Side in pixels of the random crop that is decoded and compared, one a sample: decoding is most of the
    memory."""
    lpips: LpipsConfig | None = None
    """Files of the weights of LPIPS for pixel_norm lpips. None are shipped."""
    terms: tuple[OwnLossTerm, ...] = ()
    """Losses of the user's own, added to the sum. They compare decoded images, on crops as above."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wants_lpips and self.lpips is None:
            raise ValueError(
                "pixel_norm lpips needs loss.lpips: {vgg: FILE, heads: FILE}, which are not shipped"
            )
        if self.wants_lpips and self.pixel_crop < SMALLEST_SIDE:
            raise ValueError(
                f"pixel_crop {self.pixel_crop} is below the {SMALLEST_SIDE} pixels that LPIPS needs: raise it"
            )
        if not self.latent_weight and not self.wants_pixels:
            raise ValueError("latent_weight and pixel_weight are both 0: there is nothing to learn")
        if len(self.weights) != 2 + len(self.terms):
            raise ValueError("two terms have one name, by which they are reported: rename a class")
        return self

    @property
    def wants_lpips(self) -> bool:
        return self.pixel_weight > 0 and self.pixel_norm == "lpips"

    @property
    def wants_pixels(self) -> bool:
        """Whether estimates are decoded and compared with target images."""
        return self.pixel_weight > 0 or bool(self.terms)

    @property
    def wants_masks(self) -> bool:
        """Whether a term looks at the pairs' masks."""
        return self.pixel_norm == "foreground_psnr" or bool(self.terms)

    @property
    def weights(self) -> dict[str, float]:
        """The weights of all terms by name."""
        own = {term.class_name: term.weight for term in self.terms}
        return {"latent": self.latent_weight, "pixel": self.pixel_weight, **own}


@dataclass(frozen=True, slots=True)
class Loss:
    """`per_sample` (B,) is the weighted sum; `components` are its unweighted terms, (B,) each, detached."""

    per_sample: Tensor
    components: dict[str, Tensor]


class Crops(NamedTuple):
    """One window a sample in latent cells: its rows and columns (B, side), consecutive numbers."""

    rows: Tensor
    columns: Tensor

    def of(self, samples: slice) -> "Crops":
        return Crops(self.rows[samples], self.columns[samples])


def draw_crops(
    config: LossConfig, latent_HW: tuple[int, int], factor: int, samples: int, generator: torch.Generator
) -> Crops:
    """Windows of at most `pixel_crop` pixels, equally likely at every place that holds them, the edges
    included.
    """
    cells = max(1, config.pixel_crop // factor)
    windows = []
    for side in latent_HW:
        length = min(side, cells)
        first = torch.randint(0, side - length + 1, (samples, 1), generator=generator)
        windows.append(first + torch.arange(length))
    return Crops(*windows)


def latent_validity(valid: Tensor, factor: int) -> Tensor:
    """(B, 1, H, W) in [0, 1] -> (B, 1, H / factor, W / factor): 1 where every pixel of the cell is valid."""
    return 1 - F.max_pool2d((valid < 1).to(valid.dtype), factor)


def latent_loss(
    config: LossConfig, v: Tensor, v_target: Tensor, t: Tensor, cells: Tensor | None = None
) -> Tensor:
    """Error of the field per sample, (B,), over the valid `cells` (B, 1, h, w); None: over all."""
    error = _error(v - v_target, config.latent_norm)
    loss = _masked_mean(error, cells)
    if config.latent_weighting is LatentWeighting.FIELD:
        return loss
    return loss * (1 - t) ** (2 if config.latent_norm == "l2" else 1)


# 35 dB: a pair that is this near does not outweigh others by getting nearer.
_MSE_FLOOR = 10**-3.5

# A decoder keeps some 6 GiB for the gradient of one crop of this size, and gives back a gradient of 64 KiB.
_PIXELS_AT_ONCE = 512 * 512


class PixelLoss(nn.Module):
    """Errors of decode(x1_hat) against target images (B, 3, H, W) on one crop each, per sample, (B,)."""

    def __init__(
        self, config: LossConfig, precision: Literal["fp32", "bf16"] = "fp32", *, hollow: bool = False
    ) -> None:
        """precision: of the decoder; comparisons are in float32. hollow: without the contents of weights."""
        super().__init__()
        self.norm, self.precision = config.pixel_norm, precision
        self.wants_masks = config.wants_masks
        self.lpips = None
        if config.wants_lpips and config.lpips:
            self.lpips = Lpips.hollow() if hollow else Lpips.load(config.lpips)
        self.terms = nn.ModuleDict({term.class_name: term.make() for term in config.terms})
        wants_pixel = config.pixel_weight > 0 or not config.terms
        self.names = (*(("pixel",) if wants_pixel else ()), *self.terms)
        self.eval().requires_grad_(False)

    def forward(
        self,
        x1_hat: Tensor,
        images: Mapping[str, Tensor],
        autoencoder: Autoencoder,
        crops: Crops,
    ) -> dict[str, Tensor]:
        """Each term by name. `images`: target, mask and, where a target does not hold everywhere, `valid`
        (B, 1, H, W) in [0, 1]. L1 and L2 average over it; all others compare both images with the rest
        blackened to 0, as features know no holes.

        A few samples at a time, their gradients at once: of a batch's decoded images nothing is kept.
        """

        def errors(estimate: Tensor, part: slice) -> Tensor:
            of_part = {name: image[part] for name, image in images.items()}
            return self._errors(estimate, of_part, autoencoder, crops.of(part))

        pixels = crops.rows.shape[1] * crops.columns.shape[1] * autoencoder.factor**2
        values = _GradientAtOnce.apply(x1_hat, errors, max(1, _PIXELS_AT_ONCE // pixels))
        return dict(zip(self.names, values, strict=True))

    def _errors(
        self, x1_hat: Tensor, images: Mapping[str, Tensor], autoencoder: Autoencoder, crops: Crops
    ) -> Tensor:
        """(terms, B), in the order of `names`."""
        factor = autoencoder.factor
        output = autoencoder.decode(_window(x1_hat, crops, 1), self.precision)
        wanted = _window(images["target"], crops, factor)
        holds = None
        if "valid" in images:
            holds = (_window(images["valid"], crops, factor) >= 1).to(output.dtype)
        found = {}
        if self.wants_masks:
            mask = _window(images["mask"], crops, factor)
        if self.norm == "foreground_psnr":
            found["pixel"] = _log_error(output, wanted, mask if holds is None else mask * holds)
        elif self.norm != "lpips":
            found["pixel"] = _masked_mean(_error(output - wanted, self.norm), holds)
        if holds is not None:
            output, wanted = output * holds, wanted * holds
        if self.lpips is not None:
            found["pixel"] = self.lpips(output, wanted)
        for name, term in self.terms.items():
            found[name] = term(output, wanted, mask)
        return torch.stack([found[name] for name in self.names])


class _GradientAtOnce(torch.autograd.Function):
    """errors(x[rows], rows) for all rows, some at a time; what they keep for the gradient goes with them."""

    @staticmethod
    def forward(ctx, x: Tensor, errors: Callable[[Tensor, slice], Tensor], size: int) -> Tensor:
        values, gradients, wanted = [], [], ctx.needs_input_grad[0]
        for first in range(0, len(x), size):
            part = slice(first, first + size)
            with torch.set_grad_enabled(wanted):
                piece = x[part].detach().requires_grad_(wanted)
                found = errors(piece, part)
                if wanted:
                    own = [
                        torch.autograd.grad(row.sum(), piece, retain_graph=place < len(found) - 1)[0]
                        for place, row in enumerate(found)
                    ]
                    gradients.append(torch.stack(own))
            values.append(found.detach())
        ctx.save_for_backward(*gradients)
        return torch.cat(values, dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, outside: Tensor) -> tuple[Tensor, None, None]:
        gradients = torch.cat(ctx.saved_tensors, dim=1)
        return torch.einsum("kb,kbchw->bchw", outside, gradients), None, None


def _window(images: Tensor, crops: Crops, factor: int) -> Tensor:
    """Each sample's crop, (B, C, rows * factor, columns * factor), without waiting for the device."""
    rows, columns = ((cells[:, :, None] * factor + torch.arange(factor)).flatten(1) for cells in crops)
    if rows.shape[1] == images.shape[-2] and columns.shape[1] == images.shape[-1]:
        return images
    rows, columns = to_device(rows, images.device), to_device(columns, images.device)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    # Advanced indices around a slice put the channels last.
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _error(difference: Tensor, norm: str) -> Tensor:
    return difference.abs() if norm == "l1" else difference.square()


def _log_error(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """ln(MSE / floor + 1) under `mask` (B, 1, H, W) per sample, (B,): 0 for equal images, and where the mask
    is empty.
    """
    error = (output - target).square().mean(dim=1, keepdim=True) * mask
    # Of images in [0, 1], as PSNR has them.
    mse = error.sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp(min=1) / 4
    return torch.log1p(mse / _MSE_FLOOR)


def _masked_mean(error: Tensor, holds: Tensor | None) -> Tensor:
    """Mean over (C, H, W) per sample, weighted by `holds` (B, 1, H, W); 0 where nothing holds."""
    if holds is None:
        return error.mean(dim=(1, 2, 3))
    count = holds.sum(dim=(1, 2, 3)) * error.shape[1]
    # where, not a product: an error that is infinite outside must not become NaN.
    return torch.where(holds > 0, error, 0.0).sum(dim=(1, 2, 3)) / count.clamp(min=1)
