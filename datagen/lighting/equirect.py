"""Lightings as equirectangular images: loading, measuring, resampling into a camera's background.

One file lights the object and is seen behind it. Directions follow Blender's environment texture, so that the
background computed here is the one Cycles would render: for a unit direction d in world space, turned by
the lighting's rotation about Z (a positive one turns the surroundings clockwise seen from above),

    u = 0.5 - atan2(d_y, d_x) / 2 pi   (to the right),    v = 0.5 + asin(d_z) / pi   (upwards).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.exr_files import read_equirect

# Rec. 709 luminance of linear RGB.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)

# Share of the sphere, from the darkest, that counts as "the picture" rather than as a lamp in it.
_PICTURE_SHARE = 0.9


def _weighted_sum(values: np.ndarray, weight: np.ndarray) -> float:
    # Not a dot product: BLAS splits it over as many threads as the worker has, and the last bits with it.
    return float((values * weight).sum())


@dataclass(frozen=True)
class Environment:
    """Linear RGB radiance `pixels` (H, W, 3) float32, finite and >= 0, equirectangular, top row at +Z."""

    pixels: np.ndarray

    @cached_property
    def mean_luminance(self) -> float:
        """Mean over the sphere (each row weighted by its solid angle): what a white ball would receive."""
        luminance, weight = self._weighted_luminance
        return _weighted_sum(luminance, weight)

    @cached_property
    def picture_luminance(self) -> float:
        """Mean with everything above the 90th percentile of the sphere clipped to it: how bright it looks.

        A sun or a bare bulb dominates `mean_luminance` but is a few pixels of the image.
        """
        luminance, weight = self._weighted_luminance
        order = np.argsort(luminance, kind="stable")
        at = min(int(np.searchsorted(np.cumsum(weight[order]), _PICTURE_SHARE)), len(order) - 1)
        return _weighted_sum(np.minimum(luminance, luminance[order[at]]), weight)

    @cached_property
    def _weighted_luminance(self) -> tuple[np.ndarray, np.ndarray]:
        height, width, _ = self.pixels.shape
        row = np.sin((np.arange(height) + 0.5) * (math.pi / height))
        weight = np.repeat(row / (row.sum() * width), width)
        red, green, blue = np.moveaxis(self.pixels.astype(np.float64), -1, 0)
        luminance = red * float(LUMINANCE[0]) + green * float(LUMINANCE[1]) + blue * float(LUMINANCE[2])
        return luminance.ravel(), weight

    @cached_property
    def _halvings(self) -> list[np.ndarray]:
        return [self.pixels]

    def level(self, level: int) -> np.ndarray:
        """The image area-averaged `level` times to half its size (at least 8 rows), computed on first use."""
        chain = self._halvings
        while len(chain) <= level and chain[-1].shape[0] >= 16:
            height, width, _ = chain[-1].shape
            chain.append(cv2.resize(chain[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        return chain[min(level, len(chain) - 1)]

    @property
    def num_bytes(self) -> int:
        """Memory held, with the chain of halvings that `background` may build."""
        return self.pixels.nbytes * 4 // 3


def load_environment(path: Path) -> Environment:
    """The equirectangular image at `path` (.exr, .hdr). Raises AssetError as `read_equirect` does."""
    return Environment(read_equirect(path))


def lighting_copy(environment: Environment, width: int, rotation_rad: float = 0.0) -> np.ndarray:
    """The lighting turned by `rotation_rad` and area-averaged: (width // 2, width, 3) float32.

    Averaging keeps the energy. An importance map of the same size whose texels are those of the copy then
    finds every peak; that is why the copy is turned, and not its lookup. Large images are averaged from a
    halved level, at least four times as wide as the copy.
    """
    pixels = environment.level(math.floor(math.log2(max(environment.pixels.shape[1] / (4 * width), 1))))
    # (enlarging, INTER_AREA interpolates)
    rows = cv2.resize(pixels, (pixels.shape[1], width // 2), interpolation=cv2.INTER_AREA)
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1, 3))
    np.cumsum(rows, axis=1, dtype=np.float64, out=sums[:, 1:])
    # Column u of the copy is column u - rotation / 2 pi of the image; both in texels of the image from here.
    edges = (np.arange(width + 1) / width - rotation_rad / math.tau) * rows.shape[1]
    turns, within = np.divmod(edges, rows.shape[1])
    whole = np.minimum(within.astype(int), rows.shape[1] - 1)
    up_to = turns[:, None] * sums[:, -1:] + sums[:, whole] + (within - whole)[:, None] * rows[:, whole]
    return np.maximum(np.diff(up_to, axis=1) * (width / rows.shape[1]), 0).astype(np.float32)


def background(
    environment: Environment,
    camera_to_world: np.ndarray,
    fov_x_rad: float,
    size_WH: tuple[int, int],
    rotation_rad: float,
) -> np.ndarray:
    """What a pinhole camera sees of the lighting: (H, W, 3) float32 linear.

    `camera_to_world` is 4x4 (Blender's camera: looks along -Z, up is +Y); only its rotation matters. Minified
    lightings are sampled from an area-averaged level, at four points a pixel.
    """
    width, height = size_WH
    fine_w, fine_h = 2 * width, 2 * height
    half = math.tan(fov_x_rad / 2)
    x = ((np.arange(fine_w) + 0.5) / fine_w * 2 - 1) * half
    y = (1 - (np.arange(fine_h) + 0.5) / fine_h * 2) * half * height / width
    rays = np.empty((fine_h, fine_w, 3))
    rays[..., 0], rays[..., 1], rays[..., 2] = x[None, :], y[:, None], -1.0
    cos, sin = math.cos(rotation_rad), math.sin(rotation_rad)
    world_rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    directions = rays @ (world_rotation @ np.asarray(camera_to_world, np.float64)[:3, :3]).T
    pixels_per_rad = fine_w / fov_x_rad
    texels_per_pixel = environment.pixels.shape[1] / math.tau / pixels_per_rad
    image = sample_directions(
        environment.level(max(0, math.floor(math.log2(max(texels_per_pixel, 1))))), directions
    )
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def sample_directions(pixels: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Bilinear samples (H, W, 3) of an equirectangular image at `directions` (H, W, 3), of any length > 0."""
    height, width, _ = pixels.shape
    dx, dy, dz = directions[..., 0], directions[..., 1], directions[..., 2]
    u = 0.5 - np.arctan2(dy, dx) / math.tau
    v = 0.5 + np.arctan2(dz, np.hypot(dx, dy)) / math.pi
    # One column from the other side at each end: bilinear samples near the seam need both neighbours.
    wrapped = np.concatenate([pixels[:, -1:], pixels, pixels[:, :1]], axis=1)
    map_x = (u * width + 0.5).astype(np.float32)
    map_y = ((1 - v) * height - 0.5).astype(np.float32)
    return cv2.remap(wrapped, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def equirect_directions(width: int, height: int) -> np.ndarray:
    """The unit direction of every texel centre, (H, W, 3) float64; the inverse of `sample_directions`."""
    azimuth = (0.5 - (np.arange(width) + 0.5) / width) * math.tau
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    cos_el = np.cos(elevation)[:, None]
    up = np.broadcast_to(np.sin(elevation)[:, None], (height, width))
    return np.stack([cos_el * np.cos(azimuth), cos_el * np.sin(azimuth), up], axis=-1)
