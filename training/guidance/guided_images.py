"""An edit of images: a model's path from them, guided by losses of what it decodes to.

A path is what `pairbridge.training.guidance.guidance_equations` needs of a model for a batch of images: the
three callables, the times, a
start, and the estimates of an unguided pass. `pairbridge.training.guidance.guided_translation` makes one of
a trained bridge or flow, `pairbridge.training.guidance.latent_diffusion` one of a latent diffusion model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.targets import to_picture
from pairbridge.training.data.tensors import image_tensor, keep_outside, mask_tensor
from pairbridge.training.guidance.edit_losses import WeightedTerm
from pairbridge.training.guidance.edit_scene import Scene
from pairbridge.training.guidance.guidance_equations import GuidedModel, guide, proposed_scale
from pairbridge.training.guidance.guide_config import GuideConfig


class Counted:
    """A model's `denoise` that counts its evaluations, of batches of any size."""

    def __init__(self, denoise: Callable[[Tensor, float], Tensor]) -> None:
        self.denoise = denoise
        self.evaluations = 0
        self.with_gradient = 0

    def __call__(self, x: Tensor, t: float) -> Tensor:
        self.evaluations += 1
        self.with_gradient += x.requires_grad
        return self.denoise(x, t)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePath:
    """`stored`: the estimates of the unguided pass at `times`; the last is its end.

    `decode` takes latents like `start` to images (B, 3, H, W) of the sources' size, differentiably. `cell`:
    the side of a latent's cell in pixels. `keeps_outside`: what `GuideConfig.outside_mask` null means for it.
    """

    model: GuidedModel
    times: Sequence[float]
    start: Tensor
    stored: Sequence[Tensor]
    decode: Callable[[Tensor], Tensor]
    cell: int
    keeps_outside: bool
    # Of the network, each time that `denoise` is called.
    evaluations: int = 1
    # uint8 (B, H, W), 255 = what is to be edited, where the path itself knows it.
    mask: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """images, unguided: uint8 (B, H, W, 3). before, after: the losses of both, by label, (B,) each. scale:
    what their weighted sum was multiplied by, (B,).

    `gradients`: how many of the network's evaluations were followed by a backward pass.
    """

    images: np.ndarray
    unguided: np.ndarray
    before: dict[str, list[float]]
    after: dict[str, list[float]]
    scale: list[float]
    evaluations: int
    gradients: int


def edit_images(
    path: ImagePath,
    sources: np.ndarray,
    masks: np.ndarray | None,
    terms: Sequence[WeightedTerm],
    config: GuideConfig,
    generator: torch.Generator | list[torch.Generator],
) -> Edited:
    """Guide uint8 (B, H, W, 3) sources along their path; masks (B, H, W), 255 = foreground.

    generator: of the batch, or one for each image, with which its result does not depend on its company.
    Raises ConfigError where a loss or
    the blend needs a mask and there is none.
    """
    counted = Counted(path.model.denoise)
    device = path.start.device
    mask = None if masks is None else mask_tensor(masks).to(device)
    keeps = path.keeps_outside if config.outside_mask is None else config.outside_mask == "keep"

    def unit(images: np.ndarray) -> Tensor:
        return image_tensor(images).to(device)

    def finish(latents: Tensor) -> np.ndarray:
        with torch.no_grad():
            images = to_picture(path.decode(latents).permute(0, 2, 3, 1).cpu().numpy())
        return keep_outside(images, sources, masks) if keeps and masks is not None else images

    unguided = finish(path.stored[-1])
    scene = Scene(source=unit(sources), unguided=unit(unguided), mask=mask)

    def weighted(x1: Tensor, t: float) -> Tensor:
        images = path.decode(x1)
        return torch.stack([one.weight * one.term(images, scene) for one in terms]).sum(dim=0)

    factor = torch.ones(len(path.start), device=device)
    if config.balance:
        factor = proposed_scale(weighted, path.times, path.stored, config.guidance, config.balance)

    def edit(x1: Tensor, t: float) -> Tensor:
        return factor * weighted(x1, t)

    # Losses are means over pixels, whose gradient for one of them shrinks with their number.
    scale = config.guidance.mcg_scale * path.start[0].numel()
    latents = guide(
        replace(path.model, denoise=counted),
        path.start,
        path.times,
        path.stored,
        edit,
        config.guidance.model_copy(update={"mcg_scale": scale}),
        generator,
        blend=_blend(mask, path.cell, path.start) if config.blend else None,
    )
    images = finish(latents)

    def judged(shown: np.ndarray) -> dict[str, list[float]]:
        with torch.no_grad():
            return {one.label: one.term(unit(shown), scene).tolist() for one in terms}

    return Edited(
        images=images,
        unguided=unguided,
        before=judged(unguided),
        after=judged(images),
        scale=factor.tolist(),
        # Both passes take the same times.
        evaluations=(len(path.times) + counted.evaluations) * path.evaluations,
        gradients=counted.with_gradient * path.evaluations,
    )


def _blend(mask: Tensor | None, cell: int, like: Tensor) -> Tensor:
    """(B, 1, h, w): the share of each latent cell that the mask covers, 0 beyond the image's edge."""
    if mask is None:
        raise ConfigError(
            "blend: true edits the inside of a mask, and the image came without one",
            consequence="it is not known where to edit",
            remedy="pass --mask, white where the edit goes, or leave blend out",
        )
    bottom, right = (
        cells * cell - side for cells, side in zip(like.shape[-2:], mask.shape[-2:], strict=True)
    )
    return F.avg_pool2d(F.pad(mask, (0, right, 0, bottom)), cell)
