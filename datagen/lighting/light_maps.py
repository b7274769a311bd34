"""Light maps: where lights are and how bright, large and coloured, as an image, for data and training.

A light in direction l (a unit vector in camera coordinates: x right, y up, z towards the camera) lies at

    (u, v) = (l_x, l_y) / sqrt(2 (1 + l_z)),

Lambert's equal-area projection of the whole sphere around the camera's axis into the unit disc: a light
behind the camera is in the middle, one from the side 0.71 from it, one straight behind the object on the
rim. u and v span the image's width and height, v upwards. So the bright side of a white ball lies towards the
map's peak. The map is a mixture of isotropic Gaussians in (u, v),

    map(u, v) = sum_i colour_i exp(-|(u, v) - (u_i, v_i)|^2 / 2 s_i^2),   s_i^2 = SIGMA^2 + (spread_i / 2)^2:

the amplitude is the light's intensity (one colour for all channels in grey maps), the variance its softness.
`spread` is the angular radius of the light seen from the object; near the middle of the projection one
radian is half a unit. Sums above 1 are clipped.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# Standard deviation of a point light, so that it can be seen in a latent an eighth of the image's size.
SIGMA = 0.08

Direction = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLight:
    """`colour` is the amplitude of each channel in [0, 1], where 1 is the brightest light of its dataset."""

    direction: Direction
    spread_rad: float
    colour: tuple[float, float, float]

    def __post_init__(self) -> None:
        if abs(math.hypot(*self.direction) - 1) > 1e-3:
            raise ValueError(f"direction {self.direction} is not a unit vector")
        if not (0 <= self.spread_rad <= math.pi / 2 and all(0 <= c <= 1 for c in self.colour)):
            raise ValueError(f"spread must lie in [0, pi/2] and colours in [0, 1]: {self}")

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> "MapLight":
        """The light as a sample's `meta.json` states it: `direction`, `spread_rad`, `amplitude`."""
        return cls(
            direction=tuple(params["direction"]),
            spread_rad=params["spread_rad"],
            colour=tuple(params["amplitude"]),
        )


def place_in_map(direction: Direction) -> tuple[float, float]:
    """(u, v) in the unit disc. Straight behind the object, where all of the rim is meant, it is the top."""
    x, y, z = direction
    scale = math.sqrt(max(2 * (1 + z), 0.0))
    return (x / scale, y / scale) if scale > 1e-9 else (0.0, 1.0)


def direction_at(u: float, v: float) -> Direction:
    """The direction whose `place_in_map` is (u, v); places beyond the unit disc stand for its rim."""
    radius = max(1.0, math.hypot(u, v))
    u, v = u / radius, v / radius
    squared = min(u * u + v * v, 1.0)
    scale = 2 * math.sqrt(1 - squared)
    return (scale * u, scale * v, 1 - 2 * squared)


def light_map(lights: list[MapLight], size_WH: tuple[int, int]) -> np.ndarray:
    """The map as float32 (H, W, 3) in [0, 1]; no light gives black."""
    width, height = size_WH
    u = ((np.arange(width) + 0.5) / width * 2 - 1).astype(np.float32)
    v = (1 - (np.arange(height) + 0.5) / height * 2).astype(np.float32)
    total = np.zeros((height, width, 3), np.float32)
    for light in lights:
        at_u, at_v = place_in_map(light.direction)
        variance = SIGMA**2 + (light.spread_rad / 2) ** 2
        # A Gaussian is a product over the axes, so each is computed along one line.
        across = np.exp(-((u - np.float32(at_u)) ** 2) / np.float32(2 * variance))
        down = np.exp(-((v - np.float32(at_v)) ** 2) / np.float32(2 * variance))
        total += (down[:, None] * across)[..., None] * np.asarray(light.colour, np.float32)
    return np.minimum(total, 1)


def encode_light_map(lights: list[MapLight], size_WH: tuple[int, int], *, grey: bool) -> np.ndarray:
    """`light_map` as uint8: (H, W) for `grey`, whose lights are equal in all channels, else (H, W, 3)."""
    image = np.rint(255 * light_map(lights, size_WH)).astype(np.uint8)
    return image[..., 0] if grey else image
