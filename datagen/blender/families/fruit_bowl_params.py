"""Fruit bowl: its parameters and how they are drawn."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.fruit import APPLE, Fruit, heaped, push_apart, resting_height
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

SETTINGS = ("bowl", "bowl", "bowl", "deep bowl", "plate", "alone", "alone", "bananas")


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
    fruit = heaped(heap, skin, profile, wall, int(heap.integers(*count)))
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
        banana_place=(0.0, 0.3, resting_height(bunch, fruit, np.array(profile[-1] if profile else ()))),
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
        push_apart(middle, _apart_all)
    c, s = math.cos(azimuth), math.sin(azimuth)
    middle[:, :2] = middle[:, :2] @ np.array([[c, s], [-s, c]])
    return tuple(tuple(one) for one in middle.tolist())
