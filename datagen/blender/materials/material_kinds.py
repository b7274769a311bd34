"""The kinds of material there are, by name: how one is drawn, its class, and what no real surface has."""

from collections.abc import Iterable

import numpy as np

from pairbridge.datagen.blender.materials.glass_and_liquids import coloured_glass, glass, liquid, pane
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.minerals_and_metals import (
    ceramic,
    clay,
    metal,
    mirror,
    rusty_metal,
    soil,
    stone,
)
from pairbridge.datagen.blender.materials.plastics_and_paint import (
    car_paint,
    painted,
    plastic,
    rubber,
    skin,
    translucent_plastic,
    wax,
)
from pairbridge.datagen.blender.materials.prints import Print
from pairbridge.datagen.blender.materials.textiles import fabric, leather, plush, sheer, velvet
from pairbridge.datagen.blender.materials.wood_and_paper import cardboard, leaf, paper, veneer, wood
from pairbridge.datagen.scene import palette
from pairbridge.datagen.scene.palette import RGB

# Below this a dielectric's highlight is no wider on screen, and a wider lighting copy would show nothing new:
# it mirrors a twentieth of its light.
_SHARPEST_DIELECTRIC = 0.08

KINDS = {
    draw.__name__: draw
    for draw in (
        painted,
        car_paint,
        plastic,
        translucent_plastic,
        wax,
        skin,
        ceramic,
        clay,
        metal,
        mirror,
        rusty_metal,
        wood,
        veneer,
        fabric,
        sheer,
        velvet,
        plush,
        leather,
        paper,
        cardboard,
        leaf,
        stone,
        rubber,
        soil,
        pane,
        glass,
        coloured_glass,
        liquid,
    )
}

# The coarse class of every kind: what splits hold out, and what an object's record says of it.
CLASSES: dict[str, str] = {
    "painted": "paint",
    "car_paint": "paint",
    "plastic": "plastic",
    "translucent_plastic": "plastic",
    "wax": "wax",
    "skin": "skin",
    "ceramic": "ceramic",
    "clay": "earth",
    "soil": "earth",
    "metal": "metal",
    "mirror": "metal",
    "rusty_metal": "metal",
    "wood": "wood",
    "veneer": "wood",
    "fabric": "cloth",
    "sheer": "cloth",
    "velvet": "cloth",
    "plush": "cloth",
    "leather": "leather",
    "paper": "paper",
    "cardboard": "paper",
    "leaf": "foliage",
    "stone": "stone",
    "rubber": "rubber",
    "pane": "glass",
    "glass": "glass",
    "coloured_glass": "glass",
    "liquid": "liquid",
}


def classes(materials: Iterable[Material]) -> tuple[str, ...]:
    """The classes of these materials, sorted, each once."""
    return tuple(sorted({CLASSES[material.kind] for material in materials}))


def sharpest(material: Material) -> float:
    """Roughness, in [0, 1], that decides how wide the environment map's copy is that lights the material: its
    own where it mirrors or transmits, else that of its highlight.
    """
    if CLASSES[material.kind] == "metal" or material.transmission > 0:
        return material.roughness
    gloss = min(material.roughness, material.coat_roughness) if material.coat > 0 else material.roughness
    return max(gloss, _SHARPEST_DIELECTRIC)


def material_rand(rng: np.random.Generator, kinds: tuple[str, ...]) -> Material:
    """A material of one of `kinds`, equally likely; repeat a kind to make it likelier."""
    pick, body = rng.spawn(2)
    return KINDS[kinds[pick.integers(len(kinds))]](body)


def implausible(material: Material) -> tuple[str, ...]:
    """What no real surface has of this, in words; empty where all is in the ranges of `palette`.

    Light that passes through is no reflectance: of glass and clear liquids it is only asked to be below 1.
    """
    colours = {"colour": material.colour, "accent": material.accent}
    if material.decoration is not None:
        colours["decoration"] = material.decoration.colour
        if material.decoration.print is not None:
            colours |= _inks(material.decoration.print)
    if material.print is not None:
        colours |= _inks(material.print)
    found = [] if 0 <= material.roughness <= 1 else [f"roughness {material.roughness:.3f}"]
    metal = CLASSES[material.kind] == "metal"
    for name, colour in colours.items():
        low, high = palette.DARKEST, palette.LIGHTEST
        if (name in ("colour", "accent") and metal) or material.transmission > 0:
            high = 1.0
        elif name == "accent" and material.kind == "painted":
            high = 1.0  # bare metal may be below
        if not low - 1e-9 <= min(colour) <= max(colour) <= high + 1e-9:
            found.append(f"{name} {tuple(round(channel, 3) for channel in colour)}")
    if metal and max(material.colour) < palette.DULLEST_METAL:
        found.append(f"metal as dull as {max(material.colour):.3f}")
    return tuple(found)


def _inks(picture: Print) -> dict[str, RGB]:
    return {"paper": picture.paper, "ink": picture.ink, "second": picture.second}
