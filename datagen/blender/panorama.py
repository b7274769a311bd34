"""Where the sun is in a panorama of the sky, so that its few texels can be rendered apart. Free of bpy."""

import dataclasses
import math

import numpy as np

from pairbridge.datagen.scene.specs import SkySpec

SUN_DIAMETER_RAD = math.radians(0.545)

# Texels kept around the disc on every side.
MARGIN = 2

# Blender's sun rotation 0 is +Y, a quarter of the panorama from its left edge.
SUN_COLUMN = 0.25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SkyPlan:
    """What to render and how to put it together."""

    sky: SkySpec
    """The sky, turned by whole columns until its sun is within half a column of `SUN_COLUMN`, far from
    the seam. The model is symmetric about the zenith, so turning its panorama back is exact."""

    window: tuple[int, int, int, int]
    """Left, top, right, bottom of the texels that may see the disc."""

    columns: int
    """By how many columns to roll the panorama to the right."""


def plan_panorama(sky: SkySpec, width: int) -> SkyPlan:
    """The plan for a panorama of `width` x `width`/2."""
    texel_rad = math.tau / width
    columns = round(sky.sun_rotation_rad / texel_rad)
    turned = dataclasses.replace(sky, sun_rotation_rad=sky.sun_rotation_rad - columns * texel_rad)
    radius_rad = SUN_DIAMETER_RAD / 2
    highest_rad = sky.sun_elevation_rad + radius_rad
    # Near the zenith a disc spreads over many columns, and over all of them when it covers it.
    half_width_rad = math.pi
    if abs(highest_rad) < math.pi / 2:
        half_width_rad = math.asin(min(1.0, math.sin(radius_rad) / math.cos(highest_rad)))
    centre_x = width * SUN_COLUMN
    centre_y = (0.5 - sky.sun_elevation_rad / math.pi) * (width // 2)
    reach_x = half_width_rad / texel_rad + MARGIN
    reach_y = radius_rad / texel_rad + MARGIN
    whole_row = reach_x >= width * SUN_COLUMN
    window = (
        0 if whole_row else math.floor(centre_x - reach_x),
        max(0, math.floor(centre_y - reach_y)),
        width if whole_row else math.ceil(centre_x + reach_x),
        min(width // 2, math.ceil(centre_y + reach_y)),
    )
    return SkyPlan(sky=turned, window=window, columns=columns)


def join(plan: SkyPlan, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """The panorama of `plan` from its two renders, both (H, W, 3): of all, and of the window alone."""
    left, top, right, bottom = plan.window
    joined = coarse.copy()
    joined[top:bottom, left:right] = fine[top:bottom, left:right]
    return np.roll(joined, plan.columns, axis=1)
