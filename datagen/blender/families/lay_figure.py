"""A jointed lay figure: turned pieces with a ball in every joint, as artists have them."""

import numpy as np

from pairbridge.datagen.blender.families.mannequin_body import Figure, foot, hand
from pairbridge.datagen.blender.families.mannequin_pose import HEAD, NECK_RISE, spine_point
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part

# Trunk from crotch to neck: rise above the hips, half width, half depth, and how far its middle lies forward.
TRUNK = (
    (-0.045, 0.03, 0.04, 0.0),
    (-0.03, 0.07, 0.058, 0.0),
    (0.0, 0.09, 0.066, -0.002),
    (0.04, 0.09, 0.063, -0.002),
    (0.085, 0.077, 0.053, 0.0),
    (0.12, 0.07, 0.049, 0.002),
    (0.165, 0.081, 0.055, 0.004),
    (0.215, 0.098, 0.064, 0.006),
    (0.255, 0.107, 0.062, 0.004),
    (0.285, 0.112, 0.053, 0.0),
    (0.305, 0.1, 0.044, -0.003),
    (0.32, 0.07, 0.037, -0.004),
    (0.33, 0.045, 0.032, -0.004),
    (0.338, 0.031, 0.029, -0.004),
)
RING = 40
EGG = (
    (0, -1.0),
    (0.34, -0.96),
    (0.58, -0.72),
    (0.74, -0.3),
    (0.83, 0.15),
    (0.74, 0.6),
    (0.45, 0.9),
    (0, 1.0),
)


def lay_figure(f: Figure, skin: Material, joint: Material) -> list[Part]:
    result = [
        Part("chest", _trunk(f, 0.15, 0.325), skin),
        Part("pelvis", _trunk(f, -0.045, 0.075), skin),
        Part("waist", solids.ellipsoid(0.05, 0.043, 0.05, 32).moved(*f.at(0, 0, 0.11)), joint),
    ]
    for side, j in f.sides().items():
        for name, start, end, radii in (
            ("thigh", j.hip, j.knee, THIGH_RADII),
            ("shin", j.knee, j.ankle, SHIN_RADII),
            ("upper arm", j.shoulder, j.elbow, ARM_RADII),
            ("forearm", j.elbow, j.wrist, FOREARM_RADII),
        ):
            gap = 0.09 * (end - start)
            piece = _limb(start + gap, end - gap, radii, 0.95 * f.build)
            result.append(Part(name, piece.restarted(5 * start), skin))
        for place, radius in ((j.shoulder, 0.034), (j.elbow, 0.023), (j.wrist, 0.017), (j.hip, 0.046),
                              (j.knee, 0.032), (j.ankle, 0.022)):  # fmt: skip
            result.append(Part("ball", solids.ellipsoid(radius, radius, radius, 28).moved(*place), joint))
        result += [Part("hand", piece, skin) for piece in hand(j, side)]
        result.append(Part("foot", foot(j), skin))
    neck = solids.tube(
        curves.line(f.at(0, 0.004, NECK_RISE - 0.015), f.at(0, -0.004, 0.385), 10),
        np.linspace(0.03, 0.027, 10) * f.build,
        segments=28,
    )
    egg = curves.spline(EGG, 40)
    egg[:, 0] = np.maximum(egg[:, 0], 0)
    head = solids.lathe(egg * HEAD, 56)
    head = (
        head.scaled(0.9, 1.12, 1.0).turned("x", f.pose.head_nod).turned("z", f.pose.head_turn + f.pose.twist)
    )
    return [*result, Part("neck", neck, joint), Part("head", head.moved(*f.head_centre()), skin)]


def _trunk(f: Figure, low: float, high: float) -> Mesh:
    """The trunk between two rises, rounded like a turned piece where it ends."""
    rises, half_x, half_y, forward = np.array(TRUNK).T
    at = np.linspace(low, high, 36)
    wide = (
        curves.spline(np.column_stack([rises, half_x]), 120),
        curves.spline(np.column_stack([rises, half_y]), 120),
    )
    x = np.interp(at, wide[0][:, 0], wide[0][:, 1]) * f.build
    y = np.interp(at, wide[1][:, 0], wide[1][:, 1]) * f.build
    shift = np.interp(at, rises, forward)
    t = np.linspace(0, 1, 36)
    ease = np.sqrt(np.clip(1 - np.clip(np.abs(2 * t - 1) * 2.2 - 1.2, 0, 1) ** 2, 0.01, 1))
    bulge = f.bust * 0.028 * np.exp(-(((at - 0.225) / 0.035) ** 2))
    rows = []
    outline = curves.superellipse(RING, 1.0, 1.0, 2.3)
    for rise, sx, sy, dy, fade, chest in zip(at, x, y, shift, ease, bulge, strict=True):
        front = np.clip(-outline[:, 1], 0, 1) ** 1.5
        ring_x = outline[:, 0] * sx * fade
        ring_y = outline[:, 1] * sy * fade - front * chest - dy
        rows.append([spine_point(f.pose, px, py, rise) for px, py in zip(ring_x, ring_y, strict=True)])
    return loft(np.array(rows)).at_rest()


def _limb(start: np.ndarray, end: np.ndarray, radii: tuple[float, ...], build: float) -> Mesh:
    """A turned limb of the given radii at equal steps."""
    count = 28
    t = np.linspace(0, 1, count)
    # Piecewise linear radii would show as rings.
    radius = curves.spline(np.column_stack([np.linspace(0, 1, len(radii)), radii]), count)[:, 1] * build
    radius = radius * np.sqrt(np.clip(1 - np.clip(np.abs(2 * t - 1) * 6 - 5, 0, 1) ** 2, 0.02, 1))
    return solids.tube(curves.line(start, end, count), radius, segments=24, up=(0.0, -1.0, 0.0))


THIGH_RADII = (0.056, 0.058, 0.052, 0.043, 0.038)
SHIN_RADII = (0.037, 0.041, 0.039, 0.029, 0.023)
ARM_RADII = (0.032, 0.034, 0.03, 0.027, 0.025)
FOREARM_RADII = (0.025, 0.027, 0.024, 0.019, 0.016)
