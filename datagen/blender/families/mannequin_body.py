"""A mannequin's body as soft fields over its joints, hands and feet, shared with what it wears."""

import math
from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.blender.families.mannequin_pose import (
    FOOT,
    HEAD,
    NECK_RISE,
    Joints,
    Pose,
    joints,
    spine_point,
)
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import ball, beyond, bone, common, merged
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft

Array = np.ndarray

# Bones across the trunk from hips to shoulders: rise above the hips, half length, radius, how far forward.
TRUNK_BONES = (
    (0.0, 0.032, 0.059, 0.0),
    (0.05, 0.03, 0.055, 0.002),
    (0.1, 0.024, 0.046, 0.003),
    (0.15, 0.028, 0.046, 0.003),
    (0.2, 0.037, 0.053, 0.004),
    (0.245, 0.05, 0.05, 0.002),
    (0.285, 0.074, 0.033, -0.004),
)
THIGH_RADII = (0.056, 0.055, 0.049, 0.041, 0.036)
SHIN_RADII = (0.035, 0.04, 0.036, 0.027, 0.022)
ARM_RADII = (0.03, 0.031, 0.028, 0.025)
FOREARM_RADII = (0.024, 0.026, 0.022, 0.017, 0.0145)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`build` scales thickness, `bust` (0 to 1) rounds the chest; lengths are of the height."""

    pose: Pose
    build: float
    bust: float

    def sides(self) -> dict[int, Joints]:
        return {side: joints(self.pose, side) for side in (-1, 1)}

    def at(self, x: float, y: float, rise: float) -> Array:
        return spine_point(self.pose, x, y, rise)

    def head_centre(self) -> Array:
        return self.at(0.0, -0.012, NECK_RISE + 0.035 + HEAD)


def _grown(radii: tuple[float, ...], build: float, ease: float) -> Array:
    return np.array(radii) * build + ease


def trunk(q: Array, f: Figure, ease: float = 0.0, slack: float = 0.0) -> Array:
    """Hips to shoulders, `ease` wider; with `slack` 1 cloth falls from chest to hips without a waist."""
    result = None
    for rise, half, radius, forward in TRUNK_BONES:
        waist = max(0.0, 1 - abs(rise - 0.11) / 0.1) * slack
        thick = (radius + 0.008 * waist) * f.build + ease
        wide = (half + 0.007 * waist) * f.build
        across = bone(q, f.at(-wide, -forward, rise), f.at(wide, -forward, rise), thick)
        result = across if result is None else merged(result, across, 0.03)
    if f.bust:
        for side in (-1, 1):
            breast = f.at(side * 0.041 * f.build, -0.038 * f.build, 0.222)
            result = merged(result, ball(q, breast, np.full(3, 0.03 * (0.7 + 0.3 * f.bust) + ease)), 0.035)
    return result


def leg(q: Array, j: Joints, f: Figure) -> Array:
    thigh = bone(q, j.hip, j.knee, _grown(THIGH_RADII, f.build, 0.0))
    return merged(thigh, bone(q, j.knee, j.ankle, _grown(SHIN_RADII, f.build, 0.0)), 0.012)


def arm(q: Array, j: Joints, f: Figure, ease: float = 0.0) -> Array:
    upper = bone(q, j.shoulder, j.elbow, _grown(ARM_RADII, f.build, ease))
    return merged(upper, bone(q, j.elbow, j.wrist, _grown(FOREARM_RADII, f.build, ease)), 0.012)


def with_arm(q: Array, body: Array, limb: Array, j: Joints) -> Array:
    """An arm grown onto the trunk, softly at the shoulder and not where it hangs beside the hip."""
    away = np.sqrt(((q - j.shoulder) ** 2).sum(axis=1))
    return merged(body, limb, 0.004 + 0.03 * np.clip(1 - away / 0.09, 0, 1))


def body(q: Array, f: Figure) -> Array:
    """Everything but head, hands and feet."""
    sides = f.sides()
    result = trunk(q, f)
    legs = merged(leg(q, sides[-1], f), leg(q, sides[1], f), 0.006)
    result = merged(result, legs, 0.03)
    for j in sides.values():
        result = with_arm(q, result, arm(q, j, f), j)
    neck = bone(q, f.at(0, 0.006, 0.29), f.at(0, -0.004, 0.4), (0.034, 0.028, 0.027))
    return merged(result, neck, 0.03)


def shoe(q: Array, j: Joints, toes: Array, down: Array, length: float) -> tuple[Array, Array]:
    """Upper and sole of a shoe on the foot that stands along `toes` with its sole towards `down`."""
    aside = np.cross(toes, down)
    away = q - j.ankle
    local = np.stack([(away * axis).sum(axis=1) for axis in (aside, toes, -down)], 1)
    floor = -0.043
    upper = bone(local, (0, -0.024, floor + 0.024), (0, 0.03, floor + 0.024), (0.028, 0.03))
    upper = merged(
        upper,
        bone(local, (0, 0.03, floor + 0.02), (0.004, length, floor + 0.015), (0.032, 0.031, 0.022)),
        0.02,
    )
    ankle = common(
        bone(local, (0, -0.012, floor), (0, -0.008, 0.02), 0.029),
        beyond(local, (0, 0, 0.012), (0, 0, 1)),
        0.006,
    )
    upper = merged(upper, ankle, 0.02)
    upper = common(upper, -beyond(local, (0, 0, floor + 0.004), (0, 0, 1)), 0.004)
    flat = local * np.array([1.0, 1.0, 0.0])
    outline = np.minimum(
        bone(flat, (0, -0.024, 0), (0, 0.03, 0), (0.03, 0.031)),
        bone(flat, (0, 0.03, 0), (0.004, length, 0), (0.031, 0.034, 0.025)),
    )
    sole = common(outline, np.abs(local[:, 2] - floor) - 0.007, 0.004)
    return upper, sole


def foot_axes(j: Joints) -> tuple[Array, Array]:
    """Where the toes point and where the sole faces: at right angles to the shin, as far as an ankle
    allows."""
    shin = (j.ankle - j.knee) / math.sqrt(float(((j.ankle - j.knee) ** 2).sum()))
    toes = np.array([0.0, -1.0, 0.0]) - 0.55 * float(-shin[1]) * np.array([0.0, 0.0, 1.0])
    toes[0] += 0.15 * math.copysign(1.0, float(j.hip[0]))
    toes = toes / math.sqrt(float((toes * toes).sum()))
    down = np.array([0.0, 0.0, -1.0]) + float(toes[2]) * toes
    return toes, down / math.sqrt(float((down * down).sum()))


def hand(j: Joints, side: int) -> list[Mesh]:
    """Palm, four fingers and a thumb."""
    way = (j.wrist - j.elbow) / np.linalg.norm(j.wrist - j.elbow)
    palm = solids.ellipsoid(0.011, 0.02, 0.034, 28).aimed(way).moved(*(j.wrist + 0.034 * way))
    result = [palm]
    # Fingers lie beside each other across the palm, curled a little; the thumb stands off.
    across = np.cross(way, (float(side), 0.0, 0.0))
    if np.linalg.norm(across) < 0.3:
        across = np.cross(way, (0.0, 0.0, 1.0))
    across = across / np.linalg.norm(across)
    inwards = np.cross(across, way)
    for number, length in enumerate((0.036, 0.041, 0.039, 0.031)):
        root = j.wrist + 0.052 * way + (number - 1.5) * 0.0088 * across
        path = curves.spline(
            [root, root + 0.6 * length * way, root + length * way + 0.12 * length * inwards], 10
        )
        result.append(solids.tube(path, np.linspace(0.0056, 0.004, 10), segments=10))
    root = j.wrist + 0.018 * way - 0.014 * across
    thumb = curves.spline([root, root + 0.02 * way - 0.013 * across, root + 0.04 * way - 0.015 * across], 10)
    result.append(solids.tube(thumb, np.linspace(0.0075, 0.005, 10), segments=10))
    return result


def foot(j: Joints) -> Mesh:
    toes, down = foot_axes(j)
    outline = [(-0.034, 0.024, 0.036), (-0.028, 0.027, 0.042), (0.0, 0.028, 0.048), (0.04, 0.032, 0.036),
               (0.075, 0.035, 0.025), (0.1, 0.03, 0.02), (0.118, 0.016, 0.013)]  # fmt: skip
    profile = curves.spline(outline, 28)
    down = np.array([0.0, 0.0, -1.0]) + float(toes[2]) * toes
    down = down / np.linalg.norm(down)
    aside = np.cross(toes, down)
    sole = j.ankle + FOOT * down
    rows = []
    ring = curves.superellipse(40, 1.0, 0.5, 2.6)
    for along, half, height in profile:
        centre = sole + along * toes - 0.5 * height * down
        rows.append(centre + (half * ring[:, :1]) * aside - (height * ring[:, 1:]) * down)
    return loft(np.array(rows)).at_rest()
