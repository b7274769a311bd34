"""Statue: a bust, a torso, an animal or an abstract form, of stone, plaster, bronze or ceramic."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families import mannequin_body, sculpted_head
from pairbridge.datagen.blender.families.mannequin_body import Figure
from pairbridge.datagen.blender.families.mannequin_pose import pose_rand
from pairbridge.datagen.blender.families.sculpted_head import HeadParams, head_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import (
    ball,
    beyond,
    bone,
    common,
    merged,
    ripples,
    surface,
    waves_rand,
)
from pairbridge.datagen.blender.modelling.meshes import Mesh, mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

Array = np.ndarray
STYLES = ("bust", "bust", "torso", "animal", "animal", "loop", "form", "pebbles")
# Bones as (start, end, radii, on both sides), about one unit high, looking towards -y.
Bones = tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], bool], ...]
ANIMALS: dict[str, Bones] = {
    "cat": (
        ((0, 0.18, 0.22), (0, 0.02, 0.52), (0.22, 0.16), False),
        ((0, -0.02, 0.55), (0, -0.12, 0.72), (0.14, 0.1), False),
        ((0, -0.15, 0.8), (0, -0.18, 0.81), (0.135,), False),
        ((0, -0.26, 0.765), (0, -0.3, 0.76), (0.06,), False),
        ((0.08, -0.14, 0.9), (0.105, -0.12, 1.02), (0.05, 0.012), True),
        ((0.085, -0.1, 0.5), (0.085, -0.17, 0.06), (0.075, 0.05), True),
        ((0.085, -0.18, 0.045), (0.085, -0.24, 0.04), (0.05,), True),
        ((0.18, 0.14, 0.2), (0.19, 0.0, 0.14), (0.14, 0.1), True),
        ((0.19, -0.02, 0.045), (0.19, -0.17, 0.04), (0.05,), True),
        ((0.02, 0.36, 0.08), (0.26, 0.34, 0.05), (0.055, 0.045), False),
        ((0.26, 0.34, 0.05), (0.34, 0.1, 0.045), (0.045, 0.03), False),
    ),
    "rabbit": (
        ((0, 0.2, 0.25), (0, -0.08, 0.32), (0.24, 0.17), False),
        ((0, -0.22, 0.56), (0, -0.31, 0.52), (0.14, 0.1), False),
        ((0, -0.14, 0.42), (0, -0.2, 0.52), (0.13, 0.12), False),
        ((0.06, -0.16, 0.66), (0.11, 0.02, 1.0), (0.045, 0.06, 0.02), True),
        ((0.09, -0.18, 0.26), (0.09, -0.28, 0.05), (0.08, 0.048), True),
        ((0.18, 0.16, 0.2), (0.19, 0.02, 0.13), (0.16, 0.11), True),
        ((0.19, 0.1, 0.05), (0.19, -0.15, 0.045), (0.055,), True),
        ((0, 0.44, 0.2), (0, 0.47, 0.22), (0.075,), False),
    ),
    "bird": (
        ((0, 0.16, 0.36), (0, -0.08, 0.6), (0.15, 0.2), False),
        ((0, -0.12, 0.72), (0, -0.17, 0.87), (0.13, 0.125), False),
        ((0, -0.28, 0.86), (0, -0.4, 0.82), (0.05, 0.012), False),
        ((0.16, -0.05, 0.6), (0.1, 0.42, 0.28), (0.08, 0.1, 0.025), True),
        ((0, 0.26, 0.3), (0, 0.62, 0.16), (0.08, 0.05), False),
        ((0.08, 0.04, 0.25), (0.08, 0.0, 0.04), (0.05, 0.03), True),
        ((0.08, 0.04, 0.03), (0.09, -0.1, 0.03), (0.03,), True),
    ),
    "bear": (
        ((0, 0.36, 0.48), (0, -0.18, 0.52), (0.22, 0.23), False),
        ((0, -0.2, 0.62), (0, -0.26, 0.6), (0.17,), False),
        ((0, -0.42, 0.58), (0, -0.56, 0.52), (0.17, 0.12), False),
        ((0, -0.6, 0.47), (0, -0.74, 0.44), (0.08, 0.06), False),
        ((0.11, -0.42, 0.72), (0.115, -0.41, 0.74), (0.045,), True),
        ((0.13, -0.2, 0.4), (0.14, -0.24, 0.07), (0.12, 0.085), True),
        ((0.14, -0.24, 0.06), (0.14, -0.32, 0.05), (0.07,), True),
        ((0.13, 0.36, 0.36), (0.14, 0.4, 0.07), (0.14, 0.085), True),
        ((0.14, 0.38, 0.06), (0.14, 0.3, 0.05), (0.07,), True),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatueParams:
    """`points` (x, y, z, radius) are an abstract form's; `chisel` is the depth of tool marks; `plinth` the
    kind of foot and its height."""

    style: str
    animal: str
    stout: float
    head: HeadParams
    tilt: tuple[float, float]
    figure: Figure
    arms: tuple[float, float]
    points: tuple[tuple[float, float, float, float], ...]
    holes: tuple[tuple[float, float, float, float], ...]
    softness: float
    chisel: float
    marks: tuple[tuple[float, float, float, float], ...]
    plinth: tuple[str, float]
    label: bool
    turn_rad: float
    stuff: Material
    base: Material
    plate: Material


def statue_rand(rng: np.random.Generator) -> StatueParams:
    shape, forms, feet, skin = rng.spawn(4)
    style = STYLES[shape.integers(len(STYLES))]
    stuff = _stuff(skin)
    return StatueParams(
        style=style,
        animal=str(shape.choice(sorted(ANIMALS))),
        stout=shape.uniform(0.85, 1.2),
        head=head_rand(shape, waves_rand(shape, 4, 0.5, (1.0, 1.0, 2.5))),
        tilt=(shape.uniform(-0.15, 0.2), shape.uniform(-0.45, 0.45)),
        figure=Figure(
            pose=pose_rand(shape), build=shape.uniform(0.95, 1.2), bust=float(shape.choice([0.0, 0.9]))
        ),
        arms=(shape.uniform(0.35, 0.7), shape.uniform(0.35, 0.7)),
        points=_points(forms, style),
        holes=tuple(
            (*forms.uniform(-0.16, 0.16, 2).tolist(), forms.uniform(0.3, 0.7), forms.uniform(0.1, 0.17))
            for _ in range(forms.integers(1, 3))
        ),
        softness=forms.uniform(0.08, 0.2),
        chisel=float(forms.choice([0.0, 0.0, 0.0022])) * forms.uniform(0.5, 1.0),
        marks=waves_rand(forms, 4, 0.06),
        plinth=(str(feet.choice(["block", "round", "step", "none"])), feet.uniform(0.05, 0.16)),
        label=bool(feet.uniform() < 0.4),
        turn_rad=feet.uniform(-0.6, 0.6),
        stuff=stuff,
        base=stuff if feet.uniform() < 0.35 else material_rand(skin, ("stone", "stone", "wood", "metal")),
        plate=material_rand(skin, ("metal",)),
    )


def _stuff(rng: np.random.Generator) -> Material:
    """Mostly white and grey: plaster, marble, concrete; else bronze, terracotta, glazed or painted."""
    kind = str(
        rng.choice(
            ["plaster", "plaster", "plaster", "stone", "stone", "alabaster", "patina", "bronze", "clay",
             "ceramic", "painted"]
        )
    )  # fmt: skip
    match kind:
        case "plaster":
            white = palette.hsv(rng.uniform(0.08, 0.14), rng.uniform(0.0, 0.1), rng.uniform(0.8, 0.95))
            stuff = material_rand(rng, ("painted",))
            rough, shade = rng.uniform(0.55, 0.85), palette.shaded(white, 0.85)
            return replace(stuff, colour=white, accent=shade, roughness=rough, coat=0.0, wear=0.0, edges=0.0)
        case "alabaster":
            white = palette.hsv(rng.uniform(0.07, 0.12), rng.uniform(0.02, 0.12), rng.uniform(0.82, 0.94))
            return replace(material_rand(rng, ("wax",)), colour=white, accent=palette.shaded(white, 0.85))
        case "patina":
            # Old casts are brown to black under wax, not the colour of bare bronze.
            brown = palette.hsv(rng.uniform(0.05, 0.1), rng.uniform(0.2, 0.5), rng.uniform(0.18, 0.3))
            stuff = material_rand(rng, ("painted",))
            bare = palette.METALS["bronze"]
            rough = rng.uniform(0.25, 0.45)
            return replace(stuff, colour=brown, accent=bare, roughness=rough, coat=0.3, wear=0.0, edges=0.6)
        case "bronze":
            stuff = material_rand(rng, ("metal",))
            colour = palette.METALS[str(rng.choice(["bronze", "brass", "iron", "aluminium"]))]
            # Copper's green stands in the hollows of old casts.
            green = palette.hsv(0.42, 0.25, 0.45) if rng.uniform() < 0.4 else palette.shaded(colour, 0.4)
            return replace(
                stuff, colour=colour, accent=green, finish="satin", roughness=rng.uniform(0.2, 0.5), bump=0.0
            )
        case "ceramic" | "painted":
            stuff = material_rand(rng, (kind,))
            value = float(rng.choice([0.95, 0.9, 0.55, 0.2]))
            plain = palette.hsv(rng.uniform(), rng.uniform(0.0, 0.08), value)
            return replace(stuff, colour=plain, accent=palette.shaded(plain, 0.8), finish="plain", wear=0.0)
    return material_rand(rng, (kind,))


def _points(rng: np.random.Generator, style: str) -> tuple[tuple[float, float, float, float], ...]:
    if style == "loop":
        count = rng.integers(5, 8)
        angle = np.arange(count) * math.tau / count + rng.uniform(-0.25, 0.25, count)
        reach = rng.uniform(0.22, 0.42, count)
        knots = np.column_stack(
            [
                reach * np.cos(angle),
                rng.uniform(-0.16, 0.16, count),
                0.5 + reach * np.sin(angle),
                rng.uniform(0.05, 0.14, count),
            ]
        )
        curve = curves.spline(knots, 18, closed=True)
        curve[:, 3] = np.maximum(curve[:, 3], 0.045)
        return tuple((x, y, z, r) for x, y, z, r in curve.tolist())
    if style == "pebbles":
        result, top = [], 0.0
        for index in range(rng.integers(3, 6)):
            radius = (0.34 - 0.055 * index) * rng.uniform(0.85, 1.1)
            flat = radius * rng.uniform(0.45, 0.62)
            result.append((*rng.uniform(-0.04, 0.04, 2).tolist(), top + flat, radius))
            top += 2 * flat * 0.97
        return tuple((x, y, z, r) for x, y, z, r in result)
    heights = np.linspace(0.15, 0.85, 5)
    return tuple((*rng.uniform(-0.16, 0.16, 2).tolist(), float(z), rng.uniform(0.12, 0.24)) for z in heights)


def statue(p: StatueParams) -> list[Part]:
    body = _body(p)
    low = body.vertices.min(axis=0)
    # Set level by a hair of depth, so that it stands on an area and not on one point.
    body = body.moved(z=-float(low[2]) - 0.004).turned("z", p.turn_rad)
    kind, height = p.plinth
    if kind == "none":
        return [Part("statue", body, p.stuff)]
    foot = body.vertices[body.vertices[:, 2] < 0.12 * float(np.ptp(body.vertices[:, 2]))]
    middle = (foot.min(axis=0) + foot.max(axis=0)) / 2
    body = body.moved(-float(middle[0]), -float(middle[1]))
    half = np.maximum(np.ptp(foot[:, :2], axis=0) / 2, 0.13) + 0.03
    result = [Part("statue", body.moved(z=height), p.stuff)]
    if kind == "round":
        radius = float(np.hypot(*half)) * 0.92
        foot = 1.08 * radius
        step = 0.35 * height
        profile = [(0, 0), (foot, 0), (foot, step), (radius, step + 0.01), (radius, height), (0, height)]
        result.append(Part("plinth", solids.lathe(curves.rounded(profile, 0.012), 96), p.base))
        front = -radius
    else:
        block = solids.box(2 * half[0], 2 * half[1], height, 0.01).moved(z=height / 2)
        result.append(Part("plinth", block, p.base))
        front = -float(half[1])
        if kind == "step":
            step = solids.box(2 * half[0] + 0.07, 2 * half[1] + 0.07, 0.04, 0.008).moved(z=0.0)
            result = [Part(part.name, part.mesh.moved(z=0.018), part.material) for part in result]
            result.append(Part("step", step.moved(z=0.02), p.base))
    if p.label and height > 0.08 and kind != "round":
        rise = 0.5 * height + (0.018 if kind == "step" else 0.0)
        plate = solids.box(min(0.16, half[0]), 0.008, 0.045, 0.003).moved(y=front, z=rise)
        result.append(Part("plate", plate, p.plate))
    return result


def _body(p: StatueParams) -> Mesh:
    if p.style == "bust":
        shape = surface(lambda q: _bust(q, p), (-1.6, -1.6, -3.0), (1.6, 1.8, 1.8), 0.06)
        return shape.scaled(0.2, 0.2, 0.2).at_rest()
    if p.style == "torso":
        shape = surface(lambda q: _torso(q, p), (-0.35, -0.3, 0.25), (0.35, 0.3, 1.0), 0.009)
        return shape.scaled(1.5, 1.5, 1.5).at_rest()
    if p.style == "pebbles":
        return surface(lambda q: _pebbles(q, p), (-0.5, -0.5, -0.05), (0.5, 0.5, 2.1), 0.016)
    if p.style == "animal":
        return surface(lambda q: _animal(q, p), (-0.5, -0.95, -0.1), (0.5, 0.8, 1.15), 0.014)
    return surface(lambda q: _abstract(q, p), (-0.65, -0.6, -0.2), (0.65, 0.6, 1.25), 0.015)


def _tooled(q: Array, p: StatueParams, scale: float) -> Array:
    return p.chisel * scale * ripples(q / scale, np.array(p.marks)) if p.chisel else np.zeros(len(q))


def _bust(q: Array, p: StatueParams) -> Array:
    """In half heights of the head, which is around the origin."""
    pivot = np.array([0.0, 0.15, -1.1])
    head = mesh(q - pivot, (), ()).turned("z", p.tilt[1]).turned("x", p.tilt[0])
    turned = head.vertices + pivot
    head = sculpted_head.face(turned, p.head)
    if p.head.hair != "none":
        head = merged(head, sculpted_head.hair(turned, p.head), 0.04)
    neck = bone(q, (0.0, 0.16, -0.5), (0.0, 0.22, -1.7), (0.42, 0.4, 0.5))
    chest = bone(q, (-0.95, 0.3, -2.05), (0.95, 0.3, -2.05), (0.42, 0.55, 0.42))
    chest = merged(chest, ball(q, (0.0, 0.12, -2.4), (1.1, 0.68, 0.75)), 0.3)
    # A bust ends in a curved cut, on a stem.
    cut = ball(q, (0.0, 0.2, -1.55), (1.25, 0.85, 1.15))
    shoulders = common(merged(neck, chest, 0.35), cut, 0.08)
    stem = common(bone(q, (0, 0.25, -2.2), (0, 0.25, -3.1), (0.4, 0.3, 0.45)), -2.85 - q[:, 2], 0.03)
    return merged(merged(shoulders, stem, 0.1), head, 0.12) - _tooled(q, p, 5.0)


def _torso(q: Array, p: StatueParams) -> Array:
    """A figure whose arms and legs are broken off, as antique ones are."""
    f = p.figure
    whole = mannequin_body.body(q, f)
    whole = common(whole, f.at(0, 0, -0.16)[2] - q[:, 2], 0.012)
    whole = common(whole, beyond(q, f.at(0, 0, 0.365), (0, -0.3, 1)), 0.012)
    for (side, j), share in zip(f.sides().items(), p.arms, strict=True):
        end = j.shoulder + share * (j.elbow - j.shoulder)
        gone = beyond(q, end, j.elbow - j.shoulder)
        # Only this side's arm: what lies beyond the cut, away from the trunk.
        limb = np.minimum(bone(q, end, j.elbow, 0.05), bone(q, j.elbow, j.wrist, 0.05))
        whole = common(whole, -common(-gone, limb, 0.004), 0.006) if side else whole
    return whole - _tooled(q, p, 0.6)


def _animal(q: Array, p: StatueParams) -> Array:
    side = q * 1.0
    side[:, 0] = np.abs(side[:, 0])
    result = None
    for start, end, radii, both in ANIMALS[p.animal]:
        limb = bone(side if both else q, start, end, np.array(radii) * p.stout)
        result = limb if result is None else merged(result, limb, 0.05)
    return common(result, -q[:, 2], 0.01) - _tooled(q, p, 1.0)


def _pebbles(q: Array, p: StatueParams) -> Array:
    result = None
    heights = [z for _, _, z, _ in p.points]
    for index, (x, y, z, radius) in enumerate(p.points):
        floor = 0.0 if index == 0 else 2 * (z - heights[index - 1])
        flat = z if index == 0 else min(0.62 * radius, max(0.4 * radius, 0.5 * floor))
        stone = ball(q, (x, y, z), (radius, radius * 0.86, flat))
        result = stone if result is None else np.minimum(result, stone)
    return result - _tooled(q, p, 1.0)


def _abstract(q: Array, p: StatueParams) -> Array:
    points = np.array(p.points)
    following = np.roll(points, -1, 0) if p.style == "loop" else points[1:]
    result = None
    for start, end in zip(points, following, strict=False):
        limb = bone(q, start[:3], end[:3], (start[3], end[3]))
        result = limb if result is None else merged(result, limb, p.softness if p.style == "form" else 0.05)
    if p.style == "form":
        for x, y, z, radius in p.holes:
            result = common(result, -bone(q, (x, -1.0, z), (y, 1.0, z), radius), 0.09)
    foot = ball(q, (points[points[:, 2].argmin(), 0], 0.0, points[:, 2].min() - 0.06), (0.17, 0.15, 0.1))
    result = merged(result, foot, 0.08)
    return common(result, points[:, 2].min() - 0.1 - q[:, 2], 0.01) - _tooled(q, p, 1.0)
