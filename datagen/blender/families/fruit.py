"""Fruit of a bowl: kinds and skins, and how it comes to rest, in a heap or as a bunch of bananas over it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves
from pairbridge.datagen.blender.modelling.meshes import Array
from pairbridge.datagen.scene import palette

# Mean radius in metres over that of an apple, and how often a heap has it.
KINDS: dict[str, tuple[float, float]] = {
    "apple": (1.0, 3.0),
    "orange": (1.02, 2.5),
    "lemon": (0.8, 1.5),
    "lime": (0.68, 0.8),
    "pear": (0.98, 1.5),
    "plum": (0.66, 1.0),
    "peach": (0.95, 1.0),
}
# An apple's radius in object units, beside a bowl about one unit wide.
APPLE = 0.165


@dataclass(frozen=True, slots=True, kw_only=True)
class Fruit:
    """One fruit: where its middle lies, how its axis points, and its own stretch and bend."""

    kind: str
    radius: float
    place: tuple[float, float, float]
    axis: tuple[float, float, float]
    stretch: float
    bend: float
    stalk: bool
    skin: Material


def inside_of(profile: tuple[tuple[float, float], ...], wall: float) -> Array:
    """Inner wall (P, 2) by rising height, from the floor's middle."""
    outer = curves.spline(profile, 48)
    inner = outer - [wall, 0.0]
    floor = wall + 0.012
    inner = inner[inner[:, 1] > floor + 0.01]
    return np.vstack([[(0.0, floor), (0.8 * inner[0, 0], floor + 0.002)], inner])


def heaped(
    rng: np.random.Generator,
    skin: np.random.Generator,
    profile: tuple[tuple[float, float], ...],
    wall: float,
    count: int,
) -> tuple[Fruit, ...]:
    """Fruit let fall one on another: spheres that sink and are pushed apart and off the bowl."""
    names = sorted(KINDS)
    share = np.array([KINDS[name][1] for name in names])
    # A heap is of few kinds, and often of one.
    few = rng.choice(names, size=int(rng.integers(1, 5)), replace=False, p=share / share.sum())
    chosen = [str(few[rng.integers(len(few))]) for _ in range(count)]
    radii = np.array([APPLE * KINDS[name][0] * rng.uniform(0.92, 1.08) for name in chosen])
    spread = 0.3 if profile else 0.12
    middle = np.column_stack(
        [rng.normal(0, spread, count), rng.normal(0, spread, count), 0.4 + 0.16 * np.arange(count)]
    )
    if not profile:
        middle[:, 2] = radii
    surface = curves.resampled(inside_of(profile, wall), 40) if profile else None
    for step in range(260):
        middle[:, 2] -= 0.008 if step < 200 else 0.0
        if profile:
            middle[:, :2] *= 0.997
        push_apart(middle, radii)
        _above(middle, radii, surface)
        if profile:
            # Nobody heaps fruit beyond the rim.
            out = np.maximum(np.hypot(middle[:, 0], middle[:, 1]), 1e-6)
            middle[:, :2] *= np.minimum(1.0, (profile[-1][0] - 0.7 * radii) / out)[:, None]
    looks = {name: _skin_rand(skin, name) for name in few}
    result = []
    for name, radius, place in zip(chosen, radii, middle, strict=True):
        lying = rng.normal(0.0, 1.0, 3)
        upright = rng.uniform() < (0.65 if not profile else 0.35)
        axis = lying * (0.15 if upright else 1.0) + np.array([0.0, 0.0, 1.0])
        if name in ("lemon", "lime", "pear") and not (name == "pear" and upright):
            axis = lying * [1.0, 1.0, 0.2]
        if not profile and name in ("lemon", "lime"):
            axis = axis * [1.0, 1.0, 0.0]
        axis = axis / np.linalg.norm(axis)
        result.append(
            Fruit(
                kind=name,
                radius=float(radius),
                place=tuple(place.tolist()),
                axis=tuple(axis.tolist()),
                stretch=rng.uniform(0.93, 1.06),
                bend=rng.uniform(-0.05, 0.05),
                stalk=bool(rng.uniform() < 0.75),
                skin=looks[name],
            )
        )
    return tuple(result)


def push_apart(middle: Array, radii: Array) -> None:
    """Push spheres that overlap apart, all at once and half of the way, which does not overshoot."""
    gap = middle[:, None] - middle[None]
    distance = np.sqrt((gap * gap).sum(2))
    lack = np.maximum(radii[:, None] + radii[None] - distance, 0.0)
    np.fill_diagonal(lack, 0.0)
    middle += ((0.35 * lack / np.maximum(distance, 1e-6))[..., None] * gap).sum(1)


def _above(middle: Array, radii: Array, surface: Array | None) -> None:
    """Push spheres out of the bowl's wall, or of the ground."""
    if surface is not None:
        out = np.maximum(np.hypot(middle[:, 0], middle[:, 1]), 1e-6)
        gap = np.stack([out, middle[:, 2]], 1)[:, None] - surface[None]
        distance = np.sqrt((gap * gap).sum(2))
        nearest = distance.argmin(1)
        rows = np.arange(len(middle))
        near = np.maximum(distance[rows, nearest], 1e-6)
        push = np.maximum(radii - near, 0.0)[:, None] * gap[rows, nearest] / near[:, None]
        middle[:, :2] *= 1 + push[:, :1] / out[:, None]
        middle[:, 2] += push[:, 1]
    np.maximum(middle[:, 2], radii, out=middle[:, 2])


def banana_path(length: float, bend: float) -> tuple[Array, Array]:
    """Middle line (44, 3) from the crown at the origin towards -y, rising and then falling, and its radii."""
    t = np.linspace(0.0, 1.0, 44)
    turn = bend * (t - 0.35)
    step = length / 43
    y, z = -np.cumsum(np.cos(turn)) * step, -np.cumsum(np.sin(turn)) * step
    thick = 0.078 * np.interp(
        t,
        [0, 0.05, 0.13, 0.24, 0.5, 0.78, 0.93, 0.98, 1.0],
        [0.3, 0.3, 0.42, 0.88, 1.0, 0.92, 0.5, 0.28, 0.22],
    )
    return np.column_stack([0 * y, y - y[0], z - z[0]]), thick


def resting_height(
    bunch: tuple[tuple[float, float, float], ...], fruit: tuple[Fruit, ...], rim: Array
) -> float:
    """Least height of the crown, over (0, 0.3), at which no banana is in a fruit, a rim or the ground."""
    height = 0.0
    for azimuth, length, bend in bunch:
        path, thick = banana_path(length, bend)
        c, s = math.cos(azimuth), math.sin(azimuth)
        x, y, z = -s * path[:, 1], c * path[:, 1] + 0.3, path[:, 2]
        height = max(height, float((thick - z).max()))
        for one in fruit:
            reach = one.radius + thick
            across = reach**2 - (x - one.place[0]) ** 2 - (y - one.place[1]) ** 2
            # A little into the round of the peel, as soft things lie.
            need = one.place[2] + 0.94 * np.sqrt(np.maximum(across, 0)) - z
            height = max(height, float(np.where(across > 0, need, 0.0).max()))
        if len(rim):
            over = np.abs(np.hypot(x, y) - rim[0]) < thick
            height = max(height, float(np.where(over, rim[1] + thick - z, 0.0).max()))
    return height


def _skin_rand(rng: np.random.Generator, kind: str) -> Material:
    """Peel: apples and peaches are flushed and streaked, citrus is pitted, plums are dull with bloom."""
    look, place = rng.spawn(2)
    if kind in ("apple", "peach", "pear"):
        ground, flush = {
            "apple": (
                ((0.2, 0.55, 0.7), (0.99, 0.78, 0.5)),
                ((0.24, 0.65, 0.6), (0.2, 0.5, 0.72)),
                ((0.0, 0.8, 0.45), (0.06, 0.6, 0.7)),
            ),
            "peach": (((0.1, 0.55, 0.85), (0.98, 0.65, 0.6)),) * 3,
            "pear": (
                ((0.19, 0.55, 0.7), (0.14, 0.5, 0.7)),
                ((0.17, 0.5, 0.72), (0.08, 0.5, 0.5)),
                ((0.22, 0.5, 0.6), (0.2, 0.45, 0.7)),
            ),
        }[kind][look.integers(3)]
        peel = material_rand(place, ("ceramic",))
        return replace(
            peel,
            colour=palette.hsv(*ground),
            accent=palette.hsv(*flush),
            finish="reactive",
            scale=look.uniform(3.0, 5.0),
            bump=0.0004,
            # Fuzz, wax, and the dull peel of pears.
            roughness={"peach": 0.75, "pear": 0.5}.get(kind, 0.32) + look.uniform(-0.05, 0.05),
            coat=0.2 if kind == "apple" else 0.0,
        )
    peel = material_rand(place, ("plastic",))
    hue, saturation, value = {
        "orange": (look.uniform(0.055, 0.085), 0.9, 0.88),
        "lemon": (look.uniform(0.13, 0.15), 0.8, 0.88),
        "lime": (look.uniform(0.22, 0.27), 0.7, 0.5),
        "plum": (look.uniform(0.85, 0.98), 0.5, 0.26),
    }[kind]
    colour = palette.hsv(hue, saturation, value)
    pitted = kind != "plum"
    return replace(
        peel,
        colour=colour,
        accent=palette.shaded(colour, 0.7),
        finish="grained" if pitted else "glossy",
        scale=48.0,
        bump=0.005 if pitted else 0.0,
        roughness=look.uniform(0.36, 0.48) if pitted else look.uniform(0.3, 0.45),
    )
