"""A view and its geometry: the image, the metric depth and the normals of every pixel, out of one render.

    source.png   view(fg + (1 - a) bg), as the other recipes show it
    depth.npy    float32 (H, W), metres along the camera's axis (planar, not along the ray); 0 = not valid
    normal.npy   float16 (H, W, 3), unit length, camera space: x right, y up, z to the camera; 0 = not valid
    mask.png     255 where both are valid: a surface fills the pixel, no farther than `far_m`

One unit of the scene is one metre, and the first object's bounding sphere has a radius of 1 m. The camera is
a pinhole with square pixels and its centre in the middle of the image; `params.view` holds `camera_to_world`
(looking along -z) and `fov_x_rad`, so a pixel's point is its ray times its depth. Depth is of one sample in
the pixel and not anti-aliased; normals are averaged over the pixel, follow bump maps and are those of the
side that faces the camera. Behind glass the glass counts.

The reader makes the target: `target: depth` or `target: normal` in the mix (docs/recipes.md).
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Catalogue, LightingKind
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear
from pairbridge.datagen.imaging.quality import (
    Gates,
    check_finite,
    check_foreground,
    check_framing,
    check_textures,
)
from pairbridge.datagen.lighting.equirect import background
from pairbridge.datagen.lighting.exposure import clipped_luminance, normalising_factor
from pairbridge.datagen.recipes.base import sample_meta
from pairbridge.datagen.recipes.object_draws import ObjectShares, draw_object, object_spec, require_objects
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.placements import scattered
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    PlacedObject,
    ReceiverSpec,
    RenderedPasses,
    SceneSpec,
    from_json,
)
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair

Range = tuple[float, float]

# A pixel that a surface fills; thinner ones mix it with what is behind.
_SOLID = 0.99
# Walls stand within this angle of straight behind the objects, so that none is between them and a camera.
_WALL_SPREAD_RAD = math.radians(70)


class GeometryConfig(ObjectShares):
    """Each group is one scene, seen by `pairs_per_group` cameras, each under a lighting of its own."""

    kind: Literal["geometry"] = "geometry"
    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    gates: Gates = Gates(mask=(0.02, 1.0))
    """Of a room the surroundings cover every pixel: the mask may be full."""
    room_share: float = Field(0.6, ge=0, le=1)
    """Scenes on a ground before walls; else one object that floats."""
    objects: tuple[PositiveInt, PositiveInt] = (1, 3)
    """In a room, least and most."""
    walls: tuple[int, int] = (0, 2)
    """In a room, least and most."""
    lighting_kinds: dict[LightingKind, float] = Field(default_factory=lambda: {"hdri": 1.0})
    elevation_deg: Range = (-10.0, 50.0)
    """Of the camera; in a room never below 5."""
    fov_deg: Range = (25.0, 60.0)
    """Horizontal."""
    fill: Range = (0.5, 0.9)
    """Share of the frame's tighter side that the objects span."""
    offset: Range = (-0.05, 0.05)
    far_m: PositiveFloat = 40.0
    """What is farther is not valid: a ground reaches to the horizon."""
    picture_level: float = Field(0.4, gt=0)
    """See `pairbridge.datagen.lighting.exposure.normalising_factor`."""
    light_limit: float = Field(0.8, gt=0)
    room_level: float = Field(0.22, gt=0)
    """Walls and ground take away most of a lighting, by how much only the render knows: a room is brought to
    this mean luminance, linear, what exceeds its 95th percentile not counted."""

    @model_validator(mode="after")
    def _consistent(self) -> "GeometryConfig":
        for name in ("objects", "walls", "elevation_deg", "fov_deg", "fill", "offset"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]; write the lower end first")
        if not 0 <= self.walls[0] <= self.walls[1] <= 3:
            raise ValueError("walls must lie in [0, 3]")
        if not 0 < self.fov_deg[0] <= self.fov_deg[1] < 150 or not 0 < self.fill[0] <= self.fill[1] <= 1.5:
            raise ValueError("fov_deg must lie in (0, 150) and fill in (0, 1.5]")
        if not -85 < self.elevation_deg[0] <= self.elevation_deg[1] < 85 or self.elevation_deg[1] < 5:
            raise ValueError("elevation_deg must lie in (-85, 85), and reach 5 or more")
        if sum(self.lighting_kinds.values()) <= 0:
            raise ValueError("lighting_kinds needs at least one positive weight")
        return self


@dataclass(frozen=True, slots=True)
class Seen:
    """One rendered view: as a picture, as arrays, and what it was made from."""

    image: np.ndarray  # uint8 (H, W, 3) sRGB
    passes: RenderedPasses
    pose: CameraPose
    assets: list[tuple[str, str]]  # (role, id), for `sample_meta`
    record: dict[str, Any]  # JSON-able, for `params`


class Geometry:
    """The recipe; see the module's docstring."""

    kind = "geometry"
    fields = ("depth.npy", "mask.png", "meta.json", "normal.npy", "source.png")

    def __init__(self, config: GeometryConfig) -> None:
        self.config = config
        self._kinds = [kind for kind in LIGHTING_KINDS if config.lighting_kinds.get(kind, 0) > 0]

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object and every kind of lighting with a weight."""
        require_objects(catalogue, split, self.kind)
        for kind in self._kinds:
            catalogue.require_lightings(kind, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """The scene, and camera and lighting of each pair."""
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_scene, of_cameras, of_lightings = draw.spawn(3)
        room = bool(of_scene.random() < self.config.room_share)
        low, high = self.config.elevation_deg
        # Walls stand behind the objects for cameras that look this way, give or take.
        azimuth_rad = of_cameras.uniform(0, math.tau)
        cameras = [
            {
                "azimuth_rad": azimuth_rad + float(of_cameras.uniform(-0.25, 0.25)),
                "elevation_rad": math.radians(of_cameras.uniform(max(low, 5.0) if room else low, high)),
                "fov_x_rad": math.radians(of_cameras.uniform(*self.config.fov_deg)),
                "fill": float(of_cameras.uniform(*self.config.fill)),
                "offset": [float(of_cameras.uniform(*self.config.offset)) for _ in range(2)],
            }
            for _ in range(self.config.pairs_per_group)
        ]
        objects = self._plan_objects(of_scene, catalogue, split, room)
        return {
            "objects": objects,
            "receivers": self._plan_room(of_scene, objects, azimuth_rad) if room else [],
            "cycles_seed": int(draw.integers(2**31)),
            "views": [
                {"camera": camera, "lighting": self._plan_lighting(of_lightings, catalogue, split)}
                for camera in cameras
            ],
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Load the scene once, then render each camera once: all fields come out of that render."""
        self.load(spec.params, workbench)
        made: list[Pair | Rejected] = []
        for number in range(len(spec.params["views"])):
            try:
                made.append(self._pair(spec, number, workbench))
            except Rejected as refused:
                made.append(refused)
        return made

    def see(self, params: dict[str, Any], number: int, workbench: Workbench) -> "Seen":
        """Render one view of the scene that is loaded, and show it. Raises Rejected if a gate refuses it."""
        config, view = self.config, params["views"][number]
        lighting = view["lighting"]
        environment = workbench.environment(lighting["id"])
        copy = workbench.lighting_copy(lighting["id"], lighting["rotation_rad"])
        workbench.phase("render")
        pose = workbench.blender.set_camera(from_json(CameraSpec, view["camera"]), config.size_WH)
        passes = workbench.blender.render(environment_path=copy, seed=params["cycles_seed"])
        workbench.phase("compose")
        objects = passes.rgba[..., 3] if passes.coverage is None else np.minimum(passes.coverage.sum(0), 1)
        check_finite(passes.rgba)
        check_framing(objects, config.gates)
        check_textures(objects, passes.albedo, config.gates)
        factor = normalising_factor(environment, picture=config.picture_level, limit=config.light_limit)
        if params["receivers"]:
            factor = config.room_level / max(
                clipped_luminance(passes.rgba[passes.rgba[..., 3] > _SOLID, :3]), 1e-6
            )
        camera_to_world = np.array(pose.camera_to_world)
        behind = background(
            environment, camera_to_world, pose.fov_x_rad, config.size_WH, lighting["rotation_rad"]
        )
        scale = np.array([factor, factor, factor, 1], np.float32)
        image = workbench.view.apply(over_linear(passes.rgba * scale, behind * np.float32(factor)))
        check_foreground(image, alpha_to_mask(objects), "source", config.gates)
        return Seen(
            image=image,
            passes=passes,
            pose=pose,
            assets=[
                *(("object", item["object"]) for item in params["objects"]),
                ("lighting", lighting["id"]),
            ],
            record={
                "objects": params["objects"],
                "receivers": params["receivers"],
                "cycles_seed": params["cycles_seed"],
                "camera": view["camera"],
                "lighting": {**lighting, "factor": factor},
                "view": {"camera_to_world": camera_to_world.tolist(), "fov_x_rad": pose.fov_x_rad},
            },
        )

    def load(self, params: dict[str, Any], workbench: Workbench) -> None:
        """Put the scene of a plan into Blender. Raises AssetError for a broken object."""
        workbench.phase("load")
        workbench.blender.load_scene(_scene(params, workbench))

    def _pair(self, spec: GroupSpec, number: int, workbench: Workbench) -> Pair:
        seen = self.see(spec.params, number, workbench)
        depth, normal, valid = geometry_of(seen.passes, seen.pose, self.config.far_m)
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=seen.assets,
            mask_source="rendered geometry",
            relighter="none",
            params=seen.record,
        )
        return {
            "source.png": seen.image,
            "depth.npy": depth,
            "normal.npy": normal,
            "mask.png": valid.astype(np.uint8) * 255,
            "meta.json": meta,
        }

    def _plan_objects(
        self, draw: np.random.Generator, catalogue: Catalogue, split: Split, room: bool
    ) -> list[dict[str, Any]]:
        """Names, sizes and places; the first object has the radius 1, the others are up to half smaller."""
        low, high = self.config.objects if room else (1, 1)
        names = [
            draw_object(draw, catalogue, split, self.config) for _ in range(draw.integers(low, high + 1))
        ]
        radii = [1.0, *(float(draw.uniform(0.5, 1.0)) for _ in names[1:])]
        places = scattered(draw, radii, gap=0.1)
        return [
            {
                "object": name,
                "radius": radius,
                "x": x,
                "y": y,
                "yaw_rad": float(draw.uniform(0, math.tau)),
                "standing": room,
            }
            for name, radius, (x, y) in zip(names, radii, places, strict=True)
        ]

    def _plan_room(
        self, draw: np.random.Generator, objects: list[dict[str, Any]], azimuth_rad: float
    ) -> list[dict[str, Any]]:
        """A ground, and walls that stand clear of every object, behind them for a camera at `azimuth_rad`."""
        reach = max(math.hypot(item["x"], item["y"]) + item["radius"] for item in objects)
        receivers = [ReceiverSpec(surface=ground_surface(draw))]
        for _ in range(draw.integers(self.config.walls[0], self.config.walls[1] + 1)):
            receivers.append(
                ReceiverSpec(
                    surface=wall_surface(draw),
                    azimuth_rad=azimuth_rad + math.pi + draw.uniform(-_WALL_SPREAD_RAD, _WALL_SPREAD_RAD),
                    distance=reach + draw.uniform(0.2, 4.0),
                )
            )
        # Through JSON, so that a plan that travelled equals one that did not: tuples become lists.
        return json.loads(canonical_json([dataclasses.asdict(receiver) for receiver in receivers]))

    def _plan_lighting(self, draw: np.random.Generator, catalogue: Catalogue, split: Split) -> dict[str, Any]:
        weights = np.cumsum([self.config.lighting_kinds[kind] for kind in self._kinds])
        at = int(np.searchsorted(weights, draw.random() * weights[-1], "right"))
        choices = catalogue.lightings(self._kinds[min(at, len(self._kinds) - 1)], split)
        return {
            "id": choices[draw.integers(len(choices))].id,
            "rotation_rad": float(draw.uniform(0, math.tau)),
        }


def geometry_of(
    passes: RenderedPasses, pose: CameraPose, far_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth float32 (H, W), camera-space normals float16 (H, W, 3) and where they hold, bool (H, W)."""
    # The columns of the matrix are the camera's axes in the world, so this is the transpose's product.
    normal = passes.normal @ np.array(pose.camera_to_world, np.float32)[:3, :3]
    valid = (passes.rgba[..., 3] > _SOLID) & (passes.depth > 0) & (passes.depth <= far_m)
    valid &= np.abs(np.linalg.norm(normal, axis=2) - 1) < 1e-3
    depth = np.where(valid, passes.depth, np.float32(0))
    return depth, np.where(valid[..., None], normal, 0).astype(np.float16), valid


def _scene(params: dict[str, Any], workbench: Workbench) -> SceneSpec:
    objects = [
        PlacedObject(**{**item, "object": object_spec(item["object"], workbench)})
        for item in params["objects"]
    ]
    receivers = tuple(from_json(ReceiverSpec, receiver) for receiver in params["receivers"])
    return SceneSpec(objects=tuple(objects), receivers=receivers)
