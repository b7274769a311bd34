"""What a potted plant is drawn from: the pot, the kind of plant and every leaf of it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

PLANTS = ("broadleaf", "swordleaf", "cactus", "succulent", "tree")
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf: where it leaves its stem, how it points and bends, and its size. Angles in radians."""

    azimuth: float
    pitch: float
    height: float
    length: float
    width: float
    droop: float
    roll: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PottedPlantParams:
    """Lengths in units of about twice the pot's height. `widest` in [0, 1] is where along a leaf it is
    broadest."""

    plant: str
    pot_radii: tuple[float, float]
    pot_height: float
    pot_rim: float
    pot_lobes: tuple[int, float]
    square_pot: bool
    saucer: bool
    leaves: tuple[Leaf, ...]
    widest: float
    fold: float
    stem_height: float
    bend: tuple[float, float]
    ribs: int
    arms: int
    flowers: int
    pot: Material
    dish: Material
    soil: Material
    leaf: Material
    stem: Material
    flower: Material


def potted_plant_rand(rng: np.random.Generator) -> PottedPlantParams:
    shape, growth, foliage, skin = rng.spawn(4)
    plant = PLANTS[growth.integers(len(PLANTS))]
    low, high = shape.uniform(0.13, 0.19), shape.uniform(0.19, 0.25)
    height = shape.uniform(0.28, 0.4)
    pot = material_rand(skin, ("clay", "clay", "clay", "ceramic", "ceramic", "stone", "plastic", "metal"))
    if pot.kind in ("ceramic", "clay", "painted") and skin.uniform() < 0.4:
        pot = decorated(pot, decoration_rand(skin, radius=high, low=0.0, high=height))
    green = material_rand(skin, ("leaf",))
    cactus = plant == "cactus"
    return PottedPlantParams(
        plant=plant,
        pot_radii=(low, high),
        pot_height=height,
        pot_rim=float(shape.choice([0.0, 0.05, 0.08])),
        pot_lobes=(int(shape.integers(10, 28)), 0.02) if shape.uniform() < 0.2 else (0, 0.0),
        square_pot=bool(shape.uniform() < 0.15),
        saucer=bool(shape.uniform() < 0.5),
        leaves=() if cactus else _leaves_rand(foliage, plant),
        widest={
            "broadleaf": growth.uniform(0.3, 0.42),
            "swordleaf": 0.45,
            "succulent": 0.68,
            "tree": 0.45,
        }.get(plant, 0.5),
        fold=growth.uniform(0.05, 0.3),
        stem_height=growth.uniform(0.4, 0.6),
        bend=(growth.uniform(-0.08, 0.08), growth.uniform(-0.08, 0.08)),
        ribs=int(growth.integers(9, 17)),
        arms=int(growth.integers(0, 4)),
        flowers=int(growth.integers(0, 6)),
        pot=pot,
        dish=replace(pot, decoration=None),
        soil=material_rand(skin, ("soil",)),
        leaf=replace(green, kind="painted", wear=0.0, roughness=0.55, coat=0.0, translucent=0.0)
        if cactus
        else green,
        stem=replace(material_rand(skin, ("wood",)), coat=0.0)
        if plant == "tree"
        else replace(
            green, kind="painted", wear=0.0, colour=palette.shaded(green.colour, 1.15), translucent=0.0
        ),
        flower=replace(
            material_rand(skin, ("painted",)),
            wear=0.0,
            colour=palette.hsv(skin.choice([0.0, 0.92, 0.12, 0.8]), 0.7, 0.85),
        ),
    )


def _leaves_rand(rng: np.random.Generator, plant: str) -> tuple[Leaf, ...]:
    """Leaves in the golden-angle spiral of real shoots, older ones lower, longer and further out."""
    count, length, width, pitch, droop = {
        "broadleaf": (rng.integers(11, 22), (0.26, 0.38), (0.14, 0.22), (0.35, 1.1), (0.5, 1.2)),
        "swordleaf": (rng.integers(9, 18), (0.5, 0.85), (0.06, 0.09), (1.15, 1.5), (0.0, 0.25)),
        "succulent": (rng.integers(26, 46), (0.13, 0.24), (0.09, 0.12), (0.15, 1.35), (-0.5, -0.2)),
        "tree": (rng.integers(60, 100), (0.12, 0.19), (0.055, 0.085), (-0.1, 0.9), (0.3, 0.9)),
    }[plant]
    size = rng.uniform(0.9, 1.1)
    arching = plant == "swordleaf" and rng.uniform() < 0.4
    start = rng.uniform(0, math.tau)
    leaves = []
    for k in range(int(count)):
        young = k / (count - 1)
        own = rng.spawn(1)[0]
        leaves.append(
            Leaf(
                azimuth=start + k * GOLDEN_ANGLE + own.uniform(-0.25, 0.25),
                pitch=pitch[0] + (pitch[1] - pitch[0]) * young + own.uniform(-0.12, 0.12),
                height=young,
                length=size * (length[1] - (length[1] - length[0]) * young) * own.uniform(0.85, 1.1),
                width=size * own.uniform(*width) * (1.0 - 0.25 * young),
                droop=own.uniform(*droop) + (0.9 if arching else 0.0),
                roll=own.uniform(-0.35, 0.35),
            )
        )
    return tuple(leaves)
