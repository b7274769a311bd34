"""What a skyline is painted on and lit by: the rows around the horizon, sun, sky and haze."""

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class SkyLight:
    """What lights things on the ground: the `sun`'s direction and its irradiance behind the clouds, the
    sky's irradiance on level ground, the radiance of haze in each column (W, 3) and how much of a thing's
    own light is left after a metre of air."""

    sun: np.ndarray
    sun_irradiance: np.ndarray
    sky_irradiance: np.ndarray
    haze: np.ndarray
    clearness_m: float

    def on(self, normal: np.ndarray, lit: np.ndarray | float = 1.0) -> np.ndarray:
        """Irradiance on surfaces of `normal` (..., 3), of which the sun reaches the share `lit`."""
        facing = np.clip(np.einsum("...c,c->...", normal, self.sun), 0, None) * lit
        open_sky = 0.5 + 0.5 * normal[..., 2]
        # What is not sky is ground: about a fifth of all light that falls on it comes back.
        bounced = 0.18 * (self.sky_irradiance + max(self.sun[2], 0) * self.sun_irradiance)
        indirect = open_sky[..., None] * self.sky_irradiance + (1 - open_sky)[..., None] * bounced
        return facing[..., None] * self.sun_irradiance + indirect


class Horizon:
    """The rows around the horizon at twice the map's resolution, colour premultiplied by alpha."""

    def __init__(self, width: int, height: int, top: int, bottom: int) -> None:
        self.width = 2 * width
        self.rows = 2 * (bottom - top)
        self.texel_rad = math.tau / self.width
        self.elevation = (0.5 - (2 * top + np.arange(self.rows) + 0.5) / (2 * height)) * math.pi
        self.azimuth = (0.5 - (np.arange(self.width) + 0.5) / self.width) * math.tau
        self.colour = np.zeros((self.rows, self.width, 3), np.float32)
        self.alpha = np.zeros((self.rows, self.width, 1), np.float32)

    def over(self, rows: slice, columns: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
        """Paint `colour` (R, C, 3) with `cover` (R, C) over these rows and columns (_wrapped)."""
        columns = columns % self.width
        share = cover[..., None].astype(np.float32)
        self.colour[rows, columns] = self.colour[rows, columns] * (1 - share) + share * colour
        self.alpha[rows, columns] = self.alpha[rows, columns] * (1 - share) + share

    def row_of(self, elevation_rad: float) -> int:
        return int(np.clip((self.elevation[0] - elevation_rad) / self.texel_rad, 0, self.rows))

    def column_of(self, azimuth_rad: float) -> float:
        return (0.5 - azimuth_rad / math.tau) * self.width - 0.5

    def small(self) -> tuple[np.ndarray, np.ndarray]:
        size = (self.width // 2, self.rows // 2)
        colour = cv2.resize(self.colour, size, interpolation=cv2.INTER_AREA)
        return colour, cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)[..., None]


def through_air(
    colour: np.ndarray, distance_m: np.ndarray | float, light: SkyLight, columns: np.ndarray
) -> np.ndarray:
    """Aerial perspective: (R, C, 3) at a distance, of which haze takes the place with the distance."""
    kept = np.exp(-np.asarray(distance_m, float) / light.clearness_m)
    haze = light.haze[(columns // 2) % len(light.haze)]
    kept = kept[..., None] if np.ndim(kept) else kept
    return (colour * kept + haze * (1 - kept)).astype(np.float32)
