"""Alarm clock: a round case on two feet, with bells, hammer and handle on top, or a plain dial in a block."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

HOURS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmClockParams:
    """Lengths in units of about the clock's width; the dial looks towards -y. Hands turn from twelve."""

    style: str
    radius: float
    depth: float
    rim: float
    block: tuple[float, float]
    bell_radius: float
    bell_spread_rad: float
    handle: str
    foot_spread_rad: float
    foot_length: float
    marks: str
    hand_turns: tuple[float, float, float, float]
    hand_shape: str
    tilt_rad: float
    case: Material
    trim: Material
    bell: Material
    dial: Material
    ink: Material
    second: Material
    feet: Material


def alarm_clock_rand(rng: np.random.Generator) -> AlarmClockParams:
    shape, dial, skin = rng.spawn(3)
    case = material_rand(skin, ("painted", "painted", "plastic", "metal", "wood", "veneer", "ceramic"))
    trim = material_rand(skin, ("metal",))
    bell = trim if skin.uniform() < 0.6 else material_rand(skin, ("metal", case.kind))
    pale = skin.uniform() < 0.75
    face, ink = palette.pale_rand(skin), palette.hsv(0.6, 0.2, 0.16)
    if not pale:
        face, ink = palette.deep_rand(skin), palette.pale_rand(skin)
    plain = replace(material_rand(skin, ("plastic",)), finish="grained", bump=0.0, roughness=0.5)
    # Ten past eleven and its like read better than hands that lie on each other.
    hour, minute = dial.uniform(0, 12), dial.uniform(0, 60)
    return AlarmClockParams(
        style=str(shape.choice(["bells", "bells", "bells", "plain", "block"])),
        radius=shape.uniform(0.36, 0.44),
        depth=shape.uniform(0.2, 0.34),
        rim=shape.uniform(0.02, 0.045),
        block=(shape.uniform(0.95, 1.25), shape.uniform(0.92, 1.05)),
        bell_radius=shape.uniform(0.15, 0.2),
        bell_spread_rad=shape.uniform(0.55, 0.68),
        handle=str(shape.choice(["arc", "arc", "square", "none"])),
        foot_spread_rad=shape.uniform(0.5, 0.7),
        foot_length=shape.uniform(0.1, 0.16),
        marks=str(dial.choice(["bars", "dots", "quarters"])),
        hand_turns=(hour / 12, minute / 60, dial.uniform(), dial.uniform()),
        hand_shape=str(dial.choice(["bar", "spade"])),
        tilt_rad=shape.uniform(0.0, 0.12),
        case=case,
        trim=trim,
        bell=bell,
        dial=replace(plain, colour=face, accent=palette.shaded(face, 0.9)),
        ink=replace(plain, colour=ink, accent=palette.shaded(ink, 0.9)),
        second=replace(plain, colour=palette.deep_rand(skin)),
        feet=trim if skin.uniform() < 0.7 else material_rand(skin, ("metal", "wood", "rubber")),
    )


def alarm_clock(p: AlarmClockParams) -> list[Part]:
    result = _block(p) if p.style == "block" else _case(p)
    result += _dial(p)
    if p.style == "bells":
        result += _bells(p)
    if p.style != "block":
        result += _feet(p)
    return [Part(part.name, part.mesh.turned("x", -p.tilt_rad), part.material) for part in result]


def _facing(part: Mesh, depth: float) -> Mesh:
    """A part that was built with its front towards +z, laid so that it looks towards -y from -depth / 2."""
    return part.turned("x", math.pi / 2).moved(y=-depth / 2)


def _case(p: AlarmClockParams) -> list[Part]:
    r, d = p.radius, p.depth
    profile = curves.rounded(
        [(0, -d), (0.8 * r, -d), (r, -0.75 * d), (r, 0.0), (r - 0.02, 0.0), (r - 0.03, -0.035), (0, -0.035)],
        0.06,
        steps=6,
    )
    rim = solids.torus(r, p.rim, segments=96, around=16)
    back = solids.lathe(
        curves.rounded([(0, -d - 0.03), (0.05, -d - 0.03), (0.05, -d + 0.02), (0, -d + 0.02)], 0.01)
    )
    return [
        Part("case", _facing(solids.lathe(profile, 96), d), p.case),
        Part("rim", _facing(rim, d), p.trim),
        Part("key", _facing(back, d), p.trim),
    ]


def _block(p: AlarmClockParams) -> list[Part]:
    width, height = (2 * (p.radius + 0.06) * size for size in p.block)
    body = solids.box(width, p.depth, height, 0.07, steps=6).moved(y=0.015)
    rim = solids.torus(p.radius, 0.7 * p.rim, segments=96, around=16)
    button = solids.box(0.3 * width, 0.45 * p.depth, 0.06, 0.02).moved(z=height / 2)
    return [
        Part("case", body.at_rest().grained("x"), p.case),
        Part("rim", _facing(rim, p.depth), p.trim),
        Part("button", button, p.second),
    ]


def _dial(p: AlarmClockParams) -> list[Part]:
    r = p.radius - 0.015
    # In a block the dial lies on its front; in a case it lies inside the rim.
    z = 0.0 if p.style == "block" else -0.03
    disc = solids.lathe([(0, z - 0.01), (r, z - 0.01), (r, z + 0.008), (0, z + 0.008)], 96)
    marks = joined([_mark(p, hour, r) for hour in range(HOURS)]).moved(z=z + 0.008)
    result = [Part("dial", disc, p.dial), Part("marks", marks, p.ink)]
    hour, minute, second, alarm = p.hand_turns
    for turn, length, width, lift, material in (
        (alarm, 0.38, 0.012, 0.014, p.second),
        (hour, 0.5, 0.034, 0.02, p.ink),
        (minute, 0.78, 0.026, 0.028, p.ink),
        (second, 0.82, 0.008, 0.036, p.second),
    ):
        shaped = p.hand_shape == "spade" and width > 0.02
        hand = _hand(length * r, width, shaped=shaped).turned("z", -math.tau * turn)
        result.append(Part("hand", hand.moved(z=z + lift), material))
    cap = solids.lathe(curves.rounded([(0, 0.0), (0.028, 0.0), (0.028, 0.05), (0, 0.05)], 0.01), 32)
    result.append(Part("cap", cap.moved(z=z), p.trim))
    return [Part(part.name, _facing(part.mesh, p.depth), part.material) for part in result]


def _mark(p: AlarmClockParams, hour: int, r: float) -> Mesh:
    strong = hour % 3 == 0
    if p.marks == "dots" or (p.marks == "quarters" and not strong):
        size = 0.028 if strong else 0.017
        mark = solids.lathe([(0, 0), (size, 0), (size, 0.006), (0, 0.006)], 24)
    else:
        mark = solids.box(0.03 if strong else 0.016, 0.1 if strong else 0.06, 0.01, 0.004, steps=1)
    return mark.moved(y=0.84 * r).turned("z", -math.tau * hour / HOURS)


def _hand(length: float, width: float, *, shaped: bool) -> Mesh:
    half = width / 2
    if shaped:
        outline = [(half, -0.06), (half, 0.55 * length), (1.9 * half, 0.68 * length), (0, length),
                   (-1.9 * half, 0.68 * length), (-half, 0.55 * length), (-half, -0.06)]  # fmt: skip
    else:
        outline = [(half, -0.06), (0.7 * half, length), (-0.7 * half, length), (-half, -0.06)]
    return solids.extruded(np.array(outline), 0.006)


def _bells(p: AlarmClockParams) -> list[Part]:
    result = []
    r = p.bell_radius
    angle = np.linspace(0, math.pi / 2, 16)
    outer = np.stack([r * np.cos(angle), 0.8 * r * np.sin(angle)], 1)
    inner = np.stack([(r - 0.02) * np.cos(angle[::-1]), (0.8 * r - 0.02) * np.sin(angle[::-1])], 1)
    # Down the inside and over the lip, up the outside.
    bell = solids.lathe(np.vstack([inner, outer]), 64)
    for side in (-1, 1):
        way = np.array([side * math.sin(p.bell_spread_rad), 0.0, math.cos(p.bell_spread_rad)])
        foot = (p.radius + p.rim + 0.07) * way
        result.append(Part("bell", bell.aimed(way).moved(*foot), p.bell))
        rod = curves.line((p.radius - 0.02) * way, foot + (0.8 * r + 0.02) * way, 4)
        result.append(Part("rod", solids.tube(rod, 0.02, segments=16), p.trim))
        knob = solids.ellipsoid(0.035, 0.035, 0.03, 24).moved(*(foot + (0.8 * r + 0.02) * way))
        result.append(Part("knob", knob, p.trim))
    top = p.radius + p.rim
    stem = curves.line((0, 0, p.radius - 0.02), (0, 0, top + 0.14), 4)
    result.append(Part("hammer", solids.tube(stem, 0.012, segments=12), p.trim))
    head = solids.box(0.1, 0.05, 0.055, 0.02, steps=4).moved(z=top + 0.15)
    result.append(Part("hammer", head, p.trim))
    if p.handle != "none":
        # From one bell's knob over the hammer to the other's.
        arm = p.radius + p.rim + 0.09 + 0.8 * r
        x, z = arm * math.sin(p.bell_spread_rad), arm * math.cos(p.bell_spread_rad)
        height = max(z + 0.12, top + 0.26)
        if p.handle == "arc":
            points = [(-x, z), (-0.72 * x, 0.4 * z + 0.6 * height), (0, height),
                      (0.72 * x, 0.4 * z + 0.6 * height), (x, z)]  # fmt: skip
            path = curves.spline(points, 48)
        else:
            corners = [(-x, z), (-0.88 * x, height), (0.88 * x, height), (x, z)]
            path = curves.resampled(curves.rounded(corners, 0.1, steps=8), 48)
        section = curves.superellipse(20, 0.7, 1.6, 3.0)
        mesh = solids.tube(curves.in_plane(path, "xz"), 0.018, section=section, up=(0.0, 1.0, 0.0))
        result.append(Part("handle", mesh, p.trim))
    return result


def _feet(p: AlarmClockParams) -> list[Part]:
    result = []
    for side in (-1, 1):
        way = np.array([side * math.sin(p.foot_spread_rad), 0.0, -math.cos(p.foot_spread_rad)])
        start, end = (p.radius - 0.02) * way, (p.radius + p.rim + p.foot_length) * way
        path = curves.line(start, end, 12)
        taper = np.linspace(0.045, 0.024, 12)
        result.append(Part("foot", solids.tube(path, taper, segments=24), p.feet))
        result.append(Part("foot", solids.ellipsoid(0.034, 0.034, 0.034, 24).moved(*end), p.feet))
    prop = curves.line((0, 0.4 * p.depth, -0.7 * p.radius), (0, 0.7 * p.depth, -p.radius - 0.08), 6)
    result.append(Part("prop", solids.tube(prop, 0.02, segments=16), p.feet))
    return result
