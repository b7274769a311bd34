"""A view and its geometry: the image, the relative depth and the normals of every pixel, out of one render.

    source.png   view(fg + (1 - a) bg), as the other recipes show it
    depth.npy    float32 (H, W), along the camera's axis (planar, not along the ray), relative; 0 = not valid
    normal.npy   float16 (H, W, 3), unit length, camera space: x right, y up, z to the camera; 0 = not valid
    mask.png     255 where both are valid: a surface fills the pixel, no farther than `far`

Depth is relative: its unit is the radius of the first object's bounding sphere, for no asset says how large
it
is in the world, and a mug is as large as a chair. `params.depth_unit` says so; `camera_to_world` has the same
unit. The camera is a pinhole with square pixels and its centre in the middle of the image; a pixel's point is
its ray, through `params.K`, times its depth. Depth is of one sample in
the pixel and not anti-aliased; normals are averaged over the pixel, are those of the geometry that
depth shows (bump maps and smooth shading are left out, unless `normals` asks for them) and of the side that
faces the camera. Behind glass the glass counts.

Depth is the target unless a mix says otherwise, as in `roles: {target: normal}` (docs/recipes.md).
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Fraction, RangeOf, whole_number
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear, own_part
from pairbridge.datagen.imaging.edges import canny_edges
from pairbridge.datagen.imaging.quality import (
    Gates,
    check_finite,
    check_foreground,
    check_framing,
    check_textures,
)
from pairbridge.datagen.lighting.environment_maps import stored_light
from pairbridge.datagen.lighting.exposure import clipped_luminance
from pairbridge.datagen.lighting.ground_projection import faded_ground
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.object_draws import draw_scene_objects, radii_by_size
from pairbridge.datagen.recipes.scene_draws import (
    Fill,
    LitConfig,
    LitSceneConfig,
    PlacedLighting,
    camera_record,
    draw_azimuths,
    draw_camera,
    draw_group_finish,
    draw_turned_lighting,
    finished,
    load_scene,
    materials_of,
    place_camera,
    place_lighting,
    placed_record,
    plan_scene,
    planned_cut,
    with_materials,
)
from pairbridge.datagen.recipes.stored_fields import (
    SOLID,
    declared,
    geometry_of,
    stored,
    surface_makers,
    with_stored,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.arrangements import lean_on_wall
from pairbridge.datagen.scene.placements import scattered
from pairbridge.datagen.scene.specs import CameraPose, ReceiverSpec, RenderedPasses
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface
from pairbridge.datagen.scene.viewpoints import CameraDraws, Defocus
from pairbridge.datagen.shards.fields import Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair

# Of `depth_unit` in a sample's params: an object is scaled to its radius in the plan, whatever its real size.
DEPTH_UNIT = "relative"
# Walls stand within this angle of straight behind the objects, so that none is between them and a camera.
_WALL_SPREAD_RAD = math.radians(70)
# From lower down a ground is seen edge-on.
_LEAST_IN_ROOM_DEG = 5.0
# Cameras of one scene look within this angle of one direction.
_CAMERA_SPREAD_RAD = 0.25


class ViewsCameraDraws(CameraDraws):
    """A pinhole camera, unless it is asked for another."""

    defocus: RangeOf[Defocus] | None = None
    """Depth of field: diameter of the circle of confusion at infinity as a fraction of the frame's width,
    log-uniform. Null, the default: a pinhole, for what is not sharp has no one depth."""


class ViewsConfig(LitSceneConfig):
    """Scenes that are seen by several cameras: rooms, or single objects that float."""

    room_share: Fraction = 0.6
    """Fraction of scenes on a ground before walls; in the rest one object floats."""
    objects: RangeOf[PositiveInt] = (1, 3)
    """Least and largest number of objects in a room."""
    walls: RangeOf[Annotated[int, Field(ge=0, le=3)]] = (0, 2)
    """Least and largest number of walls in a room, at most 3."""
    elevation_deg: RangeOf[Annotated[float, Field(gt=-85, lt=85)]] = (-10.0, 50.0)
    """Elevation of the camera, in degrees within (-85, 85) and up to 5 at least; in a room never below 5."""
    camera: ViewsCameraDraws = ViewsCameraDraws()
    """Lens, composition, side and roll of the camera. Without depth of field: what is not sharp has no one
    depth."""
    fill: RangeOf[Fill] = (0.5, 0.9)
    """Fraction of the frame's tighter side that the objects span, within (0, 1.5]."""
    room_level: PositiveFloat = 0.22
    """Mean luminance that a room is exposed for, in linear light without its highlights (above the 95th
    percentile). Walls and ground take away most of the light, by how much only the render knows."""

    @model_validator(mode="after")
    def _reaches_rooms(self) -> "ViewsConfig":
        if self.elevation_deg[1] < _LEAST_IN_ROOM_DEG:
            raise ValueError(f"elevation_deg must reach {_LEAST_IN_ROOM_DEG}: a room is seen from above")
        return self


class GeometryConfig(ViewsConfig, LitConfig):
    """Each group is one scene, seen by `pairs_per_group` cameras, each under a lighting of its own."""

    kind: Literal["geometry"] = "geometry"
    """Selects this recipe."""
    gates: Gates = Gates(mask=(0.02, 1.0))
    """Filters. Of a room the surroundings cover every pixel, so the mask may be full."""
    far: PositiveFloat = 40.0
    """Depth beyond which pixels are not valid, in radii of the first object: a ground reaches to the
    horizon."""
    store: tuple[
        Literal["albedo", "roughness", "metallic", "instance", "category", "edges", "light_source"], ...
    ] = ()
    """Further fields of each view that its render holds; see docs/scenes.md."""
    normals: Literal["geometric", "shading"] = "geometric"
    """Normals that are stored: those of the geometry, which agree with depth, or those that it is shaded
    with, which follow bump maps, normal maps and smooth shading."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One rendered view: as a picture, as arrays, and what it was made from."""

    image: np.ndarray  # uint8 (H, W, 3) sRGB
    passes: RenderedPasses
    pose: CameraPose
    lighting: PlacedLighting
    factor: float  # of the lighting in the picture
    assets: list[tuple[str, str]]  # (role, id), for `sample_meta`
    record: dict[str, Any]  # JSON-able, for `params`


class Geometry:
    """The recipe; see the module's docstring."""

    kind = "geometry"
    fields = ("depth.npy", "mask.png", "meta.json", "normal.npy", "source.png")
    roles = Roles(target="depth")

    def __init__(self, config: GeometryConfig) -> None:
        self.config = config
        self.fields = with_stored(type(self).fields, config.store)
        self.declares = declared(config.store)

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object and every kind of lighting with a weight."""
        self.config.check_assets(catalogue, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """The scene, and camera and lighting of each pair."""
        config = self.config
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_scene, of_cameras, of_lightings, of_size, of_sizes, of_materials = draw.spawn(6)
        of_viewpoint, of_finish = draw.spawn(2)
        room = bool(of_scene.random() < config.room_share)
        low, high = config.elevation_deg
        # Walls stand behind the objects for cameras that look this way, give or take.
        objects = self._plan_objects(of_scene, of_sizes, catalogue, split, room)
        azimuth_rad = of_cameras.uniform(*draw_azimuths(of_viewpoint, config, objects, catalogue))
        receivers = self._plan_room(of_scene, objects, azimuth_rad) if room else []
        walls_rad = [float(one.azimuth_rad) for one in receivers if one.azimuth_rad is not None]
        objects = lean_on_wall(objects, walls_rad)
        receivers = with_materials(of_materials, receivers, catalogue, split, config.materials_share)
        scene = plan_scene(draw, of_size, config, objects, receivers)
        return scene | {
            "finish": draw_group_finish(of_finish, config),
            "views": [
                {
                    "camera": draw_camera(
                        of_cameras,
                        of_viewpoint,
                        config,
                        scene["size_WH"],
                        elevation_deg=(max(low, _LEAST_IN_ROOM_DEG) if room else low, high),
                        azimuth_rad=(azimuth_rad - _CAMERA_SPREAD_RAD, azimuth_rad + _CAMERA_SPREAD_RAD),
                        standing=objects if room else (),
                    ),
                    "lighting": draw_turned_lighting(of_lightings, catalogue, split, config),
                }
                for _ in range(config.pairs_per_group)
            ],
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Load the scene once, then render each camera once: all fields come out of that render."""
        load_scene(spec.params, workbench)
        return each_pair(len(spec.params["views"]), lambda number: self._pair(spec, number, workbench))

    def see(self, params: dict[str, Any], number: int, workbench: Workbench) -> "Seen":
        """Render one view of the scene that is loaded, and show it. Raises Rejected if a gate refuses it."""
        config, view = self.config, params["views"][number]
        lighting = place_lighting(view["lighting"], config, workbench)
        workbench.phase("render")
        pose = place_camera(view["camera"], params, workbench, [view["lighting"]])
        passes = workbench.blender.render(environment_path=lighting.copy, seed=params["cycles_seed"])
        workbench.phase("compose")
        objects = passes.rgba[..., 3] if passes.coverage is None else np.minimum(passes.coverage.sum(0), 1)
        check_finite(passes.rgba)
        check_framing(objects, config.gates, cut=planned_cut(view["camera"]))
        check_textures(objects, passes.albedo, config.gates)
        factor = lighting.factor
        if params["receivers"]:
            factor = config.room_level / max(
                clipped_luminance(passes.rgba[passes.rgba[..., 3] > SOLID, :3]), 1e-6
            )
        behind = lighting.behind(pose, tuple(params["size_WH"]))
        scale = np.array([factor, factor, factor, 1], np.float32)
        surroundings = behind * np.float32(factor)
        picture = over_linear(passes.rgba * scale, surroundings)
        if params["receivers"] and all(one["azimuth_rad"] is None for one in params["receivers"]):
            # A ground without walls ends in no straight line; where its depth is valid it is as it was.
            own = np.concatenate([own_part(picture, objects), objects[..., None]], axis=-1)
            picture = faded_ground(picture, own, surroundings, pose, (config.far, 2 * config.far))
        image = finished(params, workbench.view).apply(picture)
        check_foreground(image, alpha_to_mask(objects), "source", config.gates)
        return Seen(
            image=image,
            passes=passes,
            pose=pose,
            lighting=lighting,
            factor=factor,
            assets=[
                *(("object", item["id"]) for item in params["objects"]),
                *materials_of(params),
                ("lighting", view["lighting"]["id"]),
            ],
            record={
                **{
                    name: params[name]
                    for name in ("objects", "receivers", "size_WH", "cycles_seed", "finish")
                },
                "camera": view["camera"],
                "lighting": {**view["lighting"], "factor": factor},
                **camera_record(pose, params),
                **placed_record(workbench),
            },
        )

    def _pair(self, spec: GroupSpec, number: int, workbench: Workbench) -> Pair:
        seen = self.see(spec.params, number, workbench)
        depth, normal, valid = geometry_of(
            seen.passes, seen.pose, far=self.config.far, normals=self.config.normals
        )
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=seen.assets,
            mask_source="rendered geometry",
            relighter="none",
            params={**seen.record, "depth_unit": DEPTH_UNIT, "normals": self.config.normals},
        )
        makers = surface_makers(seen.passes, seen.pose, spec.params, workbench) | {
            "edges": lambda: canny_edges(seen.image),
            "light_source": lambda: stored_light(seen.factor * seen.lighting.in_camera(seen.pose)),
        }
        return {
            "source.png": seen.image,
            "depth.npy": depth,
            "normal.npy": normal,
            "mask.png": valid.astype(np.uint8) * 255,
            "meta.json": meta,
            **stored(self.config.store, makers),
        }

    def _plan_objects(
        self,
        draw: np.random.Generator,
        of_sizes: np.random.Generator,
        catalogue: Catalogue,
        split: Split,
        room: bool,
    ) -> list[dict[str, Any]]:
        """Names, sizes and places; the first object has the radius 1, the others are up to half smaller."""
        count = whole_number(draw, self.config.objects if room else (1, 1))
        drawn = draw_scene_objects(draw, of_sizes, catalogue, split, self.config, count)
        radii = radii_by_size(drawn, [1.0, *(float(draw.uniform(0.5, 1.0)) for _ in drawn[1:])])
        places = scattered(draw, radii, gap=0.1)
        return [
            {
                **entry,
                "radius": radius,
                "x": x,
                "y": y,
                "yaw_rad": float(draw.uniform(0, math.tau)),
                "standing": room,
            }
            for entry, radius, (x, y) in zip(drawn, radii, places, strict=True)
        ]

    def _plan_room(
        self, draw: np.random.Generator, objects: list[dict[str, Any]], azimuth_rad: float
    ) -> list[ReceiverSpec]:
        """A ground, and walls that stand clear of every object, behind them for a camera at `azimuth_rad`."""
        reach = max(math.hypot(item["x"], item["y"]) + item["radius"] for item in objects)
        receivers = [ReceiverSpec(surface=ground_surface(draw))]
        for _ in range(whole_number(draw, self.config.walls)):
            surface = wall_surface(draw)
            aside_rad = draw.uniform(-_WALL_SPREAD_RAD, _WALL_SPREAD_RAD)
            clearance = float(draw.uniform(0.2, 4.0))
            receivers.append(
                ReceiverSpec(
                    surface=surface,
                    azimuth_rad=azimuth_rad + math.pi + aside_rad,
                    distance=reach + clearance,
                    clearance=clearance,
                )
            )
        return receivers
