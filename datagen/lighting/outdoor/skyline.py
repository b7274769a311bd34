"""What stands on the horizon of an outdoor map, painted: hills, woods, single trees, houses and streets.

Everything has a place and a size in metres, so that it stands on the map's ground, hides what is behind it
and throws its shadow there. Light is the sun's on the side that it reaches, and the sky's.
"""

import math

import numpy as np

from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField, ridge
from pairbridge.datagen.lighting.outdoor.painted_houses import paint_house
from pairbridge.datagen.lighting.outdoor.painted_trees import paint_tree, paint_woods
from pairbridge.datagen.lighting.outdoor.skyline_canvas import Horizon, SkyLight, through_air
from pairbridge.datagen.lighting.outdoor.stand import House, Stand, Tree

# Rows of the map that anything here may reach, in degrees of elevation.
LOWEST_DEG, HIGHEST_DEG = -14.0, 62.0


def paint_skyline(image: np.ndarray, stand: Stand, light: SkyLight, draw: np.random.Generator) -> np.ndarray:
    """`image` (H, W, 3), equirectangular, with everything of `stand` painted over sky and ground."""
    height, width, _ = image.shape
    top, bottom = (round((0.5 - degrees / 180) * height) for degrees in (HIGHEST_DEG, LOWEST_DEG))
    band = Horizon(width, height, top, bottom)
    leaves = NoiseField(draw, 1.6, 256)
    for number in range(stand.hills):
        _paint_hill(band, draw, light, number, stand.hills)
    if stand.woods_m:
        paint_woods(band, draw, stand, light, leaves)
    things: list[House | Tree] = sorted(
        [*stand.houses, *stand.trees], key=lambda thing: math.hypot(thing.x, thing.y), reverse=True
    )
    for thing in things:
        if isinstance(thing, House):
            paint_house(band, thing, stand, light)
        else:
            paint_tree(band, thing, stand, light, leaves)
    colour, alpha = band.small()
    painted = image.copy()
    painted[top:bottom] = colour + (1 - alpha) * painted[top:bottom]
    return painted


def _paint_hill(band: Horizon, draw: np.random.Generator, light: SkyLight, number: int, count: int) -> None:
    distance = 14000.0 / (1 + 2.2 * number)
    rise = math.radians(float(draw.uniform(0.6, 3.2))) * (1 - 0.22 * number)
    line = ridge(draw, band.width, 1.5)
    jag = ridge(draw, band.width, 0.9, lowest=24)
    crest = rise * (0.75 + 0.4 * line + 0.04 * jag)
    cover = np.clip((crest[None, :] - band.elevation[:, None]) / band.texel_rad + 0.5, 0, 1)
    cover *= band.elevation[:, None] > -2 * band.texel_rad
    slope = np.gradient(_wrapped(crest, 9)) / band.texel_rad
    azimuth = band.azimuth
    # The side that falls to the left faces left: a crude normal, enough to tell a lit flank from a dark one.
    normal = np.stack(
        [
            -np.cos(azimuth) * 0.7 - np.sin(azimuth) * slope * 2,
            -np.sin(azimuth) * 0.7 + np.cos(azimuth) * slope * 2,
            np.full_like(azimuth, 0.7),
        ],
        axis=-1,
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    field_ = NoiseField(draw, 2.0, 256)
    x = np.broadcast_to(azimuth / math.tau * 16, cover.shape)
    y = np.broadcast_to(band.elevation[:, None] * 14, cover.shape)
    patches = field_.sample(x, y, band.texel_rad * 14)
    albedo = np.array([0.06, 0.075, 0.03]) * np.exp(0.35 * patches)[..., None]
    colour = albedo * light.on(normal)[None] / math.pi
    columns = np.arange(band.width)
    band.over(slice(None), columns, through_air(colour, distance, light, columns), cover)


def _wrapped(line: np.ndarray, reach: int) -> np.ndarray:
    """A line around the horizon smoothed over `reach` entries."""
    padded = np.concatenate([line[-reach:], line, line[:reach]])
    return np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")
