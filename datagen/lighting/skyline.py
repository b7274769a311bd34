"""What stands on the horizon of an outdoor map: hills, lines of trees, single trees, houses and streets.

Everything has a place and a size in metres, so that it stands on the map's ground, hides what is behind it
and throws its shadow there. Light is the sun's on the side that it reaches, and the sky's.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from pairbridge.datagen.core.random_draws import log_uniform
from pairbridge.datagen.lighting.noise_fields import NoiseField, ridge, smooth_step

# Rows of the map that anything here may reach, in degrees of elevation.
LOWEST_DEG, HIGHEST_DEG = -14.0, 62.0
_GREENS = ((0.045, 0.07, 0.016), (0.06, 0.085, 0.02), (0.035, 0.055, 0.018), (0.09, 0.085, 0.022))
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


@dataclass(frozen=True, slots=True)
class House:
    """A block on a rectangle of the ground: centre, half sides and turn in metres and radians."""

    x: float
    y: float
    half_width: float
    half_depth: float
    turn_rad: float
    height: float
    roof: float
    seed: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A crown on a trunk: place, height of the top, radius of the crown, in metres."""

    x: float
    y: float
    height: float
    radius: float
    seed: int


@dataclass(frozen=True, slots=True)
class Stand:
    """All that stands around the camera, which is at the origin, `camera_height_m` above the ground."""

    camera_height_m: float
    houses: list[House] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    hills: int = 0
    woods_m: float = 0.0  # distance of a closed line of trees; 0 is none

    def shade_height(self, x: np.ndarray, y: np.ndarray, sun: np.ndarray) -> np.ndarray:
        """The height in metres below which houses hide the sun at each place."""
        level = math.hypot(sun[0], sun[1])
        towards, slope = np.array(sun[:2]) / max(level, 1e-6), sun[2] / max(level, 1e-6)
        hidden = np.zeros(np.broadcast(x, y).shape)
        for house in self.houses:
            near, far, _ = _slabs(house, x, y, towards[0], towards[1])
            crosses = (near < far) & (far > 0.02)
            top = house.height + 0.5 * house.roof - np.maximum(near, 0) * slope
            hidden = np.where(crosses & (near > -0.5), np.maximum(hidden, top), hidden)
        return hidden

    def leaf_shade(self, x: np.ndarray, y: np.ndarray, sun: np.ndarray, holes: NoiseField) -> np.ndarray:
        """The share of sunlight that crowns leave on the ground at each place."""
        left = np.ones(np.broadcast(x, y).shape, np.float32)
        if sun[2] < 0.06:
            return left
        pattern = holes.sample(x / 6.0, y / 6.0, np.hypot(x, y) * 0.002)
        for tree in self.trees:
            middle = 0.62 * tree.height
            if math.hypot(tree.x, tree.y) > 60:
                continue
            # The crown's shadow is an ellipse, as long as the sun is low.
            centre = np.array([tree.x, tree.y]) - sun[:2] / sun[2] * middle
            dx, dy = x - centre[0], y - centre[1]
            level = math.hypot(sun[0], sun[1])
            along = (dx * sun[0] + dy * sun[1]) / max(level, 1e-6)
            across2 = np.maximum(dx * dx + dy * dy - along * along, 0)
            long = math.hypot(tree.radius, 0.38 * tree.height * level / sun[2])
            inside = 1 - np.sqrt(across2 / tree.radius**2 + (along / long) ** 2)
            cover = smooth_step(inside + 0.14 * pattern, -0.02, 0.3)
            left *= (1 - 0.92 * cover).astype(np.float32)
        return left


def draw_stand(draw: np.random.Generator, place: str, camera_height_m: float) -> Stand:
    """Things around a place of this kind: open, park, suburb, street or square."""
    if place == "street":
        return _street(draw, camera_height_m)
    if place == "square":
        return _square(draw, camera_height_m)
    trees, houses = [], []
    woods = float(draw.uniform(60, 260)) if draw.random() < 0.85 else 0.0
    if place in ("park", "suburb"):
        for _ in range(int(draw.integers(10, 34))):
            distance = log_uniform(draw, (9.0, 90.0))
            trees.append(_tree(draw, distance, float(draw.uniform(0, math.tau))))
    if place == "suburb":
        first = float(draw.uniform(0, math.tau))
        for number in range(int(draw.integers(5, 11))):
            azimuth = first + number * 0.62 + float(draw.uniform(-0.15, 0.15))
            distance = float(draw.uniform(16, 45))
            houses.append(
                House(
                    x=distance * math.cos(azimuth),
                    y=distance * math.sin(azimuth),
                    half_width=float(draw.uniform(4.5, 8)),
                    half_depth=float(draw.uniform(3.5, 5)),
                    turn_rad=azimuth + math.pi / 2 + float(draw.uniform(-0.3, 0.3)),
                    height=float(draw.choice([3.0, 5.6, 5.8])),
                    roof=float(draw.uniform(1.8, 3.2)),
                    seed=int(draw.integers(2**31)),
                )
            )
        trees = [tree for tree in trees if all(_apart(tree, house) for house in houses)]
    hills = int(draw.integers(1, 4)) if place == "open" or draw.random() < 0.4 else 0
    return Stand(camera_height_m, houses, trees, hills, woods)


def paint_skyline(image: np.ndarray, stand: Stand, light: SkyLight, draw: np.random.Generator) -> np.ndarray:
    """`image` (H, W, 3), equirectangular, with everything of `stand` painted over sky and ground."""
    height, width, _ = image.shape
    top, bottom = (round((0.5 - degrees / 180) * height) for degrees in (HIGHEST_DEG, LOWEST_DEG))
    band = _Band(width, height, top, bottom)
    leaves = NoiseField(draw, 1.6, 256)
    for number in range(stand.hills):
        _paint_hill(band, draw, light, number, stand.hills)
    if stand.woods_m:
        _paint_woods(band, draw, stand, light, leaves)
    things: list[House | Tree] = sorted(
        [*stand.houses, *stand.trees], key=lambda thing: math.hypot(thing.x, thing.y), reverse=True
    )
    for thing in things:
        if isinstance(thing, House):
            _paint_house(band, thing, stand, light)
        else:
            _paint_tree(band, thing, stand, light, leaves)
    colour, alpha = band.small()
    painted = image.copy()
    painted[top:bottom] = colour + (1 - alpha) * painted[top:bottom]
    return painted


class _Band:
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
        """Paint `colour` (R, C, 3) with `cover` (R, C) over these rows and columns (wrapped)."""
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


def _through_air(
    colour: np.ndarray, distance_m: np.ndarray | float, light: SkyLight, columns: np.ndarray
) -> np.ndarray:
    """Aerial perspective: (R, C, 3) at a distance, of which haze takes the place with the distance."""
    kept = np.exp(-np.asarray(distance_m, float) / light.clearness_m)
    haze = light.haze[(columns // 2) % len(light.haze)]
    kept = kept[..., None] if np.ndim(kept) else kept
    return (colour * kept + haze * (1 - kept)).astype(np.float32)


def _paint_hill(band: _Band, draw: np.random.Generator, light: SkyLight, number: int, count: int) -> None:
    distance = 14000.0 / (1 + 2.2 * number)
    rise = math.radians(float(draw.uniform(0.6, 3.2))) * (1 - 0.22 * number)
    line = ridge(draw, band.width, 1.5)
    jag = ridge(draw, band.width, 0.9, lowest=24)
    crest = rise * (0.75 + 0.4 * line + 0.04 * jag)
    cover = np.clip((crest[None, :] - band.elevation[:, None]) / band.texel_rad + 0.5, 0, 1)
    cover *= band.elevation[:, None] > -2 * band.texel_rad
    slope = np.gradient(wrapped(crest, 9)) / band.texel_rad
    azimuth = band.azimuth
    # The side that falls to the left faces left: a crude normal, enough to tell a lit flank from a dark one.
    normal = np.stack(
        [
            -np.cos(azimuth) * 0.7 - np.sin(azimuth) * slope * 2,
            -np.sin(azimuth) * 0.7 + np.cos(azimuth) * slope * 2,
            np.full_like(azimuth, 0.7),
        ],
        axis=-1,
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    field_ = NoiseField(draw, 2.0, 256)
    x = np.broadcast_to(azimuth / math.tau * 16, cover.shape)
    y = np.broadcast_to(band.elevation[:, None] * 14, cover.shape)
    patches = field_.sample(x, y, band.texel_rad * 14)
    albedo = np.array([0.06, 0.075, 0.03]) * np.exp(0.35 * patches)[..., None]
    colour = albedo * light.on(normal)[None] / math.pi
    columns = np.arange(band.width)
    band.over(slice(None), columns, _through_air(colour, distance, light, columns), cover)


def wrapped(line: np.ndarray, reach: int) -> np.ndarray:
    """A line around the horizon smoothed over `reach` entries."""
    padded = np.concatenate([line[-reach:], line, line[:reach]])
    return np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")


def _paint_woods(
    band: _Band, draw: np.random.Generator, stand: Stand, light: SkyLight, leaves: NoiseField
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
        band.over(rows, columns, _through_air(colour, distance, light, columns), cover)


def _tree(draw: np.random.Generator, distance: float, azimuth: float) -> Tree:
    height = float(draw.uniform(6, 15))
    return Tree(
        x=distance * math.cos(azimuth),
        y=distance * math.sin(azimuth),
        height=height,
        radius=height * float(draw.uniform(0.24, 0.42)),
        seed=int(draw.integers(2**31)),
    )


def _paint_tree(band: _Band, tree: Tree, stand: Stand, light: SkyLight, leaves: NoiseField) -> None:
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
        colour = _through_air(colour, distance, light, columns)
        band.over(slice(rows[0], rows[-1] + 1), columns, colour, cover)


def _paint_trunk(
    band: _Band, tree: Tree, stand: Stand, light: SkyLight, centre: float, texels_per_m: float
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
    colour = _through_air(np.broadcast_to(colour, (rows, *colour.shape)), distance, light, columns)
    band.over(slice(top, bottom), columns, colour, np.broadcast_to(cover, (rows, len(columns))))


def _paint_house(band: _Band, house: House, stand: Stand, light: SkyLight) -> None:
    draw = np.random.default_rng(house.seed)
    towards_x, towards_y = np.cos(band.azimuth), np.sin(band.azimuth)
    zero = np.zeros_like(band.azimuth)
    near, far, face = _slabs(house, zero, zero, towards_x, towards_y)
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
    band.over(rows, columns, _through_air(colour, air, light, columns), cover)


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


def _slabs(
    house: House, x: np.ndarray, y: np.ndarray, towards_x: np.ndarray, towards_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where level rays enter and leave the house's rectangle, in metres, and by which face (0 and 2 the
    narrow ones, 1 and 3 the wide ones; 2 and 3 face along the axes)."""
    cos, sin = math.cos(house.turn_rad), math.sin(house.turn_rad)
    px, py = x - house.x, y - house.y
    a, b = px * cos + py * sin, -px * sin + py * cos
    da, db = towards_x * cos + towards_y * sin, -towards_x * sin + towards_y * cos
    da, db = (np.where(np.abs(step) < 1e-9, 1e-9, step) for step in (da, db))
    a0, a1 = (-house.half_width - a) / da, (house.half_width - a) / da
    b0, b1 = (-house.half_depth - b) / db, (house.half_depth - b) / db
    in_a, in_b = np.minimum(a0, a1), np.minimum(b0, b1)
    near, far = np.maximum(in_a, in_b), np.minimum(np.maximum(a0, a1), np.maximum(b0, b1))
    by_a = in_a > in_b
    return near, far, np.where(by_a, np.where(da < 0, 2, 0), np.where(db < 0, 3, 1))


def _apart(tree: Tree, house: House) -> bool:
    return math.hypot(tree.x - house.x, tree.y - house.y) > house.half_width + 0.8 * tree.radius


def _street(draw: np.random.Generator, camera_height_m: float) -> Stand:
    turn = float(draw.uniform(0, math.tau))
    half_street = float(draw.uniform(7, 12))
    aside = float(draw.uniform(-0.6, 0.6)) * half_street
    houses, trees = [], []
    storeys = float(draw.uniform(2, 6))
    for side in (-1.0, 1.0):
        along = -150.0
        while along < 150:
            half_width = float(draw.uniform(4, 11))
            depth = 6.0
            offset = side * (half_street + depth + float(draw.choice([0.0, 0.0, 0.6]))) - aside
            along += half_width
            gap = draw.random() < 0.08
            height = max(1, round(storeys + float(draw.uniform(-1.3, 1.3)))) * 3.15 + 0.6
            roof = float(draw.choice([0.0, 0.0, 2.2]))
            seed = int(draw.integers(2**31))
            x, y = _turned(along, offset, turn)
            if not gap:
                houses.append(House(x, y, half_width, depth, turn, height, roof, seed))
            along += half_width
        if draw.random() < 0.6:
            spacing = float(draw.uniform(9, 16))
            for number in range(int(80 / spacing)):
                x, y = _turned(-40 + number * spacing + 3, side * (half_street - 2.2) - aside, turn)
                if math.hypot(x, y) > 5:
                    tree = _tree(draw, math.hypot(x, y), math.atan2(y, x))
                    trees.append(
                        Tree(tree.x, tree.y, min(tree.height, 8.5), min(tree.radius, 2.3), tree.seed)
                    )
    return Stand(camera_height_m, houses, trees, int(draw.random() < 0.3), 260.0)


def _square(draw: np.random.Generator, camera_height_m: float) -> Stand:
    turn = float(draw.uniform(0, math.tau))
    half_x, half_y = float(draw.uniform(16, 34)), float(draw.uniform(16, 34))
    move_x, move_y = float(draw.uniform(-0.5, 0.5)) * half_x, float(draw.uniform(-0.5, 0.5)) * half_y
    houses, trees = [], []
    for edge in range(4):
        span, reach = (half_x, half_y) if edge % 2 == 0 else (half_y, half_x)
        along = -span + float(draw.uniform(0, 8))
        while along < span - 4:
            half_width = float(draw.uniform(5, 11))
            along += half_width
            height = max(1, round(float(draw.uniform(2, 7)))) * 3.2 + 0.5
            local = (along, reach + 6.0)
            for _ in range(edge):
                local = (-local[1], local[0])
            x, y = _turned(local[0] + move_x, local[1] + move_y, turn)
            seed = int(draw.integers(2**31))
            houses.append(
                House(
                    x, y, half_width, 6.0, turn + edge * math.pi / 2, height, float(draw.choice([0, 2])), seed
                )
            )
            along += half_width + (float(draw.uniform(4, 12)) if draw.random() < 0.3 else 0.0)
    for _ in range(int(draw.integers(0, 9))):
        tree = _tree(draw, log_uniform(draw, (8.0, 26.0)), float(draw.uniform(0, math.tau)))
        if all(_apart(tree, house) for house in houses):
            trees.append(tree)
    return Stand(camera_height_m, houses, trees, int(draw.random() < 0.4), 240.0)


def _turned(along: float, across: float, turn_rad: float) -> tuple[float, float]:
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    return along * cos - across * sin, along * sin + across * cos
