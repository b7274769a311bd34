"""What a scene, its view and its render are: frozen values, free of Blender.

Conventions, shared by every module that touches a camera or an environment:

- World: right-handed, +Z up. Camera: looks along its -Z, +Y up, as in Blender and OpenGL; no lens shift.
- Environment: the radiance that arrives from world direction d is the equirectangular image at u = 0.5 -
  atan2(d.y, d.x) / 2 pi and v = 0.5 + asin(d.z) / pi (v = 1 is the top row). So u = 0.5 is +X, u = 0.25 is
  +Y. A lighting's rotation is in its image: see `pairbridge.datagen.lighting.equirect`.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

# An object's root in Blender is called this and its number; renders know objects by it.
OBJECT_NAME = "object"
# Passes that every material writes: the normal of its surface without bump, and how many surfaces wrote it.
GEOMETRIC_NORMAL = "geometric_normal"
GEOMETRIC_HITS = "geometric_hits"
# Another: roughness and metallic of the surface.
SURFACE = "surface"
# Half the side of every receiver: at this distance the horizon of the ground is that of the surroundings.
RECEIVER_REACH = 150.0

# What an object of a scene is to another one.
Relation = Literal["apart", "touching", "stacked", "leaning"]

Matrix4 = tuple[tuple[float, float, float, float], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """Either one object of a procedural family (`family`, `seed`) or a file (`path`).

    `up` is the axis of the file that is up, y or z; None means what the file states, or its format's default.
    """

    family: str | None = None
    seed: int | None = None
    path: Path | None = None
    up: Literal["y", "z"] | None = None

    def __post_init__(self) -> None:
        procedural = self.family is not None and self.seed is not None
        if procedural == (self.path is not None) or (self.family is None) != (self.seed is None):
            raise ValueError(f"an object is a family with a seed, or a path: {self}")

    @property
    def name(self) -> str:
        return f"{self.family}:{self.seed}" if self.path is None else str(self.path)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What was loaded, in the object's own units, before it was scaled to its place.

    `extent` is its width, depth and height as it stands, before it is turned. `size_m` is the length in
    metres that its longest side stands for, and `size_from` says where that comes from: a PlacedObject's, or
    "file". `pose`, `relation` to object `of` and `gap_mm` along that approach are what the settle came to
    (`pairbridge.datagen.scene.settle`); `ground_mm` is the height of the lowest vertex over the ground, None
    for what floats. Lengths in mm are at real size. `materials` are the classes of material of an embedded
    object (`family_materials`), empty for a file, which does not say.
    """

    num_meshes: int
    num_vertices: int
    num_faces: int
    radius: float
    centre: tuple[float, float, float]
    extent: tuple[float, float, float]
    size_m: float | None = None
    size_from: str | None = None
    pose: str = "as filed"
    relation: Relation | None = None
    of: int | None = None
    gap_mm: float | None = None
    ground_mm: float | None = None
    materials: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacedObject:
    """One object of a scene: scaled to a bounding sphere of `radius`, turned about +Z, then placed.

    `standing` objects rest with their lowest vertex on the ground plane z = 0, their bounding box centred
    above (x, y); others float with the bounding box centred on (x, y, z).

    With `size_m`, the length of its longest side in metres, it is as large beside the scene's first object as
    it is in reality; `radius` then counts for the first alone. `size_from` says where the length comes from;
    but for "catalogue", a file that states another is believed (`SceneSpec.size_ratio`). Such objects are
    settled (`pairbridge.datagen.scene.settle`), and x, y and z do not count: each after the first is
    `relation` to object `of`, which comes before it. It comes from the direction `bearing_rad` of that one
    and stops `gap_m` metres before it (apart), where it touches (touching), comes from above to one of the
    level places there, which `place_u` in [0, 1) picks (stacked), or leans on it, tilted by `tilt_rad` or
    more (leaning); with `wall_rad` it leans on the wall at that azimuth, which then stands where its top is.
    `pose` is how it lies: as its file has it, in the stable pose nearest to that, or in one of all stable
    poses, which `pose_u` in [0, 1) picks by their shares; `never_lies` keeps what would only lie as its file
    has it. What no place is found for touches instead.
    """

    object: ObjectSpec
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    radius: float = 1.0
    yaw_rad: float = 0.0
    standing: bool = False
    size_m: float | None = None
    size_from: str | None = None
    pose: Literal["filed", "upright", "stable"] = "filed"
    pose_u: float = 0.0
    never_lies: bool = False
    relation: Relation = "touching"
    of: int = 0
    bearing_rad: float = 0.0
    gap_m: float = 0.0
    tilt_rad: float = 0.0
    place_u: float = 0.0
    wall_rad: float | None = None

    def __post_init__(self) -> None:
        if not self.radius > 0 or (self.size_m is not None and not self.size_m > 0):
            raise ValueError(f"radius {self.radius} and size {self.size_m} must be positive")
        if self.standing and self.z != 0.0:
            raise ValueError(f"a standing object rests on the ground, so its z of {self.z} has no meaning")


SURFACE_KINDS = ("plain", "planks", "tiles", "bricks", "checks", "stripes", "concrete", "marble", "carpet")
# The kind of a surface whose material comes from files.
MAPPED = "mapped"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceSpec:
    """The material of a receiver; `pairbridge.datagen.scene.surface_draws` draws them.

    `colour` and `accent` are linear reflectances. `cell` is the size of a plank, tile, stripe or vein in
    world units; the pattern is shifted by `offset` and turned by `turn_rad` in the plane of the receiver.
    `cell_m` is that size in metres, and takes the place of `cell` in scenes whose objects have sizes.
    A `mapped` surface shows the user's `material` as it is, a picture of it being a cell wide: in a plan the
    id of an asset, for Blender the path of its albedo. The other kinds are procedural.
    """

    kind: str
    colour: tuple[float, float, float]
    accent: tuple[float, float, float]
    roughness: float
    cell: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    turn_rad: float = 0.0
    cell_m: float | None = None
    material: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*SURFACE_KINDS, MAPPED):
            raise ValueError(f"surface {self.kind!r} is not one of {', '.join((*SURFACE_KINDS, MAPPED))}")
        if (self.kind == MAPPED) != (self.material is not None):
            raise ValueError(f"a mapped surface has a material, and no other has one: {self}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSpec:
    """A plane that takes shadows: the ground z = 0, or a wall on it.

    A wall (`azimuth_rad` given) stands `distance` from the origin in that direction and faces the origin.
    With a `clearance` it stands that far beyond the outermost vertex of the settled objects instead, or at
    that vertex, where an object leans on it.
    """

    surface: SurfaceSpec
    azimuth_rad: float | None = None
    distance: float = 0.0
    clearance: float | None = None

    def __post_init__(self) -> None:
        if (self.azimuth_rad is None) != (self.distance == 0.0):
            raise ValueError(f"a wall has an azimuth and a distance, the ground neither: {self}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoomSpec:
    """A room from a file around the objects of a scene. Where in it they stand, and how it is turned to the
    camera, follows from the file and `seed`. Its own lamps shine if `lights`. With `own`, one of its own
    objects that the camera sees whole gets the number after those of the scene."""

    path: Path
    seed: int
    lights: bool
    own: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CatcherSpec:
    """A part of the ground z = 0 that only takes shadows: an ellipse around `centre` with half `axes`, the
    first of them turned by `turn_rad` from +X.

    Its albedo, seen by objects, is the lighting's radiance as a camera at `map_centre` sees the ground, times
    `gain` (per channel), at most `largest_albedo`.
    """

    centre: tuple[float, float]
    axes: tuple[float, float]
    turn_rad: float
    map_centre: tuple[float, float, float]
    gain: tuple[float, float, float]
    largest_albedo: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """Objects and receivers, world coordinates as above. An object's number is its place in `objects`.

    A size that a file states is used where no two sizes then differ by more than the factor `size_ratio`.
    With `catches`, objects stand on a ground that takes shadows and is no part of the picture: each render
    says what of it is there (CatcherSpec).
    """

    objects: tuple[PlacedObject, ...]
    receivers: tuple[ReceiverSpec, ...] = ()
    size_ratio: float = math.inf
    catches: bool = False
    room: RoomSpec | None = None

    def __post_init__(self) -> None:
        if self.room is not None and self.receivers:
            raise ValueError("a scene in a room from a file has no ground and walls of ours")
        if not self.objects:
            raise ValueError("a scene has at least one object")
        if len({placed.size_m is None for placed in self.objects}) > 1:
            raise ValueError("either all objects of a scene have a size in metres or none has")
        if self.catches and self.receivers:
            raise ValueError("a ground of its own would hide the one that takes shadows")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedScene:
    """What Blender made of a SceneSpec: its objects, and the lowest and highest corner of them where they
    stand. A world unit is `metres_per_unit` metres long, None where the objects have no sizes."""

    objects: tuple[ObjectInfo, ...]
    bounds: tuple[tuple[float, float, float], ...]
    metres_per_unit: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LampSpec:
    """A one-sided disc that emits light, at `position`, turned to the origin.

    On a surface at the origin that faces it, it makes the irradiance pi x `colour` (exact for a disc that is
    small against its distance), so that a white diffuse surface there has the radiance `colour`. Nothing
    behind the disc's own plane is lit: lamps over receivers hang as `placements.far_lamp` places them.
    """

    position: tuple[float, float, float]
    diameter: float
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.diameter > 0 or not any(self.position):
            raise ValueError(f"a lamp has a positive diameter and is away from the origin: {self}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CameraSpec:
    """A view of the scene's objects (receivers are not framed).

    The camera sits in direction (cos el cos az, cos el sin az, sin el) of the origin and looks the opposite
    way, rolled by `roll_rad` about its axis (positive: clockwise, so the horizon rises on the right). It is
    then moved (never turned, never shifted in the lens) so that the bounds of the object's projected vertices
    are centred `offset` away from the frame's centre, in fractions of width and height (right and up
    positive), and so that the bounds take `fill` of the width or of the height, whichever is reached first.

    `beyond` cuts the object: this share of its width lies beyond the frame's right side (negative: left), of
    its height beyond the upper (negative: lower). On that axis it takes the place of `offset`. `defocus` is
    the diameter of the circle of confusion at infinity as a fraction of the frame's width; 0 is a pinhole.
    """

    azimuth_rad: float
    elevation_rad: float
    fov_x_rad: float
    fill: float = 0.8
    offset: tuple[float, float] = (0.0, 0.0)
    roll_rad: float = 0.0
    beyond: tuple[float, float] = (0.0, 0.0)
    defocus: float = 0.0

    def __post_init__(self) -> None:
        if not abs(self.elevation_rad) < math.radians(89.5):
            raise ValueError(f"elevation {self.elevation_rad} rad: roll has no meaning at the poles")
        if not 0 < self.fov_x_rad < math.pi or not self.fill > 0:
            raise ValueError(f"field of view {self.fov_x_rad} rad and fill {self.fill} must be positive")
        if not max(map(abs, self.beyond)) < 0.5 or not self.defocus >= 0:
            raise ValueError(f"{self.beyond} cuts half of an object, or defocus {self.defocus} is negative")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CameraPose:
    """A camera: `camera_to_world` maps camera coordinates (looking along -Z) to the world. A pinhole, unless
    `defocus` (as in CameraSpec) is positive; then it is sharp at the depth `focus_distance`."""

    camera_to_world: Matrix4
    fov_x_rad: float
    distance: float
    """From the camera's plane to the origin's, along the viewing axis; the object's radius is 1."""
    defocus: float = 0.0
    focus_distance: float = 0.0

    def intrinsics(self, size_WH: tuple[int, int]) -> np.ndarray:
        """K, float64 (3, 3): focal lengths and centre in pixels of an image, the first pixel's centre at
        (0.5, 0.5), y down."""
        width, height = size_WH
        focal = width / 2 / math.tan(self.fov_x_rad / 2)
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])

    @property
    def aperture_radius(self) -> float:
        """Of the lens, in units of the world: the thin lens that has this defocus."""
        return self.defocus * self.focus_distance * math.tan(self.fov_x_rad / 2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SkySpec:
    """Blender's physical (Nishita) sky with the sun's disc at its real size and power.

    `air`, `dust` and `ozone` are densities relative to Earth's clear air. `sun_rotation_rad` is Blender's:
    0 puts the sun at azimuth +Y, and it grows clockwise seen from above.
    """

    sun_elevation_rad: float
    sun_rotation_rad: float
    altitude_m: float = 0.0
    air: float = 1.0
    dust: float = 1.0
    ozone: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RenderedPasses:
    """Decoded arrays of one render, top row first, float32.

    `rgba` (H, W, 4) linear Rec.709, premultiplied by alpha, scaled as the environment is; `noisy` (H, W, 3)
    its colour before denoising: where no path of a pixel meets what differs between two scenes, equal seeds
    give equal bits. `coverage` (N, H, W) is the share of each pixel in which each object is seen, None for a
    single object without receivers, whose alpha says it. `depth` (H, W)
    distance from the camera's plane along its axis (planar, not anti-aliased), 0 where nothing was hit.
    `normal` (H, W, 3) of the geometry, as depth has it; `shading_normal` with bump maps and smooth shading;
    both world space, unit length, 0 where nothing was hit. `albedo` (H, W, 3) diffuse plus
    glossy colour, premultiplied: on metals the diffuse colour alone is black. `roughness` and `metallic`
    (H, W) in [0, 1] are those of the surface's BSDF, 1 and 0 of one that has none, 0 where nothing was hit.
    `caught` (H, W, 3) is the factor that objects leave of the light of a ground that catches shadows
    (CatcherSpec), 1 where it is not seen; None without one. Such a ground is in `depth`, `normal` and
    `albedo`, but not in `rgba`.
    `wall_s` is the request's wall time up to these arrays, `render_s` Cycles' own render time (steps of
    10 ms).
    """

    rgba: np.ndarray
    noisy: np.ndarray
    coverage: np.ndarray | None
    depth: np.ndarray
    normal: np.ndarray
    shading_normal: np.ndarray
    albedo: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray
    wall_s: float
    render_s: float
    caught: np.ndarray | None = None


# Fields that hold another of these classes, or a tuple of one.
_NESTED: dict[str, type] = {
    "object": ObjectSpec,
    "surface": SurfaceSpec,
    "objects": PlacedObject,
    "receivers": ReceiverSpec,
    "room": RoomSpec,
}


def from_json(kind: type, value: dict[str, Any]):
    """A value of one of the classes above from `dataclasses.asdict` after JSON: lists become tuples again."""
    return kind(**{key: _revived(item, _NESTED.get(key)) for key, item in value.items()})


def _revived(value: Any, kind: type | None) -> Any:
    if isinstance(value, list):
        return tuple(_revived(item, kind) for item in value)
    return from_json(kind, value) if isinstance(value, dict) and kind else value
