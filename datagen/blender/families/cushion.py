"""Cushion: a pillow with piping or tufts, a bolster, a round pouf, or a stack of folded towels."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import ripples, waves_rand
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

Array = np.ndarray
STYLES = ("pillow", "pillow", "pillow", "round", "bolster", "folded", "folded")
SIDE = 56  # cells along a pillow's edge


@dataclass(frozen=True, slots=True, kw_only=True)
class CushionParams:
    """Lengths in units of the longer side. `pinch` draws the middles of the edges in, `dents` are (x, y,
    depth, width) of what pressed into it; `layers` are a towel's folds, one list entry a towel."""

    style: str
    length: float
    thick: float
    pinch: float
    fullness: float
    dents: tuple[tuple[float, float, float, float], ...]
    tufts: int
    piping: float
    tassels: bool
    creases: float
    waves: tuple[tuple[float, float, float, float], ...]
    layers: tuple[int, ...]
    turn_rad: float
    cloth: Material
    back: Material
    trim: Material
    others: tuple[Material, ...]


def cushion_rand(rng: np.random.Generator) -> CushionParams:
    shape, extras, skin = rng.spawn(3)
    style = STYLES[shape.integers(len(STYLES))]
    cloth = cloth_rand(skin)
    if skin.uniform() < 0.4:
        pattern = decoration_rand(skin, radius=0.3, low=-9.0, high=9.0)
        count = skin.uniform(5, 18)
        cloth = decorated(cloth, replace(pattern, count=count, rows=count, around=False))
    towels = int(shape.integers(1, 4))
    return CushionParams(
        style=style,
        length=shape.uniform(0.6, 1.0),
        thick=shape.uniform(0.13, 0.21),
        pinch=shape.uniform(0.03, 0.08),
        fullness=shape.uniform(0.35, 0.6),
        dents=tuple(
            (*extras.uniform(-0.2, 0.2, 2).tolist(), extras.uniform(0.15, 0.4), extras.uniform(0.12, 0.3))
            for _ in range(extras.integers(0, 3))
        ),
        tufts=int(extras.choice([0, 0, 1, 4])),
        piping=float(extras.choice([0.0, 1.0, 1.0])) * extras.uniform(0.005, 0.008),
        tassels=bool(extras.uniform() < 0.25),
        creases=extras.uniform(0.006, 0.016),
        waves=waves_rand(extras, 5, 0.3),
        layers=tuple(int(n) for n in shape.integers(2, 5, towels)),
        turn_rad=shape.uniform(-0.7, 0.7),
        cloth=cloth,
        back=cloth if skin.uniform() < 0.6 else cloth_rand(skin),
        trim=replace(cloth, decoration=None)
        if skin.uniform() < 0.5
        else material_rand(skin, ("leather", "fabric", "metal", "wood", "plastic")),
        others=tuple(cloth_rand(skin) for _ in range(3)),
    )


def cloth_rand(rng: np.random.Generator) -> Material:
    """Furnishing cloth or leather: mostly undyed, white, grey, beige or dark, woven at a thread a millimetre
    or two."""
    stuff = material_rand(rng, ("fabric", "fabric", "fabric", "fabric", "fabric", "velvet", "leather"))
    pick = rng.uniform()
    if pick < 0.7 and stuff.kind == "fabric":
        hue, saturation = rng.choice([0.09, 0.11, 0.6]), rng.uniform(0.01, 0.18)
        colour = palette.hsv(hue, saturation, float(rng.choice([0.2, 0.35, 0.55, 0.75, 0.88, 0.94])))
    else:
        colour = stuff.colour
    if stuff.kind != "fabric":
        return stuff
    return replace(
        stuff,
        colour=colour,
        accent=palette.shaded(colour, rng.uniform(0.65, 0.85)),
        scale=rng.uniform(90, 260),
        bump=rng.uniform(0.0008, 0.002),
    )


def cushion(p: CushionParams) -> list[Part]:
    build = {"pillow": _pillow, "round": _round, "bolster": _bolster, "folded": _folded}[p.style]
    parts = [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in build(p)]
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    return [Part(part.name, part.mesh.moved(z=-lowest), part.material) for part in parts]


def _flat(mesh: Mesh) -> Mesh:
    """Texture coordinates whose x and z lie in the cloth's plane, where patterns are drawn."""
    return replace(mesh, rest=mesh.vertices[:, [0, 2, 1]].copy())


def _outline(p: CushionParams, u: Array, v: Array) -> tuple[Array, Array]:
    x = u * (1 - p.pinch * (1 - v * v)) * 0.5
    y = v * (1 - p.pinch * (1 - u * u)) * 0.5 * p.length
    return x, y


def _height(p: CushionParams, u: Array, v: Array, side: float) -> Array:
    """Height of the upper (1) or lower (-1) cloth above the seam, with creases that run into it."""
    full = np.maximum((1 - u * u) * (1 - v * v), 0.0) ** p.fullness
    x, y = 0.5 * u, 0.5 * p.length * v
    at = np.stack([x, y, np.full_like(x, 0.4 * side)], -1).reshape(-1, 3)
    crease = ripples(at, np.array(p.waves)).reshape(x.shape)
    # Stuffing draws cloth into short folds along the seam.
    seam = np.maximum(np.abs(u), np.abs(v)) ** 6
    along = np.where(np.abs(u) > np.abs(v), y, x)
    gather = np.sin(along * 95 + 3 * crease) * seam * (1 - seam)
    height = p.thick * full + (p.creases * crease + 0.35 * p.creases * gather) * np.minimum(1, 3 * full)
    if side > 0:
        for place_x, place_y, depth, width in p.dents:
            away2 = (x - place_x) ** 2 + (y - place_y) ** 2
            height = height * (1 - depth * np.exp(-away2 / (2 * width * width)))
    for tuft_x, tuft_y in _tufts(p):
        away = np.hypot(x - tuft_x, y - tuft_y)
        height = height * (1 - 0.62 * np.exp(-away / 0.075))
    return side * height


def _tufts(p: CushionParams) -> list[tuple[float, float]]:
    if p.tufts == 4:
        return [(i * 0.18, j * 0.18 * p.length) for i in (-1, 1) for j in (-1, 1)]
    return [(0.0, 0.0)] * p.tufts


def _pillow(p: CushionParams) -> list[Part]:
    # Even steps of an angle crowd the cells towards the seam, where the cloth turns.
    step = np.sin(np.linspace(-math.pi / 2, math.pi / 2, SIDE + 1)) * 0.999
    v, u = np.meshgrid(step, step, indexing="ij")
    x, y = _outline(p, u, v)
    halves = []
    for side, name, stuff in ((1.0, "front", p.cloth), (-1.0, "back", p.back)):
        z = _height(p, u, v, side)
        seam = 0.003 * side
        grid = np.stack([x, y, z + seam], -1)
        below = np.stack([x, y, np.full_like(x, -0.002 * side)], -1)
        # Each row runs over the cloth and home through the seam's plane, which makes the half a closed body.
        ring = np.concatenate([grid, below[:, ::-1]], axis=1)
        mesh = loft(ring if side > 0 else ring[::-1])
        halves.append(Part(name, _flat(mesh), stuff))
    result = halves
    edge = np.linspace(-1, 1, 24)[:-1]
    corners = [(edge, -np.ones(23)), (np.ones(23), edge), (-edge, np.ones(23)), (-np.ones(23), -edge)]
    border = np.vstack([np.column_stack([*_outline(p, a, b), np.zeros(23)]) for a, b in corners])
    if p.piping:
        path = curves.resampled(curves.rounded(border, 0.02, steps=2, closed=True), 220, closed=True)
        result.append(Part("piping", solids.tube(path, p.piping, segments=10, closed=True), p.trim))
    for x0, y0 in _tufts(p):
        for side in (1.0, -1.0):
            u0, v0 = np.array([[2 * x0]]), np.array([[2 * y0 / p.length]])
            z = float(_height(p, u0, v0, side)[0, 0])
            button = solids.ellipsoid(0.024, 0.024, 0.011, 24).moved(x0, y0, z + 0.004 * side)
            result.append(Part("button", button, p.trim))
    if p.tassels:
        for corner_x, corner_y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            x0, y0 = (float(c[0]) for c in _outline(p, np.array([corner_x]), np.array([corner_y])))
            result += _tassel(p, x0, y0)
    return result


def _tassel(p: CushionParams, x: float, y: float) -> list[Part]:
    out = np.array([x, y, 0.0]) / math.hypot(x, y)
    aside = np.array([-out[1], out[0], 0.0])
    start = np.array([x, y, 0.0])
    result = [Part("tassel", solids.ellipsoid(0.015, 0.015, 0.017, 20).moved(*(start + 0.015 * out)), p.trim)]
    for index in range(9):
        angle = index * math.tau / 8
        spread = 0.011 * (index > 0)
        end = start + (0.085 + 0.006 * (index % 3)) * out
        end = end + spread * (math.cos(angle) * aside + np.array([0, 0, math.sin(angle)]))
        end[2] -= 0.02
        root = start + 0.02 * out + 0.4 * spread * math.cos(angle) * aside
        path = curves.spline([root, 0.5 * (root + end) + [0, 0, 0.008], end], 8)
        result.append(Part("tassel", solids.tube(path, 0.0042, segments=8), p.trim))
    return result


def _round(p: CushionParams) -> list[Part]:
    """A flat round pouf with a gathered middle and a band around it."""
    radius, half = 0.5, 1.2 * p.thick
    angle = np.arange(160) * math.tau / 160
    rows = []
    for t in np.linspace(-math.pi / 2, math.pi / 2, 60):
        away, rise = np.abs(np.cos(t)) ** 0.55, np.sign(math.sin(t)) * abs(math.sin(t)) ** 0.8
        middle = math.exp(-((away / 0.3) ** 2))
        pleat = 1 + 0.018 * np.cos(24 * angle) * abs(math.sin(t)) * (1 - 0.8 * middle)
        z = half * rise * (1 - 0.45 * middle) * pleat
        at = np.column_stack(
            [0.5 * away * np.cos(angle), 0.5 * away * np.sin(angle), np.full(160, 0.3 * rise)]
        )
        z = z + p.creases * 0.6 * ripples(at, np.array(p.waves)) * (1 - middle)
        ring = max(radius * away, 0.002)
        rows.append(np.column_stack([ring * np.cos(angle), ring * np.sin(angle), z]))
    result = [Part("front", _flat(loft(np.array(rows))), p.cloth)]
    for side in (-1, 1):
        top = half * 0.55
        result.append(Part("button", solids.ellipsoid(0.035, 0.035, 0.014, 28).moved(z=side * top), p.trim))
        if p.piping:
            ring = solids.torus(radius * 0.955, 1.2 * p.piping, segments=140, around=10)
            result.append(Part("piping", ring.moved(z=side * half * 0.5), p.trim))
    return result


def _bolster(p: CushionParams) -> list[Part]:
    """A roll, gathered at both ends around a button."""
    radius = 0.75 * p.thick + 0.05
    half = [(0.0, 0.02), (0.3, 0.0), (0.8, -0.008), (1.0, 0.03), (1.03, 0.15)]
    profile = [*half, (1.0, 0.5), *((r, 1 - z) for r, z in half[::-1])]
    curve = curves.spline(profile, 90) * [radius, 1.0]
    body = solids.lathe(np.maximum(curve, [0.0, -1.0]), 120)
    vertices = body.vertices + 0
    lift = p.creases * 0.5 * ripples(vertices, np.array(p.waves))
    length = np.maximum(np.hypot(vertices[:, 0], vertices[:, 1]), 1e-6)
    share = 1 + lift / length * np.clip(length / radius, 0, 1) ** 2
    body = replace(body, vertices=vertices * np.column_stack([share, share, np.ones(len(share))]))
    result = [Part("front", body.moved(z=-0.5).at_rest().turned("y", math.pi / 2), p.cloth)]
    for side in (-1, 1):
        button = solids.ellipsoid(0.022, 0.022, 0.01, 24).turned("y", math.pi / 2).moved(x=side * 0.49)
        result.append(Part("button", button, p.trim))
        if p.piping:
            ring = solids.torus(0.995 * radius, p.piping, segments=110, around=10).turned("y", math.pi / 2)
            result.append(Part("piping", ring.moved(x=side * 0.475), p.trim))
    return result


def _folded(p: CushionParams) -> list[Part]:
    result, floor = [], 0.0
    stuffs = (p.cloth, *p.others)
    for number, layers in enumerate(p.layers):
        thick = 0.028 + 0.06 * p.thick
        mesh = _towel(p, layers, thick, number)
        shrink = 1 - 0.05 * number
        mesh = mesh.scaled(shrink, shrink, 1.0).turned("z", 0.08 * math.sin(2.3 * number + p.turn_rad))
        low, high = float(mesh.vertices[:, 2].min()), float(mesh.vertices[:, 2].max())
        result.append(Part(f"towel {number}", mesh.moved(z=floor - low), stuffs[number]))
        floor += high - low - 0.012
    return result


def _towel(p: CushionParams, layers: int, thick: float, number: int) -> Mesh:
    """Cloth folded to and fro: a ribbon through all layers, swept along y."""
    half = 0.42
    path = []
    for layer in range(layers):
        ends = (-half, half) if layer % 2 == 0 else (half, -half)
        z = layer * thick * 1.06
        last = 1.0 if layer < layers - 1 else 0.93
        path += [(x * last, z) for x in np.linspace(*ends, 26)]
        if layer < layers - 1:
            side = math.copysign(1.0, ends[1])
            path += [
                (side * (half + 0.53 * thick * math.sin(a)), z + 0.53 * thick * (1 - math.cos(a)))
                for a in np.linspace(0.3, math.pi - 0.3, 7)
            ]
    line = curves.resampled(np.array(path), 60 * layers)
    forward = np.gradient(line, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    normal = np.column_stack([-forward[:, 1], forward[:, 0]])
    taper = np.sqrt(np.clip(1 - np.linspace(-1, 1, len(line)) ** 40, 0.02, 1))[:, None]
    outline = np.vstack([line - 0.5 * thick * taper * normal, (line + 0.5 * thick * taper * normal)[::-1]])
    reach = 0.32 * p.length + 0.05
    rows = []
    for t in np.linspace(-1, 1, 44):
        # The two cut edges are rounded like a hem: the ribbon gets thin there.
        ease = math.sqrt(max(1 - abs(t) ** 30, 0.04))
        middle = np.vstack([line, line[::-1]])
        ring = middle + ease * (outline - middle)
        at = np.column_stack([ring[:, 0], np.full(len(ring), t * reach), 2.0 * ring[:, 1] + number])
        lift = 0.7 * p.creases * ripples(at, np.array(p.waves)) * (0.3 + ring[:, 1] / (layers * thick))
        slip = 0.012 * np.sin(5.0 * ring[:, 1] / thick + number)
        rows.append(np.column_stack([ring[:, 0], t * reach + slip * abs(t), ring[:, 1] + lift]))
    return _flat(loft(np.array(rows)[::-1]))
