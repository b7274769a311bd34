"""Vegetable: a pumpkin, a pepper, an aubergine, a tomato, an onion, potatoes, mushrooms or carrots."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.vegetable_params import VegetableParams, vegetable_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import ripples
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["vegetable", "vegetable_rand"]

Array = np.ndarray


def vegetable(p: VegetableParams) -> list[Part]:
    build = {
        "pumpkin": _pumpkin,
        "pepper": _pepper,
        "aubergine": _aubergine,
        "tomato": _tomato,
        "onion": _onion,
        "potato": _potato,
        "mushroom": _mushroom,
        "carrot": _carrot,
    }[p.kind]
    scale = 1.0 if len(p.pieces) == 1 else 0.62
    result = []
    for number, (x, y, size, turn, tip) in enumerate(p.pieces):
        parts = build(p, number)
        if len(p.pieces) > 1:
            parts = [Part(q.name, q.mesh.turned("x", tip), q.material) for q in parts]
        low = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
        for part in parts:
            mesh = part.mesh.moved(z=-low).scaled(size * scale, size * scale, size * scale)
            offset = (3.0 * number, -2.0 * number, 0.0)
            result.append(
                Part(part.name, mesh.turned("z", turn).moved(x, y).restarted(offset), part.material)
            )
    return result


def _crooked(mesh: Mesh, p: VegetableParams, number: int, share: float = 1.0) -> Mesh:
    """The body moved a little in and out, no two alike."""
    q = mesh.vertices
    middle = q.mean(axis=0)
    lift = share * p.uneven * ripples(q + 5.0 * number, np.array(p.waves))
    away = q - middle
    length = np.maximum(np.sqrt((away * away).sum(axis=1)), 1e-6)
    return replace(mesh, vertices=q + away / length[:, None] * lift[:, None])


def _ribbed(profile: Array, p: VegetableParams, segments: int, *, sharp: float, fade: float) -> Mesh:
    """A turned body with ribs that are full around its belly; `sharp` narrows the furrows between them."""
    angle = np.arange(segments) * math.tau / segments
    count, depth = p.lobes
    wave = np.abs(np.cos(0.5 * count * angle)) ** sharp if count else np.zeros(segments)
    sides = np.array([1 + 0.06 * p.bend * math.cos(count * 0.5 + k) for k in range(3)])
    odd = 1 + 0.02 * (np.cos(angle + sides[0]) + np.cos(2 * angle + 9 * sides[1]))
    rows = []
    height = profile[:, 1]
    for radius, z in profile:
        share = min(1.0, radius / fade)
        ring = np.maximum(radius * (1 - depth * 2 * (1 - wave) * share) * odd, 1e-4)
        rise = z - 0.35 * depth * (1 - wave) * (1 - share) * np.sign(z - height.mean())
        rows.append(np.column_stack([ring * np.cos(angle), ring * np.sin(angle), rise + 0 * angle]))
    return loft(np.array(rows))


def _stalk(p: VegetableParams, foot: Array, height: float, radius: float, flare: float) -> Mesh:
    top = foot + np.array([p.bend * height * 1.3, 0.3 * p.bend * height, height])
    path = curves.spline([foot - np.array([0, 0, 0.03]), foot + np.array([0, 0, 0.35 * height]), top], 22)
    radii = radius * np.interp(np.linspace(0, 1, 22), (0, 0.25, 0.8, 1), (flare, 1.0, 0.85, 1.1))
    angle = np.arange(30) * math.tau / 30
    ridged = curves.circle(30) * (1 + 0.1 * np.cos(5 * angle))[:, None]
    return solids.tube(path, radii, section=ridged)


def _pumpkin(p: VegetableParams, number: int) -> list[Part]:
    half = 0.36 * p.stout
    profile = curves.spline(
        [
            (0, 0.25 * half),
            (0.16, 0.1 * half),
            (0.36, 0.12 * half),
            (0.5, 0.8 * half),
            (0.47, 1.5 * half),
            (0.3, 1.92 * half),
            (0.14, 1.85 * half),
            (0, 1.62 * half),
        ],
        70,
    )
    body = _ribbed(np.maximum(profile, [0, -1]), p, 240, sharp=0.55, fade=0.4)
    stalk = _stalk(p, np.array([0, 0, 1.62 * half]), 0.2 * p.stalk, 0.045, 2.0)
    return [Part("body", _crooked(body, p, number), p.skin), Part("stalk", stalk, p.stem)]


def _pepper(p: VegetableParams, number: int) -> list[Part]:
    tall = 0.9 * p.stout
    profile = curves.spline(
        [
            (0, 0.06),
            (0.12, 0.0),
            (0.24, 0.04),
            (0.3 + 0.1 * p.taper, 0.35 * tall),
            (0.42, 0.75 * tall),
            (0.36, 0.95 * tall),
            (0.16, 0.98 * tall),
            (0, 0.88 * tall),
        ],
        70,
    )
    body = _ribbed(np.maximum(profile, [0, -1]), p, 160, sharp=1.0, fade=0.22)
    cap = solids.lathe(
        curves.rounded([(0, -0.03), (0.1, -0.025), (0.12, 0.0), (0.06, 0.03), (0, 0.035)], 0.015),
        48,
        lobes=(5, 0.12),
    ).moved(z=0.91 * tall)
    stalk = _stalk(p, np.array([0, 0, 0.92 * tall]), 0.2 * p.stalk, 0.033, 1.4)
    return [
        Part("body", _crooked(body, p, number), p.skin),
        Part("cap", cap, p.green),
        Part("stalk", stalk, p.green),
    ]


def _bent(mesh: Mesh, amount: float, length: float) -> Mesh:
    """Bent sideways along z by up to `amount` at both ends."""
    t = mesh.vertices[:, 2] / length - 0.5
    shift = np.zeros_like(mesh.vertices)
    shift[:, 0] = amount * 4 * t * t
    return replace(mesh, vertices=mesh.vertices + shift)


def _aubergine(p: VegetableParams, number: int) -> list[Part]:
    profile = curves.spline(
        [
            (0, 0.0),
            (0.13, 0.03),
            (0.215, 0.18),
            (0.2, 0.42),
            (0.13, 0.72),
            (0.1, 0.86),
            (0.05, 0.9),
            (0, 0.905),
        ],
        80,
    ) * [p.stout, 1.0]
    body = solids.lathe(np.maximum(profile, [0, -1]), 120)
    calyx = []
    angle = np.arange(60) * math.tau / 60
    for t in np.linspace(0, 1, 14):
        reach = 0.105 * p.stout + 0.012
        drop = 0.86 - 0.16 * t * (0.55 + 0.45 * np.cos(5 * angle) ** 2)
        around = np.interp(drop, profile[::-1, 1], profile[::-1, 0]) + 0.009 * (1 - t**6)
        ring = np.minimum(around, 0.03 + t * reach * 2)
        calyx.append(np.column_stack([ring * np.cos(angle), ring * np.sin(angle), drop + 0.04 * (1 - t)]))
    rows = np.array(calyx)
    under = rows[::-1] * [0.9, 0.9, 1.0]
    cap = loft(np.concatenate([rows, under])[::-1])
    stalk = _stalk(p, np.array([0, 0, 0.88]), 0.14 * p.stalk, 0.026, 1.5)
    parts = [
        Part("body", _crooked(body, p, number), p.skin),
        Part("cap", cap, p.green),
        Part("stalk", stalk, p.green),
    ]
    return [
        Part(q.name, _bent(q.mesh, 0.25 * p.bend, 0.9).turned("x", math.pi / 2), q.material) for q in parts
    ]


def _tomato(p: VegetableParams, number: int) -> list[Part]:
    half = 0.32 * p.stout
    profile = curves.spline(
        [
            (0, 0.05),
            (0.16, 0.0),
            (0.4, 0.5 * half),
            (0.44, 1.1 * half),
            (0.3, 1.75 * half),
            (0.1, 1.85 * half),
            (0, 1.72 * half),
        ],
        60,
    )
    body = _ribbed(np.maximum(profile, [0, -1]), p, 120, sharp=0.8, fade=0.25)
    result = [Part("body", _crooked(body, p, number), p.skin)]
    for index in range(5):
        leaf = curves.spline(
            [
                (0, 0, 0.0),
                (0.08, 0, 0.035),
                (0.17, 0, 0.03),
                (0.24, 0, 0.06 + 0.02 * math.sin(index + number)),
            ],
            14,
        )
        thin = np.interp(np.linspace(0, 1, 14), (0, 0.4, 1), (0.5, 1.0, 0.08)) * 0.03
        mesh = solids.tube(leaf, thin, section=curves.superellipse(14, 1.0, 0.28, 2.0))
        result.append(Part("leaf", mesh.turned("z", index * math.tau / 5).moved(z=1.76 * half), p.green))
    result.append(Part("stalk", _stalk(p, np.array([0, 0, 1.78 * half]), 0.1 * p.stalk, 0.02, 1.4), p.green))
    return result


def _onion(p: VegetableParams, number: int) -> list[Part]:
    half = 0.36 * p.stout
    profile = curves.spline(
        [
            (0, 0.02),
            (0.1, 0.0),
            (0.33, 0.4 * half),
            (0.42, half),
            (0.3, 1.6 * half),
            (0.1, 2.05 * half),
            (0.045, 2.5 * half),
            (0.03, 2.75 * half),
            (0, 2.78 * half),
        ],
        80,
    )
    body = solids.lathe(np.maximum(profile, [0, -1]), 120, lobes=(17, 0.006))
    result = [Part("body", _crooked(body, p, number), p.skin)]
    for index in range(9):
        angle = index * 2.4
        end = np.array([0.08 * math.cos(angle), 0.08 * math.sin(angle), -0.02])
        path = curves.spline([(0, 0, 0.02), 0.5 * end + [0, 0, -0.01], end], 8)
        result.append(Part("root", solids.tube(path, np.linspace(0.007, 0.002, 8), segments=6), p.stem))
    return result


def _potato(p: VegetableParams, number: int) -> list[Part]:
    body = solids.ellipsoid(0.36, 0.5, 0.3 * p.stout, 96)
    body = _crooked(body, p, number, 1.6)
    eyes = body.vertices * 1.0
    for index in range(7):
        at = eyes[(index * 977 + 311 * number + 400) % len(eyes)]
        away = np.sqrt(((eyes - at) ** 2).sum(axis=1))
        eyes = eyes * (1 - 0.025 * np.exp(-((away / 0.04) ** 2)))[:, None]
    return [Part("body", replace(body, vertices=eyes), p.skin)]


def _mushroom(p: VegetableParams, number: int) -> list[Part]:
    wide, tall = 0.44 * p.stout, 0.55
    edge = tall * (0.62 - 0.14 * p.open_cap)
    dome = [
        (0, tall + 0.24),
        (0.5 * wide, tall + 0.2),
        (0.88 * wide, tall + 0.06),
        (wide, edge + 0.06),
        (0.95 * wide, edge),
    ]
    outer = curves.spline(dome, 44)
    inner = curves.spline(
        [
            dome[-1],
            (0.86 * wide, edge + 0.005),
            (0.6 * wide, edge + 0.07),
            (0.2 * wide, edge + 0.11),
            (0, edge + 0.11),
        ],
        30,
    )
    cap = solids.lathe(np.maximum(np.vstack([outer, inner[1:]])[::-1], [0, -9]), 120)
    gills = []
    for index in range(40):
        angle = index * math.tau / 40
        blade = solids.box(0.6 * wide, 0.01, 0.085, 0.004, steps=1).moved(x=0.52 * wide, z=edge + 0.07)
        gills.append(blade.turned("z", angle))
    foot = curves.spline(
        [(0, 0.0), (0.13, 0.005), (0.17, 0.08), (0.14, 0.25), (0.13, edge + 0.1), (0, edge + 0.11)], 50
    )
    stem = solids.lathe(np.maximum(foot * [p.taper + 0.35, 1.0], [0, -9]), 72)
    result = [
        Part("cap", _crooked(cap, p, number), p.skin),
        Part("stem", _crooked(stem, p, number + 1), p.flesh),
    ]
    return result + [Part("gill", mesh, p.stem) for mesh in gills]


def _carrot(p: VegetableParams, number: int) -> list[Part]:
    z = np.linspace(0, 1, 90)
    radius = 0.13 * p.stout * np.sqrt(np.clip(1 - np.clip(z * 8 - 7, 0, 1) ** 2, 0.02, 1)) * z**0.45 + 0.006
    rings = 0.004 * np.sin(z * 90 + 6 * np.sin(9 * z + number)) ** 8
    body = solids.lathe(np.column_stack([radius - rings, z]), 80)
    parts = [Part("body", _crooked(body, p, number), p.skin)]
    for index in range(6):
        angle = index * 2.4
        out = np.array([math.cos(angle), math.sin(angle), 0.0])
        path = curves.spline(
            [
                (0, 0, 0.97),
                0.02 * out + [0, 0, 1.08],
                (0.05 + 0.02 * (index % 3)) * out + [0, 0, 1.12 + 0.12 * p.stalk],
            ],
            12,
        )
        parts.append(Part("stalk", solids.tube(path, np.linspace(0.016, 0.008, 12), segments=10), p.green))
    return [
        Part(q.name, _bent(q.mesh, 0.15 * p.bend, 1.0).turned("x", math.pi / 2), q.material) for q in parts
    ]
