"""What grounds and walls are made of: free numbers, drawn in the plan. The renderer builds the material."""

import dataclasses
import math

import numpy as np

from pairbridge.datagen.core.random_draws import Range
from pairbridge.datagen.imaging.colour import RGB
from pairbridge.datagen.scene.palette import (
    earth_rand,
    floor_rand,
    hsv,
    shaded,
    timber_rand,
    varied,
    wall_paint_rand,
)
from pairbridge.datagen.scene.specs import MAPPED, SurfaceSpec

GROUND_KINDS = ("plain", "planks", "tiles", "checks", "concrete", "marble", "carpet")
WALL_KINDS = ("plain", "bricks", "tiles", "stripes", "concrete", "planks")

# Size of a pattern's cell in radii of a usual object.
_CELLS = {
    "plain": (1.0, 3.0),
    "planks": (0.3, 0.8),
    "tiles": (0.6, 1.8),
    "bricks": (0.6, 1.2),
    "checks": (0.5, 1.5),
    "stripes": (0.3, 0.9),
    "concrete": (0.8, 2.5),
    "marble": (1.0, 3.0),
    "carpet": (0.6, 1.5),
}
# The same in metres: boards of 8 to 20 cm, tiles of 10 to 60, bricks of 20 to 25 (German ones 24, Dutch 21),
# stripes of wallpaper of 3 to 12; clouds and veins of stone and plaster repeat after a foot or three.
_CELLS_M = {
    "plain": (0.3, 1.0),
    "planks": (0.08, 0.20),
    "tiles": (0.10, 0.60),
    "bricks": (0.20, 0.25),
    "checks": (0.10, 0.40),
    "stripes": (0.03, 0.12),
    "concrete": (0.3, 1.0),
    "marble": (0.3, 1.0),
    "carpet": (0.2, 0.5),
}


def surface(rng: np.random.Generator, kinds: tuple[str, ...]) -> SurfaceSpec:
    """One surface of these kinds, equally likely. Its `cell` and `cell_m` are equally far along their ranges;
    scenes whose objects have sizes use the latter.
    """
    kind = kinds[rng.integers(len(kinds))]
    colour, accent = _colours(rng, kind, floor=kinds is GROUND_KINDS)
    polished = kind in ("tiles", "marble", "planks", "checks") and rng.random() < 0.6
    roughness = float(rng.uniform(0.12, 0.35) if polished else rng.uniform(0.5, 0.9))
    low, high = _CELLS[kind]
    cell = float(rng.uniform(low, high))
    low_m, high_m = _CELLS_M[kind]
    return SurfaceSpec(
        kind=kind,
        colour=colour,
        accent=accent,
        roughness=roughness,
        cell=cell,
        cell_m=low_m + (high_m - low_m) * (cell - low) / (high - low),
        offset=(float(rng.uniform(-20, 20)), float(rng.uniform(-20, 20))),
    )


def ground_surface(rng: np.random.Generator) -> SurfaceSpec:
    """A floor or table top, turned at random."""
    return dataclasses.replace(surface(rng, GROUND_KINDS), turn_rad=float(rng.uniform(0, math.tau)))


def wall_surface(rng: np.random.Generator) -> SurfaceSpec:
    """A wall, whose courses and stripes stay level and upright."""
    return surface(rng, WALL_KINDS)


# What a world unit is in scenes whose objects have no sizes: a plank of 8 to 20 cm is a third to four fifths.
METRES_A_UNIT = 0.3
# The side of a material's picture where nobody stated it: scans of floors and walls show one to two metres.
USUAL_SIDE_M: Range = (1.0, 2.0)


def mapped_surface(
    rng: np.random.Generator, material: str, size_m: float | None, *, wall: bool
) -> SurfaceSpec:
    """The user's `material`, whose picture has a side of `size_m`, in its real size: on a ground it is turned
    at random, on a wall it is upright."""
    usual_m = float(rng.uniform(*USUAL_SIDE_M))
    side_m = usual_m if size_m is None else size_m
    turn_rad = float(rng.uniform(0, math.tau))
    return SurfaceSpec(
        kind=MAPPED,
        colour=(1.0, 1.0, 1.0),
        accent=(1.0, 1.0, 1.0),
        roughness=1.0,
        cell=side_m / METRES_A_UNIT,
        cell_m=side_m,
        offset=(float(rng.uniform()), float(rng.uniform())),
        turn_rad=0.0 if wall else turn_rad,
        material=material,
    )


def _colours(rng: np.random.Generator, kind: str, *, floor: bool) -> tuple[RGB, RGB]:
    """The two colours of a pattern: they show it and do not shout."""
    if kind == "planks":
        return timber_rand(rng)
    if kind == "bricks":
        # Mortar is sand and cement.
        return earth_rand(rng), hsv(0.1, rng.uniform(0.02, 0.12), rng.uniform(0.55, 0.8))
    if kind in ("concrete", "marble"):
        colour = hsv(rng.uniform(0.05, 0.6), rng.uniform(0.0, 0.1), rng.uniform(0.4, 0.9))
    else:
        colour = floor_rand(rng) if floor else wall_paint_rand(rng)
    level = sum(colour) / 3
    # Lighter beside dark colours, darker beside light ones, by a factor of 1.3 to 3.
    factor = 3 ** rng.uniform(0.25, 1.0)
    return colour, varied(shaded(colour, factor if level < 0.25 else 1 / factor), rng, 0.06)
