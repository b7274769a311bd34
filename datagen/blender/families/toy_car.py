"""Toy car: saloon, van, pickup, beetle or open racer, with windows, lamps, bumpers and spoked wheels."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.toy_car_params import ARCH_GAP, STYLES, ToyCarParams, toy_car_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined, sheet
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["toy_car", "toy_car_rand"]


def toy_car(p: ToyCarParams) -> list[Part]:
    deck = _deck(p)
    racer = p.style == "racer"
    result = [Part("body", _body(p, deck), p.body)]
    for y in p.axles:
        for side in (-1, 1):
            result += _wheel(p, side, y)
        axle = solids.tube(
            curves.line((-0.5 * p.width, y, p.wheel_radius), (0.5 * p.width, y, p.wheel_radius)), 0.016
        )
        result.append(Part("axle", axle, p.trim))
    result += [] if racer else [Part("underside", _underside(p), p.dark), *_front_and_rear(p)]
    if p.stripes:
        offsets = (0.0,) if p.stripes == 1 else (-0.045, 0.045)
        result += [
            Part("stripe", _strip(deck, x, 0.1 if p.stripes == 1 else 0.05), p.stripe) for x in offsets
        ]
    result += _cockpit(p, deck) if racer else _cabin(p, deck)
    if p.style == "pickup":
        result += _bed(p, deck)
    if p.key:
        result += _key(p)
    return result


def _deck(p: ToyCarParams) -> np.ndarray:
    """Upper silhouette (P, 2) of the body in (y, z), nose to tail."""
    points = np.array(STYLES[p.style][0]) + np.array([0.0, p.lift])
    if p.style in ("beetle", "racer"):
        return curves.spline(points, 40)
    return curves.rounded(points, 0.06, steps=5)


def _deck_height(deck: np.ndarray, y: float) -> float:
    return float(np.interp(y, deck[:, 0], deck[:, 1]))


def _body(p: ToyCarParams, deck: np.ndarray) -> Mesh:
    """Side silhouette with wheel arches cut out, swept across the car, its edges rounded.

    A racer's is narrow and whole, and its wheels stand free beside it.
    """
    racer = p.style == "racer"
    width = 0.5 * p.width if racer else p.width
    low, arch = p.clearance, p.wheel_radius + ARCH_GAP
    under = [(-0.49, low)]
    for y in () if racer else p.axles:
        reach = math.sqrt(max(arch**2 - (p.wheel_radius - low) ** 2, 1e-4))
        start = math.atan2(low - p.wheel_radius, -reach)
        angle = np.linspace(start % math.tau, math.atan2(low - p.wheel_radius, reach), 18)
        under += [(y + arch * math.cos(a), p.wheel_radius + arch * math.sin(a)) for a in angle]
    under.append((0.49, low))
    outline = np.vstack([under, deck[::-1]])
    plate = solids.extruded(outline, width, p.bevel, steps=4)
    # Drawn in (y, z) and swept along +x: a cyclic change of axes keeps the winding.
    vertices = plate.vertices[:, [2, 0, 1]] - [0.5 * width, 0, 0]
    return replace(plate, vertices=vertices, rest=vertices.copy()).grained("y")


def _underside(p: ToyCarParams) -> Mesh:
    """Keeps the wheel wells dark and closed."""
    height = 2 * p.wheel_radius + 0.02 - p.clearance
    return solids.box(p.width - 2.2 * p.wheel_width, 0.78, height, 0.01).moved(
        z=p.clearance + 0.5 * height - 0.01
    )


def _wheel(p: ToyCarParams, side: int, y: float) -> list[Part]:
    """Tyre, dished rim, spokes and hub; built about z and laid on its side, outside outwards."""
    r, w = p.wheel_radius, p.wheel_width
    rim = 0.62 * r
    tyre = [(rim, 0.0), (0.9 * r, 0.0), (r, 0.22 * w), (r, 0.78 * w), (0.9 * r, w), (rim, w)]
    profile = curves.rounded(tyre, [0.01, 0.02, 0.02, 0.02, 0.02, 0.01], steps=5)
    treaded = solids.lathe(
        profile, 4 * p.tread if p.tread else 64, lobes=(p.tread, 0.018 if p.tread else 0.0)
    )
    dish = curves.rounded(
        [
            (0, 0.2 * w),
            (rim * 1.02, 0.2 * w),
            (rim * 1.02, 1.03 * w),
            (0.86 * rim, 1.03 * w),
            (0.8 * rim, 0.72 * w),
            (0, 0.72 * w),
        ],
        0.006,
    )
    hub = curves.rounded(
        [(0, 0.6 * w), (0.26 * rim, 0.6 * w), (0.24 * rim, 1.02 * w), (0.1 * rim, 1.1 * w), (0, 1.1 * w)],
        0.006,
    )
    pieces = [(treaded, p.tyre), (solids.lathe(dish, 48), p.rim), (solids.lathe(hub, 32), p.trim)]
    for k in range(p.spokes):
        spoke = solids.box(0.86 * rim, 0.16 * rim if p.spokes < 7 else 0.08 * rim, 0.24 * w, 0.004)
        pieces.append((spoke.moved(x=0.43 * rim, z=0.82 * w).turned("z", math.tau * k / p.spokes), p.rim))
    x = 0.5 * p.width - 0.55 * w
    return [
        Part("wheel", m.turned("y", side * math.pi / 2).moved(side * x, y, r), material)
        for m, material in pieces
    ]


def _front_and_rear(p: ToyCarParams) -> list[Part]:
    result = []
    for y, lamp in ((-0.5, p.lamp), (0.5, p.tail)):
        out = math.copysign(1.0, y)
        bumper = curves.spline(
            [
                (-0.5 * p.width - 0.005, y - out * 0.05),
                (-0.42 * p.width, y + out * 0.018),
                (0.0, y + out * 0.028),
                (0.42 * p.width, y + out * 0.018),
                (0.5 * p.width + 0.005, y - out * 0.05),
            ],
            28,
        )
        path = np.column_stack([bumper, np.full(28, p.clearance + 0.03)])
        result.append(
            Part("bumper", solids.tube(path, 1.0, section=curves.superellipse(14, 0.012, 0.02, 3.0)), p.trim)
        )
        height = max(p.clearance + 0.06, 0.17 + p.lift)
        for side in (-1, 1):
            bowl = curves.rounded(
                [(0, -0.02), (0.038, -0.02), (0.042, 0.012), (0.036, 0.016), (0.034, 0.006), (0, 0.006)],
                0.004,
            )
            glass = curves.spline([(0.035, 0.004), (0.028, 0.016), (0.012, 0.022), (0, 0.023)], 12)
            scale = 0.7 if y > 0 else 1.0
            for profile, material in ((bowl, p.trim), (np.vstack([(0, 0.003), glass]), lamp)):
                piece = solids.lathe(np.asarray(profile) * [scale, 1.0], 32).aimed((0, out, 0))
                result.append(Part("lamp", piece.moved(side * 0.36 * p.width, y, height), material))
    height = 0.07
    z = 0.165 + p.lift
    result.append(Part("grille", solids.box(0.36 * p.width, 0.03, height, 0.008).moved(0, -0.495, z), p.dark))
    for k in range(4):
        bar = solids.box(0.36 * p.width, 0.012, 0.006, 0.002).moved(0, -0.512, z + height * (k - 1.5) / 5)
        result.append(Part("bar", bar, p.trim))
    plate = solids.box(0.12, 0.01, 0.045, 0.003).moved(0, 0.502, 0.15 + p.lift)
    result.append(Part("plate", plate, p.lamp))
    return result


def _strip(deck: np.ndarray, x: float, width: float) -> Mesh:
    """Painted stripe lying just above the deck."""
    line = curves.resampled(deck[(deck[:, 0] > -0.485) & (deck[:, 0] < 0.485)], 40)
    columns = np.array([x - 0.5 * width, x + 0.5 * width])
    grid = np.array([[(column, y, z + 0.0022) for column in columns] for y, z in line])
    return sheet(grid, 0.002)


def _cabin_place(p: ToyCarParams, deck: np.ndarray, part: Mesh) -> Mesh:
    """From the cabin's space, x in [-1, 1], y and z in [0, 1], to the car: tapered, raked and arched."""
    start, end, height = STYLES[p.style][1]
    x, y, z = part.vertices.T
    floor = min(_deck_height(deck, start + 0.05), _deck_height(deck, end - 0.05)) - 0.02
    taper = 1 + (p.cabin_taper - 1) * z
    front, rear = start + p.windscreen * height * z, end - p.rear_window * height * z
    bow = 0.012 * (1 - x**2) * np.clip(z, 0, 1)
    half = 0.5 * p.width - 0.012
    # Waisted glass house in plan: a little narrower at both ends.
    plan = 1 - 0.1 * (2 * y - 1) ** 2
    vertices = np.column_stack(
        [half * x * taper * plan, front + (rear - front) * y, floor + (height + 0.02) * z + bow]
    )
    return replace(part, vertices=vertices)


def _cabin(p: ToyCarParams, deck: np.ndarray) -> list[Part]:
    def block(width: float, length: float, height: float, bevel: float, x: float, y: float, z: float) -> Mesh:
        return solids.box(width, length, height, bevel, steps=4).moved(x, y, z)

    round_edge = 0.16 if p.style == "beetle" else 0.09
    result = [
        Part("cabin", block(2.0, 1.0, 1.0, round_edge, 0, 0.5, 0.5), p.body),
        Part("roof", block(1.9, 0.9, 0.1, 0.05, 0, 0.5, 0.985), p.roof),
        Part("windscreen", block(1.62, 0.05, 0.56, 0.02, 0, 0.002, 0.6), p.window),
        Part("rear window", block(1.5, 0.05, 0.46, 0.02, 0, 0.998, 0.63), p.window),
    ]
    span = 0.84
    for side in (-1, 1):
        for k in range(p.side_windows):
            length = span / p.side_windows - 0.04
            y = 0.08 + span * (k + 0.5) / p.side_windows
            result.append(Part("window", block(0.06, length, 0.46, 0.028, side * 0.985, y, 0.62), p.window))
    result = [Part(part.name, _cabin_place(p, deck, part.mesh).at_rest(), part.material) for part in result]
    start, end, _ = STYLES[p.style][1]
    for side in (-1, 1):
        x = side * (0.5 * p.width + 0.002)
        middle = 0.5 * (start + end)
        handle = solids.box(0.014, 0.05, 0.012, 0.004).moved(x, middle + 0.06, 0.235 + p.lift)
        mirror = solids.ellipsoid(0.022, 0.012, 0.018, 16).moved(
            side * (0.5 * p.width + 0.008), start + 0.09, 0.31 + p.lift
        )
        result += [Part("handle", handle, p.trim), Part("mirror", mirror, p.trim)]
        door = curves.rectangle(0.21, 0.13, 0.03)
        seam = np.column_stack(
            [np.full(len(door), x), middle + 0.02 + door[:, 0], 0.21 + p.lift + door[:, 1]]
        )
        result.append(Part("seam", solids.tube(seam, 0.0028, segments=6, closed=True), p.dark))
    return result + (_rack(p, deck) if p.rack else [])


def _rack(p: ToyCarParams, deck: np.ndarray) -> list[Part]:
    start, end, height = STYLES[p.style][1]
    middle, half = 0.5 * (start + end), 0.28 * (end - start)
    top = _deck_height(deck, middle) + height + 0.045
    bars = [
        solids.tube(curves.line((-0.14, y, top), (0.14, y, top)), 0.007)
        for y in np.linspace(middle - half, middle + half, 5)
    ]
    rails = [
        solids.tube(curves.line((x, middle - half, top), (x, middle + half, top)), 0.008)
        for x in (-0.14, 0.14)
    ]
    posts = [
        solids.tube(curves.line((x, middle + s * half, top - 0.07), (x, middle + s * half, top)), 0.007)
        for x in (-0.14, 0.14)
        for s in (-1, 1)
    ]
    case = solids.box(0.2, 1.3 * half, 0.06, 0.015).moved(0.01, middle, top + 0.036)
    return [Part("rack", joined([*bars, *rails, *posts]), p.trim), Part("luggage", case, p.stripe)]


def _bed(p: ToyCarParams, deck: np.ndarray) -> list[Part]:
    """Load bed of a pickup: three walls on the deck, and what lies in it."""
    floor = _deck_height(deck, 0.3)
    walls = [
        solids.box(0.02, 0.36, 0.08, 0.006).moved(s * (0.5 * p.width - 0.012), 0.31, floor + 0.03)
        for s in (-1, 1)
    ]
    walls.append(solids.box(p.width - 0.01, 0.02, 0.08, 0.006).moved(0, 0.488, floor + 0.03))
    result = [Part("wall", wall, p.body) for wall in walls]
    for k in range(p.cargo):
        crate = solids.box(0.11, 0.09, 0.07 + 0.02 * k, 0.008).turned("z", 0.3 * k - 0.2)
        result.append(
            Part(
                "crate",
                crate.moved(0.13 * (k % 2) - 0.06, 0.22 + 0.1 * k, floor + 0.04 + 0.01 * k),
                (p.stripe, p.roof, p.tail)[k],
            )
        )
    return result


def _cockpit(p: ToyCarParams, deck: np.ndarray) -> list[Part]:
    """Open racer: padded opening, driver's helmet, windscreen, roll bar and a wing on two struts."""
    y = 0.02
    z = _deck_height(deck, y)
    opening = np.column_stack(
        [
            0.088 * np.cos(a := np.linspace(0, math.tau, 40, endpoint=False)),
            y + 0.13 * np.sin(a),
            z + 0.004 + 0.06 * np.sin(a) * 0.5,
        ]
    )
    well = solids.extruded(curves.superellipse(40, 0.088, 0.13, 2.0), 0.02).moved(0, y, z - 0.008)
    helmet = solids.ellipsoid(p.helmet, p.helmet * 1.1, p.helmet, 32).moved(0, y + 0.03, z + 0.06)
    visor = solids.ellipsoid(p.helmet * 0.9, p.helmet, p.helmet * 0.42, 24).moved(
        0, y + 0.03 - 0.2 * p.helmet, z + 0.063
    )
    bar = curves.spline(
        [
            (-0.08, y + 0.14, z - 0.02),
            (-0.075, y + 0.14, z + 0.11),
            (0, y + 0.14, z + 0.15),
            (0.075, y + 0.14, z + 0.11),
            (0.08, y + 0.14, z - 0.02),
        ],
        32,
    )
    tail = _deck_height(deck, 0.42)
    nose = solids.box(p.width * 0.98, 0.1, 0.014, 0.005).turned("x", 0.12).moved(0, -0.49, 0.085)
    wing = solids.box(p.width * 1.02, 0.12, 0.014, 0.005).turned("x", -0.15).moved(0, 0.43, tail + 0.13)
    result = [
        Part("well", well, p.dark),
        Part("padding", solids.tube(opening, 0.014, closed=True), p.dark),
        Part("helmet", helmet, p.roof),
        Part("visor", visor, p.window),
        Part("roll bar", solids.tube(bar, 0.011), p.trim),
        Part("wing", wing, p.roof),
        Part("nose wing", nose, p.roof),
    ]
    for side in (-1, 1):
        strut = solids.box(0.012, 0.06, 0.16, 0.004).moved(side * 0.075, 0.42, tail + 0.06)
        fin = solids.box(0.012, 0.15, 0.08, 0.005).moved(side * 0.51 * p.width, 0.43, tail + 0.13)
        pipe = solids.tube(
            curves.line((side * 0.055, 0.4, 0.13), (side * 0.055, 0.56, 0.14)), 0.02, segments=20
        )
        result += [Part("strut", strut, p.trim), Part("fin", fin, p.stripe), Part("exhaust", pipe, p.trim)]
    return result


def _key(p: ToyCarParams) -> list[Part]:
    """Clockwork key in the flank."""
    shaft = solids.tube(curves.line((0.45 * p.width, 0.02, 0.16), (0.5 * p.width + 0.07, 0.02, 0.16)), 0.011)
    wings = [
        solids.torus(0.035, 0.011, segments=32)
        .turned("y", math.pi / 2)
        .moved(0.5 * p.width + 0.08, 0.02 + s * 0.04, 0.16)
        for s in (-1, 1)
    ]
    return [Part("key", joined([shaft, *wings]), p.trim)]
