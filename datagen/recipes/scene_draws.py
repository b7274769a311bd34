"""What the recipes that render have in common: keys of their configs, and the draws of their plans."""

import dataclasses
import math
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Asset, Catalogue, LightingKind
from pairbridge.datagen.core.random_draws import Range, RangeOf, Weights, weighted
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

Elevation = Annotated[float, Field(gt=-90, lt=90)]
# From below, the ground would hide what stands on it.
ElevationAboveGround = Annotated[float, Field(gt=0, lt=90)]
Fill = Annotated[float, Field(gt=0, le=1.5)]


class RenderedConfig(ObjectShares):
    """Keys of every recipe that renders. Ranges are [low, high], drawn uniformly unless said otherwise."""

    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Width and height of every image, in pixels."""
    sizes: SizeMix | None = None
    """A mix of image sizes, of which one is drawn for each group; `size_WH` is then not used."""
    elevation_deg: RangeOf[Elevation] = (-10.0, 35.0)
    """Elevation of the camera above the middle of the objects, in degrees within (-90, 90)."""
    fov_deg: RangeOf[Annotated[float, Field(gt=0, lt=150)]] = (25.0, 50.0)
    """Horizontal field of view, in degrees within (0, 150). The camera's distance follows from it and from
    `fill`: a narrow view stands far away."""
    fill: RangeOf[Fill] = (0.6, 0.9)
    """Fraction of the frame's tighter side that the objects span, within (0, 1.5]."""
    offset: Range = (-0.05, 0.05)
    """Displacement of the objects from the middle of the frame, as a fraction of width and height; drawn for
    each axis."""

    @property
    def mean_pixels(self) -> float:
        """Of an image, for estimates of disk space."""
        return self.sizes.mean_pixels if self.sizes else math.prod(self.size_WH)

    def draw_size(self, draw: np.random.Generator) -> list[int]:
        """[width, height] of one group."""
        return list(self.sizes.draw(draw) if self.sizes else self.size_WH)


class LitConfig(RenderedConfig):
    """Keys of recipes that are lit by the catalogue's lightings."""

    lighting_kinds: Weights[LightingKind] = Field(default_factory=lambda: {"hdri": 1.0})
    """Relative weights of the kinds of environment map. Each kind named here must exist in every split the
    recipe has groups in."""
    lighting_kinds_of_split: dict[Split, Weights[LightingKind]] = Field(default_factory=dict)
    """Weights for single splits, in place of `lighting_kinds`: for example, test with captured HDRIs alone.
    """
    picture_level: PositiveFloat = 0.4
    """Exposure: the level that each environment map is scaled to, in linear light (1 is white). It is the
    geometric mean of the map's mean luminance and that of the map without its lamps."""
    light_limit: PositiveFloat = 0.8
    """Largest mean luminance that an environment map is scaled to; only bare lamps in dark rooms reach it."""

    def weights(self, split: Split) -> dict[LightingKind, float]:
        """The weight of each kind of lighting in one split, in a fixed order, zeros left out."""
        weights = self.lighting_kinds_of_split.get(split, self.lighting_kinds)
        return {kind: weights[kind] for kind in LIGHTING_KINDS if weights.get(kind, 0) > 0}

    def check_lightings(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has every kind of lighting with a weight."""
        for kind in self.weights(split):
            catalogue.require_lightings(kind, split, self.kind)


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
    weights: dict[LightingKind, float],
    taken: list[Asset],
) -> Asset:
    """One lighting of the weighted kinds, none of `taken` where the catalogue allows."""
    return _one_not_in(draw, catalogue.lightings(weighted(draw, weights), split), taken)


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
