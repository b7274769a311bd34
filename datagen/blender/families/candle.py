"""Candle: pillars, groups of pillars on a plate, tapers in holders and candles in jars, of wax, unlit."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, label_parts, product_label_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

STYLES = ("pillar", "pillar", "group", "stick", "stick", "chamber", "jar", "jar", "tumbler")


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleParams:
    """Lengths in units of about the height. Each of `pillars` is (x, y, radius, height, depth of its pool of
    molten wax); `drips` are (azimuth, length, width) of runs down the first one's side."""

    style: str
    pillars: tuple[tuple[float, float, float, float, float], ...]
    drips: tuple[tuple[float, float, float], ...]
    flutes: tuple[int, float]
    twist: float
    plate: float
    stem: tuple[float, ...]
    burnt: bool
    turn_rad: float
    wax: Material
    wick: Material
    holder: Material
    glass: Material
    lid: Material
    label: ProductLabel


def candle_rand(rng: np.random.Generator) -> CandleParams:
    shape, extras, skin = rng.spawn(3)
    style = str(shape.choice(STYLES))
    burnt = extras.uniform() < 0.7
    radius = {"stick": 0.055, "chamber": 0.09, "jar": 0.36, "tumbler": 0.32}.get(
        style, shape.uniform(0.2, 0.34)
    )
    height = {"stick": 0.75, "chamber": 0.45, "jar": 0.8, "tumbler": 0.8}.get(style, shape.uniform(0.55, 1.0))
    pool = shape.uniform(0.02, 0.06) if burnt else 0.004
    pillars = [(0.0, 0.0, radius * shape.uniform(0.9, 1.1), height * shape.uniform(0.75, 1.1), pool)]
    if style == "group":
        pillars = _group_rand(shape, pool)
    fluted = style in ("pillar", "group", "stick") and shape.uniform() < 0.3
    wax = material_rand(skin, ("wax",))
    if skin.uniform() < 0.5:
        white = palette.hsv(0.11, skin.uniform(0.02, 0.18), skin.uniform(0.88, 0.95))
        wax = replace(wax, colour=white, accent=palette.shaded(white, 0.88))
    return CandleParams(
        style=style,
        pillars=tuple(pillars),
        drips=tuple(
            (extras.uniform(-math.pi, math.pi), extras.uniform(0.12, 0.5), extras.uniform(0.018, 0.032))
            for _ in range(extras.integers(2, 6))
        )
        if burnt and style in ("pillar", "stick", "chamber") and extras.uniform() < 0.7
        else (),
        flutes=(int(shape.choice([6, 8, 12, 16])), shape.uniform(0.03, 0.06)) if fluted else (0, 0.0),
        twist=shape.uniform(2.0, 5.0) if fluted and shape.uniform() < 0.5 else 0.0,
        plate=shape.uniform(1.25, 1.7) if style == "group" or extras.uniform() < 0.5 else 0.0,
        stem=tuple(shape.uniform(0.5, 1.0, 4).tolist()),
        burnt=burnt,
        turn_rad=extras.uniform(-0.5, 0.5),
        wax=wax,
        wick=replace(
            material_rand(skin, ("fabric",)),
            colour=palette.hsv(0.1, 0.1, 0.2 if burnt else 0.85),
            scale=120.0,
            bump=0.001,
        ),
        holder=material_rand(
            skin, ("metal", "metal", "metal", "ceramic", "wood", "stone", "glass", "painted")
        ),
        glass=_jar_rand(skin),
        lid=replace(material_rand(skin, ("metal", "wood", "painted")), wear=0.0),
        label=product_label_rand(skin),
    )


def _group_rand(rng: np.random.Generator, pool: float) -> list[tuple[float, float, float, float, float]]:
    """Three pillars side by side, of one colour and of different heights."""
    radii = rng.uniform(0.14, 0.2, 3)
    reach = 1.18 * radii.max()
    return [
        (
            float(reach * math.cos(a)),
            float(reach * math.sin(a)),
            float(r),
            float(h),
            pool * float(rng.uniform(0.5, 1.2)),
        )
        for a, r, h in zip(
            (0.3, 2.4, 4.5), radii, rng.permutation([0.36, 0.6, 0.85]) * rng.uniform(0.9, 1.1), strict=True
        )
    ]


def _jar_rand(rng: np.random.Generator) -> Material:
    """Vessels of poured candles: clear, tinted or frosted glass, glazed or lacquered opaque."""
    vessel = material_rand(rng, ("glass", "glass", "coloured_glass", "ceramic", "painted", "metal", "stone"))
    if vessel.kind == "painted":
        vessel = replace(
            vessel, wear=0.0, colour=palette.hsv(0.1, 0.03, float(rng.choice([0.16, 0.9, 0.93])))
        )
    return vessel


def candle(p: CandleParams) -> list[Part]:
    build = {"stick": _stick, "chamber": _chamber, "jar": _jar, "tumbler": _jar}
    parts = build.get(p.style, _standing)(p)
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in parts]


def _pillar(p: CandleParams, pillar: tuple[float, float, float, float, float], base: float) -> list[Part]:
    """One candle on the height `base`: rounded shoulder, a rim around the molten pool, and its wick."""
    x, y, r, h, pool = pillar
    rim = min(0.25 * r, 0.035)
    profile = [
        (0, 0.0),
        (r - 0.012, 0.0),
        (r, 0.012),
        (r, 0.5 * h),
        (r, h - 0.5 * rim),
        (r - 0.35 * rim, h),
        (r - rim, h - 0.2 * rim),
    ]
    inside = [(r - 1.6 * rim, h - pool), (0.4 * r, h - pool - 0.004), (0.0, h - pool - 0.003)]
    outline = curves.rounded(profile + inside, [0, 0.01, 0.01, 0.02, 0.02, 0.012, 0.012, 0.015, 0.01, 0])
    outline = np.vstack(
        [
            outline[:1],
            *(curves.line(a, b, 2 + int(abs(b[1] - a[1]) / 0.04))[1:] for a, b in pairwise(outline)),
        ]
    )
    body = solids.lathe(outline, 12 * p.flutes[0] if p.flutes[0] else 80, lobes=p.flutes, twist=p.twist)
    foot = h - pool - 0.02
    lean = 0.02 if p.burnt else 0.0
    line = curves.spline(
        [
            (0, 0, foot),
            (0.2 * lean, 0, foot + 0.05),
            (lean, 0.3 * lean, foot + 0.085 + (0.0 if p.burnt else 0.05)),
        ],
        14,
    )
    wick = solids.tube(line, np.linspace(0.011, 0.008, 14), segments=10)
    return [Part("wax", body.moved(x, y, base), p.wax), Part("wick", wick.moved(x, y, base), p.wick)]


def _drips(p: CandleParams, base: float) -> list[Part]:
    """Wax that ran over the rim and down, ending in a drop."""
    _, _, r, h, _ = p.pillars[0]
    result = []
    for azimuth, length, width in p.drips:
        length = min(length, 0.8 * h)
        wide = min(width, 0.45 * r)
        z = np.linspace(h - 0.004, h - length, 24)
        line = np.column_stack([np.full(24, r - 0.25 * wide), np.zeros(24), z])
        line[:2, 0] -= [0.9 * wide, 0.3 * wide]
        size = wide * np.interp(
            np.linspace(0, 1, 24), [0, 0.1, 0.7, 0.9, 0.97, 1], [0.5, 0.9, 0.65, 0.95, 0.7, 0.1]
        )
        run = solids.tube(line, size, segments=16, up=(1.0, 0.0, 0.0)).turned("z", azimuth)
        result.append(Part("drip", run.moved(z=base), p.wax))
    return result


def _standing(p: CandleParams) -> list[Part]:
    base = 0.0
    result: list[Part] = []
    if p.plate:
        reach = max(math.hypot(x, y) + r for x, y, r, _, _ in p.pillars)
        half = reach * min(p.plate, 1.35) if p.style == "group" else reach * p.plate
        base = 0.024
        plate = [
            (0, 0.008),
            (0.6 * half, 0.006),
            (0.64 * half, 0),
            (0.7 * half, 0),
            (0.78 * half, 0.01),
            (half, 0.05),
            (half - 0.012, 0.058),
            (0.8 * half, 0.026),
            (0, base),
        ]
        result.append(Part("plate", solids.lathe(curves.rounded(plate, 0.008), 96), p.holder))
    for pillar in p.pillars:
        result += _pillar(p, pillar, base)
    return result + _drips(p, base)


def _stick(p: CandleParams) -> list[Part]:
    """A taper in a turned candlestick."""
    r = p.pillars[0][2]
    a, b, c, d = p.stem
    high = 0.25 + 0.3 * a
    foot = 0.2 + 0.05 * b
    outline = [
        (0, 0.01),
        (0.86 * foot, 0.008),
        (0.92 * foot, 0),
        (foot, 0.006),
        (foot, 0.03),
        (0.5 * foot, 0.06),
        (0.04 + 0.02 * c, 0.11),
        (0.05 + 0.03 * d, 0.3 * high),
        (0.03, 0.5 * high),
        (0.04 + 0.03 * b, 0.68 * high),
        (0.04, 0.8 * high),
        (r + 0.05, 0.92 * high),
        (r + 0.055, 0.94 * high),
        (r + 0.016, 0.95 * high),
        (r + 0.018, high),
        (r + 0.004, high),
        (r - 0.004, 0.95 * high),
        (0, 0.95 * high),
    ]
    start, middle, end = outline[:4], curves.spline(outline[3:12], 70), outline[12:]
    profile = np.vstack([curves.rounded(start, 0.006)[:-1], middle, end])
    base = 0.951 * high
    return [
        Part("holder", solids.lathe(profile, 96), p.holder),
        *_pillar(p, p.pillars[0], base),
        *_drips(p, base),
    ]


def _chamber(p: CandleParams) -> list[Part]:
    """A short candle in a saucer with a ring to carry it by."""
    r = p.pillars[0][2]
    half = 0.36
    dish = [
        (0, 0.008),
        (0.6 * half, 0.006),
        (0.66 * half, 0),
        (0.74 * half, 0.002),
        (half, 0.06),
        (half + 0.006, 0.07),
        (half - 0.01, 0.07),
        (0.7 * half, 0.022),
        (0, 0.02),
    ]
    cup = [
        (0, 0.016),
        (r + 0.03, 0.018),
        (r + 0.016, 0.04),
        (r + 0.014, 0.12),
        (r + 0.02, 0.13),
        (r + 0.003, 0.13),
        (r - 0.003, 0.05),
        (0, 0.05),
    ]
    ring = solids.torus(0.085, 0.014, segments=48).turned("x", math.pi / 2).moved(half + 0.07, 0, 0.101)
    holder = [
        Part("dish", solids.lathe(curves.rounded(dish, 0.008), 96), p.holder),
        Part("cup", solids.lathe(curves.rounded(cup, 0.006), 64), p.holder),
    ]
    return [*holder, Part("ring", ring, p.holder), *_pillar(p, p.pillars[0], 0.051), *_drips(p, 0.051)]


def _jar(p: CandleParams) -> list[Part]:
    """Poured wax in a vessel, with a label; a lid lies beside or on none."""
    _, _, r, h, pool = p.pillars[0]
    wall = 0.022
    waist = 0.9 if p.style == "jar" else 1.0
    outer = curves.spline(
        [
            (r - 0.03, 0.0),
            (r - 0.004, 0.025),
            (r, 0.07),
            (r, 0.5 * h),
            (r, 0.8 * h),
            (waist * r, 0.93 * h),
            (waist * r, h),
        ],
        72,
    )
    inner = (outer - np.array([wall, 0.0]))[outer[:, 1] > 0.06]
    rim = outer[-1] + 0.5 * wall * np.stack([np.cos(t := np.linspace(0, math.pi, 9)) - 1, np.sin(t)], 1)
    under = [(0, 0.014), (0.8 * r, 0.01)]
    floor = [(0.9 * inner[0, 0], 0.05), (0, 0.05)]
    profile = np.vstack([under, outer[:-1], rim, inner[::-1][1:], floor])
    level = 0.74 * h - pool
    wet = inner[inner[:, 1] < level] + np.array([0.25 * wall if p.glass.transmission > 0 else -0.001, 0.0])
    edge = wet[-1, 0]
    fill = np.vstack(
        [
            [(0, 0.047), (0.9 * wet[0, 0], 0.047)],
            wet,
            [(edge - 0.03, level - 0.006), (0.5 * edge, level - 0.012), (0, level - 0.01)],
        ]
    )
    line = curves.spline([(0, 0, level - 0.03), (0.004, 0, level + 0.03), (0.015, 0.0, level + 0.075)], 12)
    result = [
        Part("jar", solids.lathe(profile, 112), p.glass),
        Part("wax", solids.lathe(fill, 96), p.wax),
        Part("wick", solids.tube(line, 0.01, segments=10), p.wick),
    ]
    girth = math.tau * r
    result += label_parts(p.label, prints.turned(outer, 0.42 * h), 0.3 * girth, 0.4 * h, 0.28 * girth)
    if p.plate:
        result.append(Part("lid", _lid(waist * r), p.lid))
        lid = result[-1]
        # Leaning on the jar's side, behind and beside it.
        mesh = lid.mesh.turned("x", -1.2).moved(0.55 * r, r + 0.14, waist * r * math.sin(1.2))
        low = float(mesh.vertices[:, 2].min())
        gap = float(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]).min())
        result[-1] = Part("lid", mesh.moved(0, r + 0.002 - gap if gap < r else 0.0, -low), p.lid)
    return result


def _lid(r: float) -> Mesh:
    outline: Array = curves.rounded(
        [
            (0, 0),
            (r - 0.03, 0),
            (r - 0.03, 0.04),
            (r + 0.012, 0.042),
            (r + 0.016, 0.07),
            (r - 0.01, 0.085),
            (0, 0.085),
        ],
        0.01,
    )
    return solids.lathe(outline, 96)
