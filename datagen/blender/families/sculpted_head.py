"""A head as a sculptor blocks it out, for mannequins and busts: skull, jaw, nose, lips, ears and hair in one
piece.

All lengths are in half heights of the head; the head is around the origin and looks towards -y.
"""

from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.blender.modelling.implicit import ball, beyond, bone, common, merged, ripples

Array = np.ndarray
HAIR = ("cropped", "bob", "long", "bun", "curls", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadParams:
    """Factors around 1, and the waves of the hair's strands (`implicit.waves_rand`)."""

    jaw: float
    nose: float
    lips: float
    brow: float
    hair: str
    volume: float
    strands: tuple[tuple[float, float, float, float], ...]


def head_rand(rng: np.random.Generator, strands: tuple[tuple[float, float, float, float], ...]) -> HeadParams:
    return HeadParams(
        jaw=rng.uniform(0.85, 1.15),
        nose=rng.uniform(0.8, 1.25),
        lips=rng.uniform(0.8, 1.3),
        brow=rng.uniform(0.6, 1.3),
        hair=str(rng.choice(HAIR)),
        volume=rng.uniform(0.07, 0.2),
        strands=strands,
    )


def _skull(q: Array) -> Array:
    return ball(q, (0.0, 0.12, 0.24), (0.76, 0.93, 0.77))


def face(q: Array, p: HeadParams) -> Array:
    """Distance to the head without hair at points (N, 3)."""
    head = merged(_skull(q), ball(q, (0.0, -0.2, -0.22), (0.6 * (0.5 + 0.5 * p.jaw), 0.66, 0.72)), 0.25)
    # The two sides are alike: what stands beside the middle is built once, on folded coordinates.
    side = q * np.array([1.0, 1.0, 1.0])
    side[:, 0] = np.abs(side[:, 0])
    head = merged(head, bone(side, (0.38 * p.jaw, 0.05, -0.5), (0.1, -0.62, -0.84), (0.16, 0.15)), 0.22)
    head = merged(head, ball(side, (0.42, -0.5, -0.12), (0.2, 0.16, 0.16)), 0.25)
    head = merged(head, bone(side, (0.12, -0.77, 0.22), (0.44, -0.6, 0.22), 0.07 * p.brow), 0.16)
    head = common(head, -ball(side, (0.31, -0.93, 0.05), (0.21, 0.2, 0.13)), 0.14)
    head = merged(head, ball(side, (0.3, -0.66, 0.05), (0.14, 0.14, 0.12)), 0.05)
    nose = bone(q, (0.0, -0.8, 0.16), (0.0, -0.8 - 0.24 * p.nose, -0.22), (0.06, 0.075, 0.11))
    nose = merged(nose, ball(side, (0.11, -0.86, -0.26), (0.075, 0.1, 0.07)), 0.08)
    head = merged(head, nose, 0.09)
    for height, thick in ((-0.46, 0.045), (-0.55, 0.055)):
        lip = bone(side, (0.0, -0.86, height), (0.2, -0.75, -0.5), (thick * p.lips, 0.02))
        head = merged(head, lip, 0.05)
    ear = common(
        ball(side, (0.79, 0.1, 0.0), (0.09, 0.19, 0.29)),
        -ball(side, (0.88, 0.06, 0.0), (0.08, 0.1, 0.18)),
        0.05,
    )
    return merged(head, ear, 0.05)


def hair(q: Array, p: HeadParams) -> Array:
    """Distance to the hair; one with `hair` "none" has none."""
    shell = _skull(q) - p.volume
    # The hairline: across the forehead, down before the ears, and around the neck.
    open_face = merged(
        ball(q, (0.0, -0.95, -0.1), (0.6, 0.6, 0.72)), beyond(q, (0.0, -0.35, -0.25), (0.0, 0.25, 1.0)), 0.12
    )
    match p.hair:
        case "bob":
            fall = ball(q, (0.0, 0.2, -0.3), (0.86, 0.78, 0.75))
            shell = merged(shell, common(fall, -beyond(q, (0.0, 0.0, -0.85), (0.0, 0.0, 1.0)), 0.1), 0.2)
            open_face = ball(q, (0.0, -1.0, -0.35), (0.62, 0.85, 0.95))
        case "long":
            fall = bone(q, (0.0, 0.42, 0.2), (0.0, 0.55, -1.5), (0.72, 0.68, 0.5, 0.3))
            shell = merged(shell, fall, 0.25)
            open_face = ball(q, (0.0, -1.05, -0.5), (0.62, 1.15, 1.1))
        case "bun":
            shell = merged(shell, ball(q, (0.0, 0.85, 0.95), (0.38, 0.38, 0.34)), 0.08)
        case _:
            pass
    relief = 0.09 if p.hair == "curls" else 0.035
    shell = shell - relief * ripples(q, np.array(p.strands))
    return common(shell, -open_face, 0.1)
