"""Drinking glass: tumblers, highballs, wine glasses, flutes, beer mugs; empty or filled, at times with a
straw, ice or foam."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.glass_and_liquids import drink
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

# Outer radius over height of the bowl, in units of the whole height; stems carry the first three.
STYLES: dict[str, tuple[tuple[float, float], ...]] = {
    "tumbler": ((0.3, 0.0), (0.33, 0.35), (0.37, 0.7), (0.4, 1.0)),
    "straight": ((0.36, 0.0), (0.37, 0.3), (0.37, 0.7), (0.37, 1.0)),
    "highball": ((0.2, 0.0), (0.21, 0.35), (0.22, 0.7), (0.23, 1.0)),
    "pint": ((0.21, 0.0), (0.235, 0.4), (0.27, 0.75), (0.275, 1.0)),
    "barrel": ((0.3, 0.0), (0.36, 0.25), (0.38, 0.55), (0.33, 1.0)),
    "red wine": ((0.015, 0.42), (0.13, 0.45), (0.2, 0.56), (0.215, 0.66), (0.195, 0.82), (0.15, 1.0)),
    "white wine": ((0.015, 0.48), (0.09, 0.5), (0.148, 0.58), (0.16, 0.68), (0.145, 0.84), (0.118, 1.0)),
    "flute": ((0.012, 0.36), (0.05, 0.4), (0.085, 0.5), (0.1, 0.66), (0.098, 0.84), (0.088, 1.0)),
    "goblet": ((0.02, 0.36), (0.16, 0.4), (0.23, 0.52), (0.255, 0.7), (0.265, 0.85), (0.27, 1.0)),
    "beer mug": ((0.32, 0.0), (0.325, 0.3), (0.32, 0.7), (0.32, 1.0)),
}
STEMMED = ("red wine", "white wine", "flute", "goblet")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrinkingGlassParams:
    """Lengths in units of the height. `fill` is the liquid's height over the inside's, 0 an empty glass;
    `lobes` = (facets or flutes, depth) of the wall; `ice` are (x, y, z, turn) of cubes; `coaster` is the
    half width of a mat below, negative a square one, 0 none."""

    style: str
    profile: tuple[tuple[float, float], ...]
    wall: float
    bottom: float
    lobes: tuple[int, float]
    foot_radius: float
    fill: float
    foam: float
    straw: tuple[float, float] | None
    ice: tuple[tuple[float, float, float, float], ...]
    handle: bool
    coaster: float
    turn_rad: float
    glass: Material
    liquid: Material
    froth: Material
    straw_skin: Material
    mat: Material


def drinking_glass_rand(rng: np.random.Generator) -> DrinkingGlassParams:
    shape, extras, skin = rng.spawn(3)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    stout = shape.uniform(0.88, 1.12)
    stemmed = style in STEMMED
    profile = tuple(
        (float(r * stout * shape.uniform(0.97, 1.03)) if z > 0.45 or not stemmed else r, z)
        for r, z in STYLES[style]
    )
    faceted = not stemmed and shape.uniform() < (0.8 if style == "beer mug" else 0.3)
    filled = extras.uniform() < 0.75
    drink, froth = _drink_rand(skin, style)
    cold = style in ("tumbler", "straight", "highball") and filled
    return DrinkingGlassParams(
        style=style,
        profile=profile,
        wall=(0.014 if stemmed else 0.024) * shape.uniform(0.8, 1.3),
        bottom=shape.uniform(0.05, 0.11) if not stemmed else 0.02,
        lobes=(int(shape.choice([8, 10, 12, 16, 20])), shape.uniform(0.012, 0.03)) if faceted else (0, 0.0),
        foot_radius=shape.uniform(0.13, 0.17) * (1.2 if style in ("goblet", "red wine") else 1.0),
        fill=(extras.uniform(0.3, 0.5) if stemmed and style != "flute" else extras.uniform(0.5, 0.88))
        if filled
        else 0.0,
        foam=extras.uniform(0.08, 0.16) if froth else 0.0,
        straw=(extras.uniform(-math.pi, math.pi), extras.uniform(0.1, 0.25))
        if cold and extras.uniform() < 0.4
        else None,
        ice=_ice_rand(extras) if cold and extras.uniform() < 0.4 else (),
        handle=style == "beer mug",
        coaster=extras.uniform(1.15, 1.4) * float(extras.choice([-1.0, 1.0]))
        if extras.uniform() < 0.25
        else 0.0,
        turn_rad=extras.uniform(-math.pi, math.pi),
        glass=_glass_rand(skin),
        liquid=drink,
        froth=replace(
            material_rand(skin, ("plastic",)),
            colour=palette.hsv(0.11, 0.12, 0.93),
            roughness=0.6,
            finish="grained",
            scale=60.0,
            bump=0.004,
        ),
        straw_skin=material_rand(skin, ("plastic", "metal", "painted")),
        mat=material_rand(skin, ("wood", "fabric", "clay", "stone", "leather", "rubber")),
    )


def _glass_rand(rng: np.random.Generator) -> Material:
    """Nearly always clear and smooth; now and then tinted or frosted."""
    glass = material_rand(rng, (*("glass",) * 7, "coloured_glass"))
    return (
        glass
        if rng.uniform() < 0.1
        else replace(glass, finish="clear", roughness=rng.uniform(0.0, 0.015), bump=0.0)
    )


def _drink_rand(rng: np.random.Generator, style: str) -> tuple[Material, bool]:
    """What is in it, and whether it foams."""
    kinds = {
        "red wine": ("red", "red", "rose"),
        "white wine": ("white", "rose", "white"),
        "flute": ("white", "white", "rose"),
        "beer mug": ("beer", "beer", "stout"),
        "pint": ("beer", "beer", "stout", "milk"),
    }.get(style, ("water", "water", "juice", "cola", "milk", "tea"))
    kind = kinds[rng.integers(len(kinds))]
    if kind in ("water", "tea", "milk"):
        return drink(rng, kind), False
    if kind == "stout":
        return drink(rng, "coffee"), True
    if kind == "juice":
        # Opaque as milk, of the colours of orange, mango, tomato, smoothies.
        hue = float(rng.choice([0.07, 0.09, 0.11, 0.02, 0.28, 0.95]))
        return replace(
            drink(rng, "milk"), colour=palette.hsv(hue, 0.75, 0.8), accent=palette.hsv(hue, 0.7, 0.85)
        ), False
    passes = {
        "red": (0.3, 0.02, 0.04),
        "white": (0.95, 0.9, 0.6),
        "rose": (0.93, 0.55, 0.45),
        "beer": (0.92, 0.62, 0.14),
        "cola": (0.25, 0.08, 0.03),
    }[kind]
    return replace(drink(rng, "water"), colour=passes, finish="wine"), kind == "beer"


def _ice_rand(rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    """Two or three cubes around the axis, as parts of the inside's radius, sunk to below the surface."""
    count = int(rng.integers(2, 4))
    cubes = []
    for k in range(count):
        reach, angle = rng.uniform(0.4, 0.5), math.tau * k / count
        place = (float(reach * math.cos(angle)), float(reach * math.sin(angle)))
        cubes.append((*place, rng.uniform(-0.05, 0.01), rng.uniform(0, 1.5)))
    return tuple(cubes)


def drinking_glass(p: DrinkingGlassParams) -> list[Part]:
    outer = curves.resampled(curves.spline(p.profile, 96), 72)
    inner = _inner(outer, p)
    profile, weight = _shell(outer, inner, p)
    result = [Part("glass", _fluted(profile, weight, p.lobes), p.glass)]
    if p.fill:
        result += _contents(inner, p)
    if p.straw is not None:
        result.append(Part("straw", _straw(inner, *p.straw), p.straw_skin))
    if p.handle:
        result.append(Part("handle", _handle(outer), p.glass))
    if p.coaster:
        half = abs(p.coaster) * (p.foot_radius if p.style in STEMMED else float(outer[0, 0]))
        plan = curves.circle(72, half) if p.coaster > 0 else curves.rectangle(2 * half, 2 * half, 0.1 * half)
        result.append(Part("coaster", solids.extruded(plan, 0.02, 0.005).moved(z=-0.0195), p.mat))
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _inner(outer: Array, p: DrinkingGlassParams) -> Array:
    """Inside of the bowl (P, 2) from the middle of its floor to the rim."""
    floor = outer[0, 1] + p.bottom
    wall = outer - [p.wall, 0.0]
    wall = wall[(wall[:, 1] > floor + 0.03) & (wall[:, 0] > 0.03)]
    low = wall[0]
    base = [(0.0, floor), (0.55 * low[0], floor + 0.002), (0.9 * low[0], floor + 0.4 * (low[1] - floor))]
    return np.vstack([curves.spline([*base, low], 14)[:-1], wall])


def _shell(outer: Array, inner: Array, p: DrinkingGlassParams) -> tuple[Array, Array]:
    """Whole profile (P, 2), foot to rim and down inside, and how far each point follows the facets."""
    rim = outer[-1] + 0.5 * p.wall * np.stack([np.cos(t := np.linspace(0, math.pi, 9)) - 1, np.sin(t)], 1)
    if p.style in STEMMED:
        radius, stem = p.foot_radius, p.profile[0][0]
        neck = p.profile[0][1]
        under = [(0.0, 0.012), (0.6 * radius, 0.01), (0.9 * radius, 0.0), (radius, 0.002), (radius, 0.01)]
        over = curves.spline(
            [
                (radius, 0.01),
                (0.62 * radius, 0.018),
                (0.22 * radius, 0.035),
                (1.1 * stem, 0.09),
                (0.85 * stem, 0.55 * neck),
                (1.0 * stem, neck - 0.03),
                outer[1],
            ],
            40,
        )
        start = np.vstack([curves.rounded(under, 0.006)[:-1], over[:-1]])
        walls = outer[1:-1]
    else:
        radius = outer[0, 0]
        under = [(0.0, 0.016), (0.74 * radius, 0.012), (0.84 * radius, 0.0), (radius, 0.0), outer[2]]
        start = curves.rounded(under, 0.02)[:-1]
        walls = outer[2:-1]
    profile = np.vstack([start, walls, rim, inner[::-1][1:]])
    weight = np.zeros(len(profile))
    rise = (walls[:, 1] - walls[0, 1]) / (walls[-1, 1] - walls[0, 1])
    weight[len(start) : len(start) + len(walls)] = np.clip((0.78 - rise) / 0.12, 0, 1) * np.clip(
        rise / 0.05, 0, 1
    )
    return profile, weight


def _fluted(profile: Array, weight: Array, lobes: tuple[int, float]) -> Mesh:
    count, depth = lobes
    if not count:
        return solids.lathe(profile, 96)
    angle = np.arange(12 * count) * math.tau / (12 * count)
    # Cut facets: flat between edges, as far in at the middle as `depth` says.
    facet = np.cos(math.pi / count) / np.cos((angle % (math.tau / count)) - math.pi / count)
    facet = 1 - depth * (1 - facet) / (1 - math.cos(math.pi / count))
    radius = np.maximum(profile[:, :1], 1e-4) * (1 + weight[:, None] * (facet[None] - 1))
    height = np.broadcast_to(profile[:, 1:], radius.shape)
    return loft(np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 2))


def _contents(inner: Array, p: DrinkingGlassParams) -> list[Part]:
    """The liquid, which reaches a little into the wall so that light passes from glass to liquid without air
    between, its foam, and ice that swims in it."""
    low, high = inner[0, 1], inner[-1, 1]
    level = low + p.fill * (high - low)
    into = 0.25 * p.wall
    wet = inner[(inner[:, 1] < level - 0.004) & (inner[:, 0] > 0.01)]
    edge = float(np.interp(level, inner[:, 1], inner[:, 0]))
    profile = np.vstack(
        [
            [(0.0, low - into)],
            wet + np.array([into, -0.2 * into]),
            [(edge + into, level)],
            [(edge - 0.012, level - 0.004)],
            [(0.0, level - 0.005)],
        ]
    )
    result = [Part("drink", solids.lathe(profile, 96), p.liquid)]
    if p.foam:
        top = min(level + p.foam, high + 0.02)
        radius = [float(np.interp(z, inner[:, 1], inner[:, 0])) for z in (level, top)]
        froth = [
            (0, level - 0.012),
            (radius[0] - 0.001, level - 0.012),
            (radius[1] - 0.001, top - 0.01),
            (0.6 * radius[1], top + 0.012),
            (0, top + 0.016),
        ]
        result.append(Part("foam", solids.lathe(curves.rounded(froth, 0.02), 72), p.froth))
    for x, y, sunk, turn in p.ice:
        size = 0.42 * edge
        cube = solids.box(size, size, size, 0.16 * size, steps=4).turned("x", 0.4 * turn).turned("z", turn)
        result.append(Part("ice", cube.moved(x * edge, y * edge, level + sunk), replace(p.glass, ior=1.31)))
    return result


def _straw(inner: Array, azimuth: float, lean: float) -> Mesh:
    """From the floor on one side over the rim of the other, bent at its upper end."""
    out = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    radius, rim = float(inner[-1, 0]) - 0.03, float(inner[-1, 1])
    floor = float(inner[0, 1]) + 0.02
    foot = -0.5 * radius * out + [0, 0, floor]
    lip = radius * out + [0, 0, rim]
    up = (lip - foot) / np.linalg.norm(lip - foot)
    knee = lip + 0.12 * up
    tip = knee + 0.12 * up + lean * out
    path = curves.resampled(curves.rounded([foot, lip, knee, tip], 0.05, steps=6), 48)
    return solids.pipe(path, 0.018, 0.005, depth=6, section=curves.circle(20))


def _handle(outer: Array) -> Mesh:
    low, high = (float(np.interp(z, outer[:, 1], outer[:, 0])) for z in (0.2, 0.8))
    reach = max(low, high) + 0.2
    points = [
        (high - 0.012, 0.8),
        (high + 0.1, 0.83),
        (reach, 0.72),
        (reach, 0.36),
        (low + 0.1, 0.2),
        (low - 0.012, 0.22),
    ]
    path = curves.in_plane(curves.spline(points, 48), "xz")
    return solids.tube(path, 1.0, section=curves.superellipse(24, 0.05, 0.032, 2.6))
