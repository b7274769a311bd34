"""Mug: a turned cup with a handle, at times on a saucer, at times with coffee in it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.glass_and_liquids import drink
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

HANDLES = ("ear", "ring", "square")


@dataclass(frozen=True, slots=True, kw_only=True)
class MugParams:
    """Lengths in units of the cup's height. `profile` are outer radii at equal steps from foot to rim."""

    profile: tuple[float, ...]
    wall: float
    foot: float
    handle: str
    handle_reach: float
    handle_span: tuple[float, float]
    handle_width: float
    lobes: tuple[int, float]
    fill: float
    saucer: float
    turn_rad: float
    body: Material
    inside: Material
    drink: Material


def mug_rand(rng: np.random.Generator) -> MugParams:
    shape, handle, extras, skin = rng.spawn(4)
    style = shape.choice(["straight", "barrel", "tulip", "cone", "waist"])
    radius = shape.uniform(0.34, 0.5)
    factors = {
        "straight": (0.97, 1.0, 1.0, 1.0, 1.0),
        "barrel": (0.78, 0.98, 1.06, 1.0, 0.9),
        "tulip": (0.62, 0.9, 1.0, 0.97, 1.04),
        "cone": (0.68, 0.76, 0.84, 0.93, 1.02),
        "waist": (1.0, 0.93, 0.87, 0.91, 1.0),
    }[str(style)]
    profile = tuple(float(radius * f * shape.uniform(0.97, 1.03)) for f in factors)
    body = material_rand(skin, (*("ceramic",) * 6, "painted", "clay", "metal", "glass"))
    if body.kind not in ("metal", "glass") and skin.uniform() < 0.5:
        body = decorated(body, decoration_rand(skin, radius=radius, low=0.0, high=1.0, colour=body.accent))
    inside = replace(body, decoration=None)
    # Glass is one thing on both sides of its wall.
    if body.kind in ("ceramic", "clay") and skin.uniform() < 0.5:
        inside = replace(inside, finish="plain", wear=0.0, colour=palette.pale_rand(skin))
    return MugParams(
        profile=profile,
        wall=shape.uniform(0.03, 0.055),
        foot=shape.uniform(0.0, 0.04),
        handle=str(handle.choice(HANDLES)),
        handle_reach=handle.uniform(0.24, 0.36),
        handle_span=(handle.uniform(0.16, 0.28), handle.uniform(0.74, 0.88)),
        handle_width=handle.uniform(0.045, 0.07),
        lobes=(int(shape.integers(8, 21)), 0.025) if shape.uniform() < 0.25 else (0, 0.0),
        fill=extras.uniform(0.55, 0.85) if extras.uniform() < 0.6 else 0.0,
        saucer=extras.uniform(0.65, 0.85) if extras.uniform() < 0.35 else 0.0,
        turn_rad=extras.uniform(-0.9, 0.6),
        body=body,
        inside=inside,
        drink=drink(skin, str(skin.choice(["coffee", "coffee", "coffee", "tea", "tea", "milk", "water"]))),
    )


def mug(p: MugParams) -> list[Part]:
    heights = np.linspace(p.foot, 1.0, len(p.profile))
    outer = curves.spline(np.column_stack([p.profile, heights]), 40)
    inner = outer[::-1] - [p.wall, 0.0]
    inner = inner[inner[:, 1] > p.foot + 1.6 * p.wall]
    floor = inner[-1, 1]
    foot_radius = 0.82 * outer[0, 0]
    foot = [(0, 0.5 * p.foot), (foot_radius - 0.06, 0.5 * p.foot), (foot_radius - 0.04, 0), (foot_radius, 0)]
    outside = np.vstack(
        [
            curves.rounded(
                [*foot, (outer[0, 0] - 0.02, p.foot), outer[1]],
                0.015,
            ),
            outer[2:-1],
            _rim(outer[-1], p.wall)[:4],
        ]
    )
    inside = np.vstack(
        [
            _rim(outer[-1], p.wall)[3:],
            inner[1:-1],
            curves.rounded([inner[-1], (inner[-1, 0] * 0.96, floor - 0.04), (0, floor - 0.04)], 0.05),
        ]
    )
    result = [
        Part("body", solids.lathe(outside, 96, lobes=p.lobes, end_cap=False), p.body),
        Part("inside", solids.lathe(inside, 96, lobes=p.lobes, start_cap=False), p.inside),
        Part("handle", _handle(p, outer).turned("z", p.turn_rad), replace(p.body, decoration=None)),
    ]
    if p.fill:
        radius = np.interp(p.fill, inner[::-1, 1], inner[::-1, 0])
        surface = [
            (0, p.fill - 0.01),
            (radius + 0.3 * p.wall, p.fill - 0.01),
            (radius + 0.3 * p.wall, p.fill),
            (radius - 0.02, p.fill),
            (0, p.fill - 0.004),
        ]
        result.append(Part("drink", solids.lathe(surface, 64), p.drink))
    if p.saucer:
        result.append(Part("saucer", _saucer(p.saucer, outer[0, 0]), p.inside))
    return result


def _rim(top: np.ndarray, wall: float) -> np.ndarray:
    """Half round (7, 2) from the outer wall's top over to the inner wall's."""
    angle = np.linspace(0, math.pi, 7)
    return top + 0.5 * wall * np.stack([np.cos(angle) - 1, np.sin(angle)], 1)


def _handle(p: MugParams, outer: np.ndarray) -> Mesh:
    low, high = p.handle_span
    x_low, x_high = (float(np.interp(z, outer[:, 1], outer[:, 0])) - 0.6 * p.wall for z in (low, high))
    reach = max(x_low, x_high) + p.handle_reach
    middle = (low + high) / 2
    if p.handle == "square":
        points = curves.rounded([(x_low, low), (reach, low), (reach, high), (x_high, high)], 0.12, steps=8)
        path = curves.resampled(points, 40)
    elif p.handle == "ring":
        path = curves.spline(
            [
                (x_low, low),
                (0.75 * reach + 0.25 * x_low, low - 0.02),
                (reach, middle),
                (0.75 * reach + 0.25 * x_high, high + 0.02),
                (x_high, high),
            ],
            40,
        )
    else:
        path = curves.spline(
            [
                (x_low, low),
                (0.6 * reach + 0.4 * x_low, low + 0.06),
                (reach, middle + 0.08),
                (0.82 * reach + 0.18 * x_high, high + 0.03),
                (x_high, high),
            ],
            40,
        )
    thickness = p.handle_width * (1 + 0.35 * np.abs(np.linspace(-1, 1, 40)) ** 4)
    section = curves.superellipse(20, 1.0, 0.62, 2.6)
    return solids.tube(curves.in_plane(path, "xz"), thickness, section=section)


def _saucer(radius: float, cup: float) -> Mesh:
    profile = [
        (0, -0.035),
        (0.5 * radius, -0.035),
        (0.55 * radius, -0.05),
        (0.6 * radius, -0.04),
        (0.97 * radius, 0.05),
        (radius, 0.065),
        (0.96 * radius, 0.072),
        (0.62 * radius, -0.005),
        (cup * 1.1, -0.012),
        (0.9 * cup, -0.002),
        (0, -0.002),
    ]
    return solids.lathe(curves.rounded(profile, 0.03), 96)
