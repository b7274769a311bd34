"""Glass, seen through or dark, and drinks."""

from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_draws import offset_rand
from pairbridge.datagen.scene import palette


def pane(rng: np.random.Generator) -> Material:
    """Dark glass seen from outside, with nothing behind it worth showing: tinted window, lens, screen."""
    look, place = rng.spawn(2)
    return Material(
        kind="pane",
        colour=palette.hsv(look.uniform(0.5, 0.7), look.uniform(0.1, 0.5), look.uniform(0.16, 0.24)),
        accent=(0.03, 0.03, 0.035),
        roughness=look.uniform(0.05, 0.15),
        coat=1.0,
        coat_roughness=look.uniform(0.03, 0.1),
        offset=offset_rand(place),
    )


def glass(rng: np.random.Generator) -> Material:
    """Clear glass, at times frosted or with a wavy surface."""
    look, place = rng.spawn(2)
    frosted = look.uniform() < 0.15
    clear = look.uniform(0.92, 0.98)
    return Material(
        kind="glass",
        colour=(clear * look.uniform(0.97, 1.0), clear, clear * look.uniform(0.98, 1.0)),
        accent=(0.5, 0.5, 0.5),
        roughness=look.uniform(0.25, 0.45) if frosted else look.uniform(0.0, 0.03),
        finish="frosted" if frosted else "clear",
        scale=look.uniform(3, 6),
        bump=0.0 if look.uniform() < 0.7 else look.uniform(0.002, 0.006),
        transmission=1.0,
        ior=look.uniform(1.48, 1.56),
        offset=offset_rand(place),
    )


def coloured_glass(rng: np.random.Generator) -> Material:
    """Bottle green, amber, smoke, cobalt, ruby."""
    tint, body = rng.spawn(2)
    return replace(glass(body), kind="coloured_glass", colour=palette.glass_tint_rand(tint))


def liquid(rng: np.random.Generator) -> Material:
    """A drink: `finish` water, wine, tea, oil (clear), coffee or milk (not); `drink` makes a given one."""
    pick, body = rng.spawn(2)
    return drink(body, str(pick.choice(["water", "wine", "tea", "oil", "coffee", "coffee", "milk"])))


def drink(rng: np.random.Generator, name: str) -> Material:
    """The liquid of this name: water, wine, tea, oil, coffee or milk."""
    colour, passes, scatter = {
        "water": ((0.95, 0.97, 0.97), 1.0, 0.0),
        "wine": ((0.3, 0.02, 0.04), 1.0, 0.0),
        "tea": ((0.75, 0.3, 0.06), 1.0, 0.0),
        "oil": ((0.9, 0.75, 0.2), 1.0, 0.0),
        "coffee": ((0.045, 0.024, 0.02), 0.0, 0.0),
        "milk": ((0.87, 0.84, 0.76), 0.0, 0.03),
    }[name]
    return Material(
        kind="liquid",
        colour=colour,
        accent=palette.shaded(colour, 1.8),
        roughness=rng.uniform(0.0, 0.02) if passes else rng.uniform(0.05, 0.12),
        finish=name,
        transmission=passes,
        ior=1.333,
        scatter=scatter,
        offset=offset_rand(rng),
    )
