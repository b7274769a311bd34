"""Table lamp: foot, turned or bent stem and a cloth shade, or a jointed desk lamp with a metal head."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

# Turned bodies between foot and socket: radius over relative height.
STEMS: dict[str, tuple[tuple[float, float], ...]] = {
    "column": ((0.045, 0.0), (0.035, 0.06), (0.028, 0.12), (0.024, 0.9), (0.034, 0.94), (0.02, 1.0)),
    "baluster": ((0.07, 0.0), (0.03, 0.1), (0.085, 0.3), (0.05, 0.52), (0.026, 0.7), (0.05, 0.82),
        (0.02, 1.0)),
    "gourd": ((0.11, 0.0), (0.19, 0.2), (0.15, 0.42), (0.07, 0.55), (0.1, 0.7), (0.05, 0.9), (0.02, 1.0)),
    "ginger": ((0.12, 0.0), (0.17, 0.2), (0.2, 0.52), (0.14, 0.78), (0.05, 0.9), (0.022, 1.0)),
    "spheres": ((0.05, 0.0), (0.1, 0.12), (0.04, 0.26), (0.09, 0.4), (0.04, 0.54), (0.075, 0.68),
        (0.03, 0.84), (0.02, 1.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLampParams:
    """Lengths in units of about the lamp's height. `desk` lamps use the joint angles, others stem and
    shade."""

    desk: bool
    foot_radius: float
    foot_height: float
    square_foot: bool
    stem: str
    stem_height: float
    stem_width: float
    shade_radii: tuple[float, float]
    shade_height: float
    pleats: tuple[int, float]
    square_shade: bool
    lower_lean_rad: float
    upper_lean_rad: float
    head_tilt_rad: float
    arm: float
    turn_rad: float
    base: Material
    body: Material
    shade: Material
    trim: Material
    cord: Material
    bulb: Material


def table_lamp_rand(rng: np.random.Generator) -> TableLampParams:
    shape, cloth, joints, skin = rng.spawn(4)
    stem = sorted(STEMS)[shape.integers(len(STEMS))]
    desk = shape.uniform() < 0.3
    body = material_rand(
        skin,
        ("painted", "car_paint", "metal", "plastic")
        if desk
        else ("ceramic", "ceramic", "wood", "metal", "stone", "painted", "glass", "coloured_glass"),
    )
    if body.kind == "ceramic" and skin.uniform() < 0.5:
        body = decorated(body, decoration_rand(skin, radius=0.16, low=0.05, high=0.5))
    shade = material_rand(skin, ("painted", "metal", "plastic")) if desk else material_rand(skin, ("sheer",))
    if not desk and skin.uniform() < 0.6:
        pale = palette.pale_rand(skin)
        shade = replace(shade, colour=pale, accent=palette.shaded(pale, 0.72))
    top = cloth.uniform(0.11, 0.24)
    if not desk and cloth.uniform() < 0.4:
        pattern = decoration_rand(
            skin, radius=top, low=-1.0, high=1.0, kinds=("stripes", "bands", "dots", "zigzag", "flowers")
        )
        shade = replace(shade, decoration=pattern)
    trim = material_rand(skin, ("metal",))
    return TableLampParams(
        desk=desk,
        foot_radius=shape.uniform(0.14, 0.2),
        foot_height=shape.uniform(0.02, 0.05),
        square_foot=shape.uniform() < 0.3,
        stem=stem,
        stem_height=shape.uniform(0.4, 0.58),
        stem_width=shape.uniform(0.8, 1.15),
        shade_radii=(max(0.24, top + cloth.uniform(0.0, 0.12)), top),
        shade_height=cloth.uniform(0.26, 0.38),
        pleats=(int(cloth.integers(36, 64)), 0.02) if cloth.uniform() < 0.3 else (0, 0.0),
        square_shade=cloth.uniform() < 0.2,
        lower_lean_rad=joints.uniform(-0.55, -0.1),
        upper_lean_rad=joints.uniform(0.5, 1.1),
        head_tilt_rad=joints.uniform(0.25, 0.75),
        arm=joints.uniform(0.42, 0.52),
        turn_rad=joints.uniform(-2.4, -0.7) if desk else joints.uniform(-math.pi, math.pi),
        base=trim if desk or skin.uniform() < 0.5 else material_rand(skin, ("wood", "stone", "metal")),
        body=body,
        shade=shade,
        trim=trim,
        cord=material_rand(skin, ("rubber",)),
        bulb=replace(material_rand(skin, ("translucent_plastic",)), colour=palette.hsv(0.12, 0.08, 0.95)),
    )


def table_lamp(p: TableLampParams) -> list[Part]:
    result = _desk_lamp(p) if p.desk else _shade_lamp(p)
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _shade_lamp(p: TableLampParams) -> list[Part]:
    widest = max(r for r, _ in STEMS[p.stem]) * p.stem_width
    result = [Part("foot", _foot(p, max(p.foot_radius, 0.9 * widest)), p.base)]
    stem = curves.spline(STEMS[p.stem], 80) * [p.stem_width, p.stem_height] + [0, p.foot_height]
    result.append(Part("stem", solids.lathe(np.vstack([(0, p.foot_height), stem]), 64), p.body))
    top = p.foot_height + p.stem_height
    socket = curves.rounded(
        [(0, 0), (0.024, 0), (0.026, 0.02), (0.02, 0.025), (0.022, 0.08), (0, 0.08)], 0.004
    )
    result.append(Part("socket", solids.lathe(socket, 32).moved(z=top - 0.005), p.trim))
    bulb = curves.spline([(0.016, 0.0), (0.02, 0.02), (0.042, 0.07), (0.03, 0.11), (0.0, 0.12)], 24)
    result.append(Part("bulb", solids.lathe(bulb, 32).moved(z=top + 0.07), p.bulb))
    low = top - 0.02 - 0.12 * p.shade_height
    high = low + p.shade_height
    result += [Part("shade", _shade(p).moved(z=low), p.shade)]
    bottom_radius, top_radius = p.shade_radii
    for z, radius in ((low, bottom_radius), (high, top_radius)):
        if not p.square_shade:
            ring = solids.torus(radius, 0.007, segments=96, around=8).moved(z=z)
            result.append(
                Part("hem", ring, p.trim if p.pleats[0] == 0 else replace(p.shade, decoration=None))
            )
    ring_height = high - 0.03
    reach = np.interp(ring_height, (low, high), p.shade_radii) - 0.004
    for k in range(3):
        angle = math.tau * (k + 0.25) / 3
        end = (reach * math.cos(angle), reach * math.sin(angle), ring_height)
        result.append(
            Part("spoke", solids.tube(curves.line((0, 0, ring_height), end), 0.004, segments=8), p.trim)
        )
    post = solids.tube(curves.line((0, 0, top + 0.17), (0, 0, high + 0.01)), 0.006, segments=10)
    finial = curves.spline([(0.012, 0), (0.008, 0.012), (0.02, 0.03), (0.008, 0.05), (0, 0.056)], 24)
    result.append(Part("post", post, p.trim))
    result.append(Part("finial", solids.lathe(finial, 24).moved(z=high + 0.005), p.trim))
    return result


def _foot(p: TableLampParams, radius: float) -> Mesh:
    h = p.foot_height
    if p.square_foot:
        return solids.extruded(
            curves.rectangle(1.8 * radius, 1.8 * radius, 0.02), h + 0.004, min(0.01, 0.4 * h)
        )
    profile = [
        (0, 0),
        (radius, 0),
        (radius, 0.55 * h),
        (0.9 * radius, 0.7 * h),
        (0.84 * radius, h),
        (0, h + 0.004),
    ]
    return solids.lathe(curves.rounded(profile, 0.012), 72)


def _shade(p: TableLampParams) -> Mesh:
    """Hollow cone or drum with a wall of cloth; the profile goes up outside and down inside."""
    (low, high), h, wall = p.shade_radii, p.shade_height, 0.006
    t = np.linspace(0, 1, 14)
    outside = np.column_stack([low + (high - low) * t, h * t])
    profile = np.vstack([outside, outside[::-1] - [wall, 0]])
    count = 96 if p.pleats[0] == 0 else 4 * p.pleats[0]
    outline = curves.superellipse(count, 1.0, 1.0, 7.0 if p.square_shade else 2.0)
    fold = 1 + p.pleats[1] * np.cos(p.pleats[0] * np.arange(count) * math.tau / count)
    rows = profile[:, None, :1] * (outline * fold[:, None])[None]
    heights = np.broadcast_to(profile[:, None, 1:], (*rows.shape[:2], 1))
    return solids.loft(np.concatenate([rows, heights], 2), loop=True)


def _desk_lamp(p: TableLampParams) -> list[Part]:
    """Two arms in the xz plane, each a pair of rods with a spring, and a bell-shaped head on the last
    joint."""
    radius = p.foot_radius
    result = [Part("foot", _foot(p, radius), p.body)]
    elbow0 = np.array([0.0, 0.0, p.foot_height + 0.05])
    lower = np.array([math.sin(p.lower_lean_rad), 0, math.cos(p.lower_lean_rad)])
    upper = np.array([math.sin(p.upper_lean_rad), 0, math.cos(p.upper_lean_rad)])
    elbow1 = elbow0 + p.arm * lower
    elbow2 = elbow1 + 0.92 * p.arm * upper
    post = curves.rounded([(0, 0), (0.035, 0), (0.022, 0.02), (0.02, 0.05), (0, 0.05)], 0.006)
    result.append(Part("post", solids.lathe(post, 32).moved(z=p.foot_height), p.trim))
    for start, end in ((elbow0, elbow1), (elbow1, elbow2)):
        for side in (-0.016, 0.016):
            rod = solids.tube(curves.line(start, end), 0.0085, segments=12)
            result.append(Part("rod", rod.moved(y=side), p.body if p.body.kind == "metal" else p.trim))
        result.append(Part("spring", _spring(start, end), p.trim))
    for elbow in (elbow0, elbow1, elbow2):
        disc = solids.extruded(curves.circle(32, 0.03), 0.06, 0.008).moved(z=-0.03).turned("x", math.pi / 2)
        result.append(Part("joint", disc.moved(*elbow), p.body))
        knob = solids.extruded(curves.circle(10, 0.016), 0.025, 0.004).turned("x", math.pi / 2)
        result.append(Part("knob", knob.moved(*(elbow + np.array([0, -0.028, 0]))), p.cord))
    down = np.array([math.sin(p.head_tilt_rad), 0.0, -math.cos(p.head_tilt_rad)])
    head = [
        (0, -0.01),
        (0.035, -0.01),
        (0.045, 0.01),
        (0.05, 0.06),
        (0.075, 0.09),
        (0.125, 0.16),
        (0.15, 0.23),
    ]
    outside = curves.spline(curves.rounded(head[1:], 0.01), 40)
    inside = outside[::-1][:-4] - [0.006, 0.0]
    profile = np.vstack([[(0, -0.01)], outside, inside, [(0, inside[-1, 1])]])
    lamp = np.vstack(
        [
            [(0.02, 0.03)],
            curves.spline([(0.02, 0.06), (0.026, 0.09), (0.05, 0.15), (0.03, 0.195), (0, 0.205)], 24),
        ]
    )
    place = elbow2 + 0.02 * down
    result.append(Part("head", solids.lathe(profile, 72).aimed(down).moved(*place), p.shade))
    result.append(Part("bulb", solids.lathe(lamp, 32).aimed(down).moved(*place), p.bulb))
    slack = curves.spline(
        [
            elbow2,
            elbow2 + np.array([-0.06, 0.03, -0.02]),
            0.5 * (elbow1 + elbow2) + [0, 0.035, -0.05],
            elbow1 + np.array([0.0, 0.045, 0.0]),
        ],
        32,
    )
    result.append(Part("cord", solids.tube(slack, 0.006, segments=8), p.cord))
    return result


def _spring(start: np.ndarray, end: np.ndarray) -> Mesh:
    t = np.linspace(0.12, 0.42, 140)
    direction = (end - start) / np.linalg.norm(end - start)
    aside = np.cross(direction, (0.0, 1.0, 0.0))
    angle = math.tau * 11 * np.linspace(0, 1, 140)[:, None]
    axis = start + t[:, None] * (end - start)
    return solids.tube(
        axis + 0.011 * (np.cos(angle) * aside + np.sin(angle) * np.array([0.0, 1.0, 0.0])), 0.003, segments=6
    )
