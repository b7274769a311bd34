"""Fruit bowl: apples, oranges, lemons, pears, plums, bananas and grapes, heaped in a bowl or lying alone."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, joined
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.blender.shading import palette
from pairbridge.datagen.blender.shading.materials import Material, material_rand

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
SETTINGS = ("bowl", "bowl", "bowl", "deep bowl", "plate", "alone", "alone", "bananas")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FruitBowlParams:
    """`profile` is the bowl's outer wall (radius, height); empty where the fruit lies alone. Each banana is
    (azimuth of its hand, length, bend)."""

    setting: str
    profile: tuple[tuple[float, float], ...]
    wall: float
    fruit: tuple[Fruit, ...]
    bananas: tuple[tuple[float, float, float], ...]
    banana_place: tuple[float, float, float]
    grapes: tuple[tuple[float, float, float], ...]
    turn_rad: float
    bowl: Material
    stalk: Material
    banana: Material
    tip: Material
    grape: Material


def fruit_bowl_rand(rng: np.random.Generator) -> FruitBowlParams:
    shape, heap, skin, extras = rng.spawn(4)
    setting = str(shape.choice(SETTINGS))
    profile = _profile_rand(shape, setting)
    wall = shape.uniform(0.014, 0.026)
    count = {"bowl": (6, 12), "deep bowl": (7, 13), "plate": (4, 7), "alone": (3, 8), "bananas": (0, 2)}[
        setting
    ]
    fruit = _heap(heap, skin, profile, wall, int(heap.integers(*count)))
    if setting == "bananas":
        # What lies beside a hand of bananas lies clear of it.
        fruit = tuple(replace(one, place=(0.42, -0.2, one.place[2])) for one in fruit)
    top = max((f.place[2] for f in fruit), default=0.0)
    with_bananas = setting == "bananas" or (setting in ("bowl", "plate") and extras.uniform() < 0.3)
    bunch = tuple(
        ((k - 1.5) * 0.2 + extras.uniform(-0.05, 0.05), extras.uniform(0.68, 0.8), extras.uniform(0.9, 1.25))
        for k in range(extras.integers(3, 6))
    )
    ripe = skin.uniform()
    yellow = palette.hsv(0.125 + 0.03 * (ripe < 0.15), skin.uniform(0.75, 0.88), skin.uniform(0.78, 0.9))
    return FruitBowlParams(
        setting=setting,
        profile=profile,
        wall=wall,
        fruit=fruit,
        bananas=bunch if with_bananas else (),
        banana_place=(0.0, 0.3, _resting(bunch, fruit, np.array(profile[-1] if profile else ()))),
        grapes=_grapes_rand(extras, profile, top)
        if setting in ("bowl", "deep bowl") and not with_bananas and extras.uniform() < 0.25
        else (),
        turn_rad=extras.uniform(-math.pi, math.pi),
        bowl=_bowl_rand(skin),
        stalk=replace(material_rand(skin, ("wood",)), scale=60.0),
        banana=replace(
            material_rand(skin, ("painted",)),
            colour=yellow,
            accent=palette.hsv(0.07, 0.6, 0.28),
            roughness=skin.uniform(0.4, 0.55),
            wear=float(skin.choice([0.0, 0.3, 0.6])),
            scale=skin.uniform(16, 26),
            coat=0.0,
            bump=0.0006,
        ),
        tip=replace(
            material_rand(skin, ("wood",)),
            colour=palette.hsv(0.1, 0.5, 0.3),
            accent=palette.hsv(0.08, 0.5, 0.18),
        ),
        grape=replace(
            material_rand(skin, ("translucent_plastic",)),
            roughness=0.32,
            colour=palette.hsv(*((0.22, 0.5, 0.62), (0.92, 0.6, 0.22), (0.72, 0.4, 0.2))[skin.integers(3)]),
        ),
    )


def _profile_rand(rng: np.random.Generator, setting: str) -> tuple[tuple[float, float], ...]:
    """Outer wall of the bowl, foot to rim, 0.8 to 1.1 wide."""
    r = rng.uniform(0.42, 0.55)
    if setting == "bowl":
        h = rng.uniform(0.2, 0.32)
        return ((0.4 * r, 0.0), (0.42 * r, 0.02), (0.72 * r, 0.28 * h), (0.92 * r, 0.66 * h), (r, h))
    if setting == "deep bowl":
        h = rng.uniform(0.34, 0.46)
        return ((0.45 * r, 0.0), (0.5 * r, 0.02), (0.8 * r, 0.3 * h), (0.93 * r, 0.7 * h), (0.92 * r, h))
    if setting == "plate":
        h = rng.uniform(0.07, 0.12)
        return ((0.5 * r, 0.0), (0.52 * r, 0.015), (0.7 * r, 0.25 * h), (0.95 * r, 0.7 * h), (1.08 * r, h))
    return ()


def _bowl_rand(rng: np.random.Generator) -> Material:
    bowl = material_rand(rng, ("ceramic", "ceramic", "wood", "wood", "metal", "stone", "clay", "plastic"))
    if bowl.kind in ("ceramic", "plastic") and rng.uniform() < 0.6:
        white = palette.hsv(0.1, rng.uniform(0.0, 0.06), float(rng.choice([0.93, 0.9, 0.86, 0.2])))
        bowl = replace(
            bowl, colour=white, finish="plain" if bowl.kind == "ceramic" else bowl.finish, bump=0.0006
        )
    return bowl


def _inside(profile: tuple[tuple[float, float], ...], wall: float) -> Array:
    """Inner wall (P, 2) by rising height, from the floor's middle."""
    outer = curves.spline(profile, 48)
    inner = outer - [wall, 0.0]
    floor = wall + 0.012
    inner = inner[inner[:, 1] > floor + 0.01]
    return np.vstack([[(0.0, floor), (0.8 * inner[0, 0], floor + 0.002)], inner])


def _heap(
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
    surface = curves.resampled(_inside(profile, wall), 40) if profile else None
    for step in range(260):
        middle[:, 2] -= 0.008 if step < 200 else 0.0
        if profile:
            middle[:, :2] *= 0.997
        _apart(middle, radii)
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


def _apart(middle: Array, radii: Array) -> None:
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


def _grapes_rand(
    rng: np.random.Generator, profile: tuple[tuple[float, float], ...], top: float
) -> tuple[tuple[float, float, float], ...]:
    """Middles of a bunch that lies over the heap and hangs over the rim."""
    radius, rim = profile[-1]
    azimuth = rng.uniform(0, math.tau)
    count = int(rng.integers(34, 56))
    along = np.sort(rng.uniform(0.0, 1.0, count))
    reach = 0.25 * radius + along * 0.95 * radius
    height = np.interp(
        along,
        [0, 0.55, 0.85, 1.0],
        [top + 0.5 * APPLE, max(rim, 0.6 * top) + 0.16, rim + 0.02, max(rim - 0.16, 0.08)],
    )
    wide = 0.13 * np.sin(math.pi * np.clip(0.2 + 0.75 * along, 0, 1))
    aside, over = rng.normal(0, 1, count) * wide, np.abs(rng.normal(0, 0.5, count)) * wide
    middle = np.column_stack([reach, aside, height + over])
    _apart_all = np.full(count, 0.05)
    for _ in range(30):
        _apart(middle, _apart_all)
    c, s = math.cos(azimuth), math.sin(azimuth)
    middle[:, :2] = middle[:, :2] @ np.array([[c, s], [-s, c]])
    return tuple(tuple(one) for one in middle.tolist())


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
    inner = _inside(p.profile, p.wall)[::-1]
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


def _banana_path(length: float, bend: float) -> tuple[Array, Array]:
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


def _resting(bunch: tuple[tuple[float, float, float], ...], fruit: tuple[Fruit, ...], rim: Array) -> float:
    """Least height of the crown, over (0, 0.3), at which no banana is in a fruit, a rim or the ground."""
    height = 0.0
    for azimuth, length, bend in bunch:
        path, thick = _banana_path(length, bend)
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


def _banana(p: FruitBowlParams, number: int, azimuth: float, length: float, bend: float) -> list[Part]:
    """One of a hand: an arc, five-sided, thin at both ends, with a dark tip."""
    path, thick = _banana_path(length, bend)
    around = np.arange(40) * math.tau / 40
    side = 1 + 0.045 * np.cos(5 * around)
    section = np.stack([side * np.cos(around), side * np.sin(around)], 1)
    result = []
    for name, piece, material in (("banana", slice(0, 42), p.banana), ("tip", slice(41, 44), p.tip)):
        tube = solids.tube(path[piece], thick[piece], section=section)
        tube = tube.restarted((2.3 * number, 0.0, 0.0)).turned("z", azimuth).moved(*p.banana_place)
        result.append(Part(name, tube, material))
    return result
