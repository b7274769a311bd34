"""Objects under several lightings: the foreground lit by A, in the picture under B, becomes that under B.

N lightings of one scene and camera give N pictures and N foregrounds, and N (N - 1) ordered pairs (A, B). In
linear light, with g = strength x tint, drawn per pair (the free variation of a lighting costs no render),

    floating     source = view(g fg_A + (1 - a) bg_B)      target = view(fg_B + (1 - a) bg_B)
    standing     source = view(p_B - fg_B + g fg_A)        target = view(p_B)

Floating objects are rendered alone and put before the lighting's own background. Standing ones are on a
ground under B, with their contact shadow, in the picture p_B. It is either *procedural*, and the objects' own
part fg_B of the picture is what they cover, at their edges estimated from both sides
(`pairbridge.datagen.imaging.compositing.own_part`); or it is the *photograph*'s, the
ground that the environment map itself shows, projected onto a plane
(`pairbridge.datagen.lighting.ground_projection`), times what the objects leave of its light, which the render
of the objects gives too. So their pixels can be exchanged while ground and shadow stay B's. The target is the
picture under B. What a camera adds (`finish`) is the same on both; outside the mask the source is the target,
to the byte. The same exchange with the objects under equal light from everywhere, of the exposure of all
lightings, gives the field `delit`. Alpha is bit-identical across lightings (one Cycles seed, no adaptive
sampling, one lens), so one mask serves the group: the objects, never the
ground. Every lighting is first scaled to one exposure
(`pairbridge.datagen.lighting.exposure.normalising_factor`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import (
    Fraction,
    RangeOf,
    Weights,
    log_uniform,
    whole_number,
)
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear, own_part
from pairbridge.datagen.imaging.quality import check_foreground, check_render
from pairbridge.datagen.lighting.defocused import defocused_ground
from pairbridge.datagen.lighting.environment_maps import stored_light
from pairbridge.datagen.lighting.ground_projection import (
    catcher,
    faded_ground,
    ground_picture,
    plane_depth,
    receiver_albedo,
    shadow,
)
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.object_draws import draw_scene_objects, radii_by_size
from pairbridge.datagen.recipes.scene_draws import (
    USUAL_CAMERA_HEIGHT_M,
    ElevationAboveGround,
    GroundKind,
    LitConfig,
    PlacedLighting,
    camera_record,
    draw_azimuths,
    draw_camera,
    draw_group_finish,
    draw_lighting,
    finished,
    load_scene,
    materials_of,
    on_photograph,
    photographed_ground,
    place_camera,
    place_lighting,
    placed_record,
    plan_ground,
    plan_scene,
    planned_cut,
    with_materials,
)
from pairbridge.datagen.recipes.stored_fields import (
    SurfaceField,
    declared,
    plate_of,
    stored,
    surface_makers,
    with_plane,
    with_stored,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.placements import scattered
from pairbridge.datagen.scene.specs import CameraPose, ReceiverSpec, RenderedPasses
from pairbridge.datagen.scene.surface_draws import ground_surface
from pairbridge.datagen.shards.fields import Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class RelightingSwapConfig(LitConfig):
    """Ranges are [low, high], drawn uniformly unless said otherwise."""

    kind: Literal["relighting_swap"] = "relighting_swap"
    """Selects this recipe."""
    lightings_per_group: int = Field(3, ge=2, le=16)
    """Number N of environment maps that each scene is rendered under, within [2, 16]."""
    pairs_per_group: PositiveInt = 2
    """Pairs of one scene, at most N (N - 1): source under one environment map, target under another."""
    strength: RangeOf[PositiveFloat] = (0.81, 1.23)
    """Factor on the light of the source's foreground, log-uniform. The default is 0.3 EV either way: what a
    photograph's exposure leaves open. Twice as far, no model can know an object's albedo."""
    tint: float = Field(0.05, ge=0, lt=1)
    """Largest relative change of each colour channel of the source foreground's light, within [0, 1).
    Luminance is not held: a tint may darken. The default is what a photograph's white balance leaves open."""
    flip: Fraction = 0.0
    """Fraction of environment maps that are mirrored left to right."""
    objects: RangeOf[PositiveInt] = (1, 1)
    """Least and largest number of objects in a scene."""
    standing: Fraction = 0.85
    """Fraction of groups that stand on a ground; in the rest objects float. Things stand on something in most
    photographs; some float so that cut-outs before a backdrop are known too."""
    grounds: Weights[GroundKind] = Field(default_factory=lambda: {"photograph": 0.7, "procedural": 0.3})
    """Relative weights of what standing groups stand on: the ground that the environment map shows, or a
    procedural one of the package. The first is a photograph where the map is; the second has textures that
    few maps have, and shows reflections."""
    ground_reach: RangeOf[PositiveFloat] | None = (10.0, 80.0)
    """Distances from the camera, in radii of the first object, between which a procedural ground goes over
    into the environment map's own; null: it ends at the horizon, in a straight line."""
    store: tuple[
        SurfaceField | Literal["plate", "foreground", "delit", "light_source", "light_target"], ...
    ] = ()
    """Further fields that the renders hold; see docs/scenes.md. Of standing groups the plate takes one more
    render for each environment map that a target has; `delit` takes one for each group."""
    standing_elevation_deg: RangeOf[ElevationAboveGround] = (6.0, 45.0)
    """Elevation of the camera in groups that stand, in place of `elevation_deg`; in degrees within (0, 90).
    """

    @model_validator(mode="after")
    def _consistent(self) -> "RelightingSwapConfig":
        most = self.lightings_per_group * (self.lightings_per_group - 1)
        if self.pairs_per_group > most:
            raise ValueError(
                f"pairs_per_group is {self.pairs_per_group}, but {self.lightings_per_group} lightings give "
                f"{most} ordered pairs; raise lightings_per_group or keep fewer pairs"
            )
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A scene under one lighting, linear and normalised by `factor`.

    `foreground` (H, W, 4) premultiplied, `rest` (H, W, 3) what the picture has beside it, and `background`
    (H, W, 3) the surroundings without objects or ground. `passes` are those of the picture. While the
    scene is loaded, `plate` makes the picture without objects, `light` the lighting's environment map and
    `evenly_lit` a foreground (H, W, 3), of all layers, under equal light from everywhere.
    """

    foreground: np.ndarray
    rest: np.ndarray
    background: np.ndarray
    factor: float
    pose: CameraPose
    passes: RenderedPasses
    plate: Callable[[], np.ndarray]
    light: Callable[[], np.ndarray]
    evenly_lit: Callable[[], np.ndarray]

    def picture(self) -> np.ndarray:
        return self.foreground[..., :3] + self.rest

    def with_foreground(self, foreground: np.ndarray) -> np.ndarray:
        """This picture with another premultiplied `foreground` (H, W, 3) of the same objects."""
        return foreground + self.rest


class RelightingSwap:
    """The recipe; see the module's docstring."""

    kind = "relighting_swap"
    fields = ("mask.png", "meta.json", "source.png", "target.png")
    roles = Roles()

    def __init__(self, config: RelightingSwapConfig) -> None:
        self.config = config
        self.fields = with_stored(type(self).fields, config.store)
        self.declares = declared(config.store)

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object and every kind of lighting with a weight."""
        self.config.check_assets(catalogue, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Objects, ground, camera, lightings and pairs of one group."""
        config = self.config
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        streams = draw.spawn(8)
        of_object, of_camera, of_lightings, of_pairs, of_scene, of_sizes, of_materials, of_ground = streams
        of_viewpoint, of_finish = draw.spawn(2)
        standing = bool(of_scene.random() < config.standing)
        elevation_deg = config.standing_elevation_deg if standing else config.elevation_deg
        # Drawn whatever the ground is, so that its kind moves nothing else.
        procedural = [ReceiverSpec(surface=ground_surface(of_scene))] if standing else []
        ground = plan_ground(of_ground, config.grounds) if standing else None
        receivers = procedural if ground and ground["kind"] == "procedural" else []
        objects = self._plan_objects(of_object, of_scene, of_sizes, catalogue, split, standing)
        receivers = with_materials(of_materials, receivers, catalogue, split, config.materials_share)
        scene = plan_scene(draw, of_scene, config, objects, receivers)
        return scene | {
            "ground": ground,
            "camera": draw_camera(
                of_camera,
                of_viewpoint,
                config,
                scene["size_WH"],
                elevation_deg=elevation_deg,
                azimuth_rad=draw_azimuths(of_viewpoint, config, objects, catalogue),
                standing=objects if standing else (),
            ),
            "finish": draw_group_finish(of_finish, config),
            "lightings": self._plan_lightings(of_lightings, of_scene, catalogue, split),
            "pairs": self._plan_pairs(of_pairs),
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Render the lightings that kept pairs need, then composite."""
        pairs = spec.params["pairs"]
        needed = sorted({index for pair in pairs for index in (pair["a"], pair["b"])})
        layers = self.render_layers(spec, needed, workbench)
        workbench.phase("compose")
        return each_pair(len(pairs), lambda number: self._pair(spec, number, layers, workbench))

    def render_layers(self, spec: GroupSpec, needed: list[int], workbench: Workbench) -> dict[int, Layer]:
        """The group's scene under each of the `needed` lightings, by their index in its parameters.

        Raises Rejected for a render that a gate refuses, AssetError for a broken object or lighting.
        """
        load_scene(spec.params, workbench)
        params = spec.params
        pose = place_camera(params["camera"], params, workbench, params["lightings"])
        evenly_lit = cache(lambda: self._evenly_lit(spec, pose, workbench))
        return {index: self._layer(spec, index, pose, evenly_lit, workbench) for index in needed}

    def _layer(
        self,
        spec: GroupSpec,
        index: int,
        pose: CameraPose,
        evenly_lit: Callable[[], np.ndarray],
        workbench: Workbench,
    ) -> Layer:
        lighting = place_lighting(spec.params["lightings"][index], self.config, workbench)
        factor = lighting.factor

        def render(**parts: Any) -> RenderedPasses:
            return workbench.blender.render(
                environment_path=lighting.copy,
                seed=spec.params["cycles_seed"],
                **parts,
            )

        workbench.phase("render")
        if on_photograph(spec.params):
            return self._on_photograph(spec, index, pose, evenly_lit, lighting, render, workbench)
        standing = bool(spec.params["receivers"])
        passes = render()
        behind = lighting.behind(pose, tuple(spec.params["size_WH"]))
        scale = np.array([factor, factor, factor, 1], np.float32)
        surroundings = behind * np.float32(factor)
        foreground = passes.rgba * scale

        def fade(picture: np.ndarray, before: np.ndarray) -> np.ndarray:
            return faded_ground(picture, before, surroundings, pose, self.config.ground_reach)

        if standing:
            picture = over_linear(foreground, surroundings)
            alpha = np.minimum(passes.coverage.sum(axis=0), 1)
            foreground = np.concatenate([own_part(picture, alpha), alpha[..., None]], axis=-1)
            rest = fade(picture, foreground) - foreground[..., :3]
        else:
            rest = (1 - np.clip(foreground[..., 3:], 0, 1)) * surroundings
        check_render(foreground, passes.albedo, self.config.gates, cut=planned_cut(spec.params["camera"]))

        @cache
        def plate() -> np.ndarray:
            if not standing:
                return surroundings
            workbench.phase("render")
            everything = tuple(range(len(spec.params["objects"])))
            ground = over_linear(render(hidden=everything).rgba * scale, surroundings)
            return fade(ground, np.zeros_like(foreground))

        @cache
        def light() -> np.ndarray:
            return factor * lighting.in_camera(pose)

        return Layer(foreground, rest, surroundings, factor, pose, passes, plate, light, evenly_lit)

    def _on_photograph(
        self,
        spec: GroupSpec,
        index: int,
        pose: CameraPose,
        evenly_lit: Callable[[], np.ndarray],
        lighting: PlacedLighting,
        render: Callable[..., RenderedPasses],
        workbench: Workbench,
    ) -> Layer:
        size_WH = tuple(spec.params["size_WH"])
        ground = photographed_ground(spec.params, index, pose, workbench)
        received = catcher(lighting.light_pixels(), ground, workbench.blender.loaded.bounds)
        passes = render(catcher=received)
        check_render(passes.rgba, passes.albedo, self.config.gates, cut=planned_cut(spec.params["camera"]))
        factor = np.float32(lighting.factor)
        seen = ground_picture(lighting.environment, ground, pose, size_WH)
        surroundings = factor * defocused_ground(seen, plane_depth(pose, size_WH, math.inf), pose)
        foreground = passes.rgba * np.array([factor, factor, factor, 1], np.float32)
        alpha = foreground[..., 3:]
        rest = (1 - alpha) * shadow(passes.caught, alpha[..., 0], received, pose) * surroundings
        albedo = receiver_albedo(surroundings / factor, received.gain)
        return Layer(
            foreground=foreground,
            rest=rest,
            background=surroundings,
            factor=lighting.factor,
            pose=pose,
            passes=with_plane(passes, albedo, pose, size_WH),
            plate=lambda: surroundings,
            light=cache(lambda: lighting.factor * lighting.in_camera(pose)),
            evenly_lit=evenly_lit,
        )

    def _evenly_lit(self, spec: GroupSpec, pose: CameraPose, workbench: Workbench) -> np.ndarray:
        """The loaded scene's objects, premultiplied (H, W, 3), under equal light from everywhere: a lighting
        of one radiance has the level `picture_level`, or `light_limit` where that is lower.
        """
        workbench.phase("render")
        received = None
        if on_photograph(spec.params):
            even, ground = (
                np.ones((8, 16, 3), np.float32),
                photographed_ground(spec.params, 0, pose, workbench),
            )
            received = catcher(even, ground, workbench.blender.loaded.bounds)
        passes = workbench.blender.render(
            catcher=received,
            environment_path=workbench.uniform_light,
            seed=spec.params["cycles_seed"],
            strength=min(self.config.picture_level, self.config.light_limit),
            receivers="holdout" if spec.params["receivers"] else "shown",
        )
        return passes.rgba[..., :3]

    def _pair(self, spec: GroupSpec, number: int, layers: dict[int, Layer], workbench: Workbench) -> Pair:
        params = spec.params
        pair = params["pairs"][number]
        a, b = layers[pair["a"]], layers[pair["b"]]
        gain = np.float32(pair["strength"]) * np.array(pair["tint"], np.float32)
        developed = finished(params, workbench.view)
        target = developed.apply(b.picture())
        objects = b.foreground[..., 3:] > 0

        def as_target(foreground: np.ndarray) -> np.ndarray:
            """The target with another foreground. Beside it JPEG's blocks would differ."""
            return np.where(objects, developed.apply(b.with_foreground(foreground)), target)

        source = as_target(a.foreground[..., :3] * gain)
        mask = alpha_to_mask(b.foreground[..., 3])
        check_foreground(target, mask, "target", self.config.gates)
        check_foreground(source, mask, "source", self.config.gates)
        lighting_a, lighting_b = (params["lightings"][pair[end]] for end in ("a", "b"))
        shared = ("objects", "receivers", "ground", "camera", "size_WH", "cycles_seed", "finish")
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[
                *(("object", entry["id"]) for entry in params["objects"]),
                *materials_of(params),
                ("lighting of the source", lighting_a["id"]),
                ("lighting of the target", lighting_b["id"]),
            ],
            mask_source="rendered alpha",
            relighter="rendered",
            params={
                **{name: params[name] for name in shared},
                **camera_record(b.pose, params),
                **placed_record(workbench),
                "lighting_a": {**lighting_a, "factor": a.factor},
                "lighting_b": {**lighting_b, "factor": b.factor},
                "strength": pair["strength"],
                "tint": pair["tint"],
            },
        )
        makers = surface_makers(b.passes, b.pose, params, workbench) | {
            "plate": lambda: plate_of(target, b.picture(), b.plate(), b.foreground[..., 3], developed),
            "foreground": lambda: np.where(
                objects, developed.apply(a.foreground[..., :3] * gain), np.uint8(0)
            ),
            "delit": lambda: as_target(b.evenly_lit()),
            "light_source": lambda: stored_light(gain * a.light()),
            "light_target": lambda: stored_light(b.light()),
        }
        return {
            "source.png": source,
            "target.png": target,
            "mask.png": mask,
            "meta.json": meta,
            **stored(self.config.store, makers),
        }

    def _plan_objects(
        self,
        draw: np.random.Generator,
        of_scene: np.random.Generator,
        of_sizes: np.random.Generator,
        catalogue: Catalogue,
        split: Split,
        standing: bool,
    ) -> list[dict[str, Any]]:
        config = self.config
        count = whole_number(of_scene, config.objects)
        drawn = draw_scene_objects(draw, of_sizes, catalogue, split, config, count)
        radii = radii_by_size(drawn, [1.0, *of_scene.uniform(0.6, 1.0, count - 1).tolist()])
        gap = float(of_scene.uniform(0.0, 0.3))
        places = scattered(of_scene, radii, gap)
        # Of floating objects beside the first.
        heights = [0.0, *of_scene.uniform(-0.4, 0.4, count - 1).tolist()]
        return [
            {
                **entry,
                "x": x,
                "y": y,
                "z": 0.0 if standing else z,
                "radius": radius,
                "yaw_rad": float(of_scene.uniform(0, math.tau)) if count > 1 else 0.0,
                "standing": standing,
            }
            for entry, radius, (x, y), z in zip(drawn, radii, places, heights, strict=True)
        ]

    def _plan_lightings(
        self,
        draw: np.random.Generator,
        of_scene: np.random.Generator,
        catalogue: Catalogue,
        split: Split,
    ) -> list[dict[str, Any]]:
        weights = self.config.weights(split)
        count = self.config.lightings_per_group
        chosen: list[Asset] = []
        for _ in range(count):
            chosen.append(draw_lighting(draw, catalogue, split, weights, chosen))
        # Each takes its own sector of the full turn, so that a lighting that comes twice differs.
        first_rad = draw.uniform(0, math.tau)
        return [
            {
                "id": asset.id,
                "rotation_rad": float(
                    (first_rad + (index + 0.5 * draw.random()) * math.tau / count) % math.tau
                ),
                "flipped": bool(of_scene.random() < self.config.flip),
                "camera_height_m": asset.camera_height_m or USUAL_CAMERA_HEIGHT_M,
            }
            for index, asset in enumerate(chosen)
        ]

    def _plan_pairs(self, draw: np.random.Generator) -> list[dict[str, Any]]:
        count = self.config.lightings_per_group
        kept = draw.choice(count * (count - 1), size=self.config.pairs_per_group, replace=False)
        pairs = []
        for index in kept:
            a, other = divmod(int(index), count - 1)
            pairs.append(
                {
                    "a": a,
                    "b": other + (other >= a),
                    "strength": log_uniform(draw, self.config.strength),
                    "tint": [float(1 + draw.uniform(-self.config.tint, self.config.tint)) for _ in range(3)],
                }
            )
        return pairs
