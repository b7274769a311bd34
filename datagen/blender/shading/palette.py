"""Colours of everyday materials as linear RGB reflectances, kept within what real surfaces have."""

import colorsys

import numpy as np

from pairbridge.datagen.imaging.colour import RGB, srgb_decode

# Below the one lies soot, above the other fresh snow; outside them a renderer's inverse problem has no
# answer.
DARKEST, LIGHTEST = 0.03, 0.85

# Reflectances at normal incidence, linear; rounded from tables of measured metals.
METALS: dict[str, RGB] = {
    "aluminium": (0.80, 0.81, 0.82),
    "steel": (0.56, 0.57, 0.58),
    "gunmetal": (0.22, 0.23, 0.25),
    "brass": (0.78, 0.60, 0.32),
    "bronze": (0.55, 0.39, 0.23),
    "copper": (0.80, 0.50, 0.38),
    "gold": (0.85, 0.66, 0.33),
    "blackened": (0.06, 0.06, 0.065),
}

# Light (early) wood and dark (late) wood of one tree, display RGB.
WOODS: tuple[tuple[RGB, RGB], ...] = (
    ((0.86, 0.72, 0.54), (0.74, 0.56, 0.37)),  # beech
    ((0.80, 0.64, 0.43), (0.60, 0.42, 0.24)),  # oak
    ((0.90, 0.80, 0.62), (0.80, 0.64, 0.42)),  # pine
    ((0.48, 0.32, 0.21), (0.30, 0.19, 0.12)),  # walnut
    ((0.58, 0.30, 0.19), (0.40, 0.19, 0.12)),  # mahogany
    ((0.72, 0.46, 0.27), (0.55, 0.31, 0.17)),  # cherry
    ((0.28, 0.21, 0.18), (0.20, 0.15, 0.13)),  # wenge
)


def linear(display: tuple[float, float, float]) -> RGB:
    """Display (sRGB) colour in [0, 1] to a reflectance within the plausible range."""
    red, green, blue = np.clip(srgb_decode(np.asarray(display)), DARKEST, LIGHTEST).tolist()
    return red, green, blue


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """Reflectance of a display colour given as hue (turns), saturation and value."""
    return linear(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def paint_rand(rng: np.random.Generator) -> RGB:
    """A colour things are painted in: mostly coloured, sometimes white, cream, grey or black."""
    hue, saturation, value = rng.uniform(), rng.uniform(0.35, 0.9), rng.uniform(0.35, 0.92)
    neutral, grey = rng.uniform(), rng.choice([0.16, 0.3, 0.55, 0.8, 0.93])
    if neutral < 0.25:
        return hsv(0.1, 0.06, float(grey))
    return hsv(hue, saturation, value)


def pale_rand(rng: np.random.Generator) -> RGB:
    """Whites, creams and washed tints, as of china, linen and lamp shades."""
    return hsv(
        rng.choice([0.08, 0.11, 0.15, 0.55, 0.95]) + rng.uniform(-0.03, 0.03),
        rng.uniform(0.02, 0.25),
        rng.uniform(0.78, 0.95),
    )


def deep_rand(rng: np.random.Generator) -> RGB:
    """Strong glaze and decoration colours: cobalt, oxblood, celadon, ochre, black."""
    hue = rng.choice([0.01, 0.07, 0.11, 0.33, 0.45, 0.52, 0.6, 0.64, 0.92]) + rng.uniform(-0.025, 0.025)
    return hsv(hue, rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.7))


def textile_rand(rng: np.random.Generator) -> RGB:
    """Dyed cloth: any hue, softer than paint."""
    return hsv(rng.uniform(), rng.uniform(0.1, 0.65), rng.uniform(0.25, 0.85))


def hide_rand(rng: np.random.Generator) -> RGB:
    """Leather: tan to dark brown, black, oxblood, navy, cream."""
    hue, saturation, value = (
        (0.07, 0.6, 0.55), (0.06, 0.65, 0.35), (0.05, 0.55, 0.24), (0.0, 0.0, 0.15), (0.0, 0.6, 0.35),
        (0.6, 0.5, 0.28), (0.1, 0.25, 0.82), (0.35, 0.35, 0.25),
    )[rng.integers(8)]  # fmt: skip
    return hsv(
        hue + rng.uniform(-0.015, 0.015), saturation * rng.uniform(0.8, 1.1), value * rng.uniform(0.85, 1.15)
    )


def foliage_rand(rng: np.random.Generator) -> RGB:
    """Greens of house plants, from blue-green to olive."""
    return hsv(rng.uniform(0.22, 0.38), rng.uniform(0.45, 0.8), rng.uniform(0.28, 0.6))


def varied(colour: RGB, rng: np.random.Generator, amount: float) -> RGB:
    """A neighbour of `colour`: every channel scaled by up to 1 +- amount, kept plausible."""
    red, green, blue = np.clip(
        np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3), DARKEST, LIGHTEST
    ).tolist()
    return red, green, blue


def shaded(colour: RGB, factor: float) -> RGB:
    """`colour` times a factor, kept plausible."""
    red, green, blue = np.clip(np.array(colour) * factor, DARKEST, LIGHTEST).tolist()
    return red, green, blue
