"""Where the objects of a scene stand, and where lamps hang: pure geometry in the world of the renderer."""

import math
from typing import Any

import numpy as np

from pairbridge.datagen.core.random_draws import Range
from pairbridge.datagen.scene.specs import RECEIVER_REACH, CameraPose

# Of lamps over receivers: beyond the farthest corner of any, and so far that the light falls parallel there.
FAR_LAMP = 1000.0
assert 2 * math.hypot(RECEIVER_REACH, RECEIVER_REACH) < FAR_LAMP


def scattered(rng: np.random.Generator, radii: list[float], gap: float) -> list[tuple[float, float]]:
    """Centres on the plane of discs with these radii that keep `gap` between each other, close together.

    Each disc takes the first free place of a few random ones around those already there, the nearest to the
    middle first; a place that touches the last disc's rim is always found.
    """
    placed: list[tuple[float, float]] = []
    for number, radius in enumerate(radii):
        if number == 0:
            placed.append((0.0, 0.0))
            continue
        # Around every disc lies a ring of places that touch it; a random one of each is tried.
        options = []
        for (x, y), other in zip(placed, radii, strict=False):
            for angle in rng.uniform(0, math.tau, 6).tolist():
                reach = other + radius + gap
                options.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        options.sort(key=lambda place: math.hypot(*place))
        free = (place for place in options if _is_free(place, radius, placed, radii, gap))
        # The farthest place of the farthest disc's ring is outside all of them.
        placed.append(next(free, None) or _outermost(placed, radii, radius, gap))
    middle_x = sum(x for x, _ in placed) / len(placed)
    middle_y = sum(y for _, y in placed) / len(placed)
    return [(x - middle_x, y - middle_y) for x, y in placed]


def _is_free(
    place: tuple[float, float],
    radius: float,
    placed: list[tuple[float, float]],
    radii: list[float],
    gap: float,
) -> bool:
    return all(
        math.dist(place, other) >= radius + other_radius + gap - 1e-9
        for other, other_radius in zip(placed, radii, strict=False)
    )


def _outermost(
    placed: list[tuple[float, float]], radii: list[float], radius: float, gap: float
) -> tuple[float, float]:
    reach = max(math.hypot(x, y) + other for (x, y), other in zip(placed, radii, strict=False))
    return reach + radius + gap, 0.0


def upper_hemisphere(rng: np.random.Generator, elevation_deg: Range) -> tuple[float, float, float]:
    """A unit vector, uniform over the part of the upper hemisphere between two elevations."""
    low, high = (math.sin(math.radians(end)) for end in elevation_deg)
    height, azimuth = rng.uniform(low, high), rng.uniform(0, math.tau)
    across = math.sqrt(1 - height**2)
    return across * math.cos(azimuth), across * math.sin(azimuth), float(height)


def far_lamp(direction: tuple[float, float, float], width: float) -> dict[str, Any]:
    """Where a lamp over receivers hangs. `width` is its diameter as a fraction of its distance, which is what
    makes a shadow soft and what a light map shows.

    Nothing behind a disc's own plane gets its light, so a near lamp draws a straight edge over the ground.
    From `FAR_LAMP` away that plane is beyond every receiver.
    """
    return {"direction": list(direction), "distance": FAR_LAMP, "diameter": width * FAR_LAMP}


def in_camera(pose: CameraPose, direction: tuple[float, float, float]) -> tuple[float, float, float]:
    """A world direction in camera coordinates: x right, y up, z towards the camera."""
    x, y, z = np.array(pose.camera_to_world)[:3, :3].T @ np.array(direction)
    return float(x), float(y), float(z)
