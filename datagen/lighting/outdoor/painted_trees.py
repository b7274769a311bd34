"""Trees of a skyline: lines of woods, crowns of clumps of leaves, trunks."""

import math

import numpy as np

from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField, ridge
from pairbridge.datagen.lighting.outdoor.skyline_canvas import Horizon, SkyLight, through_air
from pairbridge.datagen.lighting.outdoor.stand import Stand, Tree

_GREENS = ((0.045, 0.07, 0.016), (0.06, 0.085, 0.02), (0.035, 0.055, 0.018), (0.09, 0.085, 0.022))


def paint_woods(
    band: Horizon, draw: np.random.Generator, stand: Stand, light: SkyLight, leaves: NoiseField
) -> None:
    """A closed line of trees, row before row: round crowns side by side, ragged by leaves."""
    low = band.row_of(-math.radians(3))
    for distance in (stand.woods_m * 1.5, stand.woods_m * 1.2, stand.woods_m):
        count = max(24, round(math.tau * distance / float(draw.uniform(4.5, 7))))
        heights = draw.uniform(5, 14, count) * np.exp(0.25 * ridge(draw, count, 1.2))
        middles = np.arange(count) + draw.uniform(-0.4, 0.4, count)
        tones = np.exp(0.22 * draw.standard_normal(count))
        place = (band.azimuth % math.tau) / math.tau * count
        nearest = np.floor(place)[:, None] + np.arange(-1, 3)
        off = place[:, None] - (middles[(nearest % count).astype(int)] + count * np.floor(nearest / count))
        crown = heights[(nearest % count).astype(int)] * np.sqrt(np.clip(1 - (off / 1.25) ** 2, 0, 1))
        own = crown.argmax(axis=1)[:, None]
        side = np.clip(np.take_along_axis(off, own, 1)[:, 0] / 1.25, -1, 1)
        tone = tones[(np.take_along_axis(nearest, own, 1)[:, 0] % count).astype(int)]
        top_m = crown.max(axis=1)
        first = band.row_of(math.atan2(float(heights.max()) * 1.2, distance))
        rows = slice(first, low)
        height = stand.camera_height_m + distance * np.tan(band.elevation[rows])[:, None]
        # A whole number of tiles around the horizon, so that the leaves close as well.
        across, z = np.broadcast_arrays(place / count * round(count / 2.5), height)
        ragged = leaves.sample(across, z / 14, distance * band.texel_rad / 14)
        edge = distance * band.texel_rad
        cover = np.clip((top_m + 0.7 * ragged - z) / max(edge, 0.3) + 0.5, 0, 1)
        cover *= np.clip(z / edge + 0.5, 0, 1)
        share = np.clip(z / np.maximum(top_m, 1), 0, 1)
        azimuth = band.azimuth
        front, rise = np.sqrt(1 - 0.9 * side**2), 1.3 * share - 0.3
        # A crown bulges towards the viewer and to its sides, its top faces the sky.
        normal = np.stack(
            [
                side * -np.sin(azimuth) - front * np.cos(azimuth) + 0 * rise,
                side * np.cos(azimuth) - front * np.sin(azimuth) + 0 * rise,
                rise,
            ],
            axis=-1,
        )
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        open_ = (0.25 + 0.6 * share)[..., None]
        green = np.array(_GREENS[int(draw.integers(len(_GREENS)))])
        speckle = np.exp(0.4 * np.clip(ragged, -2, 2)) * tone
        colour = green * speckle[..., None] * light.on(normal, 0.8) * open_ / math.pi
        columns = np.arange(band.width)
        band.over(rows, columns, through_air(colour, distance, light, columns), cover)


def paint_tree(band: Horizon, tree: Tree, stand: Stand, light: SkyLight, leaves: NoiseField) -> None:
    draw = np.random.default_rng(tree.seed)
    distance, azimuth = math.hypot(tree.x, tree.y), math.atan2(tree.y, tree.x)
    texels_per_m = 1 / (distance * band.texel_rad)
    centre = band.column_of(azimuth)
    # As many clumps as can be told apart.
    clumps = int(np.clip(2.2 * tree.radius * texels_per_m, 14, 110))
    # The picture plane of the tree: right of the viewer, towards the viewer, up.
    right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
    viewer = np.array([-math.cos(azimuth), -math.sin(azimuth), 0.0])
    foot = stand.camera_height_m
    green = np.array(_GREENS[int(draw.integers(len(_GREENS)))]) * float(draw.uniform(0.75, 1.25))
    lit = float(stand.shade_height(np.array(tree.x), np.array(tree.y), light.sun)) < 0.6 * tree.height
    _paint_trunk(band, tree, stand, light, centre, texels_per_m)
    # Clumps of leaves on an ellipsoid's skin, the back ones first.
    spots = draw.standard_normal((clumps, 3))
    spots /= np.linalg.norm(spots, axis=1, keepdims=True)
    spots *= draw.uniform(0.35, 1.0, (clumps, 1)) ** 0.5
    spots = spots[np.argsort(spots[:, 1])]
    sizes = draw.uniform(0.2, 0.38, clumps) * (1.35 if clumps < 40 else 1.0)
    shifts = draw.uniform(0, 1, (clumps, 2))
    tones = np.exp(0.16 * draw.standard_normal(clumps))
    crown_height = 0.38 * tree.height
    for spot, size, shift, tone in zip(spots, sizes, shifts, tones, strict=True):
        radius_m = size * tree.radius * 1.15
        across = spot[0] * tree.radius
        up = 0.62 * tree.height + spot[2] * crown_height - foot
        column = centre + across * texels_per_m
        row = (band.elevation[0] - math.atan2(up, distance)) / band.texel_rad - 0.5
        reach = radius_m * texels_per_m * 1.25
        columns = np.arange(math.floor(column - reach), math.ceil(column + reach) + 1)
        rows = np.arange(max(0, math.floor(row - reach)), min(band.rows, math.ceil(row + reach) + 1))
        if not len(rows) or not len(columns):
            continue
        u = (columns - column)[None, :] / (radius_m * texels_per_m)
        v = (rows - row)[:, None] / (radius_m * texels_per_m)
        r2 = u * u + v * v
        ragged = leaves.sample(
            np.broadcast_to(u, r2.shape) * 0.16 * radius_m + shift[0],
            np.broadcast_to(v, r2.shape) * 0.16 * radius_m + shift[1],
            0.16 / texels_per_m,
        )
        soft = max(0.25, 0.9 / max(radius_m * texels_per_m, 0.5))
        cover = np.clip((1.0 - np.sqrt(r2) + 0.3 * ragged) / soft, 0, 1)
        depth = np.sqrt(np.clip(1 - r2, 0.05, 1))
        # The clump's own roundness and that of the whole crown.
        side = 0.5 * u + 0.8 * spot[0]
        front = 0.5 * depth + 0.8 * max(spot[1], 0)
        rise = -0.5 * v + 0.8 * spot[2]
        normal = side[..., None] * right + front[..., None] * viewer
        normal = normal + (rise + np.zeros_like(r2))[..., None] * np.array([0, 0, 1.0])
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6
        # Within the crown and below it little of the sky is seen.
        open_ = np.clip(0.45 + 0.4 * spot[2] + 0.25 * spot[1], 0.16, 1)
        speckle = np.exp(0.42 * np.clip(ragged, -2, 2))[..., None]
        irradiance = light.on(normal, 0.85 * open_ * lit) * (0.35 + 0.65 * open_)
        # Leaves let light through: against the sun their edges glow.
        behind = max(-float(viewer @ light.sun), 0.0) * 0.16 * open_ * lit
        irradiance = irradiance + behind * light.sun_irradiance
        colour = green * tone * speckle * irradiance / math.pi
        colour = through_air(colour, distance, light, columns)
        band.over(slice(rows[0], rows[-1] + 1), columns, colour, cover)


def _paint_trunk(
    band: Horizon, tree: Tree, stand: Stand, light: SkyLight, centre: float, texels_per_m: float
) -> None:
    distance = math.hypot(tree.x, tree.y)
    half = max(0.028 * tree.height * 0.7, 0.08)
    low, high = (math.atan2(z - stand.camera_height_m, distance) for z in (0.0, 0.55 * tree.height))
    top, bottom = band.row_of(high), band.row_of(low)
    reach = half * texels_per_m
    columns = np.arange(math.floor(centre - reach - 1), math.ceil(centre + reach + 1) + 1)
    if bottom <= top:
        return
    u = (columns - centre) / max(reach, 0.3)
    cover = np.clip((1 - np.abs(u)) * max(reach, 0.3) + 0.5, 0, 1) * min(1.0, 2 * reach)
    azimuth = math.atan2(tree.y, tree.x)
    side = np.clip(u, -0.99, 0.99)
    front = np.sqrt(1 - side**2)
    normal = np.stack(
        [
            side * math.sin(azimuth) - front * math.cos(azimuth),
            -side * math.cos(azimuth) - front * math.sin(azimuth),
            np.zeros_like(side),
        ],
        axis=-1,
    )
    colour = np.array([0.09, 0.07, 0.05]) * light.on(normal, 0.5) / math.pi
    rows = bottom - top
    colour = through_air(np.broadcast_to(colour, (rows, *colour.shape)), distance, light, columns)
    band.over(slice(top, bottom), columns, colour, np.broadcast_to(cover, (rows, len(columns))))
