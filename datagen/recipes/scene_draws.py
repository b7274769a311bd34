"""What the recipes that render have in common: keys of their configs, and the draws of their plans."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Asset, Catalogue, LightingKind
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, Weights, log_uniform, weighted
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.photographic_finish import (
    Developed,
    FinishDraws,
    PhotographicFinish,
    draw_finish,
)
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.defocused import defocused_background
from pairbridge.datagen.lighting.environment_maps import lighting_map
from pairbridge.datagen.lighting.equirect import Environment, lighting_copy
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.datagen.lighting.ground_projection import HEIGHTS, ProjectedGround, placed_ground
from pairbridge.datagen.recipes.base import RecipeConfig
from pairbridge.datagen.recipes.object_draws import ObjectShares, object_spec, require_objects
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.frame_sizes import SizeMix
from pairbridge.datagen.scene.placements import in_camera
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    LampSpec,
    PlacedObject,
    ReceiverSpec,
    RoomSpec,
    SceneSpec,
    SurfaceSpec,
    from_json,
)
from pairbridge.datagen.scene.surface_draws import mapped_surface
from pairbridge.datagen.scene.viewpoints import CameraDraws, draw_viewpoint, held_elevation, least_defocus

GroundKind = Literal["photograph", "procedural"]
GROUND_KINDS: tuple[GroundKind, ...] = get_args(GroundKind)
# Height of a map's camera where its catalogue does not state one: a tripod's, or the eyes of who holds it.
USUAL_CAMERA_HEIGHT_M = 1.5
# Where objects stand on a photographed ground: heights of the map's camera away from below it, where tripods,
# their shadows and what hides them are.
_STAND_OFF = (0.6, 1.4)
# Metres of a unit, where nothing states a size: from a cup to a chair.
_UNIT_M = (0.08, 0.6)
# Width in pixels of the map that grounds are metered with.
_LIGHT_WIDTH = 256

Elevation = Annotated[float, Field(gt=-90, lt=90)]
# From below, the ground would hide what stands on it.
ElevationAboveGround = Annotated[float, Field(gt=0, lt=90)]
FieldOfView = Annotated[float, Field(gt=0, lt=150)]
Fill = Annotated[float, Field(gt=0, le=1.5)]


class SceneConfig(ObjectShares):
    """Objects before a camera. Ranges are [low, high], drawn uniformly unless said otherwise."""

    elevation_deg: RangeOf[Elevation] = (-10.0, 35.0)
    """Elevation of the camera above the middle of the objects, in degrees within (-90, 90)."""
    camera: CameraDraws = CameraDraws()
    """Lens, composition, side, roll and depth of field of the camera. Its distance follows from the lens and
    from `fill`: a long one stands far away."""
    fov_deg: RangeOf[FieldOfView] | None = None
    """Horizontal field of view, in degrees within (0, 150), uniform, whatever the aspect; in place of
    `camera.focal_mm`. Null: the lens says it."""
    fill: RangeOf[Fill] = (0.6, 0.9)
    """Fraction of the frame's tighter side that the objects span, within (0, 1.5]."""
    offset: Range = (-0.05, 0.05)
    """Displacement of centred objects from the middle of the frame, as a fraction of width and height; drawn
    for each axis."""


class RenderedConfig(SceneConfig, RecipeConfig):
    """Keys of every recipe that renders."""

    finish: FinishDraws | None = FinishDraws()
    """What a camera adds to its picture: noise, vignette, white balance, tone curve and JPEG, the same on
    source and target. Null: nothing."""
    materials_share: Fraction = 0.5
    """Fraction of groups whose ground, and of those whose walls, show a material of `assets.materials`, in
    splits that have some; the rest are procedural. Half, as of objects: both kinds are then learned from."""

    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Width and height of every image, in pixels."""
    sizes: SizeMix | None = None
    """A mix of image sizes, of which one is drawn for each group; `size_WH` is then not used."""

    @property
    def mean_pixels(self) -> float:
        """Of an image, for estimates of disk space."""
        return self.sizes.mean_pixels if self.sizes else math.prod(self.size_WH)

    def draw_size(self, draw: np.random.Generator) -> list[int]:
        """[width, height] of one group."""
        return list(self.sizes.draw(draw) if self.sizes else self.size_WH)


class LitSceneConfig(SceneConfig):
    """A scene that is lit by the catalogue's environment maps."""

    lighting_kinds: Weights[LightingKind] = Field(default_factory=lambda: {"hdri": 1.0})
    """Relative weights of the kinds of environment map. Each kind named here must exist in every split the
    recipe has groups in."""
    lighting_kinds_of_split: dict[Split, Weights[LightingKind]] = Field(default_factory=dict)
    """Weights for single splits, in place of `lighting_kinds`: for example, test with captured HDRIs alone.
    """
    picture_level: PositiveFloat = PICTURE_LEVEL
    """Exposure: the level that each environment map is scaled to, in linear light (1 is white). It is the
    geometric mean of the map's mean luminance and that of the map without its lamps."""
    light_limit: PositiveFloat = LIGHT_LIMIT
    """Largest mean luminance that an environment map is scaled to; only bare lamps in dark rooms reach it."""

    def weights(self, split: Split) -> dict[LightingKind, float]:
        """The weight of each kind of lighting in one split, in a fixed order, zeros left out."""
        weights = self.lighting_kinds_of_split.get(split, self.lighting_kinds)
        return {kind: weights[kind] for kind in LIGHTING_KINDS if weights.get(kind, 0) > 0}

    def check_assets(self, catalogue: Catalogue, split: Split, recipe: str) -> None:
        """Raise CatalogueError unless the split has an object and every kind of lighting with a weight."""
        require_objects(catalogue, split, recipe)
        for kind in self.weights(split):
            catalogue.require_lightings(kind, split, recipe)


class LitConfig(LitSceneConfig, RenderedConfig):
    """Keys of recipes that are lit by the catalogue's environment maps."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLighting:
    """A plan's lighting, turned; light and surroundings times `factor` have the recipes' exposure."""

    environment: Environment
    rotation_rad: float
    copy: Path  # what lights the scene that is loaded
    factor: float

    def behind(self, pose: CameraPose, size_WH: tuple[int, int]) -> np.ndarray:
        """What a camera sees of it: (H, W, 3) float32 linear, before `factor`."""
        return defocused_background(self.environment, pose, size_WH, self.rotation_rad)

    def light_pixels(self) -> np.ndarray:
        """What it lights a scene with, in world coordinates: (128, 256, 3) float32, before `factor`."""
        return lighting_copy(self.environment, _LIGHT_WIDTH, self.rotation_rad)

    def in_camera(self, pose: CameraPose) -> np.ndarray:
        """Its environment map in camera coordinates, before `factor`."""
        return lighting_map(self.environment, self.rotation_rad, pose.camera_to_world)


def plan_scene(
    draw: np.random.Generator,
    of_size: np.random.Generator,
    config: RenderedConfig,
    objects: list[dict[str, Any]],
    receivers: Sequence[ReceiverSpec] = (),
) -> dict[str, Any]:
    """What the plan of every rendered group holds: what stands there, how large its images are, and the
    renderer's seed. `draw` is the group's own stream.
    """
    return {
        **({"size_ratio": config.size_ratio} if config.scale == "real" else {}),
        "objects": objects,
        "receivers": planned_receivers(receivers),
        "size_WH": config.draw_size(of_size),
        "cycles_seed": int(draw.integers(2**31)),
    }


def planned_receivers(receivers: Sequence[ReceiverSpec]) -> list[dict[str, Any]]:
    """Receivers as plans hold them."""
    # Through JSON, so that a plan that travelled equals one that did not: tuples become lists. By name, since
    # `asdict` copies deeply, which takes most of the time.
    by_name = [_by_name(receiver) | {"surface": _by_name(receiver.surface)} for receiver in receivers]
    return json.loads(canonical_json(by_name))


def _by_name(value: ReceiverSpec | SurfaceSpec) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def plan_ground(draw: np.random.Generator, weights: Mapping[GroundKind, float]) -> dict[str, Any]:
    """What a standing group stands on; of a photographed ground also where on it, and how large a unit is
    where objects have no sizes.
    """
    ordered = {kind: weights.get(kind, 0.0) for kind in GROUND_KINDS}
    return {
        "kind": weighted(draw, ordered),
        "stand_off": float(draw.uniform(*_STAND_OFF)),
        "unit_m": log_uniform(draw, _UNIT_M),
        "detail_seed": int(draw.integers(2**31)),
    }


def on_photograph(params: dict[str, Any]) -> bool:
    """Whether a plan's objects stand on the ground that their environment map shows."""
    return bool(params.get("ground")) and params["ground"]["kind"] == "photograph"


def photographed_ground(
    params: dict[str, Any], index: int, pose: CameraPose, workbench: Workbench
) -> ProjectedGround:
    """The ground of a plan's lighting `index` for a picture of the loaded scene from `pose`."""
    ground, lighting = params["ground"], params["lightings"][index]
    unit_m = workbench.blender.loaded.metres_per_unit or ground["unit_m"]
    return placed_ground(
        pose,
        height=float(np.clip(lighting["camera_height_m"] / unit_m, *HEIGHTS)),
        stand_off=ground["stand_off"],
        rotation_rad=lighting["rotation_rad"],
        seed=ground["detail_seed"],
    )


def with_materials(
    draw: np.random.Generator,
    receivers: Sequence[ReceiverSpec],
    catalogue: Catalogue,
    split: Split,
    share: float,
) -> list[ReceiverSpec]:
    """The receivers, a `share` of grounds and of rooms' walls with one of the user's materials instead of
    what was drawn for them; walls of one room are of one surface."""
    materials = catalogue.of("material", split)
    if not materials:
        return list(receivers)
    of_ground, of_walls = draw.spawn(2)
    dressed: dict[bool, SurfaceSpec] = {}
    for stream, wall in ((of_ground, False), (of_walls, True)):
        if stream.random() < share:
            material = materials[stream.integers(len(materials))]
            dressed[wall] = mapped_surface(stream, material.id, material.size_m, wall=wall)
    return [
        dataclasses.replace(one, surface=dressed.get(one.azimuth_rad is not None, one.surface))
        for one in receivers
    ]


def materials_of(params: dict[str, Any]) -> list[tuple[str, str]]:
    """(role, id) of the user's materials in a plan, for `sample_meta`."""
    found = {
        ("ground" if receiver["azimuth_rad"] is None else "wall", receiver["surface"]["material"])
        for receiver in params["receivers"]
        if receiver["surface"]["material"]
    }
    return sorted(found)


def draw_camera(
    draw: np.random.Generator,
    of_viewpoint: np.random.Generator,
    config: SceneConfig,
    size_WH: Sequence[int],
    *,
    elevation_deg: Range | None = None,
    azimuth_rad: Range = (0, math.tau),
    standing: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The parameters of a CameraSpec for a picture of this size; `elevation_deg` takes the place of the
    config's. What `config.camera` has to say comes out of `of_viewpoint`, the rest out of `draw`. `standing`
    are the objects that a ground carries: how large they are says how high the camera is held.
    """
    lowest, highest = elevation_deg or config.elevation_deg
    drawn = {
        "azimuth_rad": float(draw.uniform(*azimuth_rad)),
        "elevation_rad": math.radians(draw.uniform(lowest, highest)),
        "fov_x_rad": math.radians(draw.uniform(*(config.fov_deg or (0, 0)))),
        "fill": float(draw.uniform(*config.fill)),
        "offset": [float(draw.uniform(*config.offset)), float(draw.uniform(*config.offset))],
        "beyond": [0.0, 0.0],
    }
    seen = draw_viewpoint(of_viewpoint, config.camera, fill=drawn["fill"], size_WH=tuple(size_WH))
    camera = drawn | seen | ({"fov_x_rad": drawn["fov_x_rad"]} if config.fov_deg else {})
    of_height = of_viewpoint.spawn(1)[0]
    sizes_m = [entry["size_m"] for entry in standing if "size_m" in entry]
    if sizes_m and of_height.random() < config.camera.held_share:
        held = held_elevation(
            of_height,
            size_m=max(sizes_m) * len(sizes_m) ** (1 / 3),
            fill=camera["fill"],
            fov_x_rad=camera["fov_x_rad"],
            size_WH=tuple(size_WH),
            within_rad=(math.radians(lowest), math.radians(highest)),
        )
        if held is not None:
            camera["elevation_rad"] = held
    return camera


def draw_azimuths(
    draw: np.random.Generator, config: SceneConfig, objects: list[dict[str, Any]], catalogue: Catalogue
) -> Range:
    """The range that the azimuth of a camera before a plan's `objects` is drawn from: one direction, about
    that of the front of the first that has one, or all around.
    """
    fronts = ((catalogue.get(entry["id"]).front, entry.get("yaw_rad", 0.0)) for entry in objects)
    stated = [math.radians(front) + yaw_rad for front, yaw_rad in fronts if front is not None]
    # Drawn in any case, so that a front that is stated later moves nothing else.
    shown, aside = draw.random() < config.camera.front_share, draw.standard_normal()
    if not (stated and shown):
        return (0, math.tau)
    azimuth_rad = (stated[0] + math.radians(config.camera.front_spread_deg) * aside) % math.tau
    return (azimuth_rad, azimuth_rad)


def planned_cut(camera: dict[str, Any]) -> bool:
    """Whether a plan's camera means to cut what it shows."""
    return any(camera["beyond"])


def draw_lighting(
    draw: np.random.Generator,
    catalogue: Catalogue,
    split: Split,
    weights: dict[LightingKind, float],
    taken: list[Asset],
) -> Asset:
    """One lighting of the weighted kinds, none of `taken` where the catalogue allows."""
    return _one_not_in(draw, catalogue.lightings(weighted(draw, weights), split), taken)


def draw_turned_lighting(
    draw: np.random.Generator, catalogue: Catalogue, split: Split, config: LitSceneConfig
) -> dict[str, Any]:
    """The parameters of one lighting in any direction, for `place_lighting`."""
    lighting = draw_lighting(draw, catalogue, split, config.weights(split), [])
    return {"id": lighting.id, "rotation_rad": float(draw.uniform(0, math.tau))}


def load_scene(params: dict[str, Any], workbench: Workbench) -> None:
    """Put a plan's `objects` ({"id", and a PlacedObject's keys}), and `receivers` or the `scene` ({"id", and
    a RoomSpec's keys}) of the user's around them, into Blender.

    Raises AssetError for a broken object.
    """
    workbench.phase("load")
    objects = []
    for entry in params["objects"]:
        objects.append(PlacedObject(object=object_spec(entry["id"], workbench), **_without_id(entry)))
    receivers = tuple(
        _with_files(from_json(ReceiverSpec, receiver), workbench) for receiver in params["receivers"]
    )
    room = params.get("scene")
    scene = SceneSpec(
        objects=tuple(objects),
        receivers=receivers,
        size_ratio=params.get("size_ratio", math.inf),
        catches=on_photograph(params),
        room=room and RoomSpec(path=workbench.catalogue.get(room["id"]).path, **_without_id(room)),
    )
    workbench.blender.load_scene(scene)


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "id"}


def placed_record(workbench: Workbench) -> dict[str, Any]:
    """The loaded scene as the `params` of every rendered sample state it: the sizes that were used and where
    they came from, how many metres a world unit is, how each object lies and what it is to which other.
    """
    loaded = workbench.blender.loaded
    told = ("size_m", "size_from", "pose", "relation", "of", "gap_mm", "ground_mm", "materials")
    return {
        "metres_per_unit": loaded.metres_per_unit,
        **({} if workbench.blender.room is None else {"room": workbench.blender.room}),
        "placed": [{name: getattr(info, name) for name in told} for info in loaded.objects],
    }


def _with_files(receiver: ReceiverSpec, workbench: Workbench) -> ReceiverSpec:
    surface = receiver.surface
    if surface.material is None:
        return receiver
    path = workbench.catalogue.get(surface.material).path
    return dataclasses.replace(receiver, surface=dataclasses.replace(surface, material=str(path)))


def place_camera(
    camera: dict[str, Any],
    params: dict[str, Any],
    workbench: Workbench,
    lightings: Sequence[dict[str, Any]] = (),
) -> CameraPose:
    """Look at the loaded scene of a plan, with the depth of field that explains how soft each of the plan's
    `lightings` is behind it: one for all, so that they share their alpha.
    """
    width, _ = size_WH = tuple(params["size_WH"])
    spec = from_json(CameraSpec, camera)
    if spec.defocus > 0:
        maps = {(entry["id"], entry.get("flipped", False)) for entry in lightings}
        widths = [workbench.environment(name, mirrored=flip).pixels.shape[1] for name, flip in sorted(maps)]
        least = [least_defocus(texels, spec.fov_x_rad, width) for texels in widths]
        spec = dataclasses.replace(spec, defocus=max([spec.defocus, *least]))
    return workbench.blender.set_camera(spec, size_WH)


def draw_group_finish(draw: np.random.Generator, config: RenderedConfig) -> dict[str, Any] | None:
    """The parameters of a PhotographicFinish, or None."""
    return dataclasses.asdict(draw_finish(draw, config.finish)) if config.finish else None


def finished(params: dict[str, Any], view: ViewTransform) -> Developed:
    """How a plan's pictures become 8 bits: its finish behind `view`."""
    finish = params["finish"]
    return Developed(view, PhotographicFinish(**finish) if finish else None)


def camera_record(pose: CameraPose, params: dict[str, Any]) -> dict[str, Any]:
    """The camera of a rendered sample as every recipe's `params` state it: `K` (3x3), in pixels of the
    sample's images, and `camera_to_world` (4x4, looking along -z); `defocus` and the depth that is sharp.
    """
    return {
        "K": pose.intrinsics(tuple(params["size_WH"])).tolist(),
        "camera_to_world": np.array(pose.camera_to_world).tolist(),
        "defocus": pose.defocus,
        "focus_distance": pose.focus_distance,
    }


def place_lighting(lighting: dict[str, Any], config: LitSceneConfig, workbench: Workbench) -> PlacedLighting:
    """A lighting of a plan, for the loaded scene. Raises AssetError for a broken file."""
    asset_id, rotation_rad = lighting["id"], lighting["rotation_rad"]
    mirrored = lighting.get("flipped", False)
    environment = workbench.environment(asset_id, mirrored=mirrored)
    return PlacedLighting(
        environment,
        rotation_rad,
        workbench.lighting_copy(asset_id, rotation_rad, mirrored=mirrored),
        normalising_factor(environment, picture=config.picture_level, limit=config.light_limit),
    )


def lamp_spec(lamp: dict[str, Any], scale: float = 1.0) -> LampSpec:
    """The lamp of plan parameters {"direction", "distance", "diameter", "colour"}, times `scale`."""
    return LampSpec(
        position=tuple(lamp["distance"] * part for part in lamp["direction"]),
        diameter=lamp["diameter"],
        colour=tuple(scale * part for part in lamp["colour"]),
    )


def lamp_record(
    lamp: dict[str, Any], colour: list[float], strongest: float, pose: CameraPose
) -> dict[str, Any]:
    """A lamp that shines in `colour` as `meta.json` states it; `direction` is in camera coordinates, and the
    amplitude a share of the recipe's `strongest`.
    """
    return {
        "direction": list(in_camera(pose, tuple(lamp["direction"]))),
        "direction_world": lamp["direction"],
        "spread_rad": math.atan(lamp["diameter"] / 2 / lamp["distance"]),
        "amplitude": [channel / strongest for channel in colour],
        "distance": lamp["distance"],
        "diameter": lamp["diameter"],
        "radiance": colour,
    }


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
