"""The vocabulary of fields: what a file of a sample shows, how its values are written, which part it plays.

A dataset stores fields, each of a stated kind; a recipe states default roles; a mix says which field is
source, target and condition (`pairbridge.training.data.mix_config`). dataset.json, `verify`, readers,
exports and imports all speak of fields through these values, and nothing is concluded from the name of a
recipe.

| kind | one pixel holds | framed with the pair |
|---|---|---|
| image | a picture or a material's property: colour, or one grey value | yes |
| mask | a share: coverage, or membership in a region | yes |
| depth | distance along the camera's axis; 0 or not finite: none | yes |
| normal | a unit vector in camera space (x right, y up, z to the camera); zero or black: none | yes |
| light | light by direction: a light map or an environment map | no: it is no picture of the scene |
| label | the number of a thing or class; no mean of two means anything | yes |
| meta | no pixels: JSON | no |
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from pairbridge.datagen.core.frozen import FrozenModel


def _stem(name: str) -> str:
    # No pattern in the type: as the key of a dictionary it would make another kind of JSON schema.
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(
            f"{name!r} is no name of a field: lower-case letters, digits and `_`, without suffix"
        )
    return name


# A field's name without its suffix: what roles, conditions and imports speak of.
FieldStem = Annotated[str, AfterValidator(_stem)]


class FieldKind(StrEnum):
    IMAGE = "image"
    MASK = "mask"
    DEPTH = "depth"
    NORMAL = "normal"
    LIGHT = "light"
    LABEL = "label"
    META = "meta"

    @property
    def has_pixels_of_the_view(self) -> bool:
        """Whether it has the picture's size, and is cropped and resized with it."""
        return self not in (FieldKind.LIGHT, FieldKind.META)

    @property
    def has_gaps(self) -> bool:
        """Whether pixels may hold nothing."""
        return self in (FieldKind.DEPTH, FieldKind.NORMAL)


Encoding = Literal["srgb", "share", "planar", "vector", "vector_unsigned", "radiance", "index", "json"]
DataType = Literal["uint8", "uint16", "float16", "float32"]

# Which encodings a kind may have.
_ENCODINGS: dict[FieldKind, tuple[Encoding, ...]] = {
    FieldKind.IMAGE: ("srgb", "share"),
    FieldKind.MASK: ("share",),
    FieldKind.DEPTH: ("planar",),
    FieldKind.NORMAL: ("vector", "vector_unsigned"),
    FieldKind.LIGHT: ("srgb", "radiance"),
    FieldKind.LABEL: ("index",),
    FieldKind.META: ("json",),
}
_CHANNELS = {FieldKind.MASK: (1,), FieldKind.DEPTH: (1,), FieldKind.NORMAL: (3,), FieldKind.LABEL: (1,)}


class FieldSpec(FrozenModel):
    """What one file of every sample of a recipe holds. Its suffix says the file format
    (`pairbridge.datagen.shards.sample`).
    """

    kind: FieldKind
    encoding: Encoding
    """srgb: sRGB, the whole range of the type. share: 0 to 1, likewise. planar: along the camera's axis, in
    `unit`. vector: components. vector_unsigned: 0 to the type's maximum for -1 to 1. radiance: linear light
    without a maximum. index: whole numbers."""
    channels: PositiveInt | None = None
    """Values in a pixel; None of meta alone."""
    dtype: DataType | None = None
    """NumPy's type of the decoded array; None of meta alone."""
    unit: str = ""
    """Of depth."""
    shows: str
    """For people: what it shows and where it does not hold."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.encoding not in _ENCODINGS[self.kind]:
            raise ValueError(f"a {self.kind} is {' or '.join(_ENCODINGS[self.kind])}, not {self.encoding}")
        is_meta = self.kind is FieldKind.META
        if (self.channels is None) != is_meta or (self.dtype is None) != is_meta:
            raise ValueError("channels and dtype are stated of everything but meta, and not of that")
        if self.channels not in _CHANNELS.get(self.kind, (self.channels,)):
            raise ValueError(f"a {self.kind} has {_CHANNELS[self.kind][0]} channels, not {self.channels}")
        if (self.unit != "") != (self.kind is FieldKind.DEPTH):
            raise ValueError("a unit is stated of depth and of nothing else")
        return self

    def problem(self, value: Any) -> str | None:
        """What of a decoded value is not as stated; None if nothing is."""
        if self.kind is FieldKind.META:
            return None if isinstance(value, dict) else "it is no JSON object"
        wanted = () if self.channels == 1 else (self.channels,)
        if not isinstance(value, np.ndarray) or value.ndim < 2 or value.shape[2:] != wanted:
            shape = getattr(value, "shape", None)
            return f"it has shape {shape}, and {self.channels} channels are stated"
        if value.dtype != self.dtype:
            return f"it is {value.dtype}, and {self.dtype} is stated"
        if self.kind is FieldKind.LIGHT and value.dtype.kind == "f" and not np.isfinite(value).all():
            return "it holds light that is not finite"
        return None


class HoleContent(StrEnum):
    """What the source shows where the mask says that something is to be removed."""

    VISIBLE = "visible"
    NOISE = "noise"
    SMOOTH = "smooth"


def _named_alike(conditions: Any) -> Any:
    return {name: name for name in conditions} if isinstance(conditions, (list, tuple)) else conditions


# Conditions by the network's name for them; a list stands for fields of those names.
RoleConditions = Annotated[
    dict[FieldStem, FieldStem],
    BeforeValidator(_named_alike, json_schema_input_type=dict[FieldStem, FieldStem] | tuple[FieldStem, ...]),
]


class Roles(FrozenModel):
    """Which field plays which part. All are names of fields without suffix."""

    source: FieldStem = "source"
    """What the network translates."""
    target: FieldStem = "target"
    """What it is to make of it."""
    mask: FieldStem = "mask"
    """The foreground, or what is to be removed; a recipe without it counts everywhere."""
    conditions: RoleConditions = Field(default_factory=dict)
    """Further fields that the network may see, by the network's name for them."""
    hole: HoleContent = HoleContent.VISIBLE
    """visible: the source is as stored. noise: seeded noise takes the place of what the mask covers. smooth:
    an interpolation of its surroundings does."""

    def named(self) -> Iterable[tuple[str, str]]:
        """(role, field) of all but the mask, which may be missing."""
        yield from (("source", self.source), ("target", self.target))
        yield from ((f"condition {name}", field) for name, field in self.conditions.items())


def stem_of(name: str) -> str:
    """A field's name without its suffix."""
    return name.rpartition(".")[0]


def check_roles(roles: Roles, fields: Mapping[str, FieldSpec]) -> Roles:
    """`roles`, of a recipe that stores `fields` (by file name). Raises ValueError for one that no field can
    play, and for two fields of one name.
    """
    stems = [stem_of(name) for name in fields]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise ValueError(f"two fields are called {twice[0]}; roles could mean either")
    missing = [f"{role} is {field}" for role, field in roles.named() if field not in stems]
    if missing:
        raise ValueError(f"{', '.join(missing)}; the fields are {sorted(stems)}")
    return roles


def picture_field(shows: str) -> FieldSpec:
    """The declaration of an 8-bit sRGB picture."""
    return FieldSpec(kind=FieldKind.IMAGE, encoding="srgb", channels=3, dtype="uint8", shows=shows)


def mask_field(shows: str) -> FieldSpec:
    """The declaration of an 8-bit mask."""
    return FieldSpec(kind=FieldKind.MASK, encoding="share", channels=1, dtype="uint8", shows=shows)


def light_map_field(channels: Literal[1, 3]) -> FieldSpec:
    """The declaration of light.png: 1 channel for shadows, 3 for coloured lights."""
    what = "grey" if channels == 1 else "RGB"
    return FieldSpec(
        kind=FieldKind.LIGHT,
        encoding="srgb",
        channels=channels,
        dtype="uint8",
        shows=f"light map of the lamps over directions (docs/scenes.md), {what}",
    )


# Fields that recipes share, by file name. A recipe declares its own beside its code, in `declares`.
FIELDS: dict[str, FieldSpec] = {
    "amodal.png": mask_field("the whole outlines of the removed objects, as if nothing stood before them"),
    "depth.npy": FieldSpec(
        kind=FieldKind.DEPTH,
        encoding="planar",
        channels=1,
        dtype="float32",
        unit="relative",
        shows="planar depth, relative (params.depth_unit): in radii of the first object's bounding sphere, "
        "since assets carry no real size; 0 where mask.png is not 255",
    ),
    "effect.png": mask_field(
        "255 where the object changes the picture: itself, shadow and reflections; else 0"
    ),
    "mask.png": mask_field(
        "relighting: foreground alpha, 255 = foreground; removal: 255 = region to remove; geometry: 255 = "
        "depth and normal are valid; restoration: 255 = degraded"
    ),
    "meta.json": FieldSpec(
        kind=FieldKind.META,
        encoding="json",
        shows="provenance: key, place in the plan, assets, licences, versions; params is one JSON string",
    ),
    "normal.npy": FieldSpec(
        kind=FieldKind.NORMAL,
        encoding="vector",
        channels=3,
        dtype="float16",
        shows="unit normals of the geometry in camera space (x right, y up, z to the camera); with bump maps "
        "where params.normals is shading; 0 where mask.png is not 255",
    ),
    "source.png": picture_field("model input, sRGB"),
    "target.png": picture_field("model output, sRGB: an untouched render or photograph"),
    "visible.png": mask_field("share of each pixel in which the removed objects are seen"),
}

# What a condition shows that is called like one of these, unless its configuration says otherwise.
KINDS: dict[str, FieldKind] = {
    **{stem_of(name): spec.kind for name, spec in FIELDS.items()},
    **dict.fromkeys(("light", "light_source", "light_target"), FieldKind.LIGHT),
    **dict.fromkeys(("category", "instance"), FieldKind.LABEL),
}
