"""One object under several lightings: the foreground lit by A, on B's background, becomes the render under B.

N lightings of one object and camera give N foregrounds, N backgrounds and N (N - 1) ordered pairs (A, B):

    source = view(g fg_A + (1 - a) bg_B)        target = view(fg_B + (1 - a) bg_B)

in linear light, with g = strength x tint, drawn per pair: the free variation of a lighting costs no
render. The target is the render under B as it is. Alpha is bit-identical across lightings (one Cycles
seed, no adaptive sampling), so one mask serves the group. Every lighting is first scaled to one exposure
(`datagen.environment.normalising_factor`).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from datagen.assets import LIGHTING_KINDS, Asset, Catalogue, LightingKind, Split
from datagen.blender.protocol import CameraSpec, from_json
from datagen.compositing import alpha_to_mask, over_linear
from datagen.environment import background, normalising_factor
from datagen.errors import Rejected
from datagen.quality import check_foreground, check_render
from datagen.recipes.base import sample_meta
from datagen.recipes.objects import ObjectShares, draw_object, object_spec, require_objects
from datagen.sample import Pair
from datagen.seeds import rng

if TYPE_CHECKING:
    from datagen.plan import GroupSpec
    from datagen.studio import Studio

Range = tuple[float, float]
Weights = dict[LightingKind, NonNegativeFloat]


class RelightingSwapConfig(ObjectShares):
    """Ranges are [low, high], drawn uniformly unless said otherwise."""

    kind: Literal["relighting_swap"] = "relighting_swap"
    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    lightings_per_group: int = Field(3, ge=2, le=16)
    pairs_per_group: PositiveInt = 2  # of the N (N - 1) ordered ones
    # Relative shares of lightings; each kind named here must exist in every split the recipe has groups in.
    lighting_kinds: Weights = Field(default_factory=lambda: {"hdri": 1.0})
    # Shares for single splits, in place of `lighting_kinds`: e.g. test under captured HDRIs alone.
    lighting_kinds_of_split: dict[Split, Weights] = Field(default_factory=dict)
    strength: Range = (0.45, 2.2)  # factor on the source foreground's light, log-uniform
    # Each channel of the source foreground's light is scaled by 1 +- this. Luminance is not held: a tint
    # that darkens is part of the variation, and the bound per channel stays what it says.
    tint: float = Field(0.3, ge=0, lt=1)
    elevation_deg: Range = (-10.0, 35.0)  # of the camera above the object's middle
    fov_deg: Range = (25.0, 50.0)  # horizontal
    fill: Range = (0.6, 0.9)  # share of the frame's tighter side that the object spans
    offset: Range = (-0.05, 0.05)  # of the object from the middle, in frame fractions, for x and y apart
    # What a lighting is scaled to; see `datagen.environment.normalising_factor`.
    picture_level: float = Field(0.4, gt=0)
    light_limit: float = Field(0.8, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> "RelightingSwapConfig":
        most = self.lightings_per_group * (self.lightings_per_group - 1)
        if self.pairs_per_group > most:
            raise ValueError(
                f"pairs_per_group is {self.pairs_per_group}, but {self.lightings_per_group} lightings give "
                f"{most} ordered pairs; raise lightings_per_group or keep fewer pairs"
            )
        for name in ("strength", "elevation_deg", "fov_deg", "fill", "offset"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]; write the lower end first")
        if self.strength[0] <= 0 or not 0 < self.fill[0] <= self.fill[1] <= 1.5:
            raise ValueError("strength must be positive, and fill lie in (0, 1.5]")
        if not 0 < self.fov_deg[0] <= self.fov_deg[1] < 150:
            raise ValueError("fov_deg must lie in (0, 150)")
        if not -90 < self.elevation_deg[0] <= self.elevation_deg[1] < 90:
            raise ValueError("elevation_deg must lie in (-90, 90)")
        for weights in (self.lighting_kinds, *self.lighting_kinds_of_split.values()):
            if sum(weights.values()) <= 0:
                raise ValueError("lighting_kinds needs at least one positive weight")
        return self

    def weights(self, split: Split) -> list[tuple[LightingKind, float]]:
        """(kind, probability) of the lightings in one split, in a fixed order, zeros left out."""
        weights = self.lighting_kinds_of_split.get(split, self.lighting_kinds)
        total = sum(weights.values())
        return [(kind, weights[kind] / total) for kind in LIGHTING_KINDS if weights.get(kind, 0) > 0]


@dataclass(frozen=True, slots=True)
class Layer:
    """The object under one lighting and what is behind it, linear and normalised by `factor`."""

    foreground: np.ndarray  # (H, W, 4) premultiplied
    background: np.ndarray  # (H, W, 3)
    factor: float


class RelightingSwap:
    """The recipe; see the module's docstring."""

    kind = "relighting_swap"
    fields = ("mask.png", "meta.json", "source.png", "target.png")

    def __init__(self, config: RelightingSwapConfig) -> None:
        self.config = config

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object and every kind of lighting with a weight."""
        require_objects(catalogue, split, self.kind)
        for kind, _ in self.config.weights(split):
            catalogue.require_lightings(kind, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Object, camera, lightings and pairs of one group."""
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_object, of_camera, of_lightings, of_pairs = draw.spawn(4)
        return {
            "object": draw_object(of_object, catalogue, split, self.config),
            "camera": self._plan_camera(of_camera),
            "lightings": self._plan_lightings(of_lightings, catalogue, split),
            "cycles_seed": int(draw.integers(2**31)),
            "pairs": self._plan_pairs(of_pairs),
        }

    def make(self, spec: "GroupSpec", studio: "Studio") -> list[Pair | Rejected]:
        """Render the lightings that kept pairs need, then composite."""
        pairs = spec.params["pairs"]
        needed = sorted({index for pair in pairs for index in (pair["a"], pair["b"])})
        layers = self.render_layers(spec, needed, studio)
        studio.phase("compose")
        return [self._pair(spec, number, layers, studio) for number in range(len(pairs))]

    def render_layers(self, spec: "GroupSpec", needed: list[int], studio: "Studio") -> dict[int, Layer]:
        """The group's object under each of the `needed` lightings, by their index in its parameters.

        Raises Rejected for a render that a gate refuses, AssetError for a broken object or lighting.
        """
        studio.phase("load")
        studio.blender.load_object(object_spec(spec.params["object"], studio))
        pose = studio.blender.set_camera(from_json(CameraSpec, spec.params["camera"]), self.config.size_WH)
        layers = {}
        for index in needed:
            lighting = spec.params["lightings"][index]
            environment = studio.environment(lighting["id"])
            factor = normalising_factor(
                environment, picture=self.config.picture_level, limit=self.config.light_limit
            )
            copy = studio.lighting_copy(lighting["id"])
            studio.phase("render")
            passes = studio.blender.render(
                environment_path=copy, rotation_rad=lighting["rotation_rad"], seed=spec.params["cycles_seed"]
            )
            check_render(passes.rgba, passes.albedo, self.config.gates)
            behind = background(
                environment,
                np.array(pose.camera_to_world),
                pose.fov_x_rad,
                self.config.size_WH,
                lighting["rotation_rad"],
            )
            scale = np.array([factor, factor, factor, 1], np.float32)
            layers[index] = Layer(passes.rgba * scale, behind * np.float32(factor), factor)
        return layers

    def _pair(
        self, spec: "GroupSpec", number: int, layers: dict[int, Layer], studio: "Studio"
    ) -> Pair | Rejected:
        pair = spec.params["pairs"][number]
        a, b = layers[pair["a"]], layers[pair["b"]]
        gain = pair["strength"] * np.array(pair["tint"], np.float32)
        source = studio.view.apply(over_linear(a.foreground, b.background, gain))
        target = studio.view.apply(over_linear(b.foreground, b.background))
        mask = alpha_to_mask(b.foreground[..., 3])
        try:
            check_foreground(target, mask, "target", self.config.gates)
            check_foreground(source, mask, "source", self.config.gates)
        except Rejected as refused:
            return refused
        lighting_a, lighting_b = (spec.params["lightings"][pair[end]] for end in ("a", "b"))
        meta = sample_meta(
            spec,
            number,
            studio,
            assets=[
                ("object", spec.params["object"]),
                ("lighting of the source", lighting_a["id"]),
                ("lighting of the target", lighting_b["id"]),
            ],
            mask_source="rendered alpha",
            relighter="rendered",
            params={
                "camera": spec.params["camera"],
                "cycles_seed": spec.params["cycles_seed"],
                "lighting_a": {**lighting_a, "factor": a.factor},
                "lighting_b": {**lighting_b, "factor": b.factor},
                "strength": pair["strength"],
                "tint": pair["tint"],
            },
        )
        return {"source.png": source, "target.png": target, "mask.png": mask, "meta.json": meta}

    def _plan_camera(self, draw: np.random.Generator) -> dict[str, Any]:
        config = self.config
        return {
            "azimuth_rad": float(draw.uniform(0, math.tau)),
            "elevation_rad": math.radians(draw.uniform(*config.elevation_deg)),
            "fov_x_rad": math.radians(draw.uniform(*config.fov_deg)),
            "fill": float(draw.uniform(*config.fill)),
            "offset": [float(draw.uniform(*config.offset)), float(draw.uniform(*config.offset))],
        }

    def _plan_lightings(
        self, draw: np.random.Generator, catalogue: Catalogue, split: Split
    ) -> list[dict[str, Any]]:
        kinds = self.config.weights(split)
        count = self.config.lightings_per_group
        chosen: list[Asset] = []
        cumulative = np.cumsum([weight for _, weight in kinds])
        for _ in range(count):
            kind = kinds[min(int(np.searchsorted(cumulative, draw.random(), "right")), len(kinds) - 1)][0]
            choices = catalogue.lightings(kind, split)
            chosen.append(_one_not_in(draw, choices, chosen))
        # Each takes its own sector of the full turn, so that a lighting that comes twice differs.
        first_rad = draw.uniform(0, math.tau)
        return [
            {
                "id": asset.id,
                "rotation_rad": float(
                    (first_rad + (index + 0.5 * draw.random()) * math.tau / count) % math.tau
                ),
            }
            for index, asset in enumerate(chosen)
        ]

    def _plan_pairs(self, draw: np.random.Generator) -> list[dict[str, Any]]:
        count = self.config.lightings_per_group
        low, high = (math.log(end) for end in self.config.strength)
        kept = draw.choice(count * (count - 1), size=self.config.pairs_per_group, replace=False)
        pairs = []
        for index in kept:
            a, other = divmod(int(index), count - 1)
            pairs.append(
                {
                    "a": a,
                    "b": other + (other >= a),
                    "strength": math.exp(draw.uniform(low, high)),
                    "tint": [float(1 + draw.uniform(-self.config.tint, self.config.tint)) for _ in range(3)],
                }
            )
        return pairs


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
