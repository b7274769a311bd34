"""Vegetables: their parameters and how they are drawn."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling.implicit import waves_rand
from pairbridge.datagen.scene import palette
from pairbridge.datagen.scene.palette import RGB

KINDS = (
    "pumpkin",
    "pumpkin",
    "pepper",
    "aubergine",
    "tomato",
    "onion",
    "potato",
    "mushroom",
    "mushroom",
    "carrot",
)
# Display colours as (hue, saturation, value), one drawn a vegetable.
COLOURS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "pumpkin": ((0.07, 0.85, 0.85), (0.08, 0.7, 0.9), (0.11, 0.25, 0.9), (0.1, 0.1, 0.92), (0.3, 0.35, 0.35)),
    "pepper": ((0.0, 0.85, 0.7), (0.13, 0.85, 0.9), (0.28, 0.75, 0.4), (0.06, 0.9, 0.88)),
    "aubergine": ((0.82, 0.45, 0.2), (0.85, 0.4, 0.17), (0.12, 0.12, 0.9)),
    "tomato": ((0.01, 0.85, 0.75), (0.03, 0.85, 0.8), (0.12, 0.75, 0.85), (0.97, 0.6, 0.4)),
    "onion": ((0.08, 0.6, 0.7), (0.1, 0.08, 0.92), (0.92, 0.5, 0.42)),
    "potato": ((0.1, 0.4, 0.75), (0.09, 0.45, 0.6), (0.98, 0.35, 0.55)),
    "mushroom": ((0.1, 0.06, 0.93), (0.09, 0.15, 0.86), (0.07, 0.45, 0.45), (0.1, 0.3, 0.75)),
    "carrot": ((0.065, 0.85, 0.9), (0.07, 0.8, 0.85), (0.12, 0.4, 0.9), (0.9, 0.5, 0.3)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VegetableParams:
    """One entry of `pieces` a vegetable: (x, y, size, turn, tip), tip being how far it leans over. `lobes`
    are ribs and their depth; `waves` make every piece a little crooked."""

    kind: str
    pieces: tuple[tuple[float, float, float, float, float], ...]
    stout: float
    taper: float
    lobes: tuple[int, float]
    uneven: float
    waves: tuple[tuple[float, float, float, float], ...]
    stalk: float
    bend: float
    open_cap: float
    skin: Material
    stem: Material
    flesh: Material
    green: Material


def vegetable_rand(rng: np.random.Generator) -> VegetableParams:
    shape, place, stuff = rng.spawn(3)
    kind = KINDS[shape.integers(len(KINDS))]
    groups = kind in ("potato", "mushroom", "carrot", "tomato", "onion")
    count = int(place.integers(1, 5)) if groups else 1
    hue, saturation, value = COLOURS[kind][stuff.integers(len(COLOURS[kind]))]
    colour = palette.hsv(hue + stuff.uniform(-0.012, 0.012), saturation * stuff.uniform(0.9, 1.0), value)
    return VegetableParams(
        kind=kind,
        pieces=_pieces(place, count),
        stout=shape.uniform(0.8, 1.2),
        taper=shape.uniform(0.5, 0.85),
        lobes={
            "pumpkin": (int(shape.integers(7, 13)), shape.uniform(0.04, 0.09)),
            "pepper": (int(shape.integers(3, 5)), shape.uniform(0.08, 0.13)),
            "tomato": (5, float(shape.choice([0.0, 0.015, 0.05]))),
        }.get(kind, (0, 0.0)),
        uneven={"potato": 0.02, "pepper": 0.022, "tomato": 0.01}.get(kind, 0.013) * shape.uniform(0.6, 1.3),
        waves=waves_rand(shape, 4, 0.8 if kind == "potato" else 0.7),
        stalk=shape.uniform(0.7, 1.3),
        bend=shape.uniform(-0.35, 0.35),
        open_cap=shape.uniform(0.0, 1.0),
        skin=_skin(stuff, kind, colour),
        stem=material_rand(stuff, ("wood",))
        if kind == "pumpkin"
        else _matt(
            stuff, palette.hsv(stuff.uniform(0.1, 0.25), stuff.uniform(0.3, 0.5), stuff.uniform(0.35, 0.6))
        ),
        flesh=_matt(stuff, palette.hsv(0.09, stuff.uniform(0.05, 0.25), stuff.uniform(0.75, 0.92))),
        green=replace(
            material_rand(stuff, ("painted",)),
            colour=palette.foliage_rand(stuff),
            wear=0.0,
            coat=0.0,
            roughness=0.5,
        ),
    )


def _pieces(rng: np.random.Generator, count: int) -> tuple[tuple[float, float, float, float, float], ...]:
    """Spots beside each other around the middle, the first alone in it."""
    spots = (
        [(0.0, 0.0)]
        if count == 1
        else [
            (0.4 * math.cos(a), 0.4 * math.sin(a))
            for a in np.arange(count) * math.tau / count + rng.uniform(0, 6)
        ]
    )
    return tuple(
        (x, y, rng.uniform(0.85, 1.1), rng.uniform(0, math.tau), rng.uniform(-0.25, 0.25)) for x, y in spots
    )


def _skin(rng: np.random.Generator, kind: str, colour: RGB) -> Material:
    if kind in ("potato", "mushroom", "carrot"):
        return _matt(rng, colour)
    if kind == "onion":
        stuff = material_rand(rng, ("leather",))
        return replace(stuff, colour=colour, accent=palette.shaded(colour, 0.8), roughness=0.4, bump=0.001)
    # Light goes a little way into smooth skins; ribs have the tone of brushed paint.
    stuff = material_rand(rng, ("wax",) if kind in ("aubergine", "tomato") else ("painted",))
    rough, coat = {
        "pumpkin": (0.45, 0.0),
        "pepper": (0.2, 0.8),
        "aubergine": (0.19, 0.0),
        "tomato": (0.22, 0.0),
    }[kind]
    shade = palette.shaded(colour, 0.7)
    return replace(
        stuff,
        colour=colour,
        accent=shade,
        roughness=rough,
        coat=coat,
        coat_roughness=0.1,
        wear=0.0,
        edges=0.0,
        dirt=0.0,
        finish="plain",
        bump=0.0,
        scatter=min(stuff.scatter, 0.03),
    )


def _matt(rng: np.random.Generator, colour: RGB) -> Material:
    stuff = material_rand(rng, ("clay",))
    return replace(
        stuff,
        colour=colour,
        accent=palette.shaded(palette.varied(colour, rng, 0.05), 0.8),
        roughness=rng.uniform(0.5, 0.75),
        bump=0.002,
        wear=rng.uniform(0.2, 0.6),
    )
