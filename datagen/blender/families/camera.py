"""Camera: single-lens reflex, rangefinder, folding camera or twin-lens reflex; the lens looks towards -y."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.camera_params import CameraParams, camera_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

__all__ = ["camera", "camera_rand"]


def camera(p: CameraParams) -> list[Part]:
    result = _twin(p) if p.style == "twin" else _body(p) + _top(p) + _front(p) + _back(p)
    return result + (_strap(p) if p.strap else [])


def _slab(p: CameraParams, height: float, swell: float, bevel: float) -> Mesh:
    """Slice of the body's plan from z = 0, `swell` larger than it all round."""
    plan = curves.rectangle(p.width + 2 * swell, p.depth + 2 * swell, p.corner + swell, steps=8)
    return solids.extruded(plan, height, bevel)


def _body(p: CameraParams) -> list[Part]:
    """Metal base and top plates with the leather-covered waist between them."""
    base, top = 0.09 * p.height, 0.72 * p.height
    return [
        Part("base", _slab(p, base, 0.0, 0.012), p.case),
        Part("waist", _slab(p, top - base + 0.02, -0.004, 0.004).moved(z=base - 0.01), p.skin),
        Part("top", _slab(p, p.height - top, 0.002, 0.022).moved(z=top), p.case),
    ]


def _knob(radius: float, height: float, ribs: int) -> Mesh:
    """Knurled dial: ribbed flank and a dished top."""
    profile = [
        (0, 0),
        (radius, 0),
        (radius, 0.85 * height),
        (0.92 * radius, height),
        (0.7 * radius, height),
        (0.66 * radius, 0.93 * height),
        (0, 0.93 * height),
    ]
    return solids.lathe(curves.rounded(profile, 0.006), 4 * ribs, lobes=(ribs, 0.02))


def _top(p: CameraParams) -> list[Part]:
    z, y = p.height - 0.004, 0.0
    places = [0.36 * p.width, -0.36 * p.width, 0.2 * p.width][: p.dials]
    result = [
        Part("dial", _knob(0.07 if k else 0.085, 0.06 if k else 0.075, 24).moved(x, y, z), p.metal)
        for k, x in enumerate(places)
    ]
    button = curves.rounded(
        [(0, 0), (0.038, 0), (0.036, 0.02), (0.022, 0.022), (0.022, 0.045), (0, 0.043)], 0.005
    )
    result.append(
        Part(
            "shutter",
            solids.lathe(button, 32).moved(
                0.27 * p.width if p.dials < 3 else 0.45 * p.width - p.corner * 0.6, -0.3 * p.depth, z
            ),
            p.metal,
        )
    )
    lever = curves.spline([(0.36 * p.width, 0.02), (0.42 * p.width, 0.1), (0.5 * p.width, 0.12)], 16)
    path = np.column_stack([lever, np.full(16, z + 0.03)])
    result.append(
        Part(
            "lever",
            solids.tube(path, np.linspace(0.022, 0.014, 16), section=curves.superellipse(12, 1.0, 0.5, 3)),
            p.metal,
        )
    )
    if p.style == "reflex":
        return result + _prism(p, z)
    shoe = [solids.box(0.14, 0.16, 0.012, 0.003).moved(p.lens_offset, 0.02, z + 0.006)]
    shoe += [
        solids.box(0.018, 0.16, 0.02, 0.003).moved(p.lens_offset + s * 0.066, 0.02, z + 0.016)
        for s in (-1, 1)
    ]
    result.append(Part("hot shoe", joined(shoe), p.metal))
    return result + (_flash(p, p.lens_offset, z + 0.02) if p.flash else [])


def _prism(p: CameraParams, z: float) -> list[Part]:
    """Pentaprism hump, its faceted roof narrowing upwards, with the eyepiece behind and a maker's plate in
    front."""
    x = p.lens_offset
    front, rear = -0.5 * p.depth - 0.01, 0.42 * p.depth
    rows = []
    for rise, half, chop in (
        (-0.02, 0.2, 0.0),
        (0.06, 0.195, 0.0),
        (0.13, 0.15, 0.03),
        (0.175, 0.1, 0.08),
        (0.185, 0.085, 0.1),
    ):
        outline = curves.rounded(
            [
                (half, front + chop),
                (half * 0.9, rear - chop),
                (-half * 0.9, rear - chop),
                (-half, front + chop),
            ],
            0.03,
            closed=True,
        )
        rows.append(np.column_stack([outline + np.array([x, 0.0]), np.full(len(outline), z + rise)]))
    plate = solids.box(0.2, 0.012, 0.045, 0.004).moved(x, front - 0.001, z + 0.045)
    eye = (
        solids.extruded(curves.rectangle(0.15, 0.1, 0.02), 0.03, 0.006)
        .aimed((0, 1, 0))
        .moved(x, rear - 0.005, z + 0.04)
    )
    pupil = (
        solids.extruded(curves.rectangle(0.1, 0.06, 0.015), 0.034, 0.002)
        .aimed((0, 1, 0))
        .moved(x, rear - 0.005, z + 0.04)
    )
    result = [
        Part("prism", loft(np.stack(rows)), p.case),
        Part("name", plate, p.metal),
        Part("eyepiece", eye, p.band),
        Part("pupil", pupil, p.glass),
    ]
    return result + (_flash(p, x, z + 0.185) if p.flash else [])


def _flash(p: CameraParams, x: float, z: float) -> list[Part]:
    head = solids.box(0.3, 0.16, 0.16, 0.02).moved(x, -0.02, z + 0.11)
    stem = solids.box(0.12, 0.1, 0.06, 0.006).moved(x, 0.01, z + 0.02)
    white = replace(p.glass, kind="plastic", colour=palette.hsv(0.15, 0.05, 0.9), roughness=0.25)
    lens = solids.box(0.25, 0.02, 0.11, 0.008).moved(x, -0.1, z + 0.11)
    return [
        Part("flash", head, p.band if p.band.kind == "plastic" else p.lens),
        Part("foot", stem, p.lens),
        Part("tube", lens, white),
    ]


def _barrel(p: CameraParams, radius: float, length: float) -> list[Part]:
    """Lens about z from its mount at 0 to its front: collars, knurled rings, a deep front with rounded
    glass."""
    steps = [
        (0, -0.01),
        (1.08, -0.01),
        (1.08, 0.12),
        (0.98, 0.14),
        (0.98, 0.34),
        (1.0, 0.36),
        (1.0, 0.9),
        (0.94, 1.0),
        (0.84, 1.0),
        (0.7, 0.84),
        (0.0, 0.84),
    ]
    shell = curves.rounded(np.array(steps) * [radius, length], 0.008)
    result = [Part("barrel", solids.lathe(shell, 96), p.lens)]
    for low, high in ((0.42, 0.62), (0.7, 0.84)):
        grip = [(0.97, low), (1.05, low), (1.05, high), (0.97, high)]
        band = curves.rounded(np.array([(0.9, low), *grip, (0.9, high)]) * [radius, length], 0.004)
        result.append(
            Part(
                "knurl",
                solids.lathe(band, 4 * p.ribs, lobes=(p.ribs, 0.014)),
                p.skin if p.skin.kind == "rubber" else p.lens,
            )
        )
    for at in (0.38, 0.66, 0.995):
        result.append(
            Part(
                "ring",
                solids.torus((1.0 if at < 0.9 else 0.9) * radius, 0.008, segments=96, around=8).moved(
                    z=at * length
                ),
                p.ring,
            )
        )
    for reach, base, bulge, material in ((0.7, 0.84, 0.05, p.glass), (0.5, 0.9, 0.035, p.coating)):
        t = np.linspace(0, math.pi / 2, 14)
        dome = np.column_stack(
            [reach * radius * np.cos(t), base * length - 0.02 + (0.024 + bulge * radius * 4) * np.sin(t)]
        )
        result.append(Part("glass", solids.lathe(np.vstack([(0, base * length - 0.02), dome]), 64), material))
    return result


def _front(p: CameraParams) -> list[Part]:
    face, z = -0.5 * p.depth, 0.43 * p.height
    length, foot = p.lens_length, face
    result = []
    if p.style == "folding":
        foot = face - 0.3
        length = 0.12
        result += _bellows(p, face, foot, z)
    radius = min(p.lens_radius, 0.46 * p.height) * (0.8 if p.style == "folding" else 1.0)
    result += _placed(_barrel(p, radius, length), p.lens_offset, foot, z)
    windows = []
    if p.style != "reflex":
        high = 0.86 * p.height
        windows = [
            (-0.36 * p.width, high, 0.13, 0.085),
            (0.0 if p.style == "folding" else p.lens_offset, high, 0.07, 0.05),
            (0.26 * p.width, high, 0.1, 0.07),
        ]
    for x, height, wide, tall in windows:
        frame = solids.box(wide + 0.03, 0.024, tall + 0.03, 0.01).moved(x, face - 0.004, height)
        pane = solids.box(wide, 0.024, tall, 0.008).moved(x, face - 0.009, height)
        result += [Part("frame", frame, p.metal), Part("window", pane, p.coating if wide > 0.12 else p.glass)]
    if p.grip:
        side = 0.43 * p.width
        outline = curves.superellipse(24, 0.075, 0.07, 2.6)
        rows = [
            np.column_stack([outline * s + [-side, face + 0.01], np.full(24, h)])
            for h, s in (
                (0.1 * p.height, 0.85),
                (0.2 * p.height, 1.0),
                (0.55 * p.height, 1.0),
                (0.68 * p.height, 0.75),
            )
        ]
        result.append(Part("grip", loft(np.stack(rows)), p.skin))
    else:
        timer = solids.tube(
            curves.line(
                (-0.34 * p.width, face - 0.025, 0.56 * p.height),
                (-0.34 * p.width, face - 0.025, 0.36 * p.height),
            ),
            np.array([0.024, 0.013]),
        )
        pivot = _knob(0.034, 0.03, 14).aimed((0, -1, 0)).moved(-0.34 * p.width, face, 0.56 * p.height)
        result += [Part("timer", timer, p.metal), Part("pivot", pivot, p.metal)]
    return result


def _placed(parts: list[Part], x: float, y: float, z: float) -> list[Part]:
    """Parts built about z, turned to look towards -y and put where they belong."""
    return [Part(q.name, q.mesh.aimed((0, -1, 0)).moved(x, y, z), q.material) for q in parts]


def _bellows(p: CameraParams, face: float, front: float, z: float) -> list[Part]:
    """Pleated leather between body and lens standard, on an open bed with two struts."""
    folds = 9
    rows = []
    for k in range(2 * folds + 1):
        t = k / (2 * folds)
        half = 0.235 - 0.07 * t - (0.022 if k % 2 else 0.0)
        outline = curves.rectangle(2 * half, 2 * min(half, 0.43 * p.height), 0.04, steps=3)
        rows.append(np.column_stack([outline, np.full(len(outline), t * (face - front))]))
    bellows = loft(np.stack(rows)).aimed((0, -1, 0)).moved(p.lens_offset, face, z)
    standard = solids.box(0.36, 0.03, min(0.36, 0.8 * p.height), 0.012).moved(p.lens_offset, front + 0.01, z)
    bed = solids.box(0.46, 0.36, 0.025, 0.008).moved(p.lens_offset, face - 0.17, 0.035)
    result = [Part("bellows", bellows, p.skin), Part("standard", standard, p.lens), Part("bed", bed, p.case)]
    for side in (-1, 1):
        x = p.lens_offset + side * 0.215
        strut = curves.line((x, face + 0.01, 0.62 * p.height), (x, face - 0.32, 0.05))
        result.append(
            Part("strut", solids.tube(strut, 0.011, section=curves.superellipse(10, 0.6, 1.4, 3)), p.metal)
        )
        rail = solids.box(0.014, 0.33, 0.014, 0.003).moved(p.lens_offset + side * 0.1, face - 0.17, 0.052)
        result.append(Part("rail", rail, p.metal))
    return result


def _back(p: CameraParams) -> list[Part]:
    """Screen or film door, so that the camera has a believable rear as well."""
    rear = 0.5 * p.depth
    screen = solids.box(0.52 * p.width, 0.02, 0.42 * p.height, 0.01).moved(0.04, rear, 0.4 * p.height)
    frame = solids.box(0.56 * p.width, 0.016, 0.48 * p.height, 0.01).moved(0.04, rear - 0.001, 0.4 * p.height)
    thumb = solids.ellipsoid(0.05, 0.02, 0.11, 20).moved(-0.42 * p.width, rear, 0.5 * p.height)
    return [Part("screen", screen, p.glass), Part("frame", frame, p.case), Part("thumb rest", thumb, p.skin)]


def _twin(p: CameraParams) -> list[Part]:
    """Tall box with a viewing lens over a taking lens, folding hood, focus knobs and a crank."""
    face, h = -0.5 * p.depth, p.height
    corner = min(p.corner, 0.06)
    body = solids.extruded(curves.rectangle(p.width, p.depth, corner), h, 0.02)
    board = solids.box(0.84 * p.width, 0.05, 0.86 * h, 0.03).moved(0, face - 0.01, 0.47 * h)
    trims = [
        solids.extruded(
            curves.rectangle(p.width + 0.012, p.depth + 0.012, corner + 0.006), 0.035, 0.008
        ).moved(z=z)
        for z in (0.0, h - 0.035)
    ]
    result = [
        Part("body", body, p.skin),
        Part("board", board, p.case),
        *(Part("trim", t, p.metal) for t in trims),
    ]
    radius = min(p.lens_radius, 0.21 * h)
    for z, scale in ((0.27 * h, 1.0), (0.7 * h, 0.9)):
        result += _placed(_barrel(p, radius * scale, p.lens_length), 0.0, face - 0.03, z)
    walls = [
        (0.0, -0.46 * p.depth, 0.88 * p.width, 0.014),
        (0.0, 0.46 * p.depth, 0.88 * p.width, 0.014),
        (-0.44 * p.width, 0.0, 0.014, 0.9 * p.depth),
        (0.44 * p.width, 0.0, 0.014, 0.9 * p.depth),
    ]
    result += [
        Part("hood", solids.box(sx, sy, 0.2, 0.005).moved(x, y, h + 0.09), p.case) for x, y, sx, sy in walls
    ]
    result.append(
        Part(
            "finder", solids.box(0.84 * p.width, 0.86 * p.depth, 0.02, 0.004).moved(0, 0, h + 0.004), p.glass
        )
    )
    for side, z, size in ((1, 0.28 * h, 0.085), (1, 0.66 * h, 0.055), (-1, 0.3 * h, 0.06)):
        knob = _knob(size, 0.07, 28).aimed((side, 0, 0)).moved(side * 0.5 * p.width - side * 0.004, 0.0, z)
        result.append(Part("knob", knob, p.metal))
    crank = solids.tube(
        curves.line((0.5 * p.width + 0.035, 0.0, 0.66 * h), (0.5 * p.width + 0.035, 0.13, 0.6 * h)), 0.012
    )
    handle = solids.tube(
        curves.line((0.5 * p.width + 0.03, 0.13, 0.6 * h), (0.5 * p.width + 0.1, 0.13, 0.6 * h)), 0.02
    )
    return [*result, Part("crank", crank, p.metal), Part("crank handle", handle, p.lens)]


def _strap(p: CameraParams) -> list[Part]:
    """Strap from lug to lug, hanging in a loop behind the camera."""
    z, x = 0.86 * p.height, 0.5 * p.width
    lugs = [
        solids.torus(0.026, 0.008, segments=24, around=8)
        .turned("y", math.pi / 2)
        .turned("z", math.pi / 2)
        .moved(s * (x + 0.02), 0, z)
        for s in (-1, 1)
    ]
    low = 0.035
    points = [
        (-x - 0.03, 0.01, z),
        (-x - 0.13, 0.08, 0.6 * z),
        (-x + 0.02, 0.5 * p.depth + 0.16, low + 0.03),
        (0.0, 0.5 * p.depth + p.strap_sag, low),
        (x - 0.02, 0.5 * p.depth + 0.16, low + 0.03),
        (x + 0.13, 0.08, 0.6 * z),
        (x + 0.03, 0.01, z),
    ]
    path = curves.spline(points, 80)
    strap = solids.tube(path, 1.0, section=curves.superellipse(12, 0.008, 0.036, 4.0), up=(0.0, 1.0, 0.0))
    return [Part("lugs", joined(lugs), p.metal), Part("strap", strap, p.band)]
