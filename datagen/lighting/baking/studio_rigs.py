"""Studio light in NumPy: soft boxes, dim rooms and textured grounds on an equirectangular image."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pairbridge.datagen.core.random_draws import log_uniform
from pairbridge.datagen.lighting.equirect import LUMINANCE, equirect_directions

_NOISE_SIZE = 256


@dataclass(frozen=True, slots=True)
class SoftBox:
    """A flat luminous panel that faces the origin from `direction`, one unit away.

    `half_width` and `half_height` are in units of that distance (0.5 is 27 degrees), `roll_rad` turns it
    about the line of sight, `edge` is the soft share of its border, `squareness` the exponent of its
    outline: 2 is an ellipse, 8 close to a rectangle. `radiance` is linear RGB at its middle.
    """

    azimuth_rad: float
    elevation_rad: float
    half_width: float
    half_height: float
    roll_rad: float
    edge: float
    squareness: float
    radiance: tuple[float, float, float]


def studio_rig(draw: np.random.Generator, width: int = 512) -> np.ndarray:
    """A room with two to five soft boxes: (width/2, width, 3) float32 linear radiance.

    The first box is the key; the others carry 0.1 to 0.8 of its power. Power is fixed before size, so a
    small box is bright and hard, a large one dim and soft, as lamps are. The room is 1 to 8 % of the key's
    mean radiance.
    """
    # Twice the resolution and averaged down: a box's edge may be narrower than a texel.
    directions = equirect_directions(2 * width, width)
    count = int(draw.integers(2, 6))
    boxes = [_random_box(draw, 1.0 if index == 0 else draw.uniform(0.1, 0.8)) for index in range(count)]
    image = _room(draw, directions)
    for box in boxes:
        cover = soft_box_cover(box, directions)[..., None]
        image = image * (1 - cover) + cover * np.array(box.radiance, np.float32)
    return cv2.resize(image.astype(np.float32), (width, width // 2), interpolation=cv2.INTER_AREA)


def soft_box_cover(box: SoftBox, directions: np.ndarray) -> np.ndarray:
    """How much of each direction (H, W, 3) the box covers, in [0, 1]: the panel projected from the origin."""
    cos_el = math.cos(box.elevation_rad)
    axis = np.array(
        [
            cos_el * math.cos(box.azimuth_rad),
            cos_el * math.sin(box.azimuth_rad),
            math.sin(box.elevation_rad),
        ]
    )
    right = np.array([-math.sin(box.azimuth_rad), math.cos(box.azimuth_rad), 0.0])
    up = np.cross(axis, right)
    across = math.cos(box.roll_rad) * right + math.sin(box.roll_rad) * up
    along = np.cross(axis, across)
    depth = directions @ axis
    facing = depth > 1e-3
    safe = np.where(facing, depth, 1.0)
    x = np.abs(directions @ across) / safe / box.half_width
    y = np.abs(directions @ along) / safe / box.half_height
    # Far outside the panel the power overflows; nothing changes beyond 4 half-widths.
    outline = (np.minimum(x, 4) ** box.squareness + np.minimum(y, 4) ** box.squareness) ** (
        1 / box.squareness
    )
    inside = np.clip((1 - outline) / box.edge + 0.5, 0, 1)
    return np.where(facing, inside * inside * (3 - 2 * inside), 0).astype(np.float32)


def ground(draw: np.random.Generator, directions: np.ndarray, albedo: list[float]) -> np.ndarray:
    """Albedo (H, W, 3) float32 of an endless ground one unit below the origin, mottled around `albedo`.

    Valid where directions point down; elsewhere the plain albedo.
    """
    pattern = _mottle(draw)
    depth = np.maximum(-directions[..., 2], 1e-3)
    # Detail finer than a texel towards the horizon would alias: it fades out there.
    scale = float(draw.uniform(8, 40))
    x = (directions[..., 0] / depth * scale) % _NOISE_SIZE
    y = (directions[..., 1] / depth * scale) % _NOISE_SIZE
    wrapped = cv2.copyMakeBorder(pattern, 0, 1, 0, 1, cv2.BORDER_WRAP)
    mottle = cv2.remap(wrapped, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    strength = draw.uniform(0.15, 0.6) * np.clip(depth * 4, 0, 1) * (directions[..., 2] < 0)
    factor = np.exp(mottle * strength)
    return (factor[..., None] * np.asarray(albedo)).astype(np.float32)


def _mottle(draw: np.random.Generator) -> np.ndarray:
    # Octaves of smoothed noise, periodic, unit variance: enough for a ground to look like one.
    total = np.zeros((_NOISE_SIZE, _NOISE_SIZE), np.float32)
    for octave in range(2, 8):
        cells = 2**octave
        grid = draw.standard_normal((cells, cells)).astype(np.float32)
        grid = cv2.copyMakeBorder(grid, 2, 2, 2, 2, cv2.BORDER_WRAP)
        step = _NOISE_SIZE // cells
        fine = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * step : 2 * step + _NOISE_SIZE, 2 * step : 2 * step + _NOISE_SIZE] / octave
    return total / total.std()


def _random_box(draw: np.random.Generator, power: float) -> SoftBox:
    half_width = log_uniform(draw, (0.1, 0.9))
    half_height = half_width * draw.uniform(0.4, 1.0)
    area = 4 * half_width * half_height
    colour = power / area * _lamp_colour(draw)
    return SoftBox(
        azimuth_rad=float(draw.uniform(0, math.tau)),
        elevation_rad=math.radians(float(draw.uniform(-5, 75))),
        half_width=half_width,
        half_height=half_height,
        roll_rad=float(draw.uniform(-0.4, 0.4)),
        edge=float(draw.uniform(0.08, 0.6)),
        squareness=float(draw.choice([2.0, 4.0, 8.0])),
        radiance=tuple(float(value) for value in colour),
    )


def _lamp_colour(draw: np.random.Generator) -> np.ndarray:
    # Along the warm-to-cold line, with one lamp in five gelled to a free colour; luminance 1.
    warmth = draw.uniform(-1, 1)
    colour = np.array([1 + 0.55 * warmth, 1.0, 1 - 0.55 * warmth])
    if draw.random() < 0.2:
        colour = draw.uniform(0.2, 1.0, size=3)
    return colour / float(colour @ LUMINANCE)


def _room(draw: np.random.Generator, directions: np.ndarray) -> np.ndarray:
    level = log_uniform(draw, (0.01, 0.08))
    wall = level * (0.5 + 0.5 * _lamp_colour(draw))
    ceiling = wall * draw.uniform(0.3, 1.5)
    # Rooms are painted paler than lamps are gelled: halfway to grey.
    albedo = level * draw.uniform(0.5, 2.0) * (0.5 + 0.5 * _lamp_colour(draw))
    height = directions[..., 2:]
    walls = wall + (ceiling - wall) * np.clip(height, 0, 1) ** 0.7
    floor = ground(draw, directions, [float(value) for value in albedo])
    # The floor meets the wall over a few degrees, like a photographer's paper sweep.
    meet = np.clip(-height / 0.12, 0, 1)
    return (walls * (1 - meet) + floor * meet).astype(np.float32)
