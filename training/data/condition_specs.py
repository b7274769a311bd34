"""What the network sees beside x_t, as a configuration: masks, light maps, label maps, any image, a class.

A condition is a field of the batch, brought to the latent's size in one of two ways, and now and then
withheld, so that the network also learns to do without it. Its channels are counted here and nowhere else.
A class travels as an image of one pixel, whose grey level is its place in the list of classes; a label map
as an image of label numbers. The tensors are made by `pairbridge.training.networks.conditions`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.fields import KINDS, FieldKind
from pairbridge.datagen.shards.sample import params_of

MASK = "mask"
SOURCE = "source"
LIGHT = "light"
NOISE = "noise"
# Nine polynomials of the normal, in three colours.
IRRADIANCE_PLANES = 27
# Not images of their own: the mask is always read, the source too, and noise is drawn.
_NO_IMAGE = (MASK, SOURCE, NOISE)
# Grey levels of one pixel.
_MOST_CLASSES = 256
# Label maps of more labels than this are coded, unless `encoding` says otherwise: Cityscapes has 35 and fits,
# ADE20K has 151.
_MOST_LABEL_PLANES = 64
# 8 bits hold the labels below 255, and 255 for what has none; more labels travel in 16 bits.
MOST_8_BIT_LABELS = 255
_MOST_LABELS = 4096
# Blocks of planes of a coded label map, of which a label marks one plane each.
CODE_BLOCKS = 3


class ConditionConfig(FrozenModel):
    """A bare name in YAML stands for a condition with its defaults: `conditions: [mask, light]`."""

    field: str = Field(pattern=r"^[a-z0-9_]+$")
    """Input that the network is conditioned on. `mask`: the foreground or the hole. `source`: the latent x0,
    which makes the bridge conditional and so keeps its pairing beyond one step. `noise`: a standard normal
    like the latent, new at every evaluation, for students of `pairbridge distill`. Any other name is an image
    field of the samples (`light` is light.png) or, with `classes`, a name for the class."""
    encoding: Literal["autoencoder", "resize", "irradiance", "planes", "code"] | None = None
    """Encoding of the image. `autoencoder`: its latent. `resize`: the image itself at the latent's size, in
    Haar latents without loss. `irradiance`: of an environment map what a white ball shows of it, as nine
    numbers a colour (spherical harmonics of order 2), each a plane of its own; for networks of convolutions,
    which cannot use the place of a light in a map. Of label maps, `planes`: one plane a label, its share of
    each latent cell; `code`: fewer planes, of which each label marks three, and any two labels at most one in
    common. null: `resize` for the mask, `planes` for up to 64 labels and `code` for more, `autoencoder` for
    everything else, as the paper does with light maps."""
    kind: FieldKind | None = None
    """What the field shows, which decides framing and values; the dataset's field has to be of this kind.
    null: the kind that pairbridge's own fields of this name have, and `image` for other names."""
    channels: Literal[1, 3, 6] | None = None
    """Colour channels of a resized image; grey is repeated, colour is averaged. 6: an environment map in two
    ranges, as a display shows it and as its logarithm. null: 1 for the mask, 3 otherwise."""
    frame: Literal["aligned", "whole"] | None = None
    """Framing of the image. `aligned`: it is cropped with the pair. `whole`: it is resized as a whole, for
    what is no picture of the scene, such as a light map over directions. null: `whole` for light, `aligned`
    for all other kinds."""
    labels: int | None = Field(default=None, ge=2, le=_MOST_LABELS)
    """Number of labels of a label map, whose pixels hold 0 to labels - 1. Any higher number, such as the 255
    of published data sets, stands for no label. null: the condition is no label map."""
    classes: tuple[str, ...] = Field(default=(), max_length=_MOST_CLASSES)
    """Names of the classes that a sample can be of, where this condition is one."""
    read: str | None = None
    """Place of a sample's class in its meta.json: `assets.<role>` is the asset with this role (of a
    procedural object its family), `params.<key>...` a parameter, `<key>` an entry. `mix.label`: the `label`
    of its source in the mix."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a sample is trained without this condition, with zeros in its place, as
    classifier-free guidance needs. Conditions of equal dropout are withheld together; of unequal ones, those
    of a smaller dropout only where the others are."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.classes) != (self.read is not None):
            raise ValueError("a class condition needs both `classes` and `read`, and no other has either")
        if self.classes and (self.encoding or self.channels or self.frame or self.kind or self.labels):
            raise ValueError("encoding, kind, channels, frame and labels are for images; a class has none")
        if self.kind is FieldKind.META:
            raise ValueError("a meta field holds no pixels")
        if self.shows is FieldKind.LABEL and not (self.labels or self.classes):
            raise ValueError(
                "the numbers of a label field are names, with no levels that a network could compare: write"
                " how many there are, `labels: 150`, and each gets planes of its own"
            )
        if self.labels and (self.kind not in (None, FieldKind.LABEL) or self.channels or self.frame):
            raise ValueError("a label map is of kind label, and takes neither channels nor frame")
        if self.encoding and (self.encoding in ("planes", "code")) != bool(self.labels):
            raise ValueError("`encoding: planes` and `code` are those of label maps, which have no other")
        if self.labels and self.field in (MASK, SOURCE, LIGHT, NOISE):
            raise ValueError(f"{self.field!r} is the name of another image; give the label map its own")
        if self.channels == 6 and (self.through_autoencoder or self.shows is not FieldKind.LIGHT):
            raise ValueError("6 channels are those of light with `encoding: resize`")
        if self.as_irradiance and (self.shows is not FieldKind.LIGHT or self.channels or self.frame):
            raise ValueError(
                "`encoding: irradiance` is for environment maps, which it takes whole and in all colours: "
                "leave channels and frame out, and write `kind: light` where the name does not say it"
            )
        if self.classes and self.field in (MASK, SOURCE, LIGHT, NOISE):
            raise ValueError(f"{self.field!r} is the name of an image; give the class another")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes} repeat")
        return self

    @property
    def through_autoencoder(self) -> bool:
        if self.classes:
            return False
        if self.labels:
            return False
        encoding = self.encoding or ("resize" if self.field == MASK else "autoencoder")
        return self.field in (SOURCE, NOISE) or encoding == "autoencoder"

    @property
    def as_irradiance(self) -> bool:
        return self.encoding == "irradiance"

    @property
    def code_base(self) -> int | None:
        """The planes of a block of a coded label map: the smallest prime whose square has room for every
        label. None of all else.
        """
        if not self.labels or (self.encoding or _label_encoding(self.labels)) == "planes":
            return None
        base = max(CODE_BLOCKS, math.isqrt(self.labels - 1) + 1)
        while any(base % divisor == 0 for divisor in range(2, math.isqrt(base) + 1)):
            base += 1
        return base

    @property
    def is_radiance(self) -> bool:
        """Whether its field has to be an environment map."""
        return self.channels == 6 or self.as_irradiance

    @property
    def shows(self) -> FieldKind:
        """The kind of its field."""
        if self.labels:
            return FieldKind.LABEL
        return self.kind or KINDS.get(self.field, FieldKind.IMAGE)

    @property
    def colours(self) -> int:
        return self.channels or (1 if self.field == MASK else 3)

    @property
    def is_whole(self) -> bool:
        whole = "aligned" if self.shows.has_pixels_of_the_view else "whole"
        return (self.frame or whole) == "whole"

    def width(self, *, latent_channels: int, mask_channels: int) -> int:
        """Channels that it adds to the network's input."""
        if self.classes:
            return len(self.classes)
        if self.labels:
            return CODE_BLOCKS * self.code_base if self.code_base else self.labels
        if self.as_irradiance:
            return IRRADIANCE_PLANES
        return latent_channels if self.through_autoencoder else mask_channels * self.colours

    def label_image(self, numbers: np.ndarray) -> np.ndarray:
        """A label map (H, W) of whole numbers as it travels, of one type whatever a dataset stores: uint8,
        or uint16 of more than 255 labels. Its maximum stands for every number that is no label.
        """
        dtype = np.uint8 if self.labels <= MOST_8_BIT_LABELS else np.uint16
        known = (numbers >= 0) & (numbers < self.labels)
        return np.where(known, numbers, np.iinfo(dtype).max).astype(dtype)

    def class_image(self, name: str) -> np.ndarray:
        """The class as it travels: uint8 (1, 1). Raises ValueError for a name that is none of `classes`."""
        if name not in self.classes:
            raise ValueError(f"{self.field} {name!r} is none of {', '.join(self.classes)}")
        return np.full((1, 1), self.classes.index(name), np.uint8)

    def class_in(self, meta: Mapping[str, Any]) -> str:
        """What `read` finds in a sample's meta.json. Raises KeyError if there is nothing."""
        return class_in(meta, self.read)


def class_in(meta: Mapping[str, Any], place: str) -> str:
    """The class at a `place` of a sample's meta.json, as `ConditionConfig.read` names it. Raises KeyError if
    there is nothing.
    """
    head, *rest = place.split(".")
    if head == "assets":
        ids = {asset["role"]: asset["id"] for asset in meta["assets"]}
        return ids[".".join(rest)].partition(":")[0]
    found = params_of(meta) if head == "params" else meta[head]
    for key in rest:
        found = found[key]
    return str(found)


def _differ(conditions: tuple[ConditionConfig, ...]) -> tuple[ConditionConfig, ...]:
    names = [condition.field for condition in conditions]
    if len(set(names)) != len(names):
        raise ValueError(f"conditions {names} repeat")
    return conditions


def _label_encoding(labels: int) -> Literal["planes", "code"]:
    return "planes" if labels <= _MOST_LABEL_PLANES else "code"


def _from_name(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


_Condition = Annotated[
    ConditionConfig, BeforeValidator(_from_name, json_schema_input_type=ConditionConfig | str)
]
Conditions = Annotated[tuple[_Condition, ...], AfterValidator(_differ)]


def class_condition(
    configs: Sequence[ConditionConfig], name: str, field: str | None = None
) -> tuple[str, np.ndarray]:
    """(field, image) of the class `name`, of whichever condition has it, or of `field`. Raises ConfigError
    unless it is one class alone.
    """
    having = [one for one in configs if name in one.classes and field in (None, one.field)]
    if len(having) != 1:
        known = [f"{one.field}: {', '.join(one.classes)}" for one in configs if one.classes]
        raise ConfigError(
            f"the model knows {'no' if not having else 'more than one'} class {name!r}",
            consequence="it would not know what to make",
            remedy=f"name one of these: {'; '.join(known)}" if known else "leave the class out",
        )
    return having[0].field, having[0].class_image(name)


def image_conditions(configs: Sequence[ConditionConfig]) -> tuple[ConditionConfig, ...]:
    """The conditions that have to be read from the samples beside source, target and mask."""
    return tuple(config for config in configs if config.field not in _NO_IMAGE)


def image_fields(configs: Sequence[ConditionConfig]) -> tuple[str, ...]:
    """Their fields."""
    return tuple(config.field for config in image_conditions(configs))
