"""Exposure: three meters of linear light, each for what is known where it is used.

A lighting is metered before anything is rendered. A room's walls and ground shut out part of it, so the light
inside is known only once it is rendered; there the picture itself is metered.
"""

import math

import numpy as np

from pairbridge.datagen.lighting.equirect import LUMINANCE, Environment

# What recipes expose lightings for, unless their configuration says otherwise: arguments of
# `normalising_factor`.
PICTURE_LEVEL, LIGHT_LIMIT = 0.4, 0.8


def normalising_factor(environment: Environment, *, picture: float, limit: float) -> float:
    """The factor that brings any lighting to one exposure, as a photographer would meter it.

    The geometric mean of the overall mean (which lights the object) and the picture's (which is seen
    behind it) becomes `picture`; the overall mean never exceeds `limit`, which only bare lamps in dark
    rooms reach. By the mean alone, suns leave their surroundings black; by the picture alone, they burn
    the object.
    """
    mean = environment.mean_luminance
    metered = math.sqrt(mean * max(environment.picture_luminance, 1e-6 * mean))
    return min(picture / metered, limit / mean)


def key_factor(linear: np.ndarray, key: float) -> float:
    """The factor that brings the geometric mean luminance of (H, W, 3) linear light to `key`.

    0.18 is a photographer's grey card.
    """
    luminance = 0.2126 * linear[..., 0] + 0.7152 * linear[..., 1] + 0.0722 * linear[..., 2]
    floor = 1e-4 * max(float(luminance.max()), 1e-9)
    return key / float(np.exp(np.log(np.maximum(luminance, floor).astype(np.float64)).mean()))


def clipped_luminance(shown: np.ndarray) -> float:
    """Mean luminance of the pixels (N, 3) of a render, lamps and glints above the 95th percentile clipped."""
    if not len(shown):
        return 0.0
    luminance = (shown * LUMINANCE).sum(axis=1)
    return float(np.minimum(luminance, np.percentile(luminance, 95)).mean())
