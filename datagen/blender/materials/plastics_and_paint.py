"""Paint, plastics, rubber, wax and skin: bodies of one colour, with a skin or with light beneath it."""

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_draws import offset_rand, roughness_rand, seldom
from pairbridge.datagen.scene import palette


def painted(rng: np.random.Generator) -> Material:
    """Sprayed or brushed paint, at times chipped or worn at its edges down to what is below (`accent`)."""
    look, worn, place = rng.spawn(3)
    under = (
        palette.METALS["steel"] if worn.uniform() < 0.5 else palette.hsv(0.08, 0.3, worn.uniform(0.3, 0.6))
    )
    return Material(
        kind="painted",
        colour=palette.paint_rand(look),
        accent=palette.varied(under, worn, 0.08),
        roughness=roughness_rand(look, 0.35, 0.35),
        scale=look.uniform(5, 14),
        bump=look.uniform(0.0004, 0.0015),
        coat=float(look.choice([0.0, 0.0, 0.6])),
        coat_roughness=look.uniform(0.05, 0.2),
        wear=float(worn.choice([0.0, 0.0, 0.0, 0.35, 0.6])) * worn.uniform(0.6, 1.0),
        edges=seldom(worn, 0.35),
        dirt=seldom(worn, 0.25),
        offset=offset_rand(place),
    )


def car_paint(rng: np.random.Generator) -> Material:
    """Lacquered coachwork: solid or metallic paint under a clear, smooth coat."""
    look, place = rng.spawn(2)
    metallic = look.uniform() < 0.55
    colour = palette.car_paint_rand(look)
    return Material(
        kind="car_paint",
        colour=colour,
        accent=palette.shaded(colour, 1.6 if metallic else 0.9),
        roughness=look.uniform(0.3, 0.5),
        finish="metallic" if metallic else "solid",
        scale=look.uniform(250, 400),
        bump=look.uniform(0.0, 0.0003),
        coat=1.0,
        coat_roughness=look.uniform(0.03, 0.07),
        dirt=seldom(look, 0.2),
        offset=offset_rand(place),
    )


def plastic(rng: np.random.Generator) -> Material:
    """Moulded plastic: one colour all through, glossy, satin or grained and matt."""
    look, place, used = rng.spawn(3)
    roughness = roughness_rand(look, 0.35, 0.4)
    grained = roughness > 0.4 and look.uniform() < 0.7
    colour = palette.product_rand(look, 0.66)
    return Material(
        kind="plastic",
        colour=colour,
        accent=palette.shaded(colour, 0.7 if sum(colour) > 0.4 else 1.8),
        roughness=roughness,
        finish="grained" if grained else "glossy",
        scale=look.uniform(90, 160),
        bump=0.0012 if grained else 0.0,
        edges=seldom(used, 0.15),
        dirt=seldom(used, 0.2),
        offset=offset_rand(place),
    )


def translucent_plastic(rng: np.random.Generator) -> Material:
    """Milky plastic that light enters, as of bottles, toys and silicone."""
    look, place = rng.spawn(2)
    return Material(
        kind="translucent_plastic",
        colour=palette.pale_rand(look) if look.uniform() < 0.6 else palette.product_rand(look, 0.3),
        accent=(0.5, 0.5, 0.5),
        roughness=roughness_rand(look, 0.45, 0.4),
        scale=look.uniform(4, 8),
        scatter=look.uniform(0.02, 0.06),
        offset=offset_rand(place),
    )


def wax(rng: np.random.Generator) -> Material:
    """Candle wax and soap: light goes in deep, softly clouded."""
    look, place = rng.spawn(2)
    colour = palette.pale_rand(look) if look.uniform() < 0.75 else palette.dyed_rand(look)
    return Material(
        kind="wax",
        colour=colour,
        accent=palette.shaded(colour, 0.85),
        roughness=look.uniform(0.3, 0.5),
        scale=look.uniform(4, 9),
        bump=look.uniform(0.001, 0.003),
        scatter=look.uniform(0.04, 0.1),
        offset=offset_rand(place),
    )


def skin(rng: np.random.Generator) -> Material:
    """Human skin with pores and a little blotching; red light goes in deepest."""
    look, place = rng.spawn(2)
    colour = palette.skin_rand(look)
    return Material(
        kind="skin",
        colour=colour,
        accent=(min(colour[0] * 1.1, 0.9), max(colour[1] * 0.8, 0.02), max(colour[2] * 0.8, 0.02)),
        roughness=look.uniform(0.35, 0.55),
        scale=look.uniform(120, 180),
        bump=look.uniform(0.0005, 0.0012),
        wear=look.uniform(0.2, 0.6),
        scatter=look.uniform(0.004, 0.01),
        offset=offset_rand(place),
    )


def rubber(rng: np.random.Generator) -> Material:
    """Dark matt rubber with dust on it; silicone and crepe are paler."""
    look, place = rng.spawn(2)
    black = look.uniform() < 0.8
    colour = palette.hsv(0.1, 0.05, look.uniform(0.15, 0.26)) if black else palette.product_rand(look, 0.5)
    return Material(
        kind="rubber",
        colour=colour,
        accent=palette.hsv(0.1, 0.15, look.uniform(0.3, 0.42)) if black else palette.shaded(colour, 0.8),
        roughness=look.uniform(0.6, 0.9),
        scale=look.uniform(8, 16),
        bump=0.002,
        wear=look.uniform(0.1, 0.5),
        offset=offset_rand(place),
    )
