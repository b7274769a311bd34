"""Balls under a light that nobody told of: one source, a whole circle of targets, none of them their mean.

The source shows a ball in even light; the target the same ball lit from the side, from a direction that
nothing in the source says. What a picture was lit from can be read off it.
"""

import numpy as np

from pairbridge.datagen.shards.sample import Pair

SIZE = 16
# Side light: brighter towards it by this much of the ball's colour, darker away from it.
CONTRAST = 0.55


def _plane() -> tuple[np.ndarray, np.ndarray]:
    """x to the right, y up, (SIZE, SIZE), in radii of the ball."""
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) / (SIZE * 0.4)
    return x, -y


def _inside() -> np.ndarray:
    x, y = _plane()
    return x**2 + y**2 < 1


def lit_pair(seed: int) -> Pair:
    draw = np.random.default_rng(seed)
    x, y = _plane()
    inside = _inside()[..., None]
    colour, back = draw.uniform(90, 150, 3), draw.uniform(40, 200, 3)
    angle = draw.uniform(0, 2 * np.pi)
    shade = 1 + CONTRAST * (x * np.cos(angle) + y * np.sin(angle))[..., None]
    source = np.where(inside, colour, back)
    target = np.where(inside, colour * shade, back)
    return {
        "source.png": np.rint(source).astype(np.uint8),
        "target.png": np.rint(target).clip(0, 255).astype(np.uint8),
        "mask.png": np.where(inside[..., 0], 255, 0).astype(np.uint8),
    }


def light_of(images: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """What lit each of uint8 images (n, SIZE, SIZE, 3), given their sources: (n, 2), right and up.

    Its length is the contrast of the side light, CONTRAST in targets and 0 in the mean of all of them.
    """
    x, y = (axis[_inside()] for axis in _plane())
    ratio = images[:, _inside()].astype(float).mean(-1) / sources[:, _inside()].astype(float).mean(-1)
    directions = np.stack([x / (x**2).sum(), y / (y**2).sum()], axis=1)
    return (ratio - 1) @ directions
