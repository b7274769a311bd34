"""What a furnished room is that a map is rendered of: frozen values in metres, free of Blender.

The floor is z = 0, the room's corner the origin, +Z up; walls 0 to 3 are at y = 0, x = width, y = depth and
x = 0. Along a wall one measures from its end with the smaller coordinate.
"""

import dataclasses
from typing import Any, Literal

from pairbridge.datagen.scene.specs import SurfaceSpec

Vector3 = tuple[float, float, float]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of furniture: a box, cylinder or ball of `size`, centred on `at`, turned about +Z.

    Its edges are rounded by `bevel_m`. With a `glow` it emits that radiance, linear RGB, on all sides.
    """

    shape: Literal["box", "cylinder", "ball"]
    at: Vector3
    size: Vector3
    surface: SurfaceSpec
    yaw_rad: float = 0.0
    bevel_m: float = 0.004
    glow: Vector3 | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prop:
    """An object of an embedded family that stands on `foot`, its largest side `size_m` long."""

    family: str
    seed: int
    foot: Vector3
    size_m: float
    yaw_rad: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """An opening in a wall: `middle_m` along it, from the height `sill_m`."""

    wall: int
    middle_m: float
    sill_m: float
    width_m: float
    height_m: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InteriorSpec:
    """A room and where its map is taken. The sun's irradiance, on a plane that faces it, is in the unit of
    the map of what is outside; `outside_factor` scales both."""

    size: Vector3
    camera: Vector3
    wall: SurfaceSpec
    floor: SurfaceSpec
    ceiling: SurfaceSpec
    trim: SurfaceSpec
    windows: tuple[Window, ...]
    blocks: tuple[Block, ...]
    props: tuple[Prop, ...]
    sun_direction: Vector3
    outside_factor: float
    sun_irradiance: Vector3 = (0.0, 0.0, 0.0)


_NESTED: dict[str, type] = {
    "surface": SurfaceSpec,
    "wall": SurfaceSpec,
    "floor": SurfaceSpec,
    "ceiling": SurfaceSpec,
    "trim": SurfaceSpec,
    "windows": Window,
    "blocks": Block,
    "props": Prop,
}


def interior_from_json(value: dict[str, Any]) -> InteriorSpec:
    """An InteriorSpec from `dataclasses.asdict` after JSON."""
    return _revived(value, InteriorSpec)


def _revived(value: Any, kind: type | None) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_revived(item, kind) for item in value)
    if isinstance(value, dict) and kind:
        # A window's `wall` is a number: only what is a mapping is one of the classes.
        return kind(**{name: _revived(item, _NESTED.get(name)) for name, item in value.items()})
    return value
