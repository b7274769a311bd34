"""Cloth, pile and leather."""

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_draws import offset_rand, seldom
from pairbridge.datagen.scene import palette


def fabric(rng: np.random.Generator) -> Material:
    """Woven cloth or felt; the weave is relief and tone, the sheen its fuzz."""
    look, place = rng.spawn(2)
    colour = palette.textile_rand(look)
    return Material(
        kind="fabric",
        colour=colour,
        accent=palette.shaded(palette.varied(colour, look, 0.12), float(look.choice([0.55, 0.7, 1.35]))),
        roughness=look.uniform(0.75, 1.0),
        finish=str(look.choice(["weave", "weave", "twill", "felt"])),
        scale=look.uniform(55, 95),
        bump=look.uniform(0.003, 0.006),
        wear=look.uniform(0.3, 0.8),
        offset=offset_rand(place),
    )


def sheer(rng: np.random.Generator) -> Material:
    """Thin cloth or paper that light comes through, as of lamp shades and curtains."""
    look, place = rng.spawn(2)
    colour = palette.pale_rand(look) if look.uniform() < 0.75 else palette.textile_rand(look)
    return Material(
        kind="sheer",
        colour=colour,
        accent=palette.shaded(colour, 0.78),
        roughness=look.uniform(0.75, 1.0),
        finish=str(look.choice(["weave", "weave", "felt"])),
        scale=look.uniform(70, 110),
        bump=look.uniform(0.001, 0.003),
        wear=look.uniform(0.2, 0.5),
        translucent=look.uniform(0.25, 0.45),
        offset=offset_rand(place),
    )


def velvet(rng: np.random.Generator) -> Material:
    """Short upright pile: dark when looked into, with a bright rim, brushed this way and that."""
    look, place = rng.spawn(2)
    colour = palette.textile_rand(look)
    return Material(
        kind="velvet",
        colour=palette.shaded(colour, 0.8),
        accent=palette.shaded(colour, 0.5),
        roughness=1.0,
        scale=look.uniform(3, 6),
        bump=look.uniform(0.001, 0.003),
        wear=look.uniform(0.3, 0.8),
        offset=offset_rand(place),
    )


def plush(rng: np.random.Generator) -> Material:
    """Long soft pile in tufts, as of soft toys, rugs and fur."""
    look, place = rng.spawn(2)
    colour = (
        palette.textile_rand(look) if look.uniform() < 0.4 else palette.shaded(palette.hide_rand(look), 1.3)
    )
    return Material(
        kind="plush",
        colour=colour,
        accent=palette.shaded(colour, 0.55),
        roughness=1.0,
        scale=look.uniform(28, 45),
        bump=look.uniform(0.01, 0.02),
        wear=look.uniform(0.5, 1.0),
        offset=offset_rand(place),
    )


def leather(rng: np.random.Generator) -> Material:
    """Grained hide with creases, darker in the pores, paler where its edges are worn."""
    look, place, used = rng.spawn(3)
    colour = palette.hide_rand(look)
    patent = look.uniform() < 0.12
    return Material(
        kind="leather",
        colour=colour,
        accent=palette.shaded(colour, 0.6),
        roughness=look.uniform(0.3, 0.7),
        scale=look.uniform(35, 70),
        bump=look.uniform(0.0, 0.001) if patent else look.uniform(0.002, 0.005),
        coat=1.0 if patent else float(look.choice([0.0, 0.25])),
        coat_roughness=0.06 if patent else 0.3,
        wear=look.uniform(0.2, 0.6),
        edges=seldom(used, 0.4),
        offset=offset_rand(place),
    )
