"""Clouds between a camera on the ground and the sky: a layer with flat undersides, marched and lit.

A layer is a height field over a sphere of Earth's radius, so that its cells crowd towards the horizon as
they do. Light in it is single scattering towards the camera with a forward lobe, which gives silver linings
beside the sun, a broad lobe for light scattered many times, and the sky's and ground's own light.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pairbridge.datagen.imaging.filters import smooth_step
from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField

_EARTH_M = 6.371e6
# March steps through a layer, and towards the sun from each of them.
_STEPS, _SHADOW_STEPS = 14, 4
# Asymmetry of the forward lobe of droplets, softened: the real 0.99 core lies within the sun's own texels.
_FORWARD = 0.72


@dataclass(frozen=True, slots=True)
class Veil:
    """What clouds do to each direction: `through` (H, W, 1) is what they let pass, `glow` (H, W, 3) what they
    add; `sun` is what they let pass of the sun's disc."""

    through: np.ndarray
    glow: np.ndarray
    sun: float


def cloud_veil(
    draw: np.random.Generator,
    params: dict[str, Any],
    directions: np.ndarray,
    sun: np.ndarray,
    sun_irradiance: np.ndarray,
    sky_radiance: np.ndarray,
) -> Veil:
    """The clouds of `params` before `directions` (H, W, 3), all upwards; `sun` is the sun's direction.

    `sun_irradiance` (3,) is that of the sun's disc on a plane that faces it, without clouds; `sky_radiance`
    (3,) the mean radiance of the clear sky.
    """
    field = NoiseField(draw, params["slope"])
    detail = NoiseField(draw, 2.2, lowest=4)
    layer = _Layer(field, detail, params)
    through, scattered, ambient = layer.march(directions, sun)
    phase = _phase(directions @ sun)
    # Undersides see the ground and other clouds, tops the sky and the sun.
    many = 0.55 * max(sun[2], 0.12) * sun_irradiance / math.pi
    base = 0.62 * sky_radiance + 0.35 * many
    glow = scattered[..., None] * phase[..., None] * sun_irradiance + ambient[..., None] * base
    # The disc is 3 texels of a 2048-wide map: its own transmittance is that of a small bundle of rays.
    around = sun + 0.004 * draw.standard_normal((1, 9, 3))
    around /= np.linalg.norm(around, axis=2, keepdims=True)
    around[..., 2] = np.maximum(around[..., 2], 0.01)
    disc = layer.march(around, sun)[0]
    return Veil(through[..., None], glow.astype(np.float32), float(disc.mean()))


def overcast_veil(
    draw: np.random.Generator,
    params: dict[str, Any],
    directions: np.ndarray,
    sun: np.ndarray,
    sun_irradiance: np.ndarray,
    sky_radiance: np.ndarray,
) -> Veil:
    """A closed layer that hides sun and sky: as bright as diffuse transmission leaves it, three times as
    bright overhead as at the horizon (Moon and Spencer), grey, with rolls and thinner places."""
    field = NoiseField(draw, params["slope"], stretch=1.6)
    x, y, distance = _on_layer(directions, 900.0)
    tile = params["cell_m"] * 9
    lumps = field.sample(x / tile, y / tile, distance * _texel(directions) / tile * 2)
    irradiance = sun_irradiance * max(sun[2], 0.03) + math.pi * sky_radiance
    mean = irradiance / math.pi * params["transmission"]
    grey = 0.75 * float(mean.mean()) + 0.25 * mean
    gradation = (1 + 2 * directions[..., 2]) * 3 / 7
    # A brighter place in front of the sun where the layer is thin.
    halo = 0.5 * np.exp(-(np.arccos(np.clip(directions @ sun, -1, 1)) ** 2) / 0.35)
    tone = gradation * np.exp(params["contrast"] * lumps) * (1 + halo)
    return Veil(
        np.zeros((*directions.shape[:2], 1), np.float32), (tone[..., None] * grey).astype(np.float32), 0.0
    )


def cirrus_veil(
    draw: np.random.Generator,
    amount: float,
    directions: np.ndarray,
    sun: np.ndarray,
    sun_irradiance: np.ndarray,
) -> Veil:
    """High ice: thin streaks that hide little and scatter forwards."""
    field = NoiseField(draw, 2.6, stretch=5.0)
    patches = NoiseField(draw, 3.4)
    turn = float(draw.uniform(0, math.tau))
    x, y, distance = _on_layer(directions, 8000.0)
    along, across = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    footprint = distance * _texel(directions)
    bend = 0.06 * patches.sample(along / 6e4, across / 6e4, footprint / 6e4)
    streaks = field.sample(along / 3e4 + bend, across / 3e4 + bend, footprint / 3e4)
    where = smooth_step(patches.sample(along / 9e4, across / 9e4, footprint / 9e4), -0.2, 2.2)
    depth = amount * where * np.exp(0.9 * streaks) * np.clip(1.0 / np.maximum(directions[..., 2], 0.2), 1, 4)
    depth = np.minimum(depth, 0.6)
    share = 1 - np.exp(-depth)
    phase = 0.35 * _phase(directions @ sun) + 0.65 / (4 * math.pi)
    glow = (share * phase)[..., None] * sun_irradiance
    near = np.exp(-np.sum((directions - sun) ** 2, axis=2) / 0.002)
    sun_depth = float((depth * near).sum() / max(near.sum(), 1e-9))
    return Veil(np.exp(-depth)[..., None].astype(np.float32), glow.astype(np.float32), math.exp(-sun_depth))


class _Layer:
    """Heaps of cloud: their height above the common base is what the noise has above a threshold."""

    def __init__(self, field: NoiseField, detail: NoiseField, params: dict[str, Any]) -> None:
        self._field, self._detail = field, detail
        self._base, self._depth = params["base_m"], params["depth_m"]
        self._tile = params["cell_m"] * 9
        self._extinction = params["extinction_per_m"]
        self._texel = 0.0
        # The threshold that leaves the stated share of the plane covered.
        grid = np.linspace(0, 1, 160, endpoint=False)
        x, y = np.meshgrid(grid, grid)
        self._threshold = float(np.quantile(field.sample(x, y), 1 - params["coverage"]))

    def march(self, directions: np.ndarray, sun: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What passes, sunlight scattered and ambient light scattered, each (H, W) float32."""
        texel = _texel(directions)
        through = np.ones(directions.shape[:2], np.float32)
        scattered, ambient = np.zeros_like(through), np.zeros_like(through)
        heights = (np.arange(_STEPS) + 0.5) / _STEPS
        _, _, low = _on_layer(directions, self._base)
        _, _, high = _on_layer(directions, self._base + self._depth)
        length = (high - low) / _STEPS
        for height in heights:
            distance = low + height * (high - low)
            x, y = distance * directions[..., 0], distance * directions[..., 1]
            footprint = distance * texel
            density, above = self._density(x, y, height, footprint, detailed=True)
            depth = self._extinction * density * length
            share = through * (1 - np.exp(-depth))
            if share.max() > 1e-4:
                shadow = self._towards_sun(x, y, height, sun, footprint)
                # Single scattering dies quickly; light scattered many times reaches ten times as deep.
                lit = np.exp(-shadow) + 0.35 * np.exp(-0.22 * shadow) + 0.13 * np.exp(-0.03 * shadow)
                scattered += share * lit
                # Under a thick part of a cloud little is left of what its top receives.
                ambient += share * (0.3 + 0.7 * np.exp(-1.5 * above))
            through *= np.exp(-depth)
        return through, scattered, ambient

    def _density(
        self, x: np.ndarray, y: np.ndarray, height: float, footprint: np.ndarray, *, detailed: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Density in [0, 1], and how much of the layer's depth the cloud still rises above."""
        tile = self._tile
        # Detail slides with height, which cuts knobs into the sides of what would be prisms.
        top = (self._field.sample(x / tile, y / tile, footprint / tile) - self._threshold) * 1.15
        if detailed:
            billow = self._detail.sample(
                x / tile * 2.3 + 0.11 * height, y / tile * 2.3 + 0.17 * height, footprint / tile * 2.3
            )
            top += 0.28 * billow * (0.35 + height)
        # A flat underside at height 0, rounded shoulders above it.
        above = top - 1.35 * height**1.4
        return np.clip(above * 5, 0, 1), np.maximum(above, 0)

    def _towards_sun(
        self, x: np.ndarray, y: np.ndarray, height: float, sun: np.ndarray, footprint: np.ndarray
    ) -> np.ndarray:
        climb = max(float(sun[2]), 0.12)
        # To the top of the layer, and under low suns no farther than two heaps.
        reach = min((1.05 - height) * self._depth / climb, 0.6 * self._tile / 9 * 3)
        steps = (np.linspace(0.04, 1, _SHADOW_STEPS + 1) ** 1.6) * reach
        total = np.zeros(x.shape, np.float32)
        for near, far in itertools.pairwise(steps):
            at = (near + far) / 2
            up = height + at * climb / self._depth
            place = (x + at * sun[0], y + at * sun[1], up, np.maximum(footprint, at * 0.15))
            total += (far - near) * self._density(*place, detailed=False)[0]
        return self._extinction * total


def _on_layer(directions: np.ndarray, height_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where rays meet a layer around the Earth, in metres east and north of the camera, and how far away."""
    rise = np.maximum(directions[..., 2], 1e-4)
    falls = _EARTH_M * rise
    distance = np.sqrt(falls**2 + 2 * _EARTH_M * height_m + height_m**2) - falls
    return distance * directions[..., 0], distance * directions[..., 1], distance


def _texel(directions: np.ndarray) -> np.ndarray:
    """About what angle a texel of these directions covers on a layer, foreshortened: (H, W) radians."""
    width = max(directions.shape[1], 16)
    return np.float32(math.tau / width) / np.sqrt(np.maximum(directions[..., 2], 0.02))


def _phase(cosine: np.ndarray) -> np.ndarray:
    """Henyey and Greenstein's phase function, 1/sr, with a share that scatters evenly."""
    g = _FORWARD
    lobe = (1 - g * g) / (4 * math.pi * (1 + g * g - 2 * g * cosine) ** 1.5)
    return 0.5 * lobe + 0.5 / (4 * math.pi)
