"""Ceramic, clay, stone, soil and metals."""

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_draws import offset_rand, seldom
from pairbridge.datagen.scene import palette


def ceramic(rng: np.random.Generator) -> Material:
    """Glazed stoneware or china: plain, speckled, crackled, or dipped in a second glaze, mostly glossy."""
    look, place = rng.spawn(2)
    pale = look.uniform() < 0.68
    matt = look.uniform() < 0.25
    return Material(
        kind="ceramic",
        colour=palette.pale_rand(look) if pale else palette.deep_rand(look),
        accent=palette.deep_rand(look) if pale else palette.pale_rand(look),
        roughness=look.uniform(0.45, 0.7) if matt else look.uniform(0.08, 0.3),
        finish=str(look.choice(["plain", "plain", "plain", "speckled", "crackled", "dipped", "reactive"])),
        scale=look.uniform(5, 11),
        bump=look.uniform(0.0006, 0.003),
        coat=0.0 if matt else look.uniform(0.5, 1.0),
        coat_roughness=look.uniform(0.03, 0.1),
        wear=look.uniform(0.2, 0.5),
        offset=offset_rand(place),
    )


def clay(rng: np.random.Generator) -> Material:
    """Unglazed terracotta or stoneware, mottled and matt."""
    look, place, used = rng.spawn(3)
    colour = palette.earth_rand(look)
    return Material(
        kind="clay",
        colour=colour,
        accent=palette.shaded(palette.varied(colour, look, 0.1), float(look.choice([0.6, 1.5]))),
        roughness=look.uniform(0.7, 0.95),
        scale=look.uniform(4, 9),
        bump=look.uniform(0.004, 0.01),
        wear=look.uniform(0.2, 0.6),
        dirt=seldom(used, 0.4),
        offset=offset_rand(place),
    )


def metal(rng: np.random.Generator) -> Material:
    """Bare metal: polished, brushed, cast rough or hammered, with smudges that change its roughness."""
    look, place, used = rng.spawn(3)
    finish = str(look.choice(["polished", "polished", "satin", "brushed", "brushed", "rough", "hammered"]))
    low, high = {
        "polished": (0.05, 0.2),
        "satin": (0.25, 0.4),
        "brushed": (0.2, 0.42),
        "rough": (0.45, 0.7),
        "hammered": (0.12, 0.35),
    }[finish]
    colour = palette.metal_rand(look)
    return Material(
        kind="metal",
        colour=colour,
        accent=palette.shaded(colour, 0.45),
        roughness=look.uniform(low, high),
        finish=finish,
        scale=look.uniform(9, 16),
        bump={"polished": 0.0, "satin": 0.0, "brushed": 0.0008, "rough": 0.002, "hammered": 0.006}[finish],
        wear=look.uniform(0.0, 0.4),
        dirt=seldom(used, 0.25),
        offset=offset_rand(place),
    )


def mirror(rng: np.random.Generator) -> Material:
    """Silvered glass or chrome plate: what it shows is what is around it."""
    look, place = rng.spawn(2)
    return Material(
        kind="mirror",
        colour=palette.METALS[str(look.choice(["silver", "chromium", "aluminium", "chromium"]))],
        accent=(0.3, 0.3, 0.3),
        roughness=look.uniform(0.02, 0.08),
        finish="polished",
        offset=offset_rand(place),
    )


def rusty_metal(rng: np.random.Generator) -> Material:
    """Iron or steel with rust in patches; `wear` is how much of it."""
    look, place = rng.spawn(2)
    return Material(
        kind="rusty_metal",
        colour=palette.METALS[str(look.choice(["iron", "steel"]))],
        accent=palette.hsv(look.uniform(0.03, 0.07), look.uniform(0.55, 0.8), look.uniform(0.25, 0.5)),
        roughness=look.uniform(0.3, 0.5),
        scale=look.uniform(4, 9),
        bump=look.uniform(0.003, 0.008),
        wear=look.uniform(0.25, 0.9),
        offset=offset_rand(place),
    )


def stone(rng: np.random.Generator) -> Material:
    """Marble, terrazzo, granite or concrete."""
    look, place = rng.spawn(2)
    finish = str(look.choice(["marble", "terrazzo", "concrete"]))
    dark = look.uniform() < 0.3
    value = look.uniform(0.15, 0.3) if dark else look.uniform(0.6, 0.9)
    vein = palette.hsv(look.uniform(0.05, 0.12), look.uniform(0.0, 0.35), look.uniform(0.25, 0.5))
    return Material(
        kind="stone",
        colour=palette.hsv(look.uniform(0.05, 0.15), look.uniform(0.0, 0.12), value),
        accent=palette.shaded(vein, 4.0) if dark else vein,
        roughness=look.uniform(0.65, 0.9) if finish == "concrete" else look.uniform(0.08, 0.4),
        finish=finish,
        scale=look.uniform(3, 6) if finish == "marble" else look.uniform(14, 26),
        bump=0.004 if finish == "concrete" else 0.0,
        offset=offset_rand(place),
    )


def soil(rng: np.random.Generator) -> Material:
    """Potting soil: dark crumbs with paler grit."""
    look, place = rng.spawn(2)
    return Material(
        kind="soil",
        colour=palette.hsv(look.uniform(0.05, 0.09), look.uniform(0.35, 0.55), look.uniform(0.2, 0.34)),
        accent=palette.hsv(0.09, 0.25, look.uniform(0.45, 0.7)),
        roughness=0.95,
        scale=look.uniform(28, 45),
        bump=0.02,
        offset=offset_rand(place),
    )
