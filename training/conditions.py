"""What the network sees beside x_t, concatenated to it along channels: masks, light maps, the source, any
image.

A condition is a field of the batch, brought to the latent's size in one of two ways, and now and then
withheld, so that the network also learns to do without it. Its channels are counted here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from datagen.frozen import FrozenModel
from training.autoencoders import Autoencoder

MASK = "mask"
SOURCE = "source"
LIGHT = "light"


class ConditionConfig(FrozenModel):
    """A bare name in YAML stands for a condition with its defaults: `conditions: [mask, light]`."""

    # mask: the foreground or the hole. source: the latent x0 itself, which makes the bridge conditional and
    # so keeps its pairing beyond one step. Any other name is an image field of the samples: light is
    # light.png.
    field: str = Field(pattern=r"^[a-z0-9_]+$")
    # autoencoder: the image's latent. resize: the image itself at the latent's size (in Haar latents without
    # loss). null: resize for the mask, autoencoder for everything else, as the paper does with light maps.
    encoding: Literal["autoencoder", "resize"] | None = None
    # Colours of a resized image; grey is repeated, colour is averaged. null: 1 for the mask, 3 otherwise.
    channels: Literal[1, 3] | None = None
    # aligned: cropped with the pair. whole: always resized as a whole, for what is no picture of the scene,
    # such as a light map over directions. null: whole for `light`, aligned otherwise.
    frame: Literal["aligned", "whole"] | None = None
    # Share of the samples that are trained without this condition: all zeros in its place.
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value

    @property
    def through_autoencoder(self) -> bool:
        return self.field == SOURCE or (self.encoding or _default_encoding(self.field)) == "autoencoder"

    @property
    def colours(self) -> int:
        return self.channels or (1 if self.field == MASK else 3)

    @property
    def is_whole(self) -> bool:
        return (self.frame or ("whole" if self.field == LIGHT else "aligned")) == "whole"

    def width(self, *, latent_channels: int, mask_channels: int) -> int:
        """Channels that it adds to the network's input."""
        return latent_channels if self.through_autoencoder else mask_channels * self.colours


def _differ(conditions: tuple[ConditionConfig, ...]) -> tuple[ConditionConfig, ...]:
    names = [condition.field for condition in conditions]
    if len(set(names)) != len(names):
        raise ValueError(f"conditions {names} repeat")
    return conditions


Conditions = Annotated[tuple[ConditionConfig, ...], AfterValidator(_differ)]


def encode_condition(
    config: ConditionConfig, images: Mapping[str, Tensor], x0: Tensor, autoencoder: Autoencoder
) -> Tensor:
    """(B, width, h, w) from `images` (B, C, H, W): masks in [0, 1], all others in [-1, 1]; x0: source
    latent.
    """
    if config.field == SOURCE:
        return x0
    image = _with_channels(images[config.field], 3 if config.through_autoencoder else config.colours)
    if not config.through_autoencoder:
        return autoencoder.encode_mask(image)
    return autoencoder.encode(image * 2 - 1 if config.field == MASK else image)


def withhold(
    configs: Sequence[ConditionConfig], conditions: Mapping[str, Tensor], draws: Tensor
) -> dict[str, Tensor]:
    """Zeros in place of the conditions that `draws` (B, len(configs)), uniform in [0, 1), let drop."""
    kept = {}
    for place, config in enumerate(configs):
        stays = (draws[:, place] >= config.dropout).to(conditions[config.field].dtype)
        kept[config.field] = conditions[config.field] * stays[:, None, None, None]
    return kept


def image_fields(configs: Sequence[ConditionConfig]) -> tuple[str, ...]:
    """The fields that have to be read from the samples beside source, target and mask."""
    return tuple(config.field for config in configs if config.field not in (MASK, SOURCE))


def _default_encoding(field: str) -> str:
    return "resize" if field == MASK else "autoencoder"


def _with_channels(image: Tensor, channels: int) -> Tensor:
    if image.shape[1] == channels:
        return image
    return image.expand(-1, channels, -1, -1) if channels == 3 else image.mean(dim=1, keepdim=True)
