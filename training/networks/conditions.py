"""The tensors that the network sees beside x_t, concatenated to it along channels: images through the
autoencoder or resized, light as planes of its irradiance, label maps as shares, and the class of a sample as
one plane of ones among planes of zeros.

A label map of L labels has a plane a label, or a code of 3 p planes, p the smallest prime with p^2 >= L:
label n is the line a + b j modulo p with a = n mod p and b = n div p, and marks in block j = 0, 1, 2 the
plane that the line meets there. Two lines meet at most once, so two labels share at most one plane of their
three (polynomials over a finite field, as in Reed and Solomon's code). The network's first convolution,
linear in the planes, makes a learned embedding of either: of the code one of rank 3 p - 2, in place of a
weight for each of thousands of labels. A latent cell has the mean over its pixels, and pixels without a label
add nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from pairbridge.training.data.condition_specs import (
    CODE_BLOCKS,
    MASK,
    MOST_8_BIT_LABELS,
    NOISE,
    SOURCE,
    ConditionConfig,
)
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.irradiance import irradiance_numbers


class Condition(Protocol):
    """What of a ConditionConfig its tensor depends on."""

    field: str
    classes: tuple[str, ...]
    labels: int | None
    code_base: int | None
    through_autoencoder: bool
    as_irradiance: bool
    colours: int


def encode_condition(
    config: Condition, images: Mapping[str, Tensor], x0: Tensor, autoencoder: Autoencoder
) -> Tensor:
    """(B, width, h, w) from `images` (B, C, H, W): masks in [0, 1], all others in [-1, 1], label maps as
    `label_levels`; x0: source latent.
    """
    if config.field == SOURCE:
        return x0
    if config.classes:
        return _planes(images[config.field], len(config.classes), x0)
    if config.labels:
        numbers = ((images[config.field] + 1) * (_top(config.labels) / 2)).round()
        return _label_planes(numbers, config.labels, config.code_base, autoencoder.factor).to(x0.dtype)
    if config.as_irradiance:
        numbers = irradiance_numbers(images[config.field])
        return numbers[:, :, None, None].expand(-1, -1, *x0.shape[-2:])
    image = _with_channels(images[config.field], 3 if config.through_autoencoder else config.colours)
    if not config.through_autoencoder:
        return autoencoder.encode_mask(image)
    return autoencoder.encode(image * 2 - 1 if config.field == MASK else image)


def encode_conditions(
    configs: Sequence[ConditionConfig], images: Mapping[str, Tensor], x0: Tensor, autoencoder: Autoencoder
) -> dict[str, Tensor]:
    """`encode_condition` of each but noise, by field."""
    return {
        one.field: encode_condition(one, images, x0, autoencoder) for one in configs if one.field != NOISE
    }


def withhold(
    configs: Sequence[ConditionConfig], conditions: Mapping[str, Tensor], draws: Tensor
) -> dict[str, Tensor]:
    """Zeros in place of the conditions that `draws` (B,), uniform in [0, 1), let drop.

    A sample has one draw for all of them: those of equal dropout go together, with this probability, because
    guidance compares with a network that has none. Draws of their own would leave it 1 % of the samples for
    two conditions of 10 %.
    """
    kept = {}
    for config in configs:
        stays = (draws >= config.dropout).to(conditions[config.field].dtype)
        kept[config.field] = conditions[config.field] * stays[:, None, None, None]
    return kept


def _planes(pixels: Tensor, count: int, like: Tensor) -> Tensor:
    """(B, 1, 1, 1) classes -> (B, count, h, w) of `like`: ones in the class's own plane."""
    number = ((pixels.reshape(-1, 1) + 1) * 127.5).round()
    chosen = number == torch.arange(count, device=pixels.device)
    return chosen.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def label_levels(numbers: Tensor, labels: int) -> Tensor:
    """Label numbers as a label map travels among images: the whole range of its type as [-1, 1]."""
    return numbers / (_top(labels) / 2) - 1


def _top(labels: int) -> int:
    """The largest value of the type of `ConditionConfig.label_image`."""
    return 255 if labels <= MOST_8_BIT_LABELS else 65535


def _label_planes(numbers: Tensor, labels: int, code_base: int | None, factor: int) -> Tensor:
    """(B, width, h, w) in [0, 1] from label numbers (B, 1, H, W), each cell the mean of its pixels."""
    pixels = F.pixel_unshuffle(numbers, factor).long()[:, None]
    if code_base is None:
        return _shares(pixels, labels)
    # What has no label marks no plane.
    offset = torch.where((pixels >= 0) & (pixels < labels), pixels % code_base, -1)
    rise = pixels // code_base
    blocks = [
        _shares(torch.where(offset < 0, -1, (offset + rise * block) % code_base), code_base)
        for block in range(CODE_BLOCKS)
    ]
    return torch.cat(blocks, dim=1)


def _shares(pixels: Tensor, count: int) -> Tensor:
    """(B, count, h, w): the share of a cell's pixels (B, 1, n, h, w) that hold each number below `count`."""
    numbers = torch.arange(count, device=pixels.device)[:, None, None, None]
    return (pixels == numbers).sum(dim=2, dtype=torch.float32) / pixels.shape[2]


def _with_channels(image: Tensor, channels: int) -> Tensor:
    if image.shape[1] == channels:
        return image
    if image.shape[1] == 6:
        # Light in two ranges; the second has all of it.
        image = image[:, 3:]
        if channels == 3:
            return image
    return image.expand(-1, channels, -1, -1) if channels == 3 else image.mean(dim=1, keepdim=True)
