"""Teddy bear: a sitting plush toy with pads, muzzle and button eyes, at times with a bow, scarf or patch."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TeddyBearParams:
    """Lengths in units of about the sitting bear's height; angles of a limb are away from the body."""

    plump: float
    head_size: float
    ear_size: float
    ear_spread_rad: float
    muzzle: float
    leg_spread_rad: float
    leg_length: float
    arm_lift_rad: tuple[float, float]
    arm_forward_rad: tuple[float, float]
    head_tilt_rad: float
    head_turn_rad: float
    wear: str
    belly: bool
    plush: Material
    pale: Material
    nose: Material
    eye: Material
    cloth: Material
    thread: Material


def teddy_bear_rand(rng: np.random.Generator) -> TeddyBearParams:
    shape, pose, skin = rng.spawn(3)
    hue, saturation, value = (
        (0.085, 0.55, 0.62), (0.07, 0.6, 0.42), (0.06, 0.5, 0.27), (0.1, 0.28, 0.86), (0.09, 0.4, 0.74),
        (0.0, 0.0, 0.5), (0.94, 0.3, 0.82), (0.58, 0.3, 0.65), (0.1, 0.04, 0.92),
    )[skin.integers(9)]  # fmt: skip
    colour = palette.hsv(hue + skin.uniform(-0.01, 0.01), saturation, value * skin.uniform(0.9, 1.08))
    plush = replace(
        material_rand(skin, ("plush",)),
        colour=colour,
        accent=palette.shaded(colour, 0.6),
    )
    light = palette.hsv(hue, 0.4 * saturation, min(0.95, value + 0.3))
    if value > 0.8:
        light = palette.hsv(hue, min(0.7, saturation + 0.25), 0.62 * value)
    cloth = material_rand(skin, ("fabric",))
    if skin.uniform() < 0.6:
        pattern = decoration_rand(
            skin, radius=0.15, low=-1.0, high=1.0, kinds=("stripes", "checks", "dots", "bands")
        )
        cloth = decorated(cloth, pattern)
    return TeddyBearParams(
        plump=shape.uniform(0.9, 1.15),
        head_size=shape.uniform(0.9, 1.12),
        ear_size=shape.uniform(0.07, 0.105),
        ear_spread_rad=shape.uniform(0.65, 0.85),
        muzzle=shape.uniform(0.85, 1.15),
        leg_spread_rad=pose.uniform(0.25, 0.6),
        leg_length=shape.uniform(0.26, 0.36),
        arm_lift_rad=(pose.uniform(0.35, 1.0), pose.uniform(0.35, 1.0)),
        arm_forward_rad=(pose.uniform(0.1, 0.9), pose.uniform(0.1, 0.9)),
        head_tilt_rad=pose.uniform(-0.22, 0.22),
        head_turn_rad=pose.uniform(-0.35, 0.35),
        wear=str(shape.choice(["nothing", "bow", "scarf", "scarf", "bow"])),
        belly=bool(shape.uniform() < 0.5),
        plush=plush,
        pale=replace(plush, colour=light, accent=palette.shaded(light, 0.8), bump=0.3 * plush.bump),
        nose=replace(material_rand(skin, ("leather", "plastic")), colour=palette.hsv(0.06, 0.4, 0.2)),
        eye=replace(
            material_rand(skin, ("plastic", "pane")),
            colour=palette.hsv(0.06, 0.5, skin.uniform(0.18, 0.3)),
            finish="glossy",
            roughness=0.15,
            bump=0.0,
        ),
        cloth=cloth,
        thread=replace(material_rand(skin, ("fabric",)), colour=palette.hsv(0.06, 0.4, 0.22)),
    )


def teddy_bear(p: TeddyBearParams) -> list[Part]:
    body = solids.lathe(_body_profile(p.plump), 64).scaled(1.0, 0.86, 1.0)
    result = [Part("body", body, p.plush)]
    if p.belly:
        patch = solids.ellipsoid(0.15 * p.plump, 0.05, 0.17, 40).moved(y=-0.162 * p.plump, z=0.235)
        result.append(Part("belly", patch, p.pale))
    for side in (-1, 1):
        result += _arm(p, side) + _leg(p, side)
    neck_z = 0.47
    turned = [
        Part(
            part.name,
            part.mesh.turned("y", p.head_tilt_rad).turned("z", p.head_turn_rad).moved(z=neck_z),
            part.material,
        )
        for part in _head(p)
    ]
    return result + turned + _neckwear(p, neck_z)


def _body_profile(plump: float) -> np.ndarray:
    points = [(0, 0.0), (0.12, 0.012), (0.2, 0.09), (0.215, 0.2), (0.185, 0.34), (0.13, 0.46), (0.05, 0.53),
              (0, 0.54)]  # fmt: skip
    profile = curves.spline(points, 40)
    return np.column_stack([np.maximum(profile[:, 0], 0) * plump, profile[:, 1]])


def _limb(path: np.ndarray, thick: float, end: float) -> Mesh:
    """A stuffed limb: rounded at both ends, from `thick` at the joint to `end` at the paw."""
    t = np.linspace(0, 1, len(path))
    rounding = np.sqrt(np.clip(1 - np.clip(np.abs(2 * t - 1) * 1.55 - 0.55, 0, 1) ** 2, 0.004, 1))
    return solids.tube(path, (thick + (end - thick) * t) * rounding, segments=28)


def _arm(p: TeddyBearParams, side: int) -> list[Part]:
    which = 0 if side < 0 else 1
    lift, forward = p.arm_lift_rad[which], p.arm_forward_rad[which]
    shoulder = np.array([side * 0.13 * p.plump, -0.02, 0.40])
    way = np.array(
        [side * math.sin(lift) * math.cos(forward), -math.sin(forward), -math.cos(lift) * math.cos(forward)]
    )
    hand = shoulder + 0.27 * way
    bend = shoulder + 0.14 * way + np.array([side * 0.03, 0.0, 0.01])
    path = curves.spline([shoulder, bend, hand], 28)
    pad = solids.ellipsoid(0.038, 0.038, 0.012, 24).aimed(way).moved(*(path[-1] + 0.0 * way))
    return [Part("arm", _limb(path, 0.066, 0.074), p.plush), Part("pad", pad, p.pale)]


def _leg(p: TeddyBearParams, side: int) -> list[Part]:
    out = p.leg_spread_rad
    way = np.array([side * math.sin(out), -math.cos(out), 0.0])
    hip = np.array([side * 0.1 * p.plump, -0.03, 0.085])
    foot = hip + p.leg_length * way
    path = curves.spline([hip, hip + 0.5 * p.leg_length * way, foot], 28)
    # A sole: taller than wide and flat, facing away from the body.
    sole = solids.ellipsoid(0.082, 0.1, 0.045, 36).aimed(way).moved(*np.add(foot, (0, 0, 0.02)))
    pad = solids.ellipsoid(0.056, 0.07, 0.02, 32).aimed(way).moved(*np.add(foot + 0.032 * way, (0, 0, 0.018)))
    return [
        Part("leg", _limb(path, 0.09, 0.088), p.plush),
        Part("foot", sole, p.plush),
        Part("pad", pad, p.pale),
    ]


def _head(p: TeddyBearParams) -> list[Part]:
    """The head with its chin at the origin."""
    r = 0.185 * p.head_size
    centre = np.array([0.0, -0.015, 0.8 * r])
    result = [Part("head", solids.ellipsoid(1.08 * r, 0.95 * r, r, 56).moved(*centre), p.plush)]
    for side in (-1, 1):
        way = np.array([side * math.sin(p.ear_spread_rad), 0.0, math.cos(p.ear_spread_rad)])
        place = centre + 0.98 * r * way
        ear = solids.ellipsoid(p.ear_size, 0.5 * p.ear_size, p.ear_size, 36)
        inner = solids.ellipsoid(0.68 * p.ear_size, 0.3 * p.ear_size, 0.68 * p.ear_size, 32)
        result.append(Part("ear", ear.moved(*place), p.plush))
        result.append(Part("inner ear", inner.moved(*np.add(place, (0, -0.3 * p.ear_size, 0))), p.pale))
        eye = solids.ellipsoid(0.026, 0.02, 0.028, 28)
        result.append(
            Part("eye", eye.moved(side * 0.42 * r, centre[1] - 0.84 * r, centre[2] + 0.22 * r), p.eye)
        )
    muzzle = np.array([0.0, centre[1] - 0.83 * r, centre[2] - 0.22 * r])
    width = 0.5 * r * p.muzzle
    result.append(Part("muzzle", solids.ellipsoid(width, 0.36 * r, 0.8 * width, 40).moved(*muzzle), p.pale))
    tip = np.add(muzzle, (0, -0.33 * r, 0.42 * width))
    result.append(Part("nose", solids.ellipsoid(0.15 * r + 0.008, 0.024, 0.021, 28).moved(*tip), p.nose))
    # Stitches on the muzzle's surface: a line down from the nose and a smile.
    line = np.array([(0.0, z) for z in np.linspace(0.25, -0.28, 8)]) * width
    smile = (
        np.array([(x, -0.28 - 0.22 * math.sin(math.pi * abs(x))) for x in np.linspace(-0.5, 0.5, 20)]) * width
    )
    for course in (line, smile):
        depth = (
            0.36
            * r
            * np.sqrt(np.clip(1 - (course[:, 0] / width) ** 2 - (course[:, 1] / (0.8 * width)) ** 2, 0, 1))
        )
        path = muzzle + np.column_stack([course[:, 0], -depth, course[:, 1]])
        result.append(Part("stitch", solids.tube(path, 0.0055, segments=8), p.thread))
    return result


def _neckwear(p: TeddyBearParams, neck_z: float) -> list[Part]:
    if p.wear == "nothing":
        return []
    band = curves.superellipse(20, 1.0, 1.7, 2.5)
    ring = solids.torus(0.125 * p.plump, 0.022 if p.wear == "bow" else 0.034, segments=64, section=band)
    result = [Part("band", ring.scaled(1.0, 0.95, 1.0).moved(z=neck_z - 0.02), p.cloth)]
    front = np.array([0.0, -0.15 * p.plump, neck_z - 0.03])
    if p.wear == "bow":
        for side in (-1, 1):
            loop = solids.ellipsoid(0.032, 0.028, 0.062, 28).aimed((side, 0.0, 0.12 * side))
            result.append(Part("bow", loop.moved(*np.add(front, (side * 0.06, 0, 0))), p.cloth))
        result.append(Part("knot", solids.ellipsoid(0.024, 0.03, 0.026, 24).moved(*front), p.cloth))
        return result
    knot = np.add(front, (0.05, 0.0, 0.0))
    for lean, reach in ((0.03, 0.2), (-0.02, 0.16)):
        path = curves.spline(
            [knot, np.add(knot, (lean, -0.05, -0.4 * reach)), np.add(knot, (1.6 * lean, -0.055, -reach))], 20
        )
        tail = solids.tube(path, 0.034, section=curves.superellipse(20, 1.0, 0.28, 3.0), up=(0.0, -1.0, 0.0))
        result.append(Part("tail", tail, p.cloth))
    return result
