"""The tensors that the network sees beside x_t, concatenated to it along channels: images through the
autoencoder or resized, light as planes of its irradiance, and the class of a sample as one plane of ones
among planes of zeros.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pairbridge.training.data.condition_specs import MASK, NOISE, SOURCE, ConditionConfig
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.irradiance import irradiance_numbers


class Condition(Protocol):
    """What of a ConditionConfig its tensor depends on."""

    field: str
    classes: tuple[str, ...]
    through_autoencoder: bool
    as_irradiance: bool
    colours: int


def encode_condition(
    config: Condition, images: Mapping[str, Tensor], x0: Tensor, autoencoder: Autoencoder
) -> Tensor:
    """(B, width, h, w) from `images` (B, C, H, W): masks in [0, 1], all others in [-1, 1]; x0: source
    latent.
    """
    if config.field == SOURCE:
        return x0
    if config.classes:
        return _planes(images[config.field], len(config.classes), x0)
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


def _with_channels(image: Tensor, channels: int) -> Tensor:
    if image.shape[1] == channels:
        return image
    if image.shape[1] == 6:
        # Light in two ranges; the second has all of it.
        image = image[:, 3:]
        if channels == 3:
            return image
    return image.expand(-1, channels, -1, -1) if channels == 3 else image.mean(dim=1, keepdim=True)
