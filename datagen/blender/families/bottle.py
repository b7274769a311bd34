"""Bottle: of wine, beer, water, milk, sauce, shampoo or soap, with its cap, its label and what is in it."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.bottle_labels import bottle_label_parts
from pairbridge.datagen.blender.families.bottle_params import BottleParams, bottle_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, joined, loft
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["bottle", "bottle_rand"]


def bottle(p: BottleParams) -> list[Part]:
    outer = _outline(p)
    wall = 0.012
    inner = outer[::-1] - [wall, 0.0]
    glassy = p.body.transmission > 0
    # What is opaque has an inside only as far down as one can look.
    inner = inner[inner[:, 1] > (0.035 if glassy else outer[-1, 1] - 0.12)]
    mouth = outer[-1]
    rim = mouth + 0.5 * wall * np.stack([np.cos(t := np.linspace(0, math.pi, 7)) - 1, np.sin(t)], 1)
    foot = curves.rounded(
        [(0, 0.02), (0.72 * outer[0, 0], 0.008), (0.8 * outer[0, 0], 0.0), (outer[0, 0], 0.0), outer[3]],
        0.012,
    )
    profile = np.vstack([foot[:-1], outer[4:-1], rim, inner[1:], [(0, inner[-1, 1] - 0.004)]])
    result = [Part("body", _moulded(profile, p), p.body), *_cap(p, mouth)]
    if glassy and p.fill:
        result.append(Part("contents", _poured(inner[::-1], p.fill * outer[-1, 1], 0.3 * wall), p.contents))
    if p.label is not None:
        low, high = p.label_span
        middle, height = 0.5 * (low + high), high - low
        radius = float(np.interp(middle, outer[:, 1], outer[:, 0]))
        girth = math.tau * radius
        if p.section == (2.0, 1.0):
            width = p.label_share * girth
            result += bottle_label_parts(
                p.label, prints.turned(outer, middle), p.style, width, height, 0.3 * girth
            )
        else:
            result += bottle_label_parts(
                p.label, _face(outer, middle, p), p.style, 1.3 * radius, height, 1.3 * radius
            )
    if p.neck_label and p.label is not None and p.label.base is not None:
        middle = 0.5 * (outer[-1, 1] + 0.62)
        ring = [prints.patch(math.tau * float(np.interp(middle, outer[:, 1], outer[:, 0])) * 0.97, 0.06)]
        badge = [prints.disc(0.022)]
        result.append(Part("neck label", prints.printed(prints.turned(outer, middle), ring, 1), p.label.base))
        result.append(Part("badge", prints.printed(prints.turned(outer, middle), badge, 2), p.label.colour))
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _poured(inner: Array, level: float, into: float) -> Mesh:
    """The liquid: it reaches `into` the wall, so that no film of air mirrors between it and the glass."""
    wet = inner[inner[:, 1] < level - 0.004] + np.array([into, 0.0])
    edge = float(np.interp(level, inner[:, 1], inner[:, 0]))
    base = [(0.0, wet[0, 1] - into), (0.9 * wet[0, 0], wet[0, 1] - into)]
    return solids.lathe(
        np.vstack([base, wet, [(edge + into, level), (edge - 0.01, level - 0.003), (0.0, level - 0.004)]]), 96
    )


def _outline(p: BottleParams) -> Array:
    """Outer wall (P, 2), rising; straight where the body is, so that a label lies flat."""
    return curves.resampled(curves.spline(p.profile, 140), 96)


def _moulded(profile: Array, p: BottleParams) -> Mesh:
    """The profile swept around, over the body's plan below and round at the neck."""
    if p.section == (2.0, 1.0):
        return solids.lathe(profile, 112)
    rows = []
    for radius, z in profile:
        plan = _plan(float(z), p)
        rows.append(np.column_stack([plan * max(radius, 1e-4), np.full(len(plan), z)]))
    return loft(np.stack(rows))


def _plan(z: float, p: BottleParams) -> Array:
    """Section (112, 2) of unit width at a height: the body's, turning into a circle over the shoulder."""
    power, depth = p.section
    shoulder = p.profile[-1][1]
    start = 0.74 * shoulder
    share = float(np.clip((z - start) / (shoulder - 0.06 - start), 0.0, 1.0))
    share = share * share * (3 - 2 * share)
    return (1 - share) * curves.superellipse(112, 1.0, depth, power) + share * curves.circle(112)


def _face(outer: Array, height: float, p: BottleParams) -> prints.Surface:
    """The front of a moulded body: u is x, v is z above the label's middle."""

    def depth(x: Array, z: Array) -> Array:
        radius = np.interp(z, outer[:, 1], outer[:, 0])
        power, flat = p.section
        return -flat * radius * (1 - np.clip(np.abs(x) / radius, 0, 0.995) ** power) ** (1 / power)

    def place(uv: Array) -> tuple[Array, Array]:
        x, z = uv[..., 0], height + uv[..., 1]
        step = 0.003
        slope_x = (depth(x + step, z) - depth(x - step, z)) / (2 * step)
        slope_z = (depth(x, z + step) - depth(x, z - step)) / (2 * step)
        normal = np.stack([slope_x, -np.ones_like(x), slope_z], -1)
        return np.stack([x, depth(x, z), z], -1), normal / np.linalg.norm(normal, axis=-1, keepdims=True)

    return place


def _cap(p: BottleParams, mouth: Array) -> list[Part]:
    radius, z = float(mouth[0]), float(mouth[1])
    if p.cap == "foil":
        # Closely around the neck, from under the lip to the top.
        start = z - 0.17
        outer = _outline(p)
        below = outer[(outer[:, 1] > start) & (outer[:, 1] < z - 0.03)] + [0.0016, 0.0]
        lip = [
            (radius + 0.002, z - 0.03),
            (radius + 0.007, z - 0.026),
            (radius + 0.007, z + 0.004),
            (radius, z + 0.012),
            (0, z + 0.012),
        ]
        inside = below[0] - [0.004, 0.0]
        profile = np.vstack([[(inside[0], inside[1])], below, curves.rounded(lip, 0.005)])
        return [Part("capsule", solids.lathe(np.vstack([[(0, inside[1])], profile]), 72), p.top)]
    if p.cap == "crown":
        profile = [
            (0, z - 0.014),
            (radius + 0.015, z - 0.014),
            (radius + 0.013, z - 0.004),
            (radius + 0.004, z + 0.012),
            (radius - 0.012, z + 0.019),
            (0, z + 0.021),
        ]
        crown = solids.lathe(curves.rounded(profile, 0.005), 126, lobes=(21, 0.028))
        band = solids.torus(radius + 0.002, 0.007, segments=72).moved(z=z - 0.035)
        return [Part("crown cap", crown, p.top), Part("lip", band, p.body)]
    if p.cap == "foil lid":
        profile = [
            (radius - 0.004, z - 0.012),
            (radius + 0.004, z - 0.014),
            (radius + 0.007, z + 0.002),
            (radius, z + 0.01),
            (0.7 * radius, z + 0.012),
            (0.66 * radius, z + 0.008),
            (0, z + 0.008),
        ]
        lid = solids.lathe(
            np.vstack([[(0, z - 0.012)], curves.rounded(profile, 0.004)]), 120, lobes=(40, 0.006)
        )
        return [Part("lid", lid, p.top)]
    if p.cap == "cork":
        cork = curves.rounded(
            [(0, z - 0.05), (radius - 0.014, z - 0.05), (radius - 0.004, z + 0.05), (0, z + 0.05)], 0.01
        )
        lip = solids.torus(radius + 0.001, 0.014, segments=72).moved(z=z - 0.012)
        return [Part("cork", solids.lathe(cork, 48), p.top), Part("lip", lip, p.body)]
    collar = solids.lathe(
        curves.rounded(
            [(0, z - 0.02), (radius + 0.012, z - 0.02), (radius + 0.012, z - 0.008), (0, z - 0.008)], 0.004
        ),
        72,
    )
    result = [Part("collar", collar, p.body)]
    if p.cap == "screw":
        wide = radius + (0.012 if p.style == "flask" else 0.028)
        tall = 0.1 if p.style == "flask" else 0.085
        result.append(Part("cap", _knurled(wide, z - 0.004, z + tall, p.ribs), p.top))
        top = curves.rounded(
            [
                (0, z + tall - 0.003),
                (0.8 * wide, z + tall - 0.003),
                (0.8 * wide, z + tall + 0.003),
                (0, z + tall + 0.003),
            ],
            0.002,
        )
        result.append(Part("disc", solids.lathe(top, 64), p.trim if p.style == "flask" else p.top))
        return result
    if p.cap == "nozzle":
        wide = radius + 0.02
        cone = [
            (0, z - 0.004),
            (wide, z - 0.004),
            (wide, z + 0.03),
            (0.9 * wide, z + 0.045),
            (0.34 * wide, z + 0.13),
            (0.2 * wide, z + 0.2),
            (0.13 * wide, z + 0.21),
            (0, z + 0.21),
        ]
        result.append(Part("nozzle", solids.lathe(curves.rounded(cone, 0.012), 72), p.top))
        return result
    result.append(Part("cap", _knurled(radius + 0.016, z - 0.004, z + 0.05, p.ribs), p.top))
    return result + (_pump(p, z) if p.cap == "pump" else _trigger(p, z))


def _knurled(radius: float, low: float, high: float, ribs: int) -> Mesh:
    """Screw cap with fine upright ribs and a smooth rounded top."""
    body = solids.lathe(
        curves.rounded([(0, low), (radius, low), (radius, high), (0, high)], [0, 0.003, 0.014, 0]),
        4 * ribs,
        lobes=(ribs, 0.008),
    )
    return body


def _pump(p: BottleParams, z: float) -> list[Part]:
    stem = solids.tube(curves.line((0, 0, z + 0.04), (0, 0, z + 0.15)), 0.016, segments=24)
    head = curves.rounded(
        [
            (0, z + 0.13),
            (0.03, z + 0.13),
            (0.034, z + 0.15),
            (0.034, z + 0.185),
            (0.026, z + 0.195),
            (0, z + 0.195),
        ],
        0.006,
    )
    path = curves.spline(
        [(0, 0, z + 0.168), (0, -0.07, z + 0.172), (0, -0.14, z + 0.166), (0, -0.165, z + 0.145)], 24
    )
    spout = solids.tube(path, np.linspace(0.019, 0.013, 24), segments=20)
    return [Part("stem", stem, p.trim), Part("head", joined([solids.lathe(head, 48), spout]), p.top)]


def _trigger(p: BottleParams, z: float) -> list[Part]:
    outline = curves.rounded(
        [
            (-0.15, z + 0.13),
            (-0.15, z + 0.175),
            (0.02, z + 0.2),
            (0.1, z + 0.16),
            (0.09, z + 0.1),
            (0.04, z + 0.05),
            (-0.04, z + 0.05),
            (-0.05, z + 0.11),
        ][::-1],
        0.03,
        closed=True,
    )
    outline = outline if _area(outline) > 0 else outline[::-1]
    shroud = solids.extruded(outline, 0.07, 0.014)
    # Drawn in (y, z), swept along x.
    vertices = shroud.vertices[:, [2, 0, 1]] - [0.035, 0, 0]
    shroud = replace(shroud, vertices=vertices, rest=vertices.copy())
    nozzle = solids.lathe(
        curves.rounded([(0, 0), (0.022, 0), (0.024, 0.03), (0.016, 0.034), (0, 0.03)], 0.004), 32
    )
    pull = solids.tube(
        curves.spline(
            [(0, -0.07, z + 0.13), (0, -0.085, z + 0.08), (0, -0.075, z + 0.03), (0, -0.1, z - 0.005)], 20
        ),
        1.0,
        section=curves.superellipse(16, 0.02, 0.01, 3.0),
        up=(0.0, -1.0, 0.3),
    )
    return [
        Part("shroud", shroud, p.top),
        Part("nozzle", nozzle.aimed((0, -1, 0)).moved(0, -0.145, z + 0.152), p.trim),
        Part("trigger", pull, p.trim),
    ]


def _area(outline: Array) -> float:
    x, y = outline.T
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
