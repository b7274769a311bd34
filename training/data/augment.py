"""Changes under which a pair stays one: the same change on source, target, mask and conditions.

A mirrored scene is a scene, and so is one whose light and materials have their red, green and blue exchanged:
the view transform treats channels alike. Depth and normals know no colour, and a mirrored normal points the
other way along x.
"""

import itertools

import torch
from pydantic import Field
from torch import Tensor

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.data.targets import TargetKind


class AugmentConfig(FrozenModel):
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of mirroring left and right."""
    permute_colours: float = Field(default=0.0, ge=0, le=1)
    """Probability of a random order of the colour channels; leave 0 where colours have names, as on faces and
    grass."""


def augment(
    config: AugmentConfig,
    images: dict[str, Tensor],
    draws: Tensor,
    target: TargetKind = TargetKind.IMAGE,
) -> dict[str, Tensor]:
    """One change for all (B, C, H, W) tensors of `images`, decided by `draws` (B, 3), uniform in [0, 1).

    `target` is what images["target"] shows.
    """
    flip = draws[:, 0] < config.flip
    permute = draws[:, 1] < config.permute_colours
    orders = torch.tensor(list(itertools.permutations(range(3))), device=draws.device)
    # draws are below 1, so the index is below 6.
    order = torch.where(permute[:, None], orders[(draws[:, 2] * 6).long()], orders[0])
    changed = {}
    for name, image in images.items():
        is_geometry = name == "target" and target is not TargetKind.IMAGE
        image = image if is_geometry else _reorder(image, order)
        changed[name] = torch.where(flip.to(image.device)[:, None, None, None], image.flip(-1), image)
    if target is TargetKind.NORMAL:
        mirrored = flip.to(images["target"].device)[:, None] & torch.tensor(
            [True, False, False], device=images["target"].device
        )
        changed["target"] = torch.where(mirrored[..., None, None], -changed["target"], changed["target"])
    return changed


def _reorder(image: Tensor, order: Tensor) -> Tensor:
    if image.shape[1] != 3:
        return image
    index = order.to(image.device)[:, :, None, None].expand_as(image)
    return image.gather(1, index)
