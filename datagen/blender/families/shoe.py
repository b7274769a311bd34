"""Shoe: sneaker, high-top, laced leather shoe or boot, single or a pair; toes towards -y.

The upper is one surface over (s, t): s in [-0.5, 0.5] runs around the foot from the toe (0) to the heel, t
from the sole (0) up to the collar (1). Caps, facings, stripes and laces are laid out on the same coordinates,
so they always fit.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined, loft, sheet
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

STYLES = ("sneaker", "hightop", "oxford", "boot")
# Outline of a right sole, toe at -y, counter-clockwise from the toe's tip; half width 1 at the ball.
SOLE = ((-0.1, -0.5), (0.35, -0.47), (0.75, -0.38), (0.98, -0.23), (0.82, 0.02), (0.72, 0.25), (0.55, 0.43),
        (0.0, 0.5),
        (-0.55, 0.43), (-0.7, 0.25), (-0.68, 0.02), (-0.9, -0.2), (-0.98, -0.34), (-0.7, -0.46))  # fmt: skip
LACE_RADIUS = 0.0095


@dataclass(frozen=True, slots=True, kw_only=True)
class ShoeParams:
    """Lengths in units of the shoe's length."""

    style: str
    half_width: float
    toe_height: float
    collar_height: float
    collar_dip: float
    collar_size: tuple[float, float]
    sole_height: float
    heel_height: float
    toe_spring: float
    eyelets: int
    toe_cap: float
    counter: float
    stripes: int
    stripe_slant: float
    foxing: bool
    pair: bool
    spread_rad: float
    upper: Material
    overlay: Material
    lining: Material
    sole: Material
    stripe: Material
    lace: Material
    tongue: Material
    metal: Material


def shoe_rand(rng: np.random.Generator) -> ShoeParams:
    shape, details, skin, pose = rng.spawn(4)
    style = STYLES[shape.integers(len(STYLES))]
    sporty = style in ("sneaker", "hightop")
    upper = material_rand(
        skin, ("fabric", "fabric", "leather") if sporty else ("leather", "leather", "leather", "velvet")
    )
    if upper.kind == "fabric" and skin.uniform() < 0.3:
        pattern = decoration_rand(skin, radius=0.2, low=-9.0, high=9.0, kinds=("checks", "dots", "flowers"))
        upper = replace(
            upper, decoration=replace(pattern, around=False, count=18.0, rows=18.0, low=-9.0, high=9.0)
        )
    rubber = material_rand(skin, ("rubber",))
    pale = palette.hsv(0.11, skin.choice([0.04, 0.1, 0.5]), 0.86)
    sole_colour = pale if sporty and skin.uniform() < 0.75 else rubber.colour
    overlay = material_rand(skin, ("leather", "fabric", "plastic")) if sporty else upper
    laces = material_rand(skin, ("fabric",))
    return ShoeParams(
        style=style,
        half_width=shape.uniform(0.165, 0.195),
        toe_height=shape.uniform(0.13, 0.17),
        collar_height={"sneaker": 0.33, "hightop": 0.52, "oxford": 0.31, "boot": 0.72}[style]
        + shape.uniform(-0.03, 0.04),
        collar_dip=shape.uniform(0.03, 0.06),
        collar_size=(shape.uniform(0.095, 0.115), shape.uniform(0.165, 0.19)),
        sole_height=shape.uniform(0.055, 0.09) if sporty else shape.uniform(0.025, 0.04),
        heel_height=shape.uniform(0.0, 0.03) if sporty else shape.uniform(0.06, 0.09),
        toe_spring=shape.uniform(0.01, 0.04),
        eyelets=int(details.integers(4, 7)) + (2 if style in ("hightop", "boot") else 0),
        toe_cap=details.uniform(0.2, 0.34) if details.uniform() < 0.65 else 0.0,
        counter=details.uniform(0.4, 0.75) if details.uniform() < 0.75 else 0.0,
        stripes=int(details.integers(0, 4)) if sporty else 0,
        stripe_slant=details.uniform(-0.07, 0.07),
        foxing=bool(sporty and details.uniform() < 0.6),
        pair=bool(pose.uniform() < 0.3),
        spread_rad=pose.uniform(-0.15, 0.3),
        upper=upper,
        overlay=overlay,
        lining=material_rand(skin, ("fabric", "leather")),
        sole=replace(
            rubber,
            colour=sole_colour,
            accent=palette.shaded(sole_colour, 0.75),
            roughness=skin.uniform(0.4, 0.7),
        ),
        stripe=material_rand(skin, ("leather", "plastic")),
        lace=replace(
            laces, colour=palette.pale_rand(skin), accent=palette.shaded(laces.colour, 0.8), scale=95.0
        )
        if skin.uniform() < 0.6
        else laces,
        tongue=material_rand(skin, ("fabric", upper.kind)) if sporty else upper,
        metal=material_rand(skin, ("metal",)),
    )


def shoe(p: ShoeParams) -> list[Part]:
    right = [
        Part(q.name, _lasted(p, q.mesh), q.material) for q in _sole(p) + _upper(p) + _trims(p) + _closure(p)
    ]
    right += _heel_block(p)
    if not p.pair:
        return right
    gap = p.half_width + 0.03
    turned = [Part(q.name, q.mesh.turned("z", -0.5 * p.spread_rad).moved(x=gap), q.material) for q in right]
    other = [
        Part(q.name, q.mesh.mirrored("x").turned("z", 0.5 * p.spread_rad).moved(-gap, 0.06), q.material)
        for q in right
    ]
    return turned + other


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _lasted(p: ShoeParams, part: Mesh) -> Mesh:
    """Bent onto the last: the toe springs up and the heel stands on its block."""
    vertices = part.vertices.copy()
    y = vertices[:, 1]
    vertices[:, 2] += p.toe_spring * np.clip((-0.2 - y) / 0.3, 0, 2) ** 2 + p.heel_height * _smooth(
        (y + 0.12) / 0.36
    )
    return replace(part, vertices=vertices)


def _outline(p: ShoeParams, count: int, outset: float) -> np.ndarray:
    """Sole outline (count, 2), equally spaced from the toe's tip."""
    return _last(p.half_width, count, outset)


def _last(half_width: float, count: int, outset: float) -> np.ndarray:
    points = np.array(SOLE) * [half_width, 1.0]
    return curves.inset(
        curves.resampled(curves.spline(points, 400, closed=True), count, closed=True), -outset
    )


@functools.lru_cache(maxsize=1)
def _foot(half_width: float) -> np.ndarray:
    """Foot of the upper (256, 2), which every piece on it looks up again."""
    return _last(half_width, 256, -0.008)


def _surface(p: ShoeParams, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the upper at broadcast coordinates s and t."""
    s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
    table = _foot(p.half_width)
    at, knots = (s % 1.0) * 256, np.arange(257)
    foot = np.stack([np.interp(at, knots, np.append(table[:, k], table[0, k])) for k in range(2)], -1)
    angle = math.tau * s - math.pi / 2
    half_x, half_y = p.collar_size
    lift = p.collar_height
    # The collar dips below the ankles and rises at the tongue and the tendon.
    collar_y = 0.47 - half_y + half_y * np.sin(angle)
    collar = np.stack([half_x * np.cos(angle), collar_y, lift - p.collar_dip * np.cos(angle) ** 2], -1)
    toe = (0.5 + 0.5 * np.cos(math.tau * s)) ** 1.5
    start = np.concatenate([foot, np.full((*s.shape, 1), p.sole_height - 0.01)], -1)
    outward = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], -1)
    rise = (p.toe_height * 1.25 * toe + 0.14 * (1 - toe))[..., None]
    tall = lift - 0.33
    instep = np.array([0.0, -0.27 + 0.35 * tall, -0.08 - 0.8 * tall])
    wall = 0.03 * outward + np.array([0.0, 0.0, -0.13 - 0.4 * max(tall, 0.0)])
    lower = start + 0.018 * outward + rise * np.array([0.0, 0.0, 1.0])
    upper = collar + toe[..., None] * instep + (1 - toe[..., None]) * wall
    return curves.bezier(start, lower, upper, collar, t)


def _normals(p: ShoeParams, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    step = 1e-3
    along = _surface(p, s + step, t) - _surface(p, s - step, t)
    up = _surface(p, s, np.minimum(t + step, 1)) - _surface(p, s, np.maximum(t - step, 0))
    normal = np.cross(along, up)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)


def _above(p: ShoeParams, s: np.ndarray, t: np.ndarray, height: float) -> np.ndarray:
    s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
    return _surface(p, s, t) + height * _normals(p, s, t)


def _patch(p: ShoeParams, s: np.ndarray, t: np.ndarray, height: float) -> Mesh:
    """Piece of material on the upper: coordinates (R, C) with s growing along columns, `height` thick."""
    return sheet(_above(p, s, t, height), height + 0.004)


def _upper(p: ShoeParams) -> list[Part]:
    s = np.arange(112) / 112
    t = np.linspace(0, 1, 30)[:, None]
    outer = _above(p, s, t, 0.0)
    depth = t[::-1][:22]
    inner = _above(p, s, depth, -0.016)
    rim = 0.5 * (outer[-1] + inner[0]) + [0, 0, 0.006]
    shell = loft(np.concatenate([outer, rim[None]]), end_cap=False)
    lining = loft(np.concatenate([rim[None], inner]), start_cap=False)
    result = [Part("upper", shell, p.upper), Part("lining", lining, p.lining)]
    padded = p.style in ("sneaker", "hightop")
    collar = solids.tube(rim, 0.016 if padded else 0.0075, segments=12, closed=True)
    return [*result, Part("collar", collar, p.lining if padded else p.overlay)]


def _sole(p: ShoeParams) -> list[Part]:
    outline = _outline(p, 160, 0.014)
    result = [Part("sole", solids.extruded(outline, p.sole_height, 0.3 * p.sole_height), p.sole)]
    if p.foxing:
        for share, radius in ((0.82, 0.007), (0.3, 0.006)):
            edge = np.column_stack([_outline(p, 160, 0.0145), np.full(160, share * p.sole_height)])
            result.append(Part("foxing", solids.tube(edge, radius, segments=8, closed=True), p.stripe))
    return result


def _heel_block(p: ShoeParams) -> list[Part]:
    """Stacked heel under a leather shoe, cut off straight in front."""
    if p.heel_height < 0.05:
        return []
    outline = _outline(p, 160, 0.008)
    rear = outline[outline[:, 1] > 0.2]
    block = solids.extruded(rear, p.heel_height + 0.012, 0.004)
    lift = solids.extruded(curves.inset(rear, -0.002), 0.02, 0.004)
    return [Part("heel", block, p.sole), Part("heel lift", lift, p.lining)]


def _trims(p: ShoeParams) -> list[Part]:
    """Toe cap, heel counter, side stripes, and a stitched seam along each."""
    result = []
    if p.toe_cap:
        s = np.linspace(-0.17, 0.17, 41)
        reach = p.toe_cap * (1 - 0.25 * (s / 0.17) ** 2)
        result.append(Part("toe cap", _patch(p, s, np.linspace(0, 1, 12)[:, None] * reach, 0.006), p.overlay))
        result.append(
            Part("seam", solids.tube(_above(p, s, reach - 0.02, 0.007), 0.0028, segments=6), p.lace)
        )
    if p.counter:
        s = np.linspace(0.36, 0.64, 33)
        reach = p.counter * (1 - 0.35 * ((s - 0.5) / 0.14) ** 2)
        result.append(Part("counter", _patch(p, s, np.linspace(0, 1, 12)[:, None] * reach, 0.006), p.overlay))
        result.append(
            Part("seam", solids.tube(_above(p, s, reach - 0.03, 0.007), 0.0028, segments=6), p.lace)
        )
        pull = np.linspace(0.487, 0.513, 5)
        result.append(Part("pull", _patch(p, pull, np.linspace(0.3, 1, 10)[:, None], 0.01), p.stripe))
    for side in (-1, 1):
        for k in range(p.stripes):
            t = np.linspace(0.06, 0.72, 14)[:, None]
            middle = 0.2 + 0.035 * k + p.stripe_slant * t
            columns = middle + np.linspace(-0.009, 0.009, 4)
            s = columns if side > 0 else -columns[:, ::-1]
            result.append(Part("stripe", _patch(p, s, t, 0.005), p.stripe))
    return result


def _closure(p: ShoeParams) -> list[Part]:
    """Tongue, eyelet facings, crossed laces and a bow."""
    low = 0.44 if p.style in ("sneaker", "oxford") else 0.38
    t = np.linspace(low - 0.06, 1.0, 20)[:, None]
    tongue = _above(p, np.linspace(-0.035, 0.035, 9), t, 0.006)
    peak = tongue[-1] + np.linspace(0, 1, 7)[1:, None, None] * np.array([0.0, -0.025, 0.075])
    result = [Part("tongue", sheet(np.concatenate([tongue, peak]), 0.016), p.tongue)]
    eyelets = _eyelets(p, np.linspace(low, 0.95, p.eyelets))
    for side in (-1, 1):
        s = np.linspace(0.03, 0.075, 7) + 0.02 * (1 - t)
        facing = _patch(p, s if side > 0 else -s[:, ::-1], t, 0.012)
        result.append(Part("facing", facing, p.overlay))
    ring = solids.torus(0.013, 0.0045, segments=20, around=8)
    for place, normal in zip(eyelets.places.reshape(-1, 3), eyelets.normals.reshape(-1, 3), strict=True):
        result.append(Part("eyelet", ring.aimed(normal).moved(*place), p.metal))
    return [*result, Part("laces", joined(_laces(eyelets)), p.lace)]


@dataclass(frozen=True, slots=True)
class _Eyelets:
    """Rows of eyelets from the toe upwards: places and normals (2, R, 3), left first, and the middles'
    normals (R, 3)."""

    places: np.ndarray
    normals: np.ndarray
    middles: np.ndarray
    middle_normals: np.ndarray


def _eyelets(p: ShoeParams, rows: np.ndarray) -> _Eyelets:
    reach = 0.046 + 0.02 * (1 - rows)
    s = np.stack([-reach, reach])
    centre = np.zeros_like(rows)
    return _Eyelets(
        _above(p, s, rows, 0.014),
        _normals(p, s, rows + 0 * s),
        _above(p, centre, rows, 0.04),
        _normals(p, centre, rows),
    )


def _laces(eyelets: _Eyelets) -> list[Mesh]:
    flat = curves.superellipse(10, LACE_RADIUS, 0.6 * LACE_RADIUS, 2.5)
    result = []
    count = len(eyelets.middles)
    for row in range(count):
        left, right = eyelets.places[:, row]
        lift = 0.018 * eyelets.middle_normals[row]
        over = [0.75 * left + 0.25 * right + lift, 0.25 * left + 0.75 * right + lift]
        bar = curves.spline([left - 0.3 * lift, *over, right - 0.3 * lift], 18)
        result.append(solids.tube(bar, 1.0, section=flat, up=lift))
        if row + 1 == count:
            break
        for side, above in ((0, 0.8), (1, 1.3)):
            start, end = eyelets.places[side, row], eyelets.places[1 - side, row + 1]
            cross = curves.spline([start, 0.5 * (start + end) + above * lift, end], 14)
            result.append(solids.tube(cross, 1.0, section=flat, up=lift))
    return result + _bow(eyelets.middles[-1], eyelets.middle_normals[-1], flat)


def _bow(knot: np.ndarray, normal: np.ndarray, flat: np.ndarray) -> list[Mesh]:
    """Knot with two loops and two ends, lying on the instep."""
    # Towards the toe along the instep: what is left of -y without its part along the normal.
    down = np.array([0.0, -1.0, 0.0]) + normal * normal[1]
    down = down / np.linalg.norm(down)
    result = [solids.ellipsoid(0.02, 0.016, 0.014, 14).moved(*knot)]
    for side in (-1, 1):
        x = np.array([float(side), 0.0, 0.0])
        out = [
            knot + 0.06 * x + 0.022 * normal,
            knot + 0.12 * x + 0.03 * down,
            knot + 0.09 * x + 0.06 * down - 0.01 * normal,
        ]
        loop = curves.spline([knot, *out, knot + 0.012 * down], 26)
        drop = [
            knot + 0.035 * x + 0.05 * down + 0.01 * normal,
            knot + 0.075 * x + 0.12 * down - 0.02 * normal,
        ]
        end = curves.spline([knot, *drop], 16)
        result += [solids.tube(path, 1.0, section=flat, up=normal) for path in (loop, end)]
    return result
