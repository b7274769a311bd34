"""What parts are made of, as plain descriptions that `shaders.py` turns into Blender materials.

One function per kind draws the free numbers; nothing here needs Blender, so a family's parameters can be
drawn, compared and tested anywhere. Lengths are in object units (an object is about one unit large).
Reflectances are drawn by `palette`, which names their sources. Roughness is a mixture as of real things:
glossy (0.05 to 0.25), satin (0.3 to 0.5) and matt (0.6 to 1), in shares that belong to the kind.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.shading import palette
from pairbridge.datagen.blender.shading.palette import RGB
from pairbridge.datagen.blender.shading.prints import Print

DECORATIONS = (
    "bands",
    "stripes",
    "checks",
    "dots",
    "flowers",
    "waves",
    "zigzag",
    "blotches",
    "label",
    "label",
)

# Below this a dielectric's highlight is no wider on screen, and a wider lighting copy would show nothing new:
# it mirrors a twentieth of its light.
_SHARPEST_DIELECTRIC = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoration:
    """A second colour laid over a surface in a pattern.

    Around an axis (`around`) u is the angle about the part's z times `count`, else its x times `count`; v is
    its z times `rows`. `share` is the painted fraction; outside [low, high] in z nothing is painted. A
    `label` is the picture `print`, once, between the two heights: 1 / `count` of the way around with its
    middle at the front (-y), or 1 / `count` wide.
    """

    kind: str
    colour: RGB
    count: float
    rows: float
    share: float
    low: float = -100.0
    high: float = 100.0
    around: bool = True
    print: Print | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One material. `scale` is its texture's features per unit, `bump` its relief in units, `offset` where
    its noise starts.

    `colour` and `accent` are linear reflectances, of metals at normal incidence; of what light passes through
    (`transmission` above 0) `colour` is the share that passes. `edges` in [0, 1] is how far convex edges are
    worn down to `accent`, `dirt` in [0, 1] how much dust lies in hollows. `scatter` is the mean free path of
    light beneath the surface, 0 for none; `translucent` the share of light that comes through a thin sheet.
    `print` is a picture projected from the sides, one unit / `scale` large.
    """

    kind: str
    colour: RGB
    accent: RGB
    roughness: float
    finish: str = "plain"
    scale: float = 10.0
    bump: float = 0.0
    coat: float = 0.0
    coat_roughness: float = 0.15
    wear: float = 0.0
    edges: float = 0.0
    dirt: float = 0.0
    transmission: float = 0.0
    ior: float = 1.5
    scatter: float = 0.0
    translucent: float = 0.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    decoration: Decoration | None = None
    print: Print | None = None


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
        roughness=_roughness(look, 0.35, 0.35),
        scale=look.uniform(5, 14),
        bump=look.uniform(0.0004, 0.0015),
        coat=float(look.choice([0.0, 0.0, 0.6])),
        coat_roughness=look.uniform(0.05, 0.2),
        wear=float(worn.choice([0.0, 0.0, 0.0, 0.35, 0.6])) * worn.uniform(0.6, 1.0),
        edges=_seldom(worn, 0.35),
        dirt=_seldom(worn, 0.25),
        offset=_offset(place),
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
        dirt=_seldom(look, 0.2),
        offset=_offset(place),
    )


def plastic(rng: np.random.Generator) -> Material:
    """Moulded plastic: one colour all through, glossy, satin or grained and matt."""
    look, place, used = rng.spawn(3)
    roughness = _roughness(look, 0.35, 0.4)
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
        edges=_seldom(used, 0.15),
        dirt=_seldom(used, 0.2),
        offset=_offset(place),
    )


def translucent_plastic(rng: np.random.Generator) -> Material:
    """Milky plastic that light enters, as of bottles, toys and silicone."""
    look, place = rng.spawn(2)
    return Material(
        kind="translucent_plastic",
        colour=palette.pale_rand(look) if look.uniform() < 0.6 else palette.product_rand(look, 0.3),
        accent=(0.5, 0.5, 0.5),
        roughness=_roughness(look, 0.45, 0.4),
        scale=look.uniform(4, 8),
        scatter=look.uniform(0.02, 0.06),
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
    )


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
        offset=_offset(place),
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
        dirt=_seldom(used, 0.4),
        offset=_offset(place),
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
        dirt=_seldom(used, 0.25),
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
    )


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
        dirt=_seldom(used, 0.3),
        offset=_offset(place),
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
        roughness=_roughness(look, 0.25, 0.5),
        scale=look.uniform(0.8, 1.6),
        bump=look.uniform(0.0005, 0.0015),
        coat=float(look.choice([0.0, 0.7])),
        coat_roughness=look.uniform(0.05, 0.2),
        offset=_offset(place),
        print=Print(kind="veneer", seed=int(place.integers(2**31)), paper=paper, ink=ink, second=second),
    )


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
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
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
        edges=_seldom(used, 0.4),
        offset=_offset(place),
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
        offset=_offset(place),
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
        edges=_seldom(look, 0.4),
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(place),
    )


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
        offset=_offset(place),
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
        offset=_offset(place),
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
        offset=_offset(rng),
    )


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
    colour = palette.deep_rand(rng) if colour is None else colour
    if kind == "label":
        return label_rand(rng, radius=radius, low=low, high=high, ink=colour)
    return Decoration(
        kind=kind,
        colour=colour,
        count=count,
        rows=rows,
        share=rng.uniform(0.3, 0.6),
        low=low + (high - low) * max(0.0, middle - reach),
        high=low + (high - low) * min(1.0, middle + reach),
    )


def label_rand(
    rng: np.random.Generator, *, radius: float, low: float, high: float, ink: RGB, around: bool = True
) -> Decoration:
    """A label or a printed motif at the front (-y) of a turned body of about `radius`, or of a box twice as
    wide (not `around`), between two heights.
    """
    span = high - low
    bottom, top = low + span * rng.uniform(0.12, 0.25), high - span * rng.uniform(0.12, 0.25)
    around_length = math.tau * radius if around else 2 * radius
    width = min((top - bottom) * rng.uniform(0.8, 1.7), around_length * (0.45 if around else 0.85))
    picture = Print(
        kind=str(rng.choice(["label", "motif"])),
        seed=int(rng.integers(2**31)),
        paper=palette.paper_rand(rng) if rng.uniform() < 0.7 else palette.product_rand(rng, 0.3),
        ink=ink,
        second=palette.product_rand(rng, 0.25),
        aspect=width / (top - bottom),
    )
    return Decoration(
        kind="label",
        colour=ink,
        count=around_length / width if around else 1 / width,
        rows=1.0,
        share=1.0,
        low=bottom,
        high=top,
        around=around,
        print=picture,
    )


def decorated(material: Material, decoration: Decoration) -> Material:
    """The material with a pattern painted on; busy glazes are calmed, because two patterns at once read as
    noise."""
    finish = "plain" if material.kind == "ceramic" and material.finish != "speckled" else material.finish
    return replace(material, decoration=decoration, finish=finish)


def _roughness(rng: np.random.Generator, glossy: float, satin: float) -> float:
    """Glossy in one share of the draws, satin in another, else matt."""
    kind = rng.uniform()
    if kind < glossy:
        return float(rng.uniform(0.05, 0.25))
    return float(rng.uniform(0.3, 0.5) if kind < glossy + satin else rng.uniform(0.6, 1.0))


def _seldom(rng: np.random.Generator, share: float) -> float:
    """0, or in `share` of the draws something between 0.25 and 1."""
    there, amount = rng.uniform(), rng.uniform(0.25, 1.0)
    return float(amount) if there < share else 0.0


def _offset(rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = rng.uniform(-20, 20, 3).tolist()
    return x, y, z
