"""What the recipes that render have in common: keys of their configs, and the draws of their plans."""

import dataclasses
import math
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Asset, Catalogue, LightingKind
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.recipes.object_draws import ObjectShares, object_spec
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.frame_sizes import SizeMix
from pairbridge.datagen.scene.specs import (
    LampSpec,
    PlacedObject,
    ReceiverSpec,
    SceneSpec,
    decode_line,
    encode_line,
    from_json,
)

Range = tuple[float, float]
Weights = dict[LightingKind, NonNegativeFloat]


class RenderedConfig(ObjectShares):
    """Keys of every recipe that renders. Ranges are [low, high], drawn uniformly unless said otherwise."""

    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    sizes: SizeMix | None = None
    """set: a size is drawn for each group, and `size_WH` is not used."""
    elevation_deg: Range = (-10.0, 35.0)
    """Of the camera above the object's middle."""
    fov_deg: Range = (25.0, 50.0)
    """Horizontal. The camera's distance follows from it and from `fill`: a narrow view stands far away."""
    fill: Range = (0.6, 0.9)
    """Share of the frame's tighter side that the objects span."""
    offset: Range = (-0.05, 0.05)
    """Of the objects from the middle, in frame fractions, for x and y apart."""

    @model_validator(mode="after")
    def _plausible_camera(self) -> "RenderedConfig":
        check_ranges(self, "elevation_deg", "fov_deg", "fill", "offset")
        if not 0 < self.fill[0] <= self.fill[1] <= 1.5:
            raise ValueError("fill must lie in (0, 1.5]")
        if not 0 < self.fov_deg[0] <= self.fov_deg[1] < 150:
            raise ValueError("fov_deg must lie in (0, 150)")
        if not -90 < self.elevation_deg[0] <= self.elevation_deg[1] < 90:
            raise ValueError("elevation_deg must lie in (-90, 90)")
        return self

    @property
    def mean_pixels(self) -> float:
        """Of an image, for estimates of disk space."""
        return self.sizes.mean_pixels if self.sizes else math.prod(self.size_WH)

    def draw_size(self, draw: np.random.Generator) -> list[int]:
        """[width, height] of one group."""
        return list(self.sizes.draw(draw) if self.sizes else self.size_WH)


class LitConfig(RenderedConfig):
    """Keys of recipes that are lit by the catalogue's lightings."""

    lighting_kinds: Weights = Field(default_factory=lambda: {"hdri": 1.0})
    """Relative shares of lightings; each kind named here must exist in every split the recipe has groups in.
    """
    lighting_kinds_of_split: dict[Split, Weights] = Field(default_factory=dict)
    """Shares for single splits, in place of `lighting_kinds`: e.g. test under captured HDRIs alone."""
    picture_level: float = Field(0.4, gt=0)
    """What a lighting is scaled to; see `pairbridge.datagen.lighting.exposure.normalising_factor`."""
    light_limit: float = Field(0.8, gt=0)

    @model_validator(mode="after")
    def _some_lighting(self) -> "LitConfig":
        for weights in (self.lighting_kinds, *self.lighting_kinds_of_split.values()):
            if sum(weights.values()) <= 0:
                raise ValueError("lighting_kinds needs at least one positive weight")
        return self

    def weights(self, split: Split) -> list[tuple[LightingKind, float]]:
        """(kind, probability) of the lightings in one split, in a fixed order, zeros left out."""
        weights = self.lighting_kinds_of_split.get(split, self.lighting_kinds)
        total = sum(weights.values())
        return [(kind, weights[kind] / total) for kind in LIGHTING_KINDS if weights.get(kind, 0) > 0]

    def check_lightings(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has every kind of lighting with a weight."""
        for kind, _ in self.weights(split):
            catalogue.require_lightings(kind, split, self.kind)


def check_ranges(config: FrozenModel, *names: str) -> None:
    """Raise ValueError for a range whose ends are the wrong way round."""
    for name in names:
        low, high = getattr(config, name)
        if low > high:
            raise ValueError(f"{name} is [{low}, {high}]; write the lower end first")


def draw_camera(draw: np.random.Generator, config: RenderedConfig, elevation_deg: Range) -> dict[str, Any]:
    """The parameters of a CameraSpec."""
    return {
        "azimuth_rad": float(draw.uniform(0, math.tau)),
        "elevation_rad": math.radians(draw.uniform(*elevation_deg)),
        "fov_x_rad": math.radians(draw.uniform(*config.fov_deg)),
        "fill": float(draw.uniform(*config.fill)),
        "offset": [float(draw.uniform(*config.offset)), float(draw.uniform(*config.offset))],
    }


def draw_lighting(
    draw: np.random.Generator,
    catalogue: Catalogue,
    split: Split,
    weights: list[tuple[LightingKind, float]],
    taken: list[Asset],
) -> Asset:
    """One lighting of the weighted kinds, none of `taken` where the catalogue allows."""
    cumulative = np.cumsum([weight for _, weight in weights])
    kind = weights[min(int(np.searchsorted(cumulative, draw.random(), "right")), len(weights) - 1)][0]
    return _one_not_in(draw, catalogue.lightings(kind, split), taken)


def log_uniform(draw: np.random.Generator, ends: Range) -> float:
    low, high = (math.log(end) for end in ends)
    return math.exp(draw.uniform(low, high))


def receiver_params(receiver: ReceiverSpec) -> dict[str, Any]:
    """A receiver as JSON-able parameters: lists for tuples, as they come back from JSON."""
    return decode_line(encode_line(dataclasses.asdict(receiver)))


def scene_of(params: dict[str, Any], workbench: Workbench) -> SceneSpec:
    """The scene of a plan's `objects` ({"id", and a PlacedObject's keys}) and `receivers`."""
    objects = []
    for entry in params["objects"]:
        placement = {key: value for key, value in entry.items() if key != "id"}
        objects.append(PlacedObject(object=object_spec(entry["id"], workbench), **placement))
    receivers = tuple(from_json(ReceiverSpec, receiver) for receiver in params.get("receivers", ()))
    return SceneSpec(objects=tuple(objects), receivers=receivers)


def lamp_spec(lamp: dict[str, Any], scale: float = 1.0) -> LampSpec:
    """The lamp of plan parameters {"direction", "distance", "diameter", "colour"}, times `scale`."""
    return LampSpec(
        position=tuple(lamp["distance"] * part for part in lamp["direction"]),
        diameter=lamp["diameter"],
        colour=tuple(scale * part for part in lamp["colour"]),
    )


def _one_not_in(draw: np.random.Generator, choices: tuple[Asset, ...], taken: list[Asset]) -> Asset:
    """A uniform choice among those not taken yet, or among all where every one is taken."""
    taken_ids = {asset.id for asset in taken}
    if len(choices) <= len(taken):
        choices = tuple(asset for asset in choices if asset.id not in taken_ids) or choices
        return choices[draw.integers(len(choices))]
    # More choices than taken, so this ends; looking through thousands would cost more than drawing again.
    while (asset := choices[draw.integers(len(choices))]).id in taken_ids:
        pass
    return asset
