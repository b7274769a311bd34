"""Tin can: food and fish tins, drink cans, paint tins, canisters and jars with lids, with labels, rings and
handles."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.can_labels import can_label_parts
from pairbridge.datagen.blender.families.tin_can_params import TinCanParams, tin_can_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["tin_can", "tin_can_rand"]


def tin_can(p: TinCanParams) -> list[Part]:
    build = {
        "drink": _drink,
        "slim drink": _drink,
        "paint": _paint,
        "jar": _jar,
        "canister": _canister,
        "aerosol": _aerosol,
    }
    parts, wall = build.get(p.style, _food)(p)
    if p.label is not None:
        low, high = (share * p.height for share in p.label_span)
        girth = math.tau * p.radius
        clear = wall + np.array([0.0002 if p.printed else 0.0012, 0.0])
        if not p.printed:
            # Paper bridges the rings: it lies on their crests.
            clear[:, 0] = p.radius + 0.0012
            clear[:, 1] = np.linspace(low - 0.1, high + 0.1, len(clear))
        share = 0.99 if p.style != "jar" else 0.72
        parts += can_label_parts(
            p.label,
            prints.turned(clear, 0.5 * (low + high)),
            p.style,
            share * girth,
            high - low,
            0.32 * girth,
        )
    if p.dent[2] and p.style in ("food", "drink", "slim drink"):
        parts = [_dented(part, p) for part in parts]
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in parts]


def _dented(part: Part, p: TinCanParams) -> Part:
    """The wall pressed in at one place of the front, label and all."""
    azimuth, rise, depth = p.dent
    vertices = part.mesh.vertices
    middle = np.array([p.radius * math.sin(azimuth), -p.radius * math.cos(azimuth), rise * p.height])
    near = np.exp(-(((vertices - middle) / [0.12, 0.12, 0.07]) ** 2).sum(1))
    push = depth * near[:, None] * np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    return Part(part.name, replace(part.mesh, vertices=vertices + push), part.material)


def _seam(r: float, z: float) -> Array:
    """The rolled edge where a lid joins the wall (6, 2), outwards and up."""
    return np.array(
        [
            (r, z - 0.03),
            (r + 0.008, z - 0.026),
            (r + 0.01, z - 0.012),
            (r + 0.006, z),
            (r - 0.004, z + 0.001),
            (r - 0.008, z - 0.012),
        ]
    )


def _wall(p: TinCanParams, low: float, high: float) -> Array:
    """Upright wall (P, 2), ringed where it has ribs; the crests have the radius."""
    z = np.linspace(low, high, 160 if p.ribs[0] else 24)
    share = (z - low) / (high - low)
    count, depth = p.ribs
    inside = np.clip((np.abs(share - 0.5) < 0.34).astype(float), 0, 1)
    ring = 0.5 - 0.5 * np.cos(math.tau * count * np.clip((share - 0.16) / 0.68, 0, 1))
    return np.column_stack([p.radius - depth * inside * ring, z])


def _food(p: TinCanParams) -> tuple[list[Part], Array]:
    r, h = p.radius, p.height
    wall = _wall(p, 0.03, h - 0.034)
    foot = [
        (0, 0.02),
        (r - 0.02, 0.018),
        (r - 0.008, 0.004),
        (r - 0.002, 0.0),
        (r + 0.006, 0.002),
        (r + 0.009, 0.014),
        (r, 0.026),
    ]
    if p.opened and p.style == "food":
        inside = [(r - 0.008, h - 0.06), (r - 0.012, 0.6 * h), (r - 0.012, 0.1 * h), (0, 0.1 * h)]
        profile = np.vstack([curves.rounded(foot, 0.004), wall, _seam(r, h), inside])
        level = 0.8 * h
        fill = [
            (0, level - 0.03),
            (r - 0.011, level - 0.03),
            (r - 0.011, level),
            (r - 0.03, level - 0.005),
            (0, level + 0.004),
        ]
        return [
            Part("can", solids.lathe(profile, 112), p.body),
            Part("contents", solids.lathe(fill, 72), p.contents),
        ], wall
    lid = [
        (r - 0.01, h - 0.02),
        (r - 0.016, h - 0.022),
        (0.8 * r, h - 0.022),
        (0.77 * r, h - 0.016),
        (0.73 * r, h - 0.016),
        (0.7 * r, h - 0.022),
        (0.45 * r, h - 0.022),
        (0.42 * r, h - 0.018),
        (0.38 * r, h - 0.022),
        (0, h - 0.022),
    ]
    profile = np.vstack([curves.rounded(foot, 0.004), wall, _seam(r, h), curves.rounded(lid, 0.006)])
    return [Part("can", solids.lathe(profile, 112), p.body), *_ring_pull(p, h - 0.02, 0.5 * r, 1.0)], wall


def _ring_pull(p: TinCanParams, z: float, reach: float, size: float) -> list[Part]:
    """A ring on a rivet, lying on the lid."""
    ring = (
        curves.spline(
            [(-0.06, 0.0), (-0.04, 0.06), (0.04, 0.06), (0.06, 0.0), (0.035, -0.05), (-0.035, -0.05)],
            40,
            closed=True,
        )
        * size
    )
    path = np.column_stack([ring[:, 0], ring[:, 1] - 0.5 * reach, np.full(len(ring), z + 0.014)])[::-1]
    tab = solids.tube(path, 1.0, section=curves.superellipse(12, 0.011 * size, 0.005, 2.5), closed=True)
    neck = solids.box(0.05 * size, 0.08 * size, 0.007, 0.003).moved(0, -0.5 * reach + 0.09 * size, z + 0.012)
    rivet = solids.ellipsoid(0.018 * size, 0.018 * size, 0.014, 20).moved(
        0, -0.5 * reach + 0.11 * size, z + 0.012
    )
    return [Part("ring", tab, p.lid), Part("ring", neck, p.lid), Part("rivet", rivet, p.lid)]


def _drink(p: TinCanParams) -> tuple[list[Part], Array]:
    r, h = p.radius, p.height
    neck = 0.8 * r if p.style == "drink" else 0.86 * r
    base = curves.spline([(0.74 * r, 0.0), (0.8 * r, 0.004), (0.93 * r, 0.045), (r, 0.085)], 14)
    dome = [(0, 0.05), (0.5 * r, 0.03), (0.7 * r, 0.006)]
    shoulder = curves.spline(
        [
            (r, 0.86 * h),
            (0.985 * r, 0.885 * h),
            (0.9 * r, 0.925 * h),
            (neck + 0.005, 0.955 * h),
            (neck, 0.97 * h),
        ],
        24,
    )
    profile = np.vstack(
        [
            dome,
            base,
            np.column_stack([np.full(16, r), np.linspace(0.12 * h, 0.84 * h, 16)]),
            shoulder,
            [(neck - 0.004, 0.968 * h)],
        ]
    )
    wall = np.vstack([base, [(r, 0.5 * h)], shoulder])
    top = np.array(
        [
            (neck - 0.001, 0.962 * h),
            (neck + 0.01, 0.972 * h),
            (neck + 0.012, 0.986 * h),
            (neck + 0.005, 0.995 * h),
            (neck - 0.006, 0.992 * h),
            (neck - 0.014, 0.975 * h),
            (neck - 0.03, 0.962 * h),
            (0.82 * neck, 0.97 * h),
            (0, 0.97 * h),
        ]
    )
    parts = [
        Part("can", solids.lathe(profile, 112), p.body),
        Part("lid", solids.lathe(np.vstack([[(0, 0.955 * h)], curves.rounded(top, 0.004)]), 96), p.metal),
    ]
    tab = [Part(part.name, part.mesh, p.metal) for part in _ring_pull(p, 0.97 * h, 0.2 * neck, 0.8)]
    mouth = curves.superellipse(40, 0.3 * neck, 0.26 * neck, 2.2)
    score = np.column_stack([mouth[:, 0], mouth[:, 1] - 0.5 * neck, np.full(40, 0.9705 * h)])
    if p.opened:
        hole = solids.extruded(mouth, 0.002, 0.0005).moved(0, -0.5 * neck, 0.9696 * h)
        parts.append(Part("mouth", hole, p.hollow))
    parts.append(Part("score", solids.tube(score, 0.003, segments=6, closed=True), p.metal))
    return parts + tab, wall


def _paint(p: TinCanParams) -> tuple[list[Part], Array]:
    r, h = p.radius, p.height
    wall = _wall(p, 0.02, h - 0.034)
    foot = [(0, 0.016), (r - 0.02, 0.014), (r - 0.006, 0.0), (r + 0.008, 0.0), (r + 0.009, 0.014), (r, 0.02)]
    inside = (
        [(r - 0.02, h - 0.05), (r - 0.02, 0.72 * h), (0, 0.72 * h)]
        if p.opened
        else [(0.86 * r, h - 0.03), (0, h - 0.03)]
    )
    profile = np.vstack([curves.rounded(foot, 0.004), wall, _seam(r, h), inside])
    result = [Part("tin", solids.lathe(profile, 112), p.body)]
    if p.opened:
        level = 0.84 * h
        fill = [
            (0, level - 0.03),
            (r - 0.0195, level - 0.03),
            (r - 0.0195, level + 0.006),
            (r - 0.04, level),
            (0, level),
        ]
        result.append(Part("contents", solids.lathe(fill, 72), p.contents))
    else:
        lid = [
            (0, h - 0.034),
            (0.93 * r, h - 0.034),
            (0.955 * r, h - 0.02),
            (0.955 * r, h + 0.006),
            (0.93 * r, h + 0.012),
            (0.9 * r, h + 0.004),
            (0.87 * r, h - 0.012),
            (0.82 * r, h - 0.012),
            (0.8 * r, h - 0.008),
            (0, h - 0.008),
        ]
        result.append(Part("lid", solids.lathe(curves.rounded(lid, 0.006), 96), p.metal))
    for side in (-1, 1):
        ear = curves.rounded([(0, -0.004), (0.045, -0.004), (0.045, 0.004), (0.02, 0.014), (0, 0.015)], 0.004)
        result.append(
            Part("ear", solids.lathe(ear, 40).aimed((side, 0, 0)).moved(side * r, 0, 0.8 * h), p.metal)
        )
    reach = r + 0.02
    bow = np.array([(reach * math.cos(a), reach * 0.98 * math.sin(a)) for a in np.linspace(0, math.pi, 41)])
    wire = np.column_stack([bow[:, 0], np.zeros(41), bow[:, 1]])
    hung = solids.tube(wire, 0.009, segments=12).turned(
        "x", math.copysign(max(abs(p.handle_rad), 0.0), p.handle_rad)
    )
    if abs(p.handle_rad) > 0.6:
        # Hanging down beside the wall: the wire lies on it.
        hung = solids.tube(wire, 0.009, segments=12).turned("x", math.copysign(2.3, p.handle_rad))
    result.append(Part("handle", hung.moved(z=0.8 * h), p.metal))
    return result, wall


def _jar(p: TinCanParams) -> tuple[list[Part], Array]:
    """A filled jar of clear glass with a screw lid; what is in it reaches a little into the wall."""
    r, h = p.radius, p.height
    neck = 0.82 * r
    points = [
        (r - 0.03, 0.0),
        (r - 0.004, 0.02),
        (r, 0.06),
        (r, 0.4 * h),
        (r, 0.74 * h),
        (0.97 * r, 0.8 * h),
        (neck + 0.01, 0.85 * h),
        (neck, 0.88 * h),
        (neck, 0.9 * h),
    ]
    wall = curves.spline(points, 80)
    thick = 0.016
    inner = wall[(wall[:, 1] > 0.05)] - np.array([thick, 0.0])
    mouth = [wall[-1] + np.array([-0.5 * thick, 0.006]), inner[-1]]
    base = [(0.0, 0.045), (0.9 * inner[0, 0], 0.046)]
    profile = np.vstack([[(0, 0.012), (0.8 * r, 0.008)], wall, mouth, inner[::-1][1:], base[::-1]])
    wet = inner[inner[:, 1] < 0.8 * h] + np.array([0.3 * thick, 0.0])
    fill = np.vstack(
        [
            np.array(base) - [0.0, 0.3 * thick],
            wet,
            [(0.9 * wet[-1, 0], wet[-1, 1] + 0.004), (0, wet[-1, 1] + 0.006)],
        ]
    )
    lid = [
        (0, 0.875 * h),
        (neck + 0.022, 0.875 * h),
        (neck + 0.026, 0.885 * h),
        (neck + 0.026, h - 0.02),
        (neck + 0.012, h),
        (0.86 * neck, h),
        (0.82 * neck, h - 0.006),
        (0, h - 0.006),
    ]
    cap = solids.lathe(curves.rounded(lid, 0.006), 160, lobes=(40, 0.004))
    jar = Part("jar", solids.lathe(profile, 112), p.body)
    return [jar, Part("contents", solids.lathe(fill, 96), p.contents), Part("lid", cap, p.lid)], wall


def _canister(p: TinCanParams) -> tuple[list[Part], Array]:
    """Tea or coffee tin: a smooth wall and a lid that overlaps it, at times with a knob."""
    r, h = p.radius, p.height
    wall = np.column_stack([np.full(24, r), np.linspace(0.02, 0.84 * h, 24)])
    profile = np.vstack(
        [
            curves.rounded([(0, 0.008), (r - 0.03, 0.008), (r - 0.02, 0.0), (r, 0.0), wall[1]], 0.008),
            wall[2:],
            [(0, 0.85 * h)],
        ]
    )
    lid = [
        (0, 0.82 * h),
        (r + 0.008, 0.82 * h),
        (r + 0.012, 0.83 * h),
        (r + 0.009, 0.845 * h),
        (r + 0.009, 0.96 * h),
        (0.9 * r, h),
        (0.5 * r, h + 0.004),
        (0, h + 0.006),
    ]
    result = [
        Part("tin", solids.lathe(profile, 112), p.body),
        Part("lid", solids.lathe(curves.rounded(lid, 0.02), 112), p.lid),
    ]
    if p.opened:
        knob = curves.spline([(0.05, 0.0), (0.028, 0.02), (0.045, 0.05), (0.03, 0.075), (0.0, 0.08)], 24)
        result.append(Part("knob", solids.lathe(np.vstack([[(0, 0)], knob]), 40).moved(z=h), p.metal))
    return result, wall


def _aerosol(p: TinCanParams) -> tuple[list[Part], Array]:
    r, h = p.radius, p.height
    wall = np.column_stack([np.full(24, r), np.linspace(0.03, 0.84 * h, 24)])
    foot = [
        (0, 0.02),
        (r - 0.02, 0.016),
        (r - 0.006, 0.0),
        (r + 0.005, 0.002),
        (r + 0.006, 0.016),
        (r, 0.028),
    ]
    shoulder = curves.spline(
        [(r, 0.85 * h), (0.94 * r, 0.885 * h), (0.7 * r, 0.915 * h), (0.6 * r, 0.925 * h)], 20
    )
    profile = np.vstack([curves.rounded(foot, 0.004), wall[1:], shoulder, [(0, 0.925 * h)]])
    result: list[Part] = [Part("can", solids.lathe(profile, 112), p.body)]
    if p.opened:
        stem = [
            (0, 0.92 * h),
            (0.3 * r, 0.92 * h),
            (0.3 * r, 0.95 * h),
            (0.2 * r, 0.955 * h),
            (0.2 * r, h),
            (0.14 * r, h + 0.01),
            (0, h + 0.008),
        ]
        result.append(Part("valve", solids.lathe(curves.rounded(stem, 0.006), 48), p.lid))
        result.append(Part("cup", solids.torus(0.42 * r, 0.014, segments=64).moved(z=0.925 * h), p.metal))
    else:
        cap = [
            (0, 0.87 * h),
            (0.99 * r, 0.87 * h),
            (0.99 * r, 0.88 * h),
            (0.9 * r, 1.04 * h),
            (0.84 * r, 1.06 * h),
            (0, 1.062 * h),
        ]
        result.append(Part("cap", _smooth(cap), p.lid))
        result.append(Part("rim", solids.torus(r - 0.002, 0.008, segments=96).moved(z=0.855 * h), p.metal))
    return result, wall


def _smooth(profile: list[tuple[float, float]]) -> Mesh:
    return solids.lathe(curves.rounded(profile, [0, 0.004, 0.004, 0.02, 0.02, 0]), 96)
