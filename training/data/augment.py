"""Changes under which a pair stays one: the same change on source, target, mask and conditions.

A mirrored scene is a scene, and so is one whose light and materials have their red, green and blue exchanged:
the view transform treats channels alike. Depth and normals know no colour, and a mirrored normal points the
other way along x. An object painted another colour is an object, too: light and albedo multiply.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from pydantic import Field
from torch import Tensor

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.fields import FieldKind

# Uniform numbers a sample that `augment` decides by: three of place and order, five of the albedo.
DRAWS = 8
# Natural logarithms: of the factor that the colours share, and the largest of each beside it.
_LEVEL = (math.log(0.35), math.log(2.5))
_TINT = math.log(4 / 3)
# The least that a vivid paint leaves of a colour beside what it leaves of the brightest.
_PUREST = 0.03


class AugmentConfig(FrozenModel):
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of mirroring left and right."""
    permute_colours: float = Field(default=0.0, ge=0, le=1)
    """Probability of a random order of the colour channels; leave 0 where colours have names, as on faces and
    grass."""
    recolour: float = Field(default=0.0, ge=0, le=1)
    """Probability of another albedo of what the mask shows: source and target are multiplied there, in linear
    light, by one factor for each colour, of 0.35 to 2.5 together and 0.75 to 1.33 apart; in every other of
    them by vivid ones, in which a colour keeps 0.03 to 1 of what the brightest does, as toys and plastics
    have them. For relighting, whose source and target show one object; exact for what is matte and reflects
    no neighbour."""


STILL = AugmentConfig(flip=0)
"""The images as they are."""


def augment(
    config: AugmentConfig,
    images: dict[str, Tensor],
    draws: Tensor,
    kinds: Mapping[str, FieldKind] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """One change for all (B, C, H, W) tensors of `images`, decided by `draws` (B, 8), uniform in [0, 1).

    kinds: what the images show; those that are not named are pictures or masks.
    """
    flip = draws[:, 0] < config.flip
    permute = draws[:, 1] < config.permute_colours
    # draws are below 1, so the number is below 6.
    order = _order(torch.where(permute, (draws[:, 2] * 6).long(), 0))
    if config.recolour:
        painted = draws[:, 3:4]
        factor = _albedo_factor(draws[:, 4:], vivid=painted < config.recolour / 2)
        factor = torch.where(painted < config.recolour, factor, 1.0)
        images = {**images, **_recoloured(images, factor)}
    changed = {}
    for name, image in images.items():
        kind = kinds.get(name, FieldKind.IMAGE)
        image = image if kind.has_gaps else _reorder(image, order)
        changed[name] = torch.where(flip.to(image.device)[:, None, None, None], image.flip(-1), image)
        if kind is FieldKind.NORMAL:
            # Of x, y and z the first.
            mirrored = flip.to(image.device)[:, None] & (torch.arange(3, device=image.device) == 0)
            changed[name] = torch.where(mirrored[..., None, None], -changed[name], changed[name])
    return changed


def _albedo_factor(draws: Tensor, vivid: Tensor) -> Tensor:
    """(B, 3) from (B, 4) uniform numbers, one of the level and one of each colour, and (B, 1), which of them
    are vivid.
    """
    low, high = _LEVEL
    mild = _TINT * (2 * draws[:, 1:] - 1)
    pure = math.log(_PUREST) * draws[:, 1:]
    return (low + (high - low) * draws[:, :1] + torch.where(vivid, pure - pure.amax(1, True), mild)).exp()


def _recoloured(images: dict[str, Tensor], factor: Tensor) -> dict[str, Tensor]:
    """Source and target, multiplied by `factor` (B, 3) in linear light where the mask is 1."""
    factor = factor.to(images["mask"].device)[:, :, None, None]
    share = 1 + images["mask"] * (factor - 1)
    return {name: _encoded(_decoded(images[name]) * share) for name in ("source", "target") if name in images}


def _decoded(images: Tensor) -> Tensor:
    """sRGB in [-1, 1] -> linear in [0, 1] (IEC 61966-2-1)."""
    encoded = (images + 1) / 2
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Tensor) -> Tensor:
    """The inverse of `_decoded`; above 1 is white."""
    power = 1.055 * linear.clamp(0, 1) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, power) * 2 - 1


def _order(number: Tensor) -> Tensor:
    """(B,) below 6 -> (B, 3): that one of the orders of three, sorted as words are.

    Counted out: a table would be copied to the device in every step, and waited for.
    """
    first = number // 2
    # What is left, the lower one in even numbers ahead of the higher one.
    lower, higher = (first == 0).long(), 2 - (first == 2).long()
    second = torch.where(number % 2 == 0, lower, higher)
    return torch.stack([first, second, 3 - first - second], dim=1)


def _reorder(image: Tensor, order: Tensor) -> Tensor:
    if image.shape[1] == 6:
        # Light in two ranges of three colours.
        return torch.cat([_reorder(half, order) for half in image.split(3, dim=1)], dim=1)
    if image.shape[1] != 3:
        return image
    index = order.to(image.device)[:, :, None, None].expand_as(image)
    return image.gather(1, index)
