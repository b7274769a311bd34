"""Directions of places in a light map, for tests that look where its light is."""

import math

from pairbridge.datagen.lighting.light_maps import Direction


def direction_of(u: float, v: float) -> Direction:
    """The inverse of `place_in_map`; places outside the unit disc count as its rim."""
    radius = math.hypot(u, v)
    if radius > 1:
        u, v, radius = u / radius, v / radius, 1.0
    reach = 2 * math.sqrt(1 - radius**2)
    return reach * u, reach * v, 1 - 2 * radius**2
