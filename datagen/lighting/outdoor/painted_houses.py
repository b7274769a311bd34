"""Houses of a skyline: walls with windows, roofs, and what panes mirror."""

import math

import numpy as np

from pairbridge.datagen.lighting.outdoor.skyline_canvas import Horizon, SkyLight, through_air
from pairbridge.datagen.lighting.outdoor.stand import House, Stand, slabs

_WALLS = (
    (0.55, 0.5, 0.42),
    (0.62, 0.6, 0.56),
    (0.42, 0.37, 0.3),
    (0.25, 0.145, 0.105),
    (0.3, 0.21, 0.16),
    (0.45, 0.44, 0.42),
    (0.3, 0.3, 0.3),
    (0.46, 0.4, 0.29),
)
_ROOFS = ((0.14, 0.075, 0.055), (0.1, 0.1, 0.11), (0.13, 0.1, 0.08))


def paint_house(band: Horizon, house: House, stand: Stand, light: SkyLight) -> None:
    draw = np.random.default_rng(house.seed)
    towards_x, towards_y = np.cos(band.azimuth), np.sin(band.azimuth)
    zero = np.zeros_like(band.azimuth)
    near, far, face = slabs(house, zero, zero, towards_x, towards_y)
    columns = np.flatnonzero((near < far) & (near > 0.3))
    if not len(columns):
        return
    distance, face = near[columns], face[columns]
    x, y = distance * towards_x[columns], distance * towards_y[columns]
    cos, sin = math.cos(house.turn_rad), math.sin(house.turn_rad)
    along = (x - house.x) * cos + (y - house.y) * sin
    deep = -(x - house.x) * sin + (y - house.y) * cos
    on_width = face % 2 == 1
    u = np.where(on_width, along, deep)
    half = np.where(on_width, house.half_width, house.half_depth)
    sign = np.where(face >= 2, 1.0, -1.0)
    normal = np.where(
        on_width[:, None],
        sign[:, None] * np.array([-sin, cos, 0.0]),
        sign[:, None] * np.array([cos, sin, 0.0]),
    )
    # A ridge along the width: the wide faces carry the roof's slope, the narrow ones a gable.
    top = np.where(on_width, house.height + house.roof, house.height + house.roof * (1 - np.abs(u) / half))
    slope_row = band.row_of(math.atan2(house.height + house.roof - stand.camera_height_m, distance.min()))
    low_row = band.row_of(math.atan2(-stand.camera_height_m, distance.min()))
    rows = slice(max(0, slope_row - 1), min(band.rows, low_row + 2))
    z = stand.camera_height_m + distance[None, :] * np.tan(band.elevation[rows])[:, None]
    step = distance * band.texel_rad
    cover = np.clip((top - z) / step + 0.5, 0, 1) * np.clip(z / step + 0.5, 0, 1)
    shade = stand.shade_height(x + 0.1 * normal[:, 0], y + 0.1 * normal[:, 1], light.sun)
    lit = np.clip((z - shade) / 0.3, 0, 1)
    irradiance = light.on(np.broadcast_to(normal, (*z.shape, 3)), lit)
    # Near the foot and in narrow streets walls see less sky.
    irradiance *= (0.62 + 0.38 * np.clip(z / 8, 0, 1))[..., None]
    albedo, glassy = _facade(draw, u, half, z, house)
    roofed = on_width[None, :] & (z > house.height)
    roof = np.array(_ROOFS[int(draw.integers(len(_ROOFS)))])
    courses = 0.85 + 0.15 * np.sin(z * 26)
    slanted = normal * 0.6 + np.array([0, 0, 0.8])
    on_roof = light.on(np.broadcast_to(slanted, (*z.shape, 3)), lit)
    colour = albedo * irradiance / math.pi
    # Panes mirror the sky opposite, more at a slant.
    mirrored = light.haze.mean(axis=0) * 0.5
    cosine = np.abs(normal[:, 0] * towards_x[columns] + normal[:, 1] * towards_y[columns])
    fresnel = 0.06 + 0.6 * (1 - cosine) ** 4
    pane = fresnel[None, :, None] * mirrored + 0.035 * irradiance / math.pi
    colour = colour * (1 - glassy[..., None]) + pane * glassy[..., None]
    colour = np.where(roofed[..., None], roof * courses[..., None] * on_roof / math.pi, colour)
    air = np.broadcast_to(distance, z.shape)
    band.over(rows, columns, through_air(colour, air, light, columns), cover)


def _facade(
    draw: np.random.Generator, u: np.ndarray, half: np.ndarray, z: np.ndarray, house: House
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (R, C, 3) of walls, frames and blinds, and where there is glass (R, C)."""
    wall = np.array(_WALLS[int(draw.integers(len(_WALLS)))]) * float(draw.uniform(0.75, 1.15))
    trim = np.clip(wall * float(draw.uniform(0.6, 1.5)), 0.03, 0.8)
    storey = house.height / max(round(house.height / float(draw.uniform(2.8, 3.4))), 1)
    pitch = float(draw.uniform(2.0, 3.4))
    pane_w, pane_h = pitch * float(draw.uniform(0.4, 0.66)), storey * float(draw.uniform(0.45, 0.62))
    count = np.maximum(np.floor(2 * half / pitch), 1)
    place = (u + half) / (2 * half) * count
    across = (place % 1 - 0.5) * (2 * half / count)
    floor = np.floor(z / storey)
    above = z - floor * storey - 0.52 * storey
    soft = 0.05
    in_x = np.clip((pane_w / 2 - np.abs(across)) / soft, 0, 1)[None, :]
    in_z = np.clip((pane_h / 2 - np.abs(above)) / soft, 0, 1)
    frame_x = np.clip((pane_w / 2 + 0.12 - np.abs(across)) / soft, 0, 1)[None, :]
    frame_z = np.clip((pane_h / 2 + 0.12 - np.abs(above)) / soft, 0, 1)
    exists = z < house.height - 0.25
    window, frame = in_x * in_z * exists, frame_x * frame_z * exists
    bar = np.clip(1 - np.abs(np.abs(across) - 0.0) / 0.05, 0, 1)[None, :]
    hashed = (
        np.abs(np.sin(np.floor(place)[None, :] * 12.9898 + floor * 78.233 + house.seed % 97) * 43758.5453) % 1
    )
    blind = ((hashed > 0.72) * (above > (hashed - 0.86) * pane_h * 3)).astype(float)
    weather = np.exp(
        0.06 * np.sin(u * 2.1 + house.seed % 7)[None, :]
        + 0.05 * np.sin(u * 7.7)[None, :] * np.cos(z * 0.9)
        - 0.12 * np.exp(-z / 0.6)
    )
    lines = 1 - 0.25 * np.clip(1 - np.abs(z % storey) / 0.14, 0, 1) - 0.2 * (np.abs(z - house.height) < 0.22)
    albedo = wall * (weather * lines)[..., None]
    albedo = albedo * (1 - frame[..., None]) + trim * frame[..., None]
    albedo = albedo * (1 - (window * blind)[..., None]) + 0.5 * (window * blind)[..., None]
    return np.clip(albedo, 0.02, 0.85), window * (1 - blind) * (1 - 0.8 * bar)
