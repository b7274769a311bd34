"""Colour transfer as a relighter: the embedded stand-in for a learned one. It needs no weights.

Three things that a change of light does to a picture, none of which knows the subject's shape:

1. mean and spread of the foreground's colours move some way towards the background's
(`pairbridge.datagen.imaging.colour`);
2. each quarter of the subject is lit, in linear light, by the same quarter of the background;
3. a soft slope of brightness in a random direction, a random exposure and a random tint.

How far each goes is drawn per call. Exposure and tint range as far as those of rendered pairs
(`pairbridge.datagen.recipes.relighting_swap`): a model that is mostly trained on those otherwise learns that
sources are
far from their targets, and overdoes it where they are near. Shadows and highlights stay where they were: what
a relighting model would redraw, this cannot.
"""

import math
from importlib import metadata
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.colour import (
    colour_statistics,
    lab_to_rgb,
    rgb_to_lab,
    srgb_decode,
    srgb_encode,
)

# A quarter of the background may be this much darker or brighter than its whole; beyond it is a lamp or a
# hole in the picture rather than light that falls on the subject.
_LEAST_SIDE, _MOST_SIDE = 0.4, 2.5


class ColourTransferConfig(FrozenModel):
    """How far the stand-in relighter goes; each pair is [low, high], drawn uniformly per call."""

    kind: Literal["colour_transfer"] = "colour_transfer"
    """Selects this relighter."""
    lightness: RangeOf[Fraction] = (0.15, 0.6)
    """How far mean and spread of the foreground's lightness move towards the background's: 0 not at all, 1
    all the way."""
    chroma: RangeOf[Fraction] = (0.15, 0.5)
    """How far the foreground's mean colour moves towards the background's: 0 not at all, 1 all the way."""
    sides: Range = (0.3, 1.0)
    """Exponent on the light of each quarter of the background; 0 is even light."""
    slope_stops: Range = (0.0, 1.2)
    """Difference of brightness across the subject in a random direction, in stops."""
    exposure_stops: Range = (-1.15, 1.15)
    """Change of exposure, in stops."""
    tint: float = Field(0.3, ge=0, lt=1)
    """Largest relative change of each colour channel, within [0, 1)."""


class ColourTransfer:
    """A `Relighter`; see the module's docstring."""

    name = "colour-transfer"
    is_stand_in = True

    def __init__(self, config: ColourTransferConfig) -> None:
        self.config = config
        self.revision = f"opencv-{metadata.version('opencv-python')}"

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        """See `Relighter.relight`. Raises ValueError for an alpha that is 0 everywhere."""
        draw = rng(seed, self.name)
        lightness, chroma, sides, slope, exposure = (
            draw.uniform(*span)
            for span in (
                self.config.lightness,
                self.config.chroma,
                self.config.sides,
                self.config.slope_stops,
                self.config.exposure_stops,
            )
        )
        moved = _towards(image, alpha, background, lightness, chroma)
        across, down = _box_coordinates(alpha)
        gain = _quarters(background, across, down) ** sides
        angle = draw.uniform(0, math.tau)
        stops = exposure + slope * ((across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle))
        tint = 1 + self.config.tint * draw.uniform(-1, 1, 3).astype(np.float32)
        lit = _brighten(srgb_decode(moved), gain * tint * np.exp2(stops)[..., None])
        return np.rint(255 * srgb_encode(lit)).astype(np.uint8)


def _towards(
    image: np.ndarray, alpha: np.ndarray, background: np.ndarray, lightness: float, chroma: float
) -> np.ndarray:
    """sRGB 0..1 with lightness and colour moved their share of the way; the spread of colour is kept."""
    own, other = colour_statistics(image, alpha), colour_statistics(background)
    gain = np.ones(3, np.float32)
    gain[0] += lightness * (own.gain_towards(other)[0] - 1)
    shift = np.array([lightness, chroma, chroma], np.float32) * (other.mean - own.mean)
    return lab_to_rgb((rgb_to_lab(image) - own.mean) * gain + own.mean + shift)


def _box_coordinates(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(across, down), each (H, W): 0 to 1 over the foreground's bounding box, constant beyond it."""
    rows, columns = np.flatnonzero(alpha.max(axis=1) > 0.5), np.flatnonzero(alpha.max(axis=0) > 0.5)
    top, left = (int(found[0]) if found.size else 0 for found in (rows, columns))
    bottom = int(rows[-1]) + 1 if rows.size else alpha.shape[0]
    right = int(columns[-1]) + 1 if columns.size else alpha.shape[1]
    across = np.clip((np.arange(alpha.shape[1], dtype=np.float32) + 0.5 - left) / (right - left), 0, 1)
    down = np.clip((np.arange(alpha.shape[0], dtype=np.float32) + 0.5 - top) / (bottom - top), 0, 1)
    return np.meshgrid(across, down)


def _quarters(background: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """(H, W, 3) gain around 1: the light of the background's quarters, blended over the subject's box."""
    linear = srgb_decode(background.astype(np.float32) / 255)
    cells = cv2.resize(linear, (2, 2), interpolation=cv2.INTER_AREA) + 1e-3
    cells = np.clip(cells / cells.mean(axis=(0, 1)), _LEAST_SIDE, _MOST_SIDE)
    # Smoothstep: light turns around a round subject, it has no corner at the box's edge.
    u, v = (t * t * (3 - 2 * t) for t in (across[..., None], down[..., None]))
    upper = (1 - u) * cells[0, 0] + u * cells[0, 1]
    lower = (1 - u) * cells[1, 0] + u * cells[1, 1]
    return (1 - v) * upper + v * lower


def _brighten(linear: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Linear light times `gain`; gains above 1 roll off so that white stays white and nothing clips."""
    return linear * gain / (1 + np.maximum(gain - 1, 0) * linear)
