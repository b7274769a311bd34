"""Wood, paper, board and leaves: what plants are made into."""

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_draws import offset_rand, roughness_rand, seldom
from pairbridge.datagen.blender.materials.prints import Print
from pairbridge.datagen.scene import palette


def wood(rng: np.random.Generator) -> Material:
    """Timber with growth rings around the part's z axis and fibres along it, raw to varnished."""
    look, place, used = rng.spawn(3)
    light, dark = palette.WOODS[look.integers(len(palette.WOODS))]
    varnished = look.uniform() < 0.45
    return Material(
        kind="wood",
        colour=palette.varied(palette.linear(light), look, 0.1),
        accent=palette.varied(palette.linear(dark), look, 0.1),
        roughness=look.uniform(0.3, 0.5) if varnished else look.uniform(0.45, 0.8),
        scale=look.uniform(22, 48),
        bump=look.uniform(0.001, 0.003),
        coat=look.uniform(0.4, 1.0) if varnished else 0.0,
        coat_roughness=look.uniform(0.05, 0.25),
        wear=look.uniform(0.4, 1.0),
        dirt=seldom(used, 0.3),
        offset=offset_rand(place),
    )


def veneer(rng: np.random.Generator) -> Material:
    """Sheets of wood as scans show them: an image of a flat-sawn board over every side."""
    look, place = rng.spawn(2)
    light, dark = palette.WOODS[look.integers(len(palette.WOODS))]
    paper, second = (palette.varied(palette.linear(tone), look, 0.1) for tone in (light, dark))
    ink = palette.shaded(second, 0.6)
    return Material(
        kind="veneer",
        colour=paper,
        accent=second,
        roughness=roughness_rand(look, 0.25, 0.5),
        scale=look.uniform(0.8, 1.6),
        bump=look.uniform(0.0005, 0.0015),
        coat=float(look.choice([0.0, 0.7])),
        coat_roughness=look.uniform(0.05, 0.2),
        offset=offset_rand(place),
        print=Print(kind="veneer", seed=int(place.integers(2**31)), paper=paper, ink=ink, second=second),
    )


def paper(rng: np.random.Generator) -> Material:
    """Sheets: blank, or printed with columns of pseudo-text."""
    look, place = rng.spawn(2)
    colour = palette.paper_rand(look)
    printed = look.uniform() < 0.6
    ink, second = palette.deep_rand(look), palette.product_rand(look, 0.2)
    page = Print(kind="page", seed=int(place.integers(2**31)), paper=colour, ink=ink, second=second)
    return Material(
        kind="paper",
        colour=colour,
        accent=ink,
        roughness=look.uniform(0.3, 0.5) if look.uniform() < 0.25 else look.uniform(0.7, 1.0),
        finish="printed" if printed else "plain",
        scale=look.uniform(1.4, 2.6),
        bump=look.uniform(0.0005, 0.002),
        offset=offset_rand(place),
        print=page if printed else None,
    )


def cardboard(rng: np.random.Generator) -> Material:
    """Kraft board, brown or bleached, its fibres an image."""
    look, place = rng.spawn(2)
    brown = look.uniform() < 0.75
    colour = palette.hsv(look.uniform(0.08, 0.1), look.uniform(0.3, 0.48), look.uniform(0.55, 0.78))
    if not brown:
        colour = palette.paper_rand(look)
    dark = palette.shaded(colour, 0.7)
    return Material(
        kind="cardboard",
        colour=colour,
        accent=dark,
        roughness=look.uniform(0.75, 1.0),
        scale=look.uniform(1.0, 2.0),
        bump=look.uniform(0.0008, 0.002),
        edges=seldom(look, 0.4),
        offset=offset_rand(place),
        print=Print(
            kind="carton",
            seed=int(place.integers(2**31)),
            paper=colour,
            ink=dark,
            second=palette.shaded(colour, 0.85),
        ),
    )


def leaf(rng: np.random.Generator) -> Material:
    """Blade of a leaf, through which a quarter of the light comes. Texture coordinates: x in [-1, 1] across,
    y in [0, 1] from stalk to tip, z a number per leaf."""
    look, place = rng.spawn(2)
    colour = palette.foliage_rand(look)
    finish = str(look.choice(["veined", "veined", "edged", "banded", "mottled"]))
    paler = palette.hsv(look.uniform(0.16, 0.28), look.uniform(0.25, 0.5), look.uniform(0.6, 0.85))
    return Material(
        kind="leaf",
        colour=colour,
        accent=paler,
        roughness=look.uniform(0.3, 0.5),
        finish=finish,
        scale=look.uniform(7, 12),
        bump=look.uniform(0.002, 0.005),
        coat=float(look.choice([0.0, 0.3])),
        coat_roughness=0.25,
        translucent=look.uniform(0.15, 0.3),
        offset=offset_rand(place),
    )
