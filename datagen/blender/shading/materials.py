"""What parts are made of, as plain descriptions that `shaders.py` turns into Blender materials.

One function per kind draws the free numbers; nothing here needs Blender, so a family's parameters can be
drawn, compared and tested anywhere. Lengths are in object units (an object is about one unit large).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.shading import palette
from pairbridge.datagen.blender.shading.palette import RGB

DECORATIONS = ("bands", "stripes", "checks", "dots", "flowers", "waves", "zigzag", "blotches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoration:
    """A second colour laid over a surface in a pattern.

    Around an axis (`around`) u is the angle about the part's z times `count`, else its x times `count`; v is
    its z times `rows`. `share` is the painted fraction; outside [low, high] in z nothing is painted.
    """

    kind: str
    colour: RGB
    count: float
    rows: float
    share: float
    low: float = -100.0
    high: float = 100.0
    around: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One material. `scale` is its texture's features per unit, `bump` its relief in units, `offset` where
    its noise starts."""

    kind: str
    colour: RGB
    accent: RGB
    roughness: float
    finish: str = "plain"
    scale: float = 10.0
    bump: float = 0.0
    coat: float = 0.0
    wear: float = 0.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    decoration: Decoration | None = None


def painted(rng: np.random.Generator) -> Material:
    """Sprayed or brushed paint, at times chipped down to what is under it (`accent`)."""
    look, worn, place = rng.spawn(3)
    return Material(
        kind="painted",
        colour=palette.paint_rand(look),
        accent=palette.hsv(worn.uniform(0.05, 0.1), worn.uniform(0.1, 0.5), worn.uniform(0.25, 0.6)),
        roughness=look.uniform(0.18, 0.55),
        scale=look.uniform(5, 14),
        bump=look.uniform(0.0005, 0.002),
        coat=float(look.choice([0.0, 0.0, 0.6])),
        wear=float(worn.choice([0.0, 0.0, 0.35, 0.6])) * worn.uniform(0.6, 1.0),
        offset=_offset(place),
    )


def plastic(rng: np.random.Generator) -> Material:
    """Moulded plastic: one colour all through, glossy or finely grained."""
    look, place = rng.spawn(2)
    grained = look.uniform() < 0.45
    return Material(
        kind="plastic",
        colour=palette.paint_rand(look),
        accent=(0.1, 0.1, 0.1),
        roughness=look.uniform(0.4, 0.6) if grained else look.uniform(0.16, 0.35),
        finish="grained" if grained else "glossy",
        scale=look.uniform(90, 160),
        bump=0.0012 if grained else 0.0,
        offset=_offset(place),
    )


def ceramic(rng: np.random.Generator) -> Material:
    """Glazed stoneware or china: plain, speckled, crackled, or dipped in a second glaze."""
    look, place = rng.spawn(2)
    pale = look.uniform() < 0.55
    return Material(
        kind="ceramic",
        colour=palette.pale_rand(look) if pale else palette.deep_rand(look),
        accent=palette.deep_rand(look) if pale else palette.pale_rand(look),
        roughness=look.uniform(0.15, 0.4),
        finish=str(look.choice(["plain", "speckled", "crackled", "dipped", "reactive"])),
        scale=look.uniform(5, 11),
        bump=look.uniform(0.001, 0.004),
        coat=look.uniform(0.4, 1.0),
        wear=look.uniform(0.2, 0.5),
        offset=_offset(place),
    )


def clay(rng: np.random.Generator) -> Material:
    """Unglazed terracotta or stoneware, mottled and matt."""
    look, place = rng.spawn(2)
    colour = palette.hsv(look.uniform(0.03, 0.075), look.uniform(0.4, 0.65), look.uniform(0.5, 0.78))
    return Material(
        kind="clay",
        colour=colour,
        accent=palette.shaded(palette.varied(colour, look, 0.1), float(look.choice([0.6, 1.5]))),
        roughness=look.uniform(0.7, 0.9),
        scale=look.uniform(4, 9),
        bump=look.uniform(0.004, 0.01),
        wear=look.uniform(0.2, 0.6),
        offset=_offset(place),
    )


def metal(rng: np.random.Generator) -> Material:
    """Bare metal: polished, brushed, cast rough or hammered, with smudges that change its roughness."""
    look, place = rng.spawn(2)
    name = str(look.choice(sorted(palette.METALS)))
    finish = str(look.choice(["polished", "brushed", "brushed", "rough", "hammered"]))
    low, high = {
        "polished": (0.15, 0.22),
        "brushed": (0.25, 0.42),
        "rough": (0.42, 0.62),
        "hammered": (0.2, 0.35),
    }[finish]
    colour = palette.varied(palette.METALS[name], look, 0.06)
    return Material(
        kind="metal",
        colour=colour,
        accent=palette.shaded(colour, 0.45),
        roughness=look.uniform(low, high),
        finish=finish,
        scale=look.uniform(9, 16),
        bump={"polished": 0.0, "brushed": 0.0008, "rough": 0.002, "hammered": 0.006}[finish],
        wear=look.uniform(0.0, 0.4),
        offset=_offset(place),
    )


def wood(rng: np.random.Generator) -> Material:
    """Timber with growth rings around the part's z axis and fibres along it, raw to varnished."""
    look, place = rng.spawn(2)
    light, dark = palette.WOODS[look.integers(len(palette.WOODS))]
    return Material(
        kind="wood",
        colour=palette.varied(palette.linear(light), look, 0.1),
        accent=palette.varied(palette.linear(dark), look, 0.1),
        roughness=look.uniform(0.3, 0.65),
        scale=look.uniform(22, 48),
        bump=look.uniform(0.001, 0.003),
        coat=float(look.choice([0.0, 0.0, 0.5])),
        wear=look.uniform(0.4, 1.0),
        offset=_offset(place),
    )


def fabric(rng: np.random.Generator) -> Material:
    """Woven cloth or felt; the weave is relief and tone, the sheen its fuzz."""
    look, place = rng.spawn(2)
    colour = palette.textile_rand(look)
    return Material(
        kind="fabric",
        colour=colour,
        accent=palette.shaded(palette.varied(colour, look, 0.15), float(look.choice([0.55, 0.7, 1.35]))),
        roughness=look.uniform(0.75, 0.95),
        finish=str(look.choice(["weave", "weave", "twill", "felt"])),
        scale=look.uniform(55, 95),
        bump=look.uniform(0.003, 0.006),
        wear=look.uniform(0.3, 0.8),
        offset=_offset(place),
    )


def leather(rng: np.random.Generator) -> Material:
    """Grained hide with creases, darker in the pores."""
    look, place = rng.spawn(2)
    colour = palette.hide_rand(look)
    return Material(
        kind="leather",
        colour=colour,
        accent=palette.shaded(colour, 0.6),
        roughness=look.uniform(0.32, 0.58),
        scale=look.uniform(35, 70),
        bump=look.uniform(0.002, 0.005),
        coat=float(look.choice([0.0, 0.25])),
        wear=look.uniform(0.2, 0.6),
        offset=_offset(place),
    )


def leaf(rng: np.random.Generator) -> Material:
    """Blade of a leaf. Texture coordinates: x in [-1, 1] across, y in [0, 1] from stalk to tip, z a number
    per leaf."""
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
        offset=_offset(place),
    )


def stone(rng: np.random.Generator) -> Material:
    """Marble, terrazzo or concrete."""
    look, place = rng.spawn(2)
    finish = str(look.choice(["marble", "terrazzo", "concrete"]))
    dark = look.uniform() < 0.3
    value = look.uniform(0.15, 0.3) if dark else look.uniform(0.6, 0.9)
    return Material(
        kind="stone",
        colour=palette.hsv(look.uniform(0.05, 0.15), look.uniform(0.0, 0.12), value),
        accent=palette.hsv(look.uniform(), look.uniform(0.1, 0.5), 0.75 if dark else look.uniform(0.25, 0.5)),
        roughness=look.uniform(0.65, 0.85) if finish == "concrete" else look.uniform(0.18, 0.4),
        finish=finish,
        scale=look.uniform(3, 6) if finish == "marble" else look.uniform(14, 26),
        bump=0.004 if finish == "concrete" else 0.0,
        offset=_offset(place),
    )


def rubber(rng: np.random.Generator) -> Material:
    """Dark matt rubber with dust on it."""
    look, place = rng.spawn(2)
    return Material(
        kind="rubber",
        colour=palette.hsv(0.1, 0.05, look.uniform(0.16, 0.26)),
        accent=palette.hsv(0.1, 0.15, look.uniform(0.3, 0.42)),
        roughness=look.uniform(0.6, 0.82),
        scale=look.uniform(8, 16),
        bump=0.002,
        wear=look.uniform(0.1, 0.5),
        offset=_offset(place),
    )


def soil(rng: np.random.Generator) -> Material:
    """Potting soil: dark crumbs with paler grit."""
    look, place = rng.spawn(2)
    return Material(
        kind="soil",
        colour=palette.hsv(look.uniform(0.05, 0.09), look.uniform(0.35, 0.55), look.uniform(0.2, 0.34)),
        accent=palette.hsv(0.09, 0.25, look.uniform(0.45, 0.7)),
        roughness=0.9,
        scale=look.uniform(28, 45),
        bump=0.02,
        offset=_offset(place),
    )


def pane(rng: np.random.Generator) -> Material:
    """Dark glass seen from outside, made opaque so that coverage stays simple: tinted window, lens,
    screen."""
    look, place = rng.spawn(2)
    return Material(
        kind="pane",
        colour=palette.hsv(look.uniform(0.5, 0.7), look.uniform(0.1, 0.5), look.uniform(0.18, 0.28)),
        accent=(0.05, 0.05, 0.06),
        roughness=0.15,
        coat=1.0,
        offset=_offset(place),
    )


KINDS = {
    draw.__name__: draw
    for draw in (
        painted,
        plastic,
        ceramic,
        clay,
        metal,
        wood,
        fabric,
        leather,
        leaf,
        stone,
        rubber,
        soil,
        pane,
    )
}


def material_rand(rng: np.random.Generator, kinds: tuple[str, ...]) -> Material:
    """A material of one of `kinds`, equally likely; repeat a kind to make it likelier."""
    pick, body = rng.spawn(2)
    return KINDS[kinds[pick.integers(len(kinds))]](body)


def decoration_rand(
    rng: np.random.Generator,
    *,
    radius: float,
    low: float,
    high: float,
    kinds: tuple[str, ...] = DECORATIONS,
    colour: RGB | None = None,
) -> Decoration:
    """A pattern around a turned body of about `radius` between two heights, its cells about as wide as
    high."""
    kind = str(rng.choice(kinds))
    count = int(rng.integers(6, 15))
    rows = count / (math.tau * radius)
    if kind == "bands":
        rows *= rng.uniform(0.5, 1.4)
    middle, reach = rng.uniform(0.35, 0.65), rng.uniform(0.15, 0.5)
    return Decoration(
        kind=kind,
        colour=palette.deep_rand(rng) if colour is None else colour,
        count=count,
        rows=rows,
        share=rng.uniform(0.3, 0.6),
        low=low + (high - low) * max(0.0, middle - reach),
        high=low + (high - low) * min(1.0, middle + reach),
    )


def decorated(material: Material, decoration: Decoration) -> Material:
    """The material with a pattern painted on; busy glazes are calmed, because two patterns at once read as
    noise."""
    finish = "plain" if material.kind == "ceramic" and material.finish != "speckled" else material.finish
    return replace(material, decoration=decoration, finish=finish)


def _offset(rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = rng.uniform(-20, 20, 3).tolist()
    return x, y, z
