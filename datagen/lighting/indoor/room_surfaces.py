"""Colours and surfaces of rooms and furniture; linear reflectances."""

import math

import numpy as np

from pairbridge.datagen.core.random_draws import weighted
from pairbridge.datagen.scene.interior_specs import Vector3
from pairbridge.datagen.scene.specs import SurfaceSpec

WHITE: Vector3 = (0.78, 0.77, 0.74)
WALLS: tuple[Vector3, ...] = (
    (0.74, 0.73, 0.7),
    (0.68, 0.65, 0.58),
    (0.6, 0.62, 0.63),
    (0.52, 0.55, 0.5),
    (0.62, 0.52, 0.42),
    (0.35, 0.42, 0.46),
    (0.7, 0.7, 0.7),
)
WOODS: tuple[Vector3, ...] = ((0.32, 0.19, 0.1), (0.42, 0.29, 0.17), (0.2, 0.11, 0.06), (0.52, 0.4, 0.27))
CLOTHS: tuple[Vector3, ...] = (
    (0.16, 0.17, 0.18),
    (0.4, 0.37, 0.32),
    (0.12, 0.17, 0.24),
    (0.32, 0.17, 0.1),
    (0.18, 0.22, 0.15),
    (0.5, 0.48, 0.45),
    (0.28, 0.08, 0.07),
)


def plain(colour: Vector3, roughness: float) -> SurfaceSpec:
    return SurfaceSpec(kind="plain", colour=colour, accent=colour, roughness=roughness)


def grained(draw: np.random.Generator, colour: Vector3) -> SurfaceSpec:
    dark = tuple(0.72 * channel for channel in colour)
    offset = (float(draw.uniform(0, 9)), float(draw.uniform(0, 9)))
    return SurfaceSpec(kind="planks", colour=colour, accent=dark, roughness=0.42, cell=0.6, offset=offset)


def woven(draw: np.random.Generator, colour: Vector3) -> SurfaceSpec:
    pale = tuple(min(1.25 * channel, 0.8) for channel in colour)
    return SurfaceSpec(kind="carpet", colour=colour, accent=pale, roughness=0.95, cell=0.25)


def floor_rand(draw: np.random.Generator) -> SurfaceSpec:
    kind = weighted(draw, {"planks": 0.6, "tiles": 0.2, "carpet": 0.2})
    if kind == "planks":
        colour = WOODS[int(draw.integers(len(WOODS)))]
        dark = tuple(0.78 * channel for channel in colour)
        turn = float(draw.choice([0.0, math.pi / 2]))
        return SurfaceSpec(kind=kind, colour=colour, accent=dark, roughness=0.38, cell=0.16, turn_rad=turn)
    if kind == "tiles":
        tone = float(draw.uniform(0.3, 0.65))
        colour = (tone, 0.97 * tone, 0.92 * tone)
        return SurfaceSpec(kind=kind, colour=colour, accent=colour, roughness=0.3, cell=0.45)
    return woven(draw, (0.42, 0.38, 0.33))
