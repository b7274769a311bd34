"""Shapes that packages are printed with, drawn about (0, 0): fruit, bursts, ribbons, waves and stripes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

# Hue, saturation and value of the flesh; the leaves of all are green.
FRUIT: dict[str, tuple[float, float, float]] = {
    "tomato": (0.01, 0.82, 0.72),
    "pear": (0.18, 0.62, 0.78),
    "cherries": (0.97, 0.8, 0.55),
    "peas": (0.25, 0.6, 0.66),
    "lemon": (0.14, 0.75, 0.9),
    "slice": (0.085, 0.8, 0.88),
    "olives": (0.2, 0.55, 0.4),
    "fish": (0.58, 0.35, 0.55),
}


class PrintLayer(NamedTuple):
    """Shapes of one ink; a higher level lies over a lower one."""

    name: str
    shapes: Sequence[Array]
    ink: Material
    level: int


def parts_of(layers: Sequence[PrintLayer], surface: prints.Surface) -> list[Part]:
    return [
        Part(layer.name, prints.printed(surface, layer.shapes, layer.level), layer.ink)
        for layer in layers
        if layer.shapes
    ]


def legible(label: ProductLabel, ground: Material) -> Material:
    """The label's ink, dark or pale, so that it is read on this ground."""
    dark = float(np.mean(ground.colour)) < 0.22
    colour = palette.hsv(0.12, 0.05, 0.93) if dark else palette.hsv(0.6, 0.2, 0.16)
    return replace(label.ink, colour=colour, accent=palette.shaded(colour, 0.8))


def inked(label: ProductLabel, hue: float, saturation: float, value: float) -> Material:
    """The label's ink in another colour."""
    colour = palette.hsv(hue, saturation, value)
    return replace(label.ink, colour=colour, accent=palette.shaded(colour, 0.8))


def rotated(shape: Array, angle_rad: float) -> Array:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return shape @ np.array([[c, s], [-s, c]])


def leaf(length: float, wide: float, angle_rad: float, u: float = 0.0, v: float = 0.0) -> Array:
    """A pointed blade from (u, v) on, at an angle from upright, to the left of it where positive."""
    rise = np.linspace(0.02, 0.98, 15)
    half = 2 * wide * rise * (1 - rise)
    return rotated(prints.lens(length * rise, -half, half, 4), angle_rad) + np.array([u, v])


def fruit_layers(
    label: ProductLabel, kind: str, r: float, u: float, v: float, level: int
) -> list[PrintLayer]:
    """A fruit of radius `r` at (u, v), of flesh, leaves and shine, on three levels."""
    flesh: list[Array] = []
    leaves: list[Array] = []
    shine: list[Array] = [prints.disc(0.13 * r, -0.38 * r, 0.26 * r, 1.6)]
    if kind == "tomato":
        flesh = [prints.disc(r, stretch=0.86)]
        leaves = [leaf(0.5 * r, 0.13 * r, turn, 0.0, 0.68 * r) for turn in (-1.9, -1.0, 0.0, 1.0, 1.9)]
    elif kind == "pear":
        flesh = [prints.disc(0.72 * r, 0.0, -0.28 * r), prints.disc(0.44 * r, 0.0, 0.34 * r, 1.35)]
        leaves = [
            prints.stroke([(0.0, 0.85 * r), (0.06 * r, 1.2 * r)], 0.09 * r),
            leaf(0.6 * r, 0.16 * r, -1.1, 0.04 * r, 1.0 * r),
        ]
    elif kind == "cherries":
        flesh = [prints.disc(0.47 * r, -0.5 * r, -0.35 * r), prints.disc(0.47 * r, 0.52 * r, -0.5 * r)]
        leaves = [
            prints.stroke([(-0.48 * r, 0.1 * r), (-0.2 * r, 0.6 * r), (0.15 * r, 0.95 * r)], 0.07 * r),
            prints.stroke([(0.5 * r, -0.05 * r), (0.4 * r, 0.5 * r), (0.15 * r, 0.95 * r)], 0.07 * r),
            leaf(0.75 * r, 0.22 * r, 1.3, 0.15 * r, 0.92 * r),
        ]
        shine = [prints.disc(0.09 * r, x * r, y * r) for x, y in ((-0.62, -0.22), (0.4, -0.36))]
    elif kind == "peas":
        leaves = [rotated(prints.disc(0.42 * r, stretch=2.7), -1.25)]
        flesh = [prints.disc(0.21 * r, t * 0.95 * r, t * 0.3 * r) for t in (-0.72, -0.24, 0.24, 0.72)]
        shine = [prints.disc(0.06 * r, (t * 0.95 - 0.06) * r, (t * 0.3 + 0.07) * r) for t in (-0.24, 0.24)]
    elif kind == "lemon":
        flesh = [prints.disc(0.95 * r, stretch=0.72), prints.disc(0.24 * r, 0.92 * r, 0.0, 0.8)]
        leaves = [leaf(0.8 * r, 0.22 * r, 0.9, 0.1 * r, 0.55 * r)]
    elif kind == "slice":
        flesh = [prints.disc(r)]
        shine = [prints.disc(0.86 * r)]
        wedge = np.linspace(0.12, 0.9, 9)
        leaves = []
        wedges = [
            rotated(prints.lens(0.78 * r * wedge, -0.27 * r * wedge, 0.27 * r * wedge, 4), k * math.tau / 8)
            for k in range(8)
        ]
    elif kind == "olives":
        flesh = [
            prints.disc(0.3 * r, x * r, y * r, 1.3) for x, y in ((-0.6, -0.3), (0.05, -0.45), (0.62, -0.2))
        ]
        leaves = [leaf(0.95 * r, 0.15 * r, turn, 0.0, 0.05 * r) for turn in (-1.2, -0.35, 0.5, 1.3)]
        shine = [prints.disc(0.07 * r, x * r, y * r) for x, y in ((-0.68, -0.15), (0.0, -0.3), (0.55, -0.05))]
    else:
        rise = np.linspace(-0.98, 0.98, 9)
        tail = prints.lens(0.36 * r * rise, np.full(9, 0.55 * r), r * (0.62 + 0.4 * np.abs(rise)), 4)
        flesh = [prints.disc(0.85 * r, -0.12 * r, 0.0, 0.42), tail]
        leaves = []
        shine = [prints.disc(0.06 * r, -0.62 * r, 0.08 * r), prints.disc(0.3 * r, 0.05 * r, -0.13 * r, 0.2)]
    pale = inked(label, 0.12, 0.1, 0.93)
    flesh_ink, green = inked(label, *FRUIT[kind]), inked(label, 0.3, 0.6, 0.42)
    # Peas lie in their pod; other leaves lie on their fruit.
    order = [("leaf", leaves, green), ("flesh", flesh, flesh_ink), ("shine", shine, pale)]
    if kind != "peas":
        order = [order[1], order[0], order[2]]
    if kind == "slice":
        order = [("flesh", flesh, flesh_ink), ("pith", shine, pale), ("wedges", wedges, flesh_ink)]
    return [
        PrintLayer(name, prints.shifted(shapes, u, v), ink, level + k)
        for k, (name, shapes, ink) in enumerate(order)
    ]


def burst(radius: float, points: int) -> list[Array]:
    """A star of many short rays, as offers are printed on."""
    reach = np.linspace(0.0, 0.98, 5)
    half = 0.78 * radius * math.tan(math.pi / points)
    ray = prints.lens(radius * (0.76 + 0.24 * reach), -half * (1 - reach), half * (1 - reach), 3)
    return [prints.disc(0.8 * radius), *(rotated(ray, k * math.tau / points) for k in range(points))]


def ribbon(width: float, height: float, u: float = 0.0, v: float = 0.0) -> list[Array]:
    """A band with swallow tails that hang a little lower."""
    rise = np.linspace(-0.5, 0.5, 5)
    notch = 0.5 * height * (1 - 2 * np.abs(rise))
    fold, end = 0.42 * width, 0.62 * width
    tails = [
        prints.lens(height * rise - 0.22 * height, -end + notch, np.full(5, -fold)),
        prints.lens(height * rise - 0.22 * height, np.full(5, fold), end - notch),
    ]
    return prints.shifted([prints.patch(0.96 * width, height), *tails], u, v)


def wavy(width: float, low: float, high: float, swing: float, count: int, phase: float = 0.0) -> Array:
    """A band (R, C, 2) from `low` up to a wave about `high`."""
    u = np.linspace(-0.5 * width, 0.5 * width, 2 + int(width / (0.6 * prints.STEP)))
    top = high + swing * np.sin(math.tau * count * u / width + phase)
    share = np.linspace(0.0, 1.0, 2 + int((high - low + swing) / prints.STEP))[:, None]
    return np.stack([np.broadcast_to(u, (len(share), len(u))), low + share * (top - low)], -1)


def slanted(width: float, low: float, high: float, count: int, slant: float, share: float) -> list[Array]:
    """Stripes around, `share` of each pitch wide, that lean by `slant` over their height; they close at the
    seam."""
    heights = np.linspace(low, high, 2 + int((high - low) / prints.STEP))
    lean = slant * (heights - heights.mean()) / (high - low)
    thick = share * width / count
    columns = 2 + int(thick / prints.STEP)
    return [
        prints.lens(heights, at + lean - 0.5 * thick, at + lean + 0.5 * thick, columns)
        for at in (np.arange(count) + 0.5) / count * width - 0.5 * width
    ]


def checks(width: float, count: int, v: float, rows: int = 2) -> list[Array]:
    """Rows of a chequered band around, centred at height `v`."""
    side = width / count
    return [
        prints.patch(side, side, (k + 0.5) * side - 0.5 * width, v + (row - 0.5 * (rows - 1)) * side)
        for row in range(rows)
        for k in range(count)
        if (k + row) % 2 == 0
    ]


def fitting(word: str, width: float, height: float) -> float:
    """Size of letters at which the word is no wider and no higher."""
    return min(height, width / prints.word_width(word, 1.0))


def upright(word: str, length: float, wide: float, u: float = 0.0, v: float = 0.0) -> list[Array]:
    """A word that is read from below to above, at most `length` long, letters at most `wide` high."""
    strokes = prints.written(word, fitting(word, length, wide), 0.0, 0.0, 0.17)
    return prints.shifted([rotated(stroke, 0.5 * math.pi) for stroke in strokes], u, v)
