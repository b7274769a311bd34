"""Fruit bowl: apples, oranges, lemons, pears, plums, bananas and grapes, heaped in a bowl or lying alone."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.fruit import Fruit, banana_path, inside_of
from pairbridge.datagen.blender.families.fruit_bowl_params import FruitBowlParams, fruit_bowl_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined
from pairbridge.datagen.blender.modelling.parts import Part

__all__ = ["fruit_bowl", "fruit_bowl_rand"]


def fruit_bowl(p: FruitBowlParams) -> list[Part]:
    result: list[Part] = []
    if p.profile:
        result.append(Part("bowl", _bowl(p), p.bowl))
    for number, fruit in enumerate(p.fruit):
        result += _fruit(fruit, number, p.stalk)
    for k, (azimuth, length, bend) in enumerate(p.bananas):
        result += _banana(p, k, azimuth, length, bend)
    if p.bananas:
        crown = solids.ellipsoid(0.04, 0.045, 0.055, 20).aimed((0.0, 0.8, 0.6))
        x, y, z = p.banana_place
        result.append(Part("crown", crown.moved(x, y + 0.015, z + 0.01), p.tip))
    if p.grapes:
        berry = solids.ellipsoid(0.05, 0.05, 0.056, 20)
        middles = np.array(p.grapes)
        result.append(Part("grapes", joined([berry.moved(*m) for m in middles]), p.grape))
        stem = curves.spline(middles[:: max(1, len(middles) // 5)], 24)
        result.append(Part("stem", solids.tube(stem, 0.008, segments=8), p.stalk))
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in result)
    return [
        Part(part.name, part.mesh.moved(z=-lowest).turned("z", p.turn_rad), part.material) for part in result
    ]


def _bowl(p: FruitBowlParams) -> Mesh:
    outer = curves.spline(p.profile, 48)
    inner = inside_of(p.profile, p.wall)[::-1]
    rim = outer[-1] + 0.5 * p.wall * np.stack([np.cos(t := np.linspace(0, math.pi, 9)) - 1, np.sin(t)], 1)
    foot = [(0, 0.012), (0.82 * outer[0, 0], 0.01), (0.88 * outer[0, 0], 0.0), (outer[0, 0], 0.0), outer[2]]
    profile = np.vstack([curves.rounded(foot, 0.01)[:-1], outer[2:-1], rim, inner[1:]])
    return solids.lathe(profile, 112)


def _fruit(f: Fruit, number: int, stalk: Material) -> list[Part]:
    """One fruit about its axis: its body, and its stalk where it has kept it."""
    angle = np.linspace(-math.pi / 2, math.pi / 2, 41)
    radius, height = np.cos(angle), np.sin(angle)
    lobes, top = (0, 0.0), 1.0
    if f.kind in ("apple", "peach", "plum"):
        # Dimples at both ends: the surface turns in towards the core.
        deep = {"apple": 0.3, "peach": 0.2, "plum": 0.1}[f.kind]
        height = 0.92 * height - deep * np.sign(height) * np.exp(-((radius / 0.28) ** 2))
        radius = radius * (1 + (0.07 * height if f.kind == "apple" else 0.0))
        lobes, top = ((5, 0.014) if f.kind == "apple" else (0, 0.0)), 0.92 - deep
    elif f.kind == "pear":
        radius = radius * (1 - 0.42 / (1 + np.exp(-(height - 0.25) / 0.16)))
        height = np.where(height > 0, 1.45 * height, 0.85 * height) - 0.12
        top = 1.3
    elif f.kind in ("lemon", "lime"):
        nipple = 0.24 if f.kind == "lemon" else 0.1
        height = 1.18 * height + nipple * np.sign(height) * np.exp(-((radius / 0.26) ** 2))
        radius, top = 0.95 * radius, 1.18 + nipple
    # Long fruit is drawn within little more than the sphere that it was heaped as.
    size = f.radius * (0.86 if f.kind in ("pear", "lemon") else 1.0)
    body = solids.lathe(np.column_stack([size * radius, size * f.stretch * height]), 64, lobes=lobes)
    x, y, z = body.vertices.T
    bent = np.column_stack([x + f.bend * z * z / f.radius, y, z])
    body = replace(body, vertices=bent).restarted((3.1 * number, 1.7 * number, 0.0))
    if f.kind in ("peach", "plum"):
        # The seam down one side.
        turn = np.arctan2(bent[:, 1], bent[:, 0])
        body = replace(body, vertices=bent * (1 - 0.06 * np.exp(-((turn / 0.16) ** 2)))[:, None])
    result = [Part("fruit", body, f.skin)]
    end = size * f.stretch * top
    if f.stalk and f.kind in ("apple", "pear", "plum"):
        path = curves.spline(
            [(0, 0, end - 0.02), (0.006, 0, end + 0.14 * f.radius), (0.03, 0.01, end + 0.45 * f.radius)], 16
        )
        result.append(Part("stalk", solids.tube(path, np.linspace(0.006, 0.009, 16), segments=10), stalk))
    elif f.kind == "orange":
        button = solids.lathe(
            curves.rounded([(0, -0.006), (0.02, -0.006), (0.016, 0.003), (0, 0.004)], 0.003),
            20,
            lobes=(5, 0.15),
        )
        result.append(Part("stalk", button.moved(z=end), stalk))
    return [Part(part.name, part.mesh.aimed(f.axis).moved(*f.place), part.material) for part in result]


def _banana(p: FruitBowlParams, number: int, azimuth: float, length: float, bend: float) -> list[Part]:
    """One of a hand: an arc, five-sided, thin at both ends, with a dark tip."""
    path, thick = banana_path(length, bend)
    around = np.arange(40) * math.tau / 40
    side = 1 + 0.045 * np.cos(5 * around)
    section = np.stack([side * np.cos(around), side * np.sin(around)], 1)
    result = []
    for name, piece, material in (("banana", slice(0, 42), p.banana), ("tip", slice(41, 44), p.tip)):
        tube = solids.tube(path[piece], thick[piece], section=section)
        tube = tube.restarted((2.3 * number, 0.0, 0.0)).turned("z", azimuth).moved(*p.banana_place)
        result.append(Part(name, tube, material))
    return result
