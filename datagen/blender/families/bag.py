"""Bag: a handbag with a flap, a tote, a backpack or a duffel, of leather or cloth, with seams and buckles."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.cushion import cloth_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import bone, common, ripples, surface, waves_rand
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

Array = np.ndarray
STYLES = ("handbag", "handbag", "tote", "backpack", "backpack", "duffel")
FLAPPED = ("handbag", "backpack")


@dataclass(frozen=True, slots=True, kw_only=True)
class BagParams:
    """Half sizes of the body in x, y and z, before it bulges; the front looks towards -y. `flap` is how far
    a flap comes down the front, `sag` how soft the bag hangs."""

    style: str
    half: tuple[float, float, float]
    taper: float
    corner: float
    flap: float
    pocket: bool
    strap: float
    sag: float
    waves: tuple[tuple[float, float, float, float], ...]
    turn_rad: float
    body: Material
    trim: Material
    strap_stuff: Material
    metal: Material
    zip: Material


def bag_rand(rng: np.random.Generator) -> BagParams:
    shape, extras, skin = rng.spawn(3)
    style = STYLES[shape.integers(len(STYLES))]
    half = {
        "handbag": (shape.uniform(0.36, 0.46), shape.uniform(0.11, 0.17), shape.uniform(0.24, 0.34)),
        "tote": (shape.uniform(0.34, 0.44), shape.uniform(0.1, 0.16), shape.uniform(0.3, 0.4)),
        "backpack": (shape.uniform(0.28, 0.35), shape.uniform(0.16, 0.21), shape.uniform(0.4, 0.48)),
        "duffel": (shape.uniform(0.45, 0.52), shape.uniform(0.2, 0.26), shape.uniform(0.2, 0.26)),
    }[style]
    kinds = ("leather", "leather", "fabric") if style == "handbag" else ("fabric", "fabric", "leather")
    body = _cover(skin, kinds)
    trim = body if skin.uniform() < 0.4 else material_rand(skin, ("leather",))
    metals = ("steel", "brass", "gold", "nickel", "chromium")
    name = str(skin.choice(metals))
    metal = material_rand(skin, ("metal",))
    return BagParams(
        style=style,
        half=half,
        taper=shape.uniform(0.78, 1.02),
        corner=shape.uniform(0.05, 0.1),
        flap=shape.uniform(0.35, 0.75) if style in FLAPPED and extras.uniform() < 0.65 else 0.0,
        pocket=bool(style == "backpack" or extras.uniform() < 0.4),
        strap=shape.uniform(0.02, 0.035),
        sag=extras.uniform(0.004, 0.014) * (0.5 if body.kind == "leather" else 1.0),
        waves=waves_rand(extras, 5, 0.34),
        turn_rad=extras.uniform(-0.6, 0.6),
        body=body,
        trim=trim,
        strap_stuff=trim if skin.uniform() < 0.7 else _cover(skin, ("fabric",)),
        metal=replace(
            metal,
            colour=palette.METALS[name],
            accent=palette.shaded(palette.METALS[name], 0.6),
            finish="polished",
            roughness=skin.uniform(0.15, 0.3),
            bump=0.0,
        ),
        zip=replace(material_rand(skin, ("plastic",)), colour=palette.shaded(body.colour, 0.5)),
    )


def _cover(rng: np.random.Generator, kinds: tuple[str, ...]) -> Material:
    kind = kinds[rng.integers(len(kinds))]
    if kind == "fabric":
        cloth = cloth_rand(rng)
        return cloth if cloth.kind != "velvet" else material_rand(rng, ("leather",))
    stuff = material_rand(rng, ("leather",))
    if rng.uniform() < 0.35:
        plain = palette.hsv(
            rng.choice([0.08, 0.6]), rng.uniform(0.0, 0.1), float(rng.choice([0.16, 0.5, 0.9]))
        )
        return replace(stuff, colour=plain, accent=palette.shaded(plain, 0.7))
    return stuff


def bag(p: BagParams) -> list[Part]:
    x, y, z = p.half
    reach = max(p.half) + 0.1
    cell = 0.013
    parts = [
        Part(
            "body",
            surface(
                lambda q: _shell(q, p), (-x - 0.12, -y - 0.14, -0.06), (x + 0.12, y + 0.14, 2 * z + 0.1), cell
            ),
            p.body,
        )
    ]
    if p.style == "tote":
        parts = [
            Part(
                "body",
                surface(
                    lambda q: _open_shell(q, p),
                    (-x - 0.12, -y - 0.14, -0.06),
                    (x + 0.12, y + 0.14, 2 * z + 0.1),
                    0.011,
                ),
                p.body,
            )
        ]
    if p.flap:
        mesh = surface(lambda q: _flap(q, p), (-reach, -reach, 0.0), (reach, reach, 2 * z + 0.2), 0.011)
        parts.append(Part("flap", mesh, p.trim))
        parts += _clasp(p)
    if p.pocket:
        mesh = surface(lambda q: _pocket(q, p), (-x, -y - 0.25, 0.0), (x, 0.0, 2 * z), 0.012)
        parts.append(Part("pocket", mesh, p.body))
    parts += _seams(p)
    parts += {
        "handbag": _shoulder_strap,
        "tote": _tote_handles,
        "backpack": _backpack_straps,
        "duffel": _duffel_handles,
    }[p.style](p)
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    return [Part(q.name, q.mesh.moved(z=-lowest).turned("z", p.turn_rad), q.material) for q in parts]


def _box(q: Array, centre: tuple[float, float, float], half: Array, corner: float) -> Array:
    """A box with round edges; `half` may be one size for all points (3,) or one each (N, 3)."""
    away = np.abs(q - np.array(centre)) - (half - corner)
    outside = np.sqrt((np.maximum(away, 0) ** 2).sum(axis=1))
    return outside + np.minimum(away.max(axis=1), 0) - corner


def _shell(q: Array, p: BagParams, grow: float = 0.0) -> Array:
    x, y, z = p.half
    if p.style == "duffel":
        round_y = q * np.array([1.0, z / y, 1.0])
        roll = bone(round_y, (-x + 0.02, 0, z), (x - 0.02, 0, z), z)
        roll = common(roll, np.abs(q[:, 0]) - x, 0.05)
        # It lies on a flat underside.
        roll = common(roll, 0.035 - q[:, 2], 0.08)
        return roll - grow - p.sag * ripples(q, np.array(p.waves))
    rise = np.clip(q[:, 2] / (2 * z), 0, 1)
    half = np.empty_like(q)
    half[:, 0] = x * (1 - (1 - p.taper) * rise)
    # The top closes to a zip, or the load lies low: deeper below than above.
    close = {"handbag": 0.55, "backpack": 0.3, "tote": 0.25}[p.style]
    belly = np.sin(math.pi * np.clip(0.15 + 0.85 * rise, 0, 1))
    half[:, 1] = y * (1 - close * rise**2) * (0.86 + 0.22 * belly * (1 - 0.7 * (q[:, 0] / x) ** 2).clip(0, 1))
    half[:, 2] = z
    corner = min(p.corner, 0.4 * y) if p.style == "handbag" else min(0.11, 0.55 * y)
    if p.style == "backpack":
        half[:, 0] *= 1 - 0.25 * np.clip(rise - 0.7, 0, 1) / 0.3
        half[:, 2] = z * (1 - 0.08 * (q[:, 0] / x) ** 2)
    shape = _box(q, (0, 0, z), half, corner)
    return 0.85 * shape - grow - p.sag * ripples(q, np.array(p.waves)) * np.clip(q[:, 2] / 0.1, 0, 1)


def _open_shell(q: Array, p: BagParams) -> Array:
    whole = _shell(q, p)
    hollow = common(_shell(q, p, -0.02), 0.25 * p.half[2] - q[:, 2], 0.01)
    mouth = np.minimum(hollow, np.maximum(_shell(q, p, -0.02), 1.8 * p.half[2] - q[:, 2]))
    cut = 1.85 * p.half[2] + 0.02 * np.cos(q[:, 0] / p.half[0] * 2.2)
    return common(common(whole, -mouth, 0.006), q[:, 2] - cut, 0.005)


def _flap(q: Array, p: BagParams) -> Array:
    """A second layer over the top, down the front to a rounded edge and a hand's breadth down the back."""
    x, _, z = p.half
    layer = np.abs(_shell(q, p, 0.009)) - 0.0075
    low = 2 * z * (1 - p.flap)
    drop = low + 0.16 * (np.abs(q[:, 0]) / x) ** 3
    front = common(layer, drop - q[:, 2], 0.006)
    back = 2 * z * 0.9 - q[:, 2]
    keep = np.where(q[:, 1] < 0, -1.0, back)
    sides = np.abs(q[:, 0]) - 0.93 * x * (1 - (1 - p.taper) * np.clip(q[:, 2] / (2 * z), 0, 1))
    return common(common(front, keep, 0.006), sides, 0.006)


def _pocket(q: Array, p: BagParams) -> Array:
    x, y, z = p.half
    share = 0.72 if p.style == "backpack" else 0.6
    bulge = _box(q, (0, -0.98 * y, 0.62 * z), np.array([share * x, 0.3 * y, 0.46 * z]), 0.28 * y)
    return bulge - 0.7 * p.sag * ripples(q, np.array(p.waves))


def _front(p: BagParams, x: float, z: float, grow: float = 0.0) -> float:
    """y of the front surface at a place, by marching in from outside."""
    ys = np.linspace(-p.half[1] - 0.3, 0, 400)
    q = np.column_stack([np.full(400, x), ys, np.full(400, z)])
    values = _shell(q, p, grow)
    if p.pocket:
        values = np.minimum(values, _pocket(q, p))
    return float(ys[int(np.argmax(values < 0))])


def _top(p: BagParams, x: float, y: float = 0.0) -> float:
    zs = np.linspace(2 * p.half[2] + 0.2, 0, 400)
    values = _shell(np.column_stack([np.full(400, x), np.full(400, y), zs]), p)
    return float(zs[int(np.argmax(values < 0))])


def _ring(half_x: float, half_z: float, thick: float) -> Mesh:
    """A buckle's frame in the xz plane."""
    path = curves.rounded(
        [(half_x, -half_z), (half_x, half_z), (-half_x, half_z), (-half_x, -half_z)], 0.012, closed=True
    )
    return solids.tube(
        curves.in_plane(curves.resampled(path, 60, closed=True), "xz"), thick, segments=10, closed=True
    )


def _clasp(p: BagParams) -> list[Part]:
    x, _, z = p.half
    low = 2 * z * (1 - p.flap)
    result = []
    places = (0.0,) if p.style == "handbag" else (-0.45 * x, 0.45 * x)
    for at in places:
        edge = low + 0.16 * (abs(at) / x) ** 3
        y = _front(p, at, edge + 0.03, 0.017)
        if p.style == "handbag":
            plate = solids.box(0.085, 0.014, 0.06, 0.006).moved(at, y - 0.002, edge + 0.035)
            knob = solids.ellipsoid(0.014, 0.01, 0.014, 24).moved(at, y - 0.012, edge + 0.035)
            result += [Part("clasp", plate, p.metal), Part("clasp", knob, p.metal)]
            continue
        heights = np.linspace(edge + 0.1, max(edge - 0.15, 0.1), 20)
        path = np.array([(at, _front(p, at, h, 0.017 if h > edge else 0.003) - 0.008, h) for h in heights])
        path = curves.spline(path[::4], 40)
        belt = solids.tube(path, 1.0, section=curves.superellipse(16, 0.024, 0.005, 6.0), up=(0.0, -1.0, 0.0))
        middle = path[24]
        result.append(Part("strap", belt, p.strap_stuff))
        result.append(Part("buckle", _ring(0.036, 0.026, 0.006).moved(*(middle - [0, 0.008, 0])), p.metal))
    return result


def _seams(p: BagParams) -> list[Part]:
    """Piping where panels meet, and a zip where there is no flap."""
    x, _, z = p.half
    result = []
    if p.style != "tote" and not p.flap:
        span = 0.8 * x if p.style != "duffel" else 0.9 * x
        xs = np.linspace(-span, span, 40)
        path = np.column_stack([xs, np.zeros(40), [_top(p, float(at)) + 0.002 for at in xs]])
        path = curves.spline(path[::3], 60)
        tape = solids.tube(path, 1.0, section=curves.superellipse(14, 0.028, 0.006, 5.0))
        teeth = solids.tube(path, 1.0, section=curves.superellipse(12, 0.009, 0.01, 3.0))
        pull = solids.box(0.05, 0.016, 0.007, 0.003).turned("y", 0.35).moved(*(path[52] + [0, 0, 0.013]))
        result += [Part("zip", tape, p.zip), Part("teeth", teeth, p.metal), Part("pull", pull, p.metal)]
    if p.style in ("handbag", "backpack"):
        for side in (-1, 1):
            heights = np.linspace(0.12 * z, 1.85 * z, 30)
            path = np.array([_edge(p, float(h), side) for h in heights])
            path = curves.spline(path[::3], 50)
            result.append(Part("piping", solids.tube(path, 0.0075, segments=8), p.trim))
    return result


def _edge(p: BagParams, height: float, side: int) -> tuple[float, float, float]:
    """Where the front meets the side: first point met from outside along the diagonal."""
    t = np.linspace(1.35, 0, 400)
    q = np.column_stack([side * t * p.half[0], -t * p.half[1], np.full(400, height)])
    hit = q[int(np.argmax(_shell(q, p) < 0))]
    return float(hit[0]), float(hit[1]), float(hit[2])


def _band(
    points: Array, wide: float, thick: float, count: int = 60, up: tuple[float, float, float] = (0, 1, 0)
) -> Mesh:
    path = curves.resampled(curves.spline(points, 160), count)
    return solids.tube(path, 1.0, section=curves.superellipse(18, thick, wide, 5.0), up=up)


def _shoulder_strap(p: BagParams) -> list[Part]:
    x, _, z = p.half
    side = x * p.taper * 0.93
    top = _top(p, 0.85 * side)
    result = []
    rise = 2 * z + 0.2 + 6 * p.strap
    points = [
        (-side, 0, top - 0.06),
        (-side * 0.96, 0, top + 0.09),
        (-0.6 * side, 0, rise - 0.04),
        (0, 0, rise),
        (0.6 * side, 0, rise - 0.04),
        (side * 0.96, 0, top + 0.09),
        (side, 0, top - 0.06),
    ]
    result.append(Part("strap", _band(np.array(points, float), p.strap, 0.009), p.strap_stuff))
    for sign in (-1, 1):
        ring = (
            solids.torus(0.034, 0.0065, segments=40, around=10)
            .turned("x", math.pi / 2)
            .moved(sign * side * 0.985, 0, top + 0.02)
        )
        tab = solids.box(0.03, 1.7 * p.strap, 0.1, 0.008).moved(sign * side * 0.985, 0, top - 0.03)
        result += [Part("ring", ring, p.metal), Part("tab", tab, p.trim)]
    return result


def _tote_handles(p: BagParams) -> list[Part]:
    x, _, z = p.half
    result = []
    for side in (-1, 1):
        at = 0.42 * x
        low = 1.45 * z
        face = abs(_front(replace(p, pocket=False), at, low)) + 0.004
        lip = abs(_front(replace(p, pocket=False), at, 1.8 * z)) + 0.006
        points = [
            (-at, face, low),
            (-at, lip, 1.82 * z),
            (-0.75 * at, 0.75 * lip, 2.35 * z),
            (0, 0.6 * lip, 2.6 * z),
            (0.75 * at, 0.75 * lip, 2.35 * z),
            (at, lip, 1.82 * z),
            (at, face, low),
        ]
        handle = _band(np.array(points, float) * [1, side, 1], p.strap * 0.9, 0.008, 80, (1, 0, 0))
        result.append(Part("handle", handle, p.strap_stuff))
        for sign in (-1, 1):
            rivet = solids.ellipsoid(0.013, 0.007, 0.013, 20).moved(
                sign * at, side * (face + 0.008), low + 0.03
            )
            result.append(Part("rivet", rivet, p.metal))
    return result


def _backpack_straps(p: BagParams) -> list[Part]:
    x, y, z = p.half
    result = []
    top = _top(p, 0.0, 0.3 * y)
    loop = np.array(
        [
            (-0.3 * x, 0.35 * y, top - 0.03),
            (-0.22 * x, 0.35 * y, top + 0.07),
            (0, 0.35 * y, top + 0.1),
            (0.22 * x, 0.35 * y, top + 0.07),
            (0.3 * x, 0.35 * y, top - 0.03),
        ]
    )
    result.append(Part("handle", _band(loop, 0.028, 0.009), p.strap_stuff))
    for side in (-1, 1):
        points = np.array(
            [
                (0.38 * x * side, 0.75 * y, 1.75 * z),
                (0.5 * x * side, 1.25 * y, 1.55 * z),
                (0.68 * x * side, 1.42 * y, 0.95 * z),
                (0.75 * x * side, 1.1 * y, 0.35 * z),
                (0.72 * x * side, 0.7 * y, 0.2 * z),
            ]
        )
        result.append(Part("strap", _band(points, 0.05, 0.016, up=(1, 0, 0)), p.strap_stuff))
    return result


def _duffel_handles(p: BagParams) -> list[Part]:
    x, y, z = p.half
    result = []
    for side in (-1, 1):
        at = 0.4 * x
        angles = np.linspace(-0.35, 1.15, 12)
        up = [(at, side * (y * math.cos(a) + 0.006), z + (z + 0.008) * math.sin(a)) for a in angles]
        over = [(0.7 * at, side * 0.34 * y, 2 * z + 0.14), (0, side * 0.3 * y, 2 * z + 0.19)]
        half = np.array(up + over)
        points = np.vstack([half * [-1, 1, 1], half[-2::-1]])
        result.append(Part("handle", _band(points, p.strap, 0.009, 120, (1, 0, 0)), p.strap_stuff))
    for side in (-1, 1):
        ring = solids.torus(0.04, 0.007, segments=40, around=10).moved(side * 0.86 * x, 0, 0)
        ring = solids.torus(0.036, 0.007, segments=40, around=10).turned("x", math.pi / 2)
        result.append(Part("ring", ring.moved(side * (x - 0.02), 0, 1.75 * z), p.metal))
    return result
