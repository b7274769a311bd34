"""Guitar: acoustic or electric, body cut from an outline, neck with frets, headstock with pegs, strings.

Everything is drawn on a board, x across, y along the neck and z towards the player's audience, and stood up
at the end.
"""

import math

import numpy as np

from pairbridge.datagen.blender.families.guitar_params import GuitarParams, guitar_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined, loft
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["guitar", "guitar_rand"]


def guitar(p: GuitarParams) -> list[Part]:
    result = _body(p) + _neck(p) + _head(p) + _strings(p)
    result += _acoustic_fittings(p) if p.acoustic else _electric_fittings(p)
    return [Part(part.name, part.mesh.turned("x", math.pi / 2), part.material) for part in result]


def _nut(p: GuitarParams) -> float:
    return p.bridge_at + p.scale_length


def _board_height(p: GuitarParams) -> float:
    """z of the fretboard's surface; the body's top is at 0."""
    return 0.022


def _body(p: GuitarParams) -> list[Part]:
    outline = curves.resampled(curves.spline(p.outline, 240, closed=True), 160, closed=True)
    if not p.acoustic:
        plate = solids.extruded(outline, p.depth, 0.3 * p.depth, steps=5)
        return [Part("body", plate.grained("y").moved(z=-p.depth), p.body)]
    sides = solids.extruded(outline, p.depth - 0.004, 0.006).grained("y").moved(z=-p.depth)
    table = solids.extruded(curves.inset(outline, 0.002), 0.006, 0.002).grained("y").moved(z=-0.006)
    edge = curves.inset(outline, 0.003)
    bindings = [
        solids.tube(np.column_stack([edge, np.full(len(edge), z)]), 0.0055, segments=8, closed=True)
        for z in (-0.005, 0.004 - p.depth)
    ]
    return [
        Part("sides", sides, p.body),
        Part("table", table, p.top),
        *(Part("binding", b, p.binding) for b in bindings),
    ]


def _neck(p: GuitarParams) -> list[Part]:
    """Fretboard over a half-round neck, tapering to the nut, with frets at a semitone's distances."""
    joint = max(y for _, y in p.outline) - (0.02 if p.acoustic else 0.1)
    end, nut, surface = joint - (0.1 if p.acoustic else 0.03), _nut(p), _board_height(p)

    def half_width(y: float) -> float:
        return 0.5 * p.nut_width * (1 + 0.32 * (nut - y) / (nut - end))

    stations = np.linspace(joint - 0.03, nut + 0.012, 24)
    angle = np.linspace(math.pi, math.tau, 14)
    rows = []
    for y in stations:
        w = half_width(y)
        # The heel grows towards the body like a neck that is carved out of the block it is glued in.
        heel = (0.055 if p.acoustic else 0.01) * max(0.0, 1 - (y - stations[0]) / 0.09) ** 2
        rows.append(
            np.column_stack(
                [w * np.cos(angle), np.full(14, y), surface - 0.008 + (0.026 + heel) * np.sin(angle)]
            )
        )
    neck = loft(np.stack(rows)[:, ::-1]).grained("y")
    board = [
        np.column_stack(
            [
                half_width(y) * np.array([-1, 1, 1, -1]),
                np.full(4, y),
                surface - np.array([0.009, 0.009, 0, 0]),
            ]
        )
        for y in np.linspace(end, nut, 20)
    ]
    fretboard = loft(np.stack(board)[:, ::-1]).grained("y")
    frets, dots = [], []
    positions = [nut - p.scale_length * (1 - 2 ** (-k / 12)) for k in range(p.frets + 1)]
    for k, y in enumerate(positions[1:], start=1):
        if y < end + 0.005:
            break
        w = half_width(y) - 0.001
        frets.append(solids.tube(curves.line((-w, y, surface), (w, y, surface)), 0.0016, segments=8))
        if k in (3, 5, 7, 9, 12, 15, 17, 19):
            middle = 0.5 * (y + positions[k - 1])
            for x in (-0.4, 0.4) if k == 12 else (0.0,):
                dots.append(
                    solids.extruded(curves.circle(16, 0.0042), 0.0012).moved(x * w, middle, surface - 0.0003)
                )
    nut_bar = solids.box(2 * half_width(nut), 0.008, 0.012, 0.002).moved(0, nut + 0.003, surface)
    return [
        Part("neck", neck, p.neck),
        Part("fretboard", fretboard, p.fretboard),
        Part("frets", joined(frets), p.metal),
        Part("dots", joined(dots), p.binding),
        Part("nut", nut_bar, p.binding),
    ]


def _peg_places(p: GuitarParams) -> list[tuple[float, float, int]]:
    """(x, y, side) of the six posts on the headstock's board, from the lowest string's to the highest's."""
    y0, step = _nut(p) + 0.035, (p.head_length - 0.05) / 5
    if p.pegs_in_line:
        return [(-0.014 - 0.002 * k, y0 + step * k, -1) for k in range(6)]
    left = [(-0.02, y0 + 2 * step * k, -1) for k in range(3)]
    return left + [(-x, y, 1) for x, y, _ in reversed(left)]


def _head_surface(p: GuitarParams, y: float) -> float:
    return _board_height(p) - 0.008 - 0.2 * (y - _nut(p))


def _head(p: GuitarParams) -> list[Part]:
    nut, length, half = _nut(p), p.head_length, 0.5 * p.nut_width
    if p.pegs_in_line:
        points = [
            (half, 0.0),
            (half + 0.004, 0.03),
            (half + 0.004, 0.8 * length),
            (0.012, length + 0.012),
            (-0.02, length),
            (-0.036, 0.9 * length),
            (-half - 0.008, 0.04),
            (-half, 0.0),
        ]
    else:
        points = [
            (half, 0.0),
            (0.036, 0.03),
            (0.042, 0.95 * length),
            (0.02, length + 0.01),
            (0.0, length - 0.002),
            (-0.02, length + 0.01),
            (-0.042, 0.95 * length),
            (-0.036, 0.03),
            (-half, 0.0),
        ]
    outline = curves.rounded(points, 0.012, closed=True)
    tilt = -math.atan(0.2)
    plate = (
        solids.extruded(outline, 0.016, 0.003)
        .grained("y")
        .moved(z=-0.016)
        .turned("x", tilt)
        .moved(0, nut, _board_height(p) - 0.008)
    )
    result = [Part("head", plate, p.neck)]
    post = curves.rounded(
        [
            (0, -0.02),
            (0.0085, -0.02),
            (0.0085, 0.003),
            (0.0045, 0.005),
            (0.004, 0.016),
            (0.005, 0.019),
            (0, 0.019),
        ],
        0.001,
    )
    for x, y, side in _peg_places(p):
        z = _head_surface(p, y)
        turner = solids.tube(curves.line((x, y, z - 0.016), (side * 0.052, y, z - 0.016)), 0.003, segments=10)
        button = solids.ellipsoid(0.011, 0.014, 0.006, 16).moved(side * 0.058, y, z - 0.016)
        result += [
            Part("post", solids.lathe(post, 20).turned("x", tilt).moved(x, y, z), p.metal),
            Part("turner", turner, p.metal),
            Part("button", button, p.binding if p.acoustic else p.metal),
        ]
    return result


def _strings(p: GuitarParams) -> list[Part]:
    result = []
    saddle = (0.016 if p.acoustic else 0.02) + 0.01
    for k, (x, y, _) in enumerate(_peg_places(p)):
        across = (k - 2.5) / 5
        points = [
            (across * 0.058, p.bridge_at - 0.008, 0.012),
            (across * 0.058, p.bridge_at, saddle),
            (across * 0.8 * p.nut_width, _nut(p), _board_height(p) + 0.0075),
            (x, y, _head_surface(p, y) + 0.011),
        ]
        result.append(solids.tube(np.array(points), 0.0019 - 0.00018 * k, segments=6))
    return [Part("strings", joined(result), p.metal)]


def _acoustic_fittings(p: GuitarParams) -> list[Part]:
    centre = max(y for _, y in p.outline) - 0.155
    hole = solids.extruded(curves.circle(64, p.hole_radius), 0.0012).moved(0, centre, 0)
    result = [Part("hole", hole, p.dark)]
    for k in range(p.rosette):
        ring = solids.torus(
            p.hole_radius + 0.003 + 0.006 * k,
            1.0,
            segments=72,
            section=curves.superellipse(10, 0.002, 0.0012, 2.5),
        )
        result.append(Part("rosette", ring.moved(0, centre, 0.0008), (p.binding, p.fretboard, p.body)[k]))
    bridge = curves.rounded(
        [
            (-0.09, -0.012),
            (-0.04, -0.018),
            (0.04, -0.018),
            (0.09, -0.012),
            (0.09, 0.01),
            (0.04, 0.014),
            (-0.04, 0.014),
            (-0.09, 0.01),
        ],
        0.012,
        closed=True,
    )
    block = solids.extruded(bridge, 0.014, 0.004).grained("x").moved(0, p.bridge_at, 0)
    saddle = solids.box(0.075, 0.005, 0.02, 0.0015).moved(0, p.bridge_at, 0.015)
    pins = [
        solids.ellipsoid(0.004, 0.004, 0.004, 12).moved((k - 2.5) / 5 * 0.058, p.bridge_at - 0.01, 0.015)
        for k in range(6)
    ]
    result += [
        Part("bridge", block, p.fretboard),
        Part("saddle", saddle, p.binding),
        Part("pins", joined(pins), p.binding),
    ]
    if p.guard:
        r = p.hole_radius
        shape = [
            (0.25 * r, -1.02 * r),
            (1.0 * r, -0.45 * r),
            (1.15 * r, 0.35 * r),
            (1.75 * r, -0.3 * r),
            (2.0 * r, -1.4 * r),
            (1.3 * r, -2.1 * r),
            (0.7 * r, -1.7 * r),
        ]
        guard = solids.extruded(curves.spline(shape[::-1], 64, closed=True), 0.0022, 0.0007).moved(
            0, centre, 0
        )
        result.append(Part("guard", guard, p.guard_skin))
    return result


def _electric_fittings(p: GuitarParams) -> list[Part]:
    """Pickups with pole pieces, bridge, knobs, switch and a scratch plate with its screws."""
    result = []
    z = 0.004 if p.guard else 0.0
    if p.guard:
        points = [
            (-0.045, 0.13),
            (0.02, 0.11),
            (0.095, 0.05),
            (0.125, 0.1),
            (0.085, 0.19),
            (0.09, 0.27),
            (0.045, 0.32),
            (-0.05, 0.32),
            (-0.085, 0.3),
            (-0.07, 0.2),
        ]
        plate = solids.extruded(curves.spline(points, 96, closed=True), 0.004, 0.001)
        result.append(Part("guard", plate, p.guard_skin))
        result.append(
            Part(
                "screws",
                joined(
                    [
                        solids.ellipsoid(0.003, 0.003, 0.002, 10).moved(0.92 * x, 0.18 + 0.93 * (y - 0.18), z)
                        for x, y in points
                    ]
                ),
                p.metal,
            )
        )
    for at in p.pickups:
        size = (0.072, 0.032) if p.humbuckers else (0.07, 0.018)
        cover = solids.box(*size, 0.022, 0.006).moved(0, at, z)
        rows = (-0.007, 0.007) if p.humbuckers else (0.0,)
        poles = [
            solids.ellipsoid(0.0028, 0.0028, 0.0016, 10).moved((k - 2.5) / 5 * 0.054, at + dy, z + 0.011)
            for k in range(6)
            for dy in rows
        ]
        result += [
            Part("pickup", cover, p.metal if p.humbuckers else p.binding),
            Part("poles", joined(poles), p.dark if p.humbuckers else p.metal),
        ]
    plate = solids.box(0.078, 0.04, 0.014, 0.003).moved(0, p.bridge_at - 0.006, 0.004)
    saddles = [
        solids.box(0.0085, 0.022, 0.014, 0.002).moved(
            (k - 2.5) / 5 * 0.058, p.bridge_at - 0.002 * (k % 2), 0.017
        )
        for k in range(6)
    ]
    result += [Part("bridge", plate, p.metal), Part("saddles", joined(saddles), p.metal)]
    knob = curves.rounded([(0, 0), (0.013, 0), (0.0115, 0.013), (0, 0.014)], 0.003)
    for k in range(p.knobs):
        place = (0.085 + 0.028 * (k % 2), 0.075 + 0.04 * (k // 2) - 0.02 * (k % 2), z)
        result.append(
            Part(
                "knob",
                solids.lathe(knob, 48, lobes=(16, 0.03)).moved(*place),
                p.metal if k % 2 else p.binding,
            )
        )
    lever = solids.tube(curves.line((0.07, 0.2, z), (0.074, 0.203, z + 0.022)), 0.0028)
    return [*result, Part("switch", lever, p.metal), Part("button", _button(p), p.metal)]


def _button(p: GuitarParams) -> Mesh:
    """Strap button at the body's bottom."""
    profile = curves.rounded([(0, 0), (0.006, 0), (0.004, 0.008), (0.009, 0.013), (0, 0.015)], 0.001)
    return solids.lathe(profile, 20).aimed((0, -1, 0)).moved(0, p.outline[0][1] + 0.002, -0.5 * p.depth)
