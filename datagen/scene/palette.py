"""Colours of everyday materials as linear RGB reflectances (Rec.709), by kind of material.

Every function below draws from what was measured of its kind, and as often as products have it: most things
are white, off-white, grey, black or brown, and a strong hue is the exception. Sources, by name:

- range of dielectrics: S. Lagarde, "Feeding a physically based shading model" and the Dontnod chart with it,
  whose ends are charcoal (0.02) and fresh snow (0.81 to 0.9); the "Physically Based" database of
  A. Palmqvist; titanium-white paint and paper reach 0.85 to 0.9;
- metals: reflectance at normal incidence from the optical constants n, k of P. B. Johnson and R. W. Christy
  (noble metals) and E. D. Palik's handbook (others), as those two charts tabulate it in linear sRGB;
- strong paints, skin and foliage: the patches of the X-Rite ColorChecker, in C. S. McCamy's measurements;
- skin lies between and a little beyond the chart's dark and light skin;
- shares of body colours of cars: Axalta's yearly colour popularity reports (white over a third, then black,
  grey and silver; blue and red below a tenth each);
- walls and floors: the reflectances that EN 12464-1 asks of rooms (walls 0.5 to 0.8, floors 0.2 to 0.4),
  which most of ours have; the shares of hues among them are our choice;
- wood, soil, brick, terracotta, hides: the notations R and YR of the Munsell soil and rock charts.
"""

import colorsys
from collections.abc import Iterable

import numpy as np

from pairbridge.datagen.imaging.colour import RGB, linear_colour

# Below the one lies charcoal, above the other fresh snow; outside them a renderer's inverse problem has no
# answer. They hold for dielectrics that light does not pass through.
DARKEST, LIGHTEST = 0.02, 0.9
# Metals reflect more, and none of those below, a little tarnished, less than this in its brightest channel.
DULLEST_METAL = 0.35

# Reflectances at normal incidence, linear.
METALS: dict[str, RGB] = {
    "aluminium": (0.91, 0.92, 0.92),
    "brass": (0.91, 0.78, 0.42),
    "bronze": (0.80, 0.58, 0.37),
    "chromium": (0.55, 0.56, 0.55),
    "copper": (0.95, 0.64, 0.54),
    "gold": (0.98, 0.77, 0.34),
    "iron": (0.53, 0.51, 0.49),
    "nickel": (0.66, 0.61, 0.53),
    "silver": (0.97, 0.96, 0.91),
    "steel": (0.60, 0.57, 0.54),
    "titanium": (0.54, 0.50, 0.45),
    "zinc": (0.66, 0.67, 0.68),
}
# What bare metal parts are made of, by how many of them one meets.
_METAL_SHARES = {
    "aluminium": 0.2, "steel": 0.26, "chromium": 0.16, "nickel": 0.06, "iron": 0.06, "zinc": 0.05,
    "brass": 0.08, "bronze": 0.03, "copper": 0.04, "gold": 0.02, "silver": 0.03, "titanium": 0.01,
}  # fmt: skip

# Light (early) wood and dark (late) wood of one tree, display RGB.
WOODS: tuple[tuple[RGB, RGB], ...] = (
    ((0.86, 0.72, 0.54), (0.74, 0.56, 0.37)),  # beech
    ((0.80, 0.64, 0.43), (0.60, 0.42, 0.24)),  # oak
    ((0.90, 0.80, 0.62), (0.80, 0.64, 0.42)),  # pine
    ((0.91, 0.83, 0.70), (0.82, 0.70, 0.54)),  # maple
    ((0.66, 0.53, 0.37), (0.48, 0.35, 0.22)),  # teak
    ((0.48, 0.32, 0.21), (0.30, 0.19, 0.12)),  # walnut
    ((0.58, 0.30, 0.19), (0.40, 0.19, 0.12)),  # mahogany
    ((0.72, 0.46, 0.27), (0.55, 0.31, 0.17)),  # cherry
    ((0.28, 0.21, 0.18), (0.20, 0.15, 0.13)),  # wenge
)

# Body colours of cars: share, hue (turns), saturation and value (display), each with its range.
_CAR_COLOURS: tuple[tuple[float, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    (0.35, (0.08, 0.16), (0.0, 0.05), (0.86, 0.95)),  # white
    (0.21, (0.55, 0.65), (0.0, 0.12), (0.15, 0.2)),  # black
    (0.17, (0.55, 0.65), (0.0, 0.08), (0.3, 0.5)),  # grey
    (0.10, (0.55, 0.65), (0.0, 0.04), (0.62, 0.76)),  # silver
    (0.08, (0.57, 0.66), (0.55, 0.9), (0.25, 0.6)),  # blue
    (0.05, (0.98, 1.01), (0.75, 0.95), (0.4, 0.72)),  # red
    (0.02, (0.07, 0.1), (0.2, 0.45), (0.35, 0.7)),  # brown and beige
    (0.01, (0.25, 0.45), (0.3, 0.7), (0.25, 0.5)),  # green
    (0.01, (0.06, 0.15), (0.75, 0.95), (0.7, 0.9)),  # yellow and orange
)

# Hues that things are dyed and painted in where they have one: share, middle and half width, in turns.
_HUES: tuple[tuple[float, float, float], ...] = (
    (0.29, 0.605, 0.04),  # blues
    (0.22, 0.0, 0.025),  # reds
    (0.13, 0.37, 0.08),  # greens
    (0.11, 0.135, 0.02),  # yellows
    (0.08, 0.065, 0.025),  # oranges
    (0.07, 0.5, 0.04),  # turquoises
    (0.05, 0.94, 0.03),  # pinks
    (0.05, 0.77, 0.05),  # purples
)


def linear(display: tuple[float, float, float]) -> RGB:
    """Display (sRGB) colour in [0, 1] to a reflectance within the plausible range."""
    return _plausible(linear_colour(display))


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """Reflectance of a display colour given as hue (turns), saturation and value."""
    return linear(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def saturation(colour: RGB) -> float:
    """HSV saturation, in [0, 1], of a linear reflectance as it is displayed."""
    shown = np.asarray(colour) ** (1 / 2.2)
    return float((shown.max() - shown.min()) / shown.max())


def product_rand(rng: np.random.Generator, neutral: float = 0.64) -> RGB:
    """A manufactured surface: in the share `neutral` white, off-white, grey or black, else beige, brown or
    one of the dyes' hues.
    """
    if rng.uniform() < neutral:
        return neutral_rand(rng)
    return dyed_rand(rng)


def neutral_rand(rng: np.random.Generator) -> RGB:
    """White (reflectance 0.65 to 0.88), off-white (0.5 to 0.75, warm), grey (0.07 to 0.5) or black (0.02 to
    0.05), as often as products are.
    """
    kind, level = rng.uniform(), rng.uniform()
    hue, tint = rng.choice([0.09, 0.12, 0.6]), rng.uniform(0.0, 0.04)
    if kind < 0.36:
        return _tinted(0.65 + 0.23 * level, hue, tint)
    if kind < 0.5:
        return _tinted(0.5 + 0.25 * level, rng.uniform(0.08, 0.15), rng.uniform(0.06, 0.16))
    if kind < 0.76:
        return _tinted(0.07 * (0.5 / 0.07) ** level, hue, 1.5 * tint)
    return _tinted(0.02 + 0.03 * level, hue, 2.0 * tint)


def dyed_rand(rng: np.random.Generator) -> RGB:
    """A hue: half muted, half as strong as the ColorChecker's primaries; one in six is a brown or beige."""
    if rng.uniform() < 0.17:
        return hsv(rng.uniform(0.05, 0.11), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.75))
    shares = np.array([share for share, _, _ in _HUES])
    _, middle, width = _HUES[rng.choice(len(_HUES), p=shares / shares.sum())]
    hue = middle + rng.uniform(-width, width)
    if rng.uniform() < 0.5:
        return hsv(hue, rng.uniform(0.2, 0.55), rng.uniform(0.3, 0.85))
    # Yellows are strong and light, blues strong and dark: no dye is both dark and yellow.
    light = 0.35 * max(0.0, 1 - abs(hue - 0.13) / 0.1)
    return hsv(hue, rng.uniform(0.6, 0.92), rng.uniform(0.35, 0.72) + light)


def paint_rand(rng: np.random.Generator) -> RGB:
    """A colour things are painted or moulded in."""
    return product_rand(rng, 0.6)


def car_paint_rand(rng: np.random.Generator) -> RGB:
    """Body colours of cars, by their shares of the market."""
    shares = np.array([entry[0] for entry in _CAR_COLOURS])
    _, hue, strength, value = _CAR_COLOURS[rng.choice(len(_CAR_COLOURS), p=shares / shares.sum())]
    return hsv(rng.uniform(*hue), rng.uniform(*strength), rng.uniform(*value))


def pale_rand(rng: np.random.Generator) -> RGB:
    """Whites, creams and washed tints, as of china, linen and lamp shades."""
    if rng.uniform() < 0.6:
        return _tinted(rng.uniform(0.62, 0.86), rng.uniform(0.08, 0.15), rng.uniform(0.0, 0.08))
    hue = rng.choice([0.08, 0.11, 0.15, 0.55, 0.95]) + rng.uniform(-0.03, 0.03)
    return hsv(hue, rng.uniform(0.04, 0.22), rng.uniform(0.78, 0.95))


def deep_rand(rng: np.random.Generator) -> RGB:
    """Strong glaze and decoration colours: cobalt, oxblood, celadon, ochre, and often black or charcoal."""
    if rng.uniform() < 0.35:
        return _tinted(0.02 + 0.07 * rng.uniform(), 0.6, rng.uniform(0.0, 0.1))
    hue = rng.choice([0.01, 0.07, 0.11, 0.33, 0.45, 0.52, 0.6, 0.64, 0.6]) + rng.uniform(-0.025, 0.025)
    return hsv(hue, rng.uniform(0.4, 0.85), rng.uniform(0.2, 0.65))


def textile_rand(rng: np.random.Generator) -> RGB:
    """Cloth: undyed, bleached, grey, black and denim blue most often, else dyed, softer than paint."""
    kind = rng.uniform()
    if kind < 0.52:
        return neutral_rand(rng)
    if kind < 0.66:  # indigo
        return hsv(rng.uniform(0.58, 0.63), rng.uniform(0.3, 0.65), rng.uniform(0.2, 0.6))
    return _softened(dyed_rand(rng), 0.3)


def hide_rand(rng: np.random.Generator) -> RGB:
    """Leather: black and browns most often, then tan, grey, white, oxblood, navy."""
    choices = (
        (0.07, 0.6, 0.55), (0.06, 0.65, 0.35), (0.05, 0.55, 0.24), (0.06, 0.0, 0.17), (0.06, 0.0, 0.19),
        (0.08, 0.5, 0.66), (0.0, 0.6, 0.35), (0.6, 0.5, 0.28), (0.1, 0.08, 0.88), (0.1, 0.03, 0.45),
        (0.05, 0.04, 0.16),
    )  # fmt: skip
    hue, strength, value = choices[rng.integers(len(choices))]
    return hsv(
        hue + rng.uniform(-0.015, 0.015), strength * rng.uniform(0.8, 1.1), value * rng.uniform(0.85, 1.1)
    )


def foliage_rand(rng: np.random.Generator) -> RGB:
    """Greens of leaves about the ColorChecker's foliage (0.095, 0.15, 0.056), olive to blue-green."""
    return hsv(rng.uniform(0.2, 0.34), rng.uniform(0.35, 0.72), rng.uniform(0.26, 0.52))


def skin_rand(rng: np.random.Generator) -> RGB:
    """Human skin: from darker than the ColorChecker's dark skin to lighter than its light one."""
    dark, light = np.array([0.171, 0.084, 0.058]), np.array([0.539, 0.305, 0.223])
    tone = rng.uniform(-0.45, 1.25)
    red, green, blue = np.clip(dark * (light / dark) ** tone * rng.uniform(0.96, 1.04, 3), 0.02, 0.8).tolist()
    return red, green, blue


def earth_rand(rng: np.random.Generator) -> RGB:
    """Fired clay and brick: 2.5YR to 7.5YR of the Munsell charts."""
    return hsv(rng.uniform(0.03, 0.075), rng.uniform(0.35, 0.65), rng.uniform(0.45, 0.78))


def paper_rand(rng: np.random.Generator) -> RGB:
    """Bleached paper (0.7 to 0.88), newsprint, or a tinted sheet."""
    kind = rng.uniform()
    if kind < 0.7:
        return _tinted(rng.uniform(0.7, 0.88), rng.uniform(0.1, 0.16), rng.uniform(0.0, 0.05))
    if kind < 0.85:
        return _tinted(rng.uniform(0.45, 0.6), 0.11, rng.uniform(0.08, 0.15))
    return hsv(rng.uniform(), rng.uniform(0.15, 0.5), rng.uniform(0.7, 0.92))


def wall_paint_rand(rng: np.random.Generator) -> RGB:
    """Walls: white and off-white (0.55 to 0.86) twice in three times, else a muted colour, seldom a strong or
    a dark one.
    """
    kind = rng.uniform()
    if kind < 0.66:
        return _tinted(rng.uniform(0.55, 0.86), rng.choice([0.09, 0.12, 0.15, 0.58]), rng.uniform(0.0, 0.07))
    if kind < 0.9:
        return hsv(_interior_hue(rng), rng.uniform(0.06, 0.22), rng.uniform(0.66, 0.9))
    return hsv(_interior_hue(rng), rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.75))


def floor_rand(rng: np.random.Generator) -> RGB:
    """Floors and table tops that are laid, cast or woven: greys and beiges of 0.1 to 0.5, one in six light or
    dark, one in eight with a colour.
    """
    kind = rng.uniform()
    if kind < 0.7:
        level = 0.1 * (0.5 / 0.1) ** rng.uniform()
        return _tinted(level, rng.choice([0.07, 0.1, 0.12, 0.6]), rng.uniform(0.02, 0.18))
    if kind < 0.87:
        level = rng.uniform(0.5, 0.75) if rng.uniform() < 0.7 else rng.uniform(0.03, 0.1)
        return _tinted(level, rng.choice([0.08, 0.12, 0.6]), rng.uniform(0.0, 0.08))
    return hsv(_interior_hue(rng), rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.7))


def timber_rand(rng: np.random.Generator) -> tuple[RGB, RGB]:
    """Light and dark wood of one tree, a neighbour of those of `WOODS`."""
    light, dark = WOODS[rng.integers(len(WOODS))]
    factor = rng.uniform(0.9, 1.08)
    return linear(tuple(factor * channel for channel in light)), linear(
        tuple(factor * channel for channel in dark)
    )


def metal_rand(rng: np.random.Generator) -> RGB:
    """Reflectance at normal incidence of a metal, by how common it is."""
    names = sorted(_METAL_SHARES)
    shares = np.array([_METAL_SHARES[name] for name in names])
    return METALS[names[rng.choice(len(names), p=shares / shares.sum())]]


def glass_tint_rand(rng: np.random.Generator) -> RGB:
    """What passes through coloured glass: bottle green, amber, smoke, cobalt, ruby, aqua; no reflectance."""
    tints = (
        (0.18, 0.42, 0.16), (0.3, 0.55, 0.25), (0.55, 0.22, 0.04), (0.35, 0.33, 0.31), (0.06, 0.12, 0.6),
        (0.5, 0.05, 0.06), (0.5, 0.8, 0.78), (0.85, 0.6, 0.62), (0.7, 0.62, 0.4),
    )  # fmt: skip
    red, green, blue = np.clip(
        np.array(tints[rng.integers(len(tints))]) ** rng.uniform(0.6, 1.2), 0.02, 0.95
    ).tolist()
    return red, green, blue


def varied(colour: RGB, rng: np.random.Generator, amount: float) -> RGB:
    """A neighbour of `colour`: every channel scaled by up to 1 +- amount, kept plausible."""
    return _plausible(np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3))


def shaded(colour: RGB, factor: float) -> RGB:
    """`colour` times a factor, kept plausible."""
    return _plausible(factor * channel for channel in colour)


def _interior_hue(rng: np.random.Generator) -> float:
    """Ochres and clays, sage and olive, blues and petrol: what rooms are painted in; seldom pink or lilac."""
    middle, width = ((0.08, 0.035), (0.13, 0.02), (0.3, 0.08), (0.58, 0.05), (0.5, 0.04), (0.95, 0.05))[
        rng.choice(6, p=[0.3, 0.15, 0.2, 0.2, 0.08, 0.07])
    ]
    return middle + rng.uniform(-width, width)


def _tinted(level: float, hue: float, strength: float) -> RGB:
    """A reflectance of about `level` with a little colour: `strength` is the display saturation."""
    display = colorsys.hsv_to_rgb(hue % 1.0, strength, 1.0)
    return _plausible(level * channel for channel in linear_colour(display))


def _plausible(colour: Iterable[float]) -> RGB:
    # In Python's floats, as `linear_colour`, for plans hold what comes out.
    red, green, blue = (min(max(float(channel), DARKEST), LIGHTEST) for channel in colour)
    return red, green, blue


def _softened(colour: RGB, amount: float) -> RGB:
    """`colour` with the share `amount` of its own grey in it."""
    grey = sum(colour) / 3
    red, green, blue = (channel + amount * (grey - channel) for channel in colour)
    return red, green, blue
