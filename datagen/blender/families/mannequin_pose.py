"""Where a mannequin's joints are: angles drawn within what a body can do, and the points they give.

A figure is one unit high, stands on z = 0 and looks towards -y; side -1 is its right (x < 0).
"""

import math
from dataclasses import dataclass

import numpy as np

Point = np.ndarray

HIP_HEIGHT = 0.5
HIP_HALF, SHOULDER_HALF = 0.052, 0.103
SHOULDER_RISE, NECK_RISE = 0.288, 0.335  # above the hips, along the spine
THIGH, SHIN, FOOT = 0.235, 0.215, 0.045
UPPER_ARM, FOREARM = 0.165, 0.145
HEAD = 0.068  # half the height of the head

# Name -> (hip flexion, knee flexion, leg spread, shoulder flexion, arm spread, elbow flexion), each with the
# ranges of the right and the left side, in degrees; flexion is forward.
POSES: dict[str, tuple[tuple[tuple[float, float], tuple[float, float]], ...]] = {
    "standing": (((-4, 4), (-4, 8)), ((0, 4), (0, 14)), ((1, 5), (3, 9)), ((-10, 12), (-10, 12)),
        ((6, 16), (6, 16)), ((5, 25), (5, 25))),
    "walking": (((14, 26), (-20, -10)), ((4, 14), (10, 30)), ((1, 3), (1, 3)), ((-28, -12), (14, 30)),
        ((6, 12), (6, 12)), ((15, 40), (20, 50))),
    "waving": (((-3, 3), (-3, 5)), ((0, 4), (0, 10)), ((2, 6), (3, 8)), ((5, 25), (-8, 8)),
        ((105, 140), (8, 16)), ((15, 45), (8, 25))),
    "hand_on_hip": (((-3, 3), (0, 10)), ((0, 3), (5, 18)), ((2, 5), (4, 9)), ((-22, -12), (-8, 8)),
        ((38, 48), (6, 14)), ((88, 100), (5, 30))),
    "pointing": (((-3, 6), (-8, 2)), ((0, 6), (0, 8)), ((2, 6), (3, 8)), ((72, 96), (-12, 6)),
        ((2, 18), (8, 16)), ((0, 12), (10, 40))),
    "running": (((48, 68), (-26, -14)), ((70, 95), (28, 60)), ((0, 2), (0, 2)), ((-45, -28), (25, 45)),
        ((8, 14), (8, 14)), ((75, 95), (75, 95))),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Angles in radians; pairs are (right, left). The spine leans forward and to the left and twists to the
    left."""

    hip: tuple[float, float]
    knee: tuple[float, float]
    leg_spread: tuple[float, float]
    shoulder: tuple[float, float]
    arm_spread: tuple[float, float]
    elbow: tuple[float, float]
    elbow_in: tuple[float, float]
    lean: tuple[float, float]
    twist: float
    head_turn: float
    head_nod: float


@dataclass(frozen=True, slots=True)
class Joints:
    """Points of one side's arm and leg, and the direction the foot points to."""

    hip: Point
    knee: Point
    ankle: Point
    shoulder: Point
    elbow: Point
    wrist: Point


def pose_rand(rng: np.random.Generator) -> Pose:
    name = sorted(POSES)[rng.integers(len(POSES))]
    swap = bool(rng.integers(2))
    values = []
    for ranges in POSES[name]:
        right, left = (math.radians(rng.uniform(*ends)) for ends in ranges)
        values.append((left, right) if swap else (right, left))
    hip, knee, leg_spread, shoulder, arm_spread, elbow = values
    # A hand on the hip comes from an elbow that bends towards the body; other elbows bend forward.
    inward = [0.85 if math.degrees(bend) > 85 and math.degrees(out) > 30 else 0.12
              for bend, out in zip(elbow, arm_spread, strict=True)]  # fmt: skip
    runs = name in ("running", "walking")
    return Pose(
        hip=hip,
        knee=knee,
        leg_spread=leg_spread,
        shoulder=shoulder,
        arm_spread=arm_spread,
        elbow=elbow,
        elbow_in=(inward[0], inward[1]),
        lean=(rng.uniform(0.08, 0.2) if runs else rng.uniform(-0.05, 0.07), rng.uniform(-0.07, 0.07)),
        twist=rng.uniform(-0.2, 0.2),
        head_turn=rng.uniform(-0.6, 0.6),
        head_nod=rng.uniform(-0.15, 0.2),
    )


def spine_point(pose: Pose, x: float, y: float, rise: float) -> Point:
    """A point of the trunk: `rise` above the hips, before the figure is put on the ground."""
    share = rise / NECK_RISE
    turn = pose.twist * share
    forward, aside = pose.lean[0] * rise * share, pose.lean[1] * rise * share
    return np.array(
        [
            x * math.cos(turn) - y * math.sin(turn) + aside,
            x * math.sin(turn) + y * math.cos(turn) - forward,
            HIP_HEIGHT + rise,
        ]
    )


def joints(pose: Pose, side: int) -> Joints:
    """The side's joints (-1 right, 1 left), before the figure is put on the ground."""
    which = 0 if side < 0 else 1
    hip = spine_point(pose, side * HIP_HALF, 0.0, 0.0)
    flexion, spread = pose.hip[which], pose.leg_spread[which]
    knee = hip + THIGH * _hanging(flexion, side * spread)
    ankle = knee + SHIN * _hanging(flexion - pose.knee[which], side * spread)
    shoulder = spine_point(pose, side * SHOULDER_HALF, 0.0, SHOULDER_RISE)
    raised, out, bend = pose.shoulder[which], pose.arm_spread[which], pose.elbow[which]
    upper = _hanging(raised, side * out)
    elbow = shoulder + UPPER_ARM * upper
    # The forearm turns from the upper arm's direction towards the elbow's bending side.
    bending = _across(upper, np.array([-side * pose.elbow_in[which], -1.0 + pose.elbow_in[which], 0.1]))
    if out > 1.6:  # a raised arm bends upwards
        bending = _across(upper, np.array([0.25 * side, -0.25, 1.0]))
    wrist = elbow + FOREARM * (math.cos(bend) * upper + math.sin(bend) * bending)
    return Joints(hip, knee, ankle, shoulder, elbow, wrist)


def _hanging(flexion: float, spread: float) -> Point:
    """Direction of a limb that hangs down, swung forward and then outwards."""
    return np.array(
        [
            math.sin(spread),
            -math.sin(flexion) * math.cos(spread),
            -math.cos(flexion) * math.cos(spread),
        ]
    )


def _across(direction: Point, towards: Point) -> Point:
    """The unit vector at right angles to `direction` that leans most towards `towards`."""
    rest = towards - float((towards * direction).sum()) * direction
    return rest / math.sqrt(float((rest * rest).sum()))
