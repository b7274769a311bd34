"""Teapot: turned body and lid, curved spout, and a handle at the back or over the top."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part

# Radius over height from foot to lid seat; the lid's dome continues it.
STYLES: dict[str, tuple[tuple[float, float], ...]] = {
    "round": ((0.24, 0.0), (0.38, 0.1), (0.46, 0.3), (0.42, 0.48), (0.27, 0.6)),
    "squat": ((0.3, 0.0), (0.46, 0.1), (0.54, 0.24), (0.44, 0.38), (0.25, 0.46)),
    "pear": ((0.3, 0.0), (0.42, 0.1), (0.45, 0.26), (0.33, 0.52), (0.23, 0.72)),
    "drum": ((0.4, 0.0), (0.42, 0.04), (0.42, 0.3), (0.4, 0.5), (0.27, 0.56)),
    "cone": ((0.46, 0.0), (0.46, 0.06), (0.38, 0.32), (0.29, 0.56), (0.22, 0.66)),
}
KNOBS: dict[str, tuple[tuple[float, float], ...]] = {
    "ball": ((0.03, 0.0), (0.026, 0.02), (0.06, 0.06), (0.05, 0.105), (0.0, 0.12)),
    "button": ((0.035, 0.0), (0.03, 0.03), (0.075, 0.05), (0.07, 0.075), (0.0, 0.085)),
    "finial": ((0.04, 0.0), (0.025, 0.03), (0.05, 0.07), (0.03, 0.12), (0.035, 0.14), (0.0, 0.175)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeapotParams:
    """Lengths in units of about the pot's width. The spout points to -x turned by `turn_rad` towards the
    front."""

    profile: tuple[tuple[float, float], ...]
    lid_rise: float
    knob: str
    lobes: tuple[int, float]
    foot: float
    spout_base: float
    spout_width: float
    spout_reach: float
    spout_rise: float
    bail: bool
    handle_reach: float
    handle_thickness: float
    handle_flatness: float
    turn_rad: float
    body: Material
    trim: Material
    grip: Material


def teapot_rand(rng: np.random.Generator) -> TeapotParams:
    shape, spout, handle, skin = rng.spawn(4)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    wide, high = shape.uniform(0.9, 1.1), shape.uniform(0.9, 1.2)
    profile = tuple((float(wide * r * shape.uniform(0.96, 1.04)), float(high * z)) for r, z in STYLES[style])
    body = material_rand(skin, ("ceramic", "ceramic", "ceramic", "clay", "metal", "painted"))
    if skin.uniform() < 0.55 and body.kind != "metal":
        body = decorated(body, decoration_rand(skin, radius=0.42, low=0.0, high=profile[-1][1]))
    plain = replace(body, decoration=None)
    bail = handle.uniform() < 0.35
    return TeapotParams(
        profile=profile,
        lid_rise=shape.uniform(0.06, 0.15),
        knob=sorted(KNOBS)[shape.integers(len(KNOBS))],
        lobes=(int(shape.integers(6, 17)), shape.uniform(0.02, 0.04)) if shape.uniform() < 0.25 else (0, 0.0),
        foot=shape.uniform(0.02, 0.05),
        spout_base=spout.uniform(0.22, 0.36),
        spout_width=spout.uniform(0.09, 0.125),
        spout_reach=spout.uniform(0.3, 0.42),
        spout_rise=spout.uniform(0.85, 1.05),
        bail=bail,
        handle_reach=handle.uniform(0.26, 0.36),
        handle_thickness=handle.uniform(0.032, 0.046),
        handle_flatness=handle.uniform(0.6, 1.0),
        turn_rad=shape.uniform(-0.7, 0.5),
        body=body,
        trim=plain if skin.uniform() < 0.6 else material_rand(skin, ("ceramic", "metal", "wood", "plastic")),
        grip=material_rand(skin, ("wood", "metal", "plastic")) if bail else plain,
    )


def teapot(p: TeapotParams) -> list[Part]:
    outer = curves.spline(p.profile, 48) + np.array([0.0, p.foot])
    top_radius, top = outer[-1]
    foot = curves.rounded(
        [
            (0, 0.01),
            (0.78 * outer[0, 0], 0.01),
            (0.8 * outer[0, 0], 0),
            (0.92 * outer[0, 0], 0),
            (0.9 * outer[0, 0], p.foot),
            outer[1],
        ],
        0.012,
    )
    seat = [
        (top_radius - 0.004, top + 0.012),
        (top_radius - 0.02, top + 0.014),
        (top_radius - 0.03, top),
        (0, top),
    ]
    body = solids.lathe(np.vstack([foot[:-1], outer[1:], seat]), 96, lobes=p.lobes)
    lid_radius = top_radius - 0.012
    dome = curves.spline(
        [
            (lid_radius, 0.03),
            (0.75 * lid_radius, 0.03 + 0.62 * p.lid_rise),
            (0.3 * lid_radius, 0.03 + p.lid_rise),
            (0, 0.034 + p.lid_rise),
        ],
        24,
    )
    lid = np.vstack(
        [[(0, 0.0), (lid_radius - 0.02, 0.0), (lid_radius - 0.006, 0.008), (lid_radius, 0.018)], dome]
    )
    knob = curves.spline(KNOBS[p.knob], 28)
    result = [
        Part("body", body, p.body),
        Part(
            "lid", solids.lathe(lid, 96, lobes=p.lobes).moved(z=top + 0.006), replace(p.body, decoration=None)
        ),
        Part("knob", solids.lathe(knob, 40).moved(z=top + 0.03 + p.lid_rise), p.trim),
        Part("spout", _spout(p, outer), replace(p.body, decoration=None)),
    ]
    result += _bail(p, outer) if p.bail else [Part("handle", _ear(p, outer), p.grip)]
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _spout(p: TeapotParams, outer: np.ndarray) -> Mesh:
    top = outer[-1, 1]
    base = p.spout_base * top
    wall = float(np.interp(base, outer[:, 1], outer[:, 0]))
    tip = np.array([-wall - p.spout_reach, p.spout_rise * top])
    points = [
        (-0.55 * wall, base - 0.02),
        (-wall - 0.04, base + 0.03),
        (-wall - 0.5 * p.spout_reach, 0.45 * base + 0.55 * tip[1]),
        (tip[0] + 0.05, tip[1] - 0.05),
        tip,
    ]
    path = curves.in_plane(curves.spline(points, 40), "xz")
    t = np.linspace(0, 1, 40)
    radius = p.spout_width * (1.25 * (1 - t) ** 1.6 + 0.38) + 0.008 * np.clip(t - 0.9, 0, 1) * 10
    return solids.pipe(path, radius, 0.014, depth=14, section=curves.superellipse(28, 0.85, 1.0, 2.0))


def _ear(p: TeapotParams, outer: np.ndarray) -> Mesh:
    top = outer[-1, 1]
    low, high = 0.22 * top, 0.9 * top
    x_low, x_high = (float(np.interp(z, outer[:, 1], outer[:, 0])) for z in (low, high))
    reach = max(x_low, x_high, 0.42) + p.handle_reach
    points = [
        (x_low - 0.03, low),
        (x_low + 0.45 * (reach - x_low), low + 0.02),
        (reach - 0.01, 0.5 * (low + high)),
        (reach - 0.06, high - 0.02),
        (x_high + 0.35 * (reach - x_high), high + 0.06),
        (x_high - 0.03, high),
    ]
    path = curves.in_plane(curves.spline(points, 48), "xz")
    swell = p.handle_thickness * (1 + 0.3 * np.abs(np.linspace(-1, 1, 48)) ** 5)
    return solids.tube(path, swell, section=curves.superellipse(20, 1.0, p.handle_flatness, 2.3))


def _bail(p: TeapotParams, outer: np.ndarray) -> list[Part]:
    """Arched handle over the lid, from two lugs on the shoulder, with a wrapped grip."""
    lug_height = 0.86 * outer[-1, 1]
    x = float(np.interp(lug_height, outer[:, 1], outer[:, 0]))
    arch = outer[-1, 1] + p.lid_rise + 0.42
    points = [
        (-x + 0.01, lug_height + 0.02),
        (-1.12 * x - 0.04, 0.45 * lug_height + 0.55 * arch),
        (-0.5 * x, arch - 0.03),
        (0, arch),
        (0.5 * x, arch - 0.03),
        (1.12 * x + 0.04, 0.45 * lug_height + 0.55 * arch),
        (x - 0.01, lug_height + 0.02),
    ]
    path = curves.in_plane(curves.spline(points, 72), "xz")
    result = [Part("bail", solids.tube(path, 0.45 * p.handle_thickness, segments=14, up=(0, 1, 0)), p.trim)]
    middle = path[22:50]
    swell = p.handle_thickness * (0.8 + 0.2 * np.sin(np.linspace(0, math.pi, len(middle))))
    result.append(Part("grip", solids.tube(middle, swell, segments=18, up=(0, 1, 0)), p.grip))
    for side in (-1, 1):
        lug = solids.torus(0.035, 0.016, segments=24, around=10).turned("x", math.pi / 2)
        result.append(Part("lug", lug.moved(x=side * x, z=lug_height + 0.015), p.body))
    return result
