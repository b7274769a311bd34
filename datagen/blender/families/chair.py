"""Chair: seat on four legs with stretchers, and a back of slats, spindles, rungs or upholstery."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part

BACKS = ("slats", "spindles", "ladder", "panel", "splat", "shell")
LEGS = ("square", "turned", "tapered")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChairParams:
    """Lengths in units of the seat's height times two, so that a chair is about one unit high."""

    width: float
    depth: float
    seat_height: float
    seat_thickness: float
    taper: float
    legs: str
    leg_width: float
    splay: float
    stretchers: tuple[float, ...]
    back: str
    back_height: float
    back_lean: float
    back_count: int
    back_curve: float
    arms: bool
    cushion: float
    turned_beads: int
    frame: Material
    seat: Material
    upholstery: Material


def chair_rand(rng: np.random.Generator) -> ChairParams:
    shape, legs, back, skin = rng.spawn(4)
    style = BACKS[back.integers(len(BACKS))]
    frame = material_rand(skin, ("wood", "wood", "wood", "veneer", "painted", "metal"))
    upholstery = material_rand(skin, ("fabric", "fabric", "leather", "velvet"))
    if upholstery.kind == "fabric" and skin.uniform() < 0.5:
        pattern = decoration_rand(
            skin, radius=0.2, low=-9.0, high=9.0, kinds=("stripes", "checks", "dots", "flowers")
        )
        # Cloth lies flat: the pattern runs over the seat's own plane, in cells of a few hundredths.
        upholstery = replace(
            upholstery,
            decoration=replace(
                pattern, around=False, count=pattern.count * 1.6, rows=pattern.count * 1.6, low=-9.0, high=9.0
            ),
        )
    cushioned = style in ("panel", "shell") or shape.uniform() < 0.45
    return ChairParams(
        width=shape.uniform(0.4, 0.5),
        depth=shape.uniform(0.38, 0.46),
        seat_height=shape.uniform(0.4, 0.48),
        seat_thickness=shape.uniform(0.025, 0.045),
        taper=shape.uniform(0.78, 1.0),
        legs=LEGS[legs.integers(len(LEGS))],
        leg_width=legs.uniform(0.03, 0.045),
        splay=legs.uniform(0.0, 0.07),
        stretchers=tuple(legs.uniform(0.25, 0.6, legs.integers(0, 3)).tolist()),
        back=style,
        back_height=back.uniform(0.42, 0.58),
        back_lean=back.uniform(0.05, 0.13),
        back_count=int(back.integers(3, 8)),
        back_curve=back.uniform(0.0, 0.05),
        arms=bool(back.uniform() < 0.3),
        cushion=shape.uniform(0.03, 0.06) if cushioned else 0.0,
        turned_beads=int(legs.integers(2, 5)),
        frame=frame,
        seat=frame if skin.uniform() < 0.7 else material_rand(skin, ("wood", "veneer", "plastic", "painted")),
        upholstery=upholstery,
    )


def chair(p: ChairParams) -> list[Part]:
    post = p.leg_width if p.legs == "square" else 0.82 * p.leg_width
    feet, tops = _leg_lines(p)
    result = [Part("seat", _seat(p), p.seat)]
    for index, (foot, top) in enumerate(zip(feet, tops, strict=True)):
        result.append(
            Part("leg", _leg(p, foot, top).restarted((0.3 * index, 0.2 * index, 0.7 * index)), p.frame)
        )
    result += _stretchers(p, feet, tops)
    apron_height = 0.05
    for a, b in ((0, 1), (1, 3), (3, 2), (2, 0)):
        start, end = (tops[i] - [0, 0, 0.5 * apron_height + 0.002] for i in (a, b))
        result.append(Part("apron", _bar(start, end, 0.02, apron_height).restarted((a, b, 0)), p.frame))
    if p.cushion:
        pad = solids.cushion(0.93 * p.width, 0.92 * p.depth, p.cushion, corner=0.08, crown=0.35 * p.cushion)
        result.append(Part("cushion", _tapered(p, pad).grained("y").moved(z=p.seat_height), p.upholstery))
    return result + _back(p, post) + (_arms(p, post) if p.arms and p.back != "shell" else [])


def _leg_lines(p: ChairParams) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Feet and tops in the order front left, front right, back left, back right."""
    feet, tops = [], []
    under = p.seat_height - p.seat_thickness
    for y_sign in (-1, 1):
        for x_sign in (-1, 1):
            half = 0.5 * p.width * (p.taper if y_sign > 0 else 1.0) - 0.75 * p.leg_width
            y = y_sign * (0.5 * p.depth - 0.75 * p.leg_width)
            tops.append(np.array([x_sign * half, y, under + 0.004]))
            feet.append(np.array([x_sign * (half + p.splay), y + y_sign * p.splay, 0.0]))
    return feet, tops


def _tapered(p: ChairParams, part: Mesh) -> Mesh:
    """Narrower towards the back."""
    vertices = part.vertices.copy()
    vertices[:, 0] *= 1 + (p.taper - 1) * (vertices[:, 1] / p.depth + 0.5)
    return replace(part, vertices=vertices)


def _seat(p: ChairParams) -> Mesh:
    board = solids.extruded(
        curves.rectangle(p.width, p.depth, 0.05, steps=6), p.seat_thickness, 0.4 * p.seat_thickness
    )
    return _tapered(p, board).grained("x").moved(z=p.seat_height - p.seat_thickness)


def _leg(p: ChairParams, foot: np.ndarray, top: np.ndarray) -> Mesh:
    length = float(np.linalg.norm(top - foot))
    half = 0.5 * p.leg_width
    if p.legs == "square":
        return (
            solids.box(p.leg_width, p.leg_width, length, 0.006)
            .moved(z=length / 2)
            .aimed(top - foot)
            .moved(*foot)
        )
    z = np.linspace(0, 1, 60)
    radius = half * (0.62 + 0.45 * z)
    if p.legs == "turned":
        beads = np.abs(np.sin(math.pi * p.turned_beads * np.clip((z - 0.15) / 0.6, 0, 1)))
        radius = half * (0.75 + 0.4 * beads + 0.15 * z)
    profile = np.vstack([(0, 0), np.column_stack([radius, z * length]), (0, length)])
    return solids.lathe(profile, 24).aimed(top - foot).moved(*foot)


def _bar(start: np.ndarray, end: np.ndarray, thickness: float, height: float, bow: float = 0.0) -> Mesh:
    """Flat bar, upright in section; `bow` bends its middle backwards."""
    path = curves.line(start, end, 13)
    path[:, 1] += bow * (1 - np.linspace(-1, 1, 13) ** 2)
    return solids.tube(path, 0.5, section=curves.rectangle(thickness, height, 0.3 * thickness, steps=3))


def _stretchers(p: ChairParams, feet: list[np.ndarray], tops: list[np.ndarray]) -> list[Part]:
    result = []
    for number, t in enumerate(p.stretchers):
        for a, b in ((0, 2), (1, 3)) if number == 0 else ((0, 1), (2, 3)):
            start, end = (feet[i] + t * (tops[i] - feet[i]) for i in (a, b))
            rod = solids.tube(curves.line(start, end, 9), 0.011 + 0.005 * np.sin(np.linspace(0, math.pi, 9)))
            result.append(Part("stretcher", rod.restarted((a, t, b)), p.frame))
    return result


def _post_path(p: ChairParams, side: float, count: int = 16) -> np.ndarray:
    """Back post from the seat upwards, leaning back more and more; `side` in [-1, 1] goes across."""
    t = np.linspace(0, 1, count)
    x = side * (0.5 * p.width * p.taper - 0.75 * p.leg_width) * np.ones(count)
    y = 0.5 * p.depth - 0.75 * p.leg_width + p.back_lean * t**1.4 + p.back_curve * (1 - side**2)
    return np.column_stack([x, y, p.seat_height - 0.012 + (p.back_height + 0.012) * t])


def _back(p: ChairParams, post: float) -> list[Part]:
    if p.back == "shell":
        return [Part("shell", _shell(p), p.upholstery)]
    square = curves.rectangle(2.0, 2.0, 0.5, steps=3)
    section = square if p.legs == "square" else curves.circle(16)
    posts = [
        solids.tube(_post_path(p, side), np.linspace(0.5, 0.42, 16) * post, section=section, up=(0, -1, 0))
        for side in (-1, 1)
    ]
    result = [Part("post", mesh.restarted((k, 0.3, 0.1)), p.frame) for k, mesh in enumerate(posts)]
    left, right = _post_path(p, -1.0), _post_path(p, 1.0)

    def across(t: float, height: float, thickness: float) -> Mesh:
        at = [
            np.array([np.interp(t, np.linspace(0, 1, 16), path[:, k]) for k in range(3)])
            for path in (left, right)
        ]
        return _bar(at[0], at[1], thickness, height, p.back_curve).restarted((t, 3 * t, 0.4))

    result.append(Part("crest", across(0.95, 0.09 if p.back != "ladder" else 0.06, 0.026), p.frame))
    if p.back == "ladder":
        for t in np.linspace(0.22, 0.74, max(2, p.back_count - 3)):
            result.append(Part("rung", across(float(t), 0.05, 0.016), p.frame))
        return result
    result.append(Part("rail", across(0.12, 0.035, 0.02), p.frame))
    if p.back == "panel":
        result.append(Part("panel", _panel(p), p.upholstery))
        return result
    if p.back == "splat":
        result.append(Part("splat", _splat(p), p.frame))
        return result
    count = p.back_count if p.back == "slats" else p.back_count + 2
    for side in np.linspace(-1, 1, count + 2)[1:-1]:
        path = _post_path(p, float(side))[1:-1]
        if p.back == "slats":
            width = min(0.05, 0.5 * p.width / count)
            mesh = solids.tube(path, 0.5, section=curves.rectangle(width, 0.014, 0.004), up=(0, -1, 0))
        else:
            mesh = solids.tube(path, 0.0085 + 0.004 * np.sin(np.linspace(0, math.pi, len(path))), segments=12)
        result.append(Part("slat", mesh.restarted((side, 2 * side, 3 * side)), p.frame))
    return result


def _splat(p: ChairParams) -> Mesh:
    """One wide, waisted board in the middle of the back."""
    path = _post_path(p, 0.0, 24)[2:-1]
    width = (
        0.07 + 0.03 * np.cos(np.linspace(0, 2 * math.tau, len(path))) + 0.02 * np.linspace(0, 1, len(path))
    )
    tangent = np.gradient(path, axis=0)
    normal = np.cross((1.0, 0, 0), tangent)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    base = curves.rectangle(1.0, 1.0, 0.12, steps=3)
    rows = (
        path[:, None]
        + base[None, :, :1] * width[:, None, None] * [1.0, 0, 0]
        + base[None, :, 1:] * 0.014 * normal[:, None]
    )
    return loft(rows[:, ::-1])


def _panel(p: ChairParams) -> Mesh:
    """Upholstered pad that fills the frame of the back, leaning with it."""
    width = 2 * (0.5 * p.width * p.taper - 0.75 * p.leg_width) - 0.035
    height = 0.68 * p.back_height
    pad = solids.cushion(width, height, 0.05, corner=0.06, crown=0.02)
    middle = _post_path(p, 0.0)[8]
    lean = math.atan2(p.back_lean, p.back_height)
    pad = pad.turned("x", math.pi / 2 - lean)
    return pad.moved(0, middle[1] - p.back_curve + 0.02, p.seat_height + 0.52 * p.back_height).grained("y")


def _shell(p: ChairParams) -> Mesh:
    """Padded back that wraps around the sitter: a bent, thick slab standing on the seat."""
    angle = np.linspace(-1.0, 1.0, 33)
    half, rows = 0.5 * p.width * 0.98, []
    for t in np.linspace(0, 1, 15):
        fall = 1 - 0.45 * np.abs(angle) ** 3 * t
        x = half * np.sin(angle * 1.45) / math.sin(1.45) * (1 - 0.06 * t)
        y = 0.5 * p.depth + p.back_lean * t - 0.36 * p.depth * (1 - np.cos(angle * 1.45))
        z = p.seat_height - 0.02 + (0.85 * p.back_height + 0.02) * t * fall
        rows.append(np.column_stack([x, y, z]))
    return _padded(np.stack(rows), 0.045)


def _padded(grid: np.ndarray, thickness: float) -> Mesh:
    """Sheet with a thickness that swells in the middle and rounds off towards its edges."""
    rows, columns = grid.shape[:2]
    normal = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    edge = np.minimum.outer(_rounding(rows), _rounding(columns))[..., None]
    front, back = grid + 0.5 * thickness * edge * normal, grid - 0.5 * thickness * edge * normal
    # Rings across the slab, front then back; the first and last are nearly flat, so their caps do not show.
    return loft(np.concatenate([front, back[:, ::-1]], 1))


def _rounding(count: int) -> np.ndarray:
    distance = 1 - np.abs(np.linspace(-1, 1, count))
    return np.clip(np.sqrt(np.clip(distance / 0.18, 0.0, 1.0)), 0.04, 1.0)


def _arms(p: ChairParams, post: float) -> list[Part]:
    result = []
    for side in (-1, 1):
        rear = _post_path(p, float(side))[7]
        front = np.array([side * (0.5 * p.width - 0.02), -0.32 * p.depth, p.seat_height + 0.2])
        rest = curves.spline(
            [rear, 0.5 * (rear + front) + np.array([side * 0.03, 0, 0.01]), front + np.array([0, -0.03, 0])],
            20,
        )
        section = curves.superellipse(20, 0.026, 0.014, 3.0)
        result.append(Part("arm", solids.tube(rest, 1.0, section=section), p.frame))
        support = curves.spline(
            [
                [front[0] - side * 0.015, front[1] + 0.06, p.seat_height - 0.02],
                [front[0], front[1] + 0.05, p.seat_height + 0.1],
                front + np.array([0, 0.02, 0]),
            ],
            14,
        )
        result.append(Part("support", solids.tube(support, 0.42 * post, segments=14), p.frame))
    return result
