"""Labels of bottles: paper of an outline of its own at the front, as an arch, an oval, a shield or a belt."""

import math

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, label_parts
from pairbridge.datagen.blender.families.package_shapes import (
    PrintLayer,
    fitting,
    fruit_layers,
    legible,
    parts_of,
    upright,
)
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds

_WINE = ("arch", "arch", "oval", "shield", "notched", "plain")
DESIGNS: dict[str, tuple[str, ...]] = {
    "bordeaux": _WINE,
    "burgundy": _WINE,
    "longneck": ("oval", "belt", "shield", "oval"),
    "milk": ("belt", "oval", "upright"),
    "jug": ("tag", "oval", "arch"),
    "water": ("belt", "wave", "upright", "plain"),
    "flask": ("upright", "plain"),
}
_MOULDED = ("drop", "upright", "wave", "plain", "plain", "oval")


def bottle_label_parts(
    label: ProductLabel, surface: prints.Surface, style: str, width: float, height: float, seen: float
) -> list[Part]:
    """The label about the surface's (0, 0), at most `width` by `height`; what is to be read stays within
    `seen` of its width."""
    rng = seeds.rng(label.number, "bottle")
    design = str(rng.choice(DESIGNS.get(style, _MOULDED)))
    if design == "plain" or label.base is None:
        return label_parts(label, surface, width, height, seen)
    return parts_of(_design(label, design, rng, width, height, seen), surface)


def _design(
    label: ProductLabel, design: str, rng: np.random.Generator, width: float, height: float, seen: float
) -> list[PrintLayer]:
    base, strong = label.base, label.colour
    wide = min(width, 1.05 * seen)
    on_base, on_strong = legible(label, base), legible(label, strong)
    text = prints.fine_print(rng, 0.5 * wide, 0.09 * height, 3)
    if design == "belt":
        # A low strip all around with a coin before it.
        coin = min(0.46 * height, 0.42 * seen)
        size = 0.9 * coin
        return [
            PrintLayer("label", [prints.patch(width, 0.4 * height)], base, 1),
            PrintLayer(
                "lines",
                [prints.patch(width, 0.03 * height, 0.0, s * 0.16 * height) for s in (-1, 1)],
                strong,
                2,
            ),
            PrintLayer("coin", [prints.disc(coin)], strong, 3),
            PrintLayer("monogram", prints.written(label.word[0], size, 0.0, 0.0, 0.2), on_strong, 4),
        ]
    if design == "upright":
        strip = 0.5 * wide
        return [
            PrintLayer("label", [prints.patch(strip, height)], base, 1),
            PrintLayer("bar", [prints.patch(strip, 0.1 * height, 0.0, -0.45 * height)], strong, 2),
            PrintLayer(
                "title", upright(label.word, 0.76 * height, 0.56 * strip, 0.0, 0.04 * height), on_base, 2
            ),
        ]
    if design in ("wave", "drop"):
        # Printed on the bottle itself: no paper, a shape in the strong colour.
        rise = np.linspace(-0.49, 0.49, 25)
        if design == "wave":
            lean = 0.16 * wide * np.sin(math.tau * rise)
            half = np.full(25, 0.34 * wide)
        else:
            lean = np.zeros(25)
            share = rise + 0.5
            half = 0.95 * wide * np.sqrt(np.maximum(share * (1 - share), 0.0)) * (1.15 - 0.75 * share)
        size = fitting(label.word, 0.56 * wide, 0.16 * height)
        return [
            PrintLayer(
                "shape",
                [prints.lens(height * rise, lean - half, lean + half, 2 + int(wide / prints.STEP))],
                strong,
                1,
            ),
            PrintLayer("title", prints.written(label.word, size, 0.0, -0.1 * height, 0.18), on_strong, 2),
            PrintLayer(
                "print", prints.shifted([0.7 * line for line in text], 0.0, -0.27 * height), on_strong, 2
            ),
        ]
    outline = _outline(design, wide, height)
    inner = [outline[0] * 0.93, outline[1] * 0.9, outline[2] * 0.9]
    core = [outline[0] * 0.91, outline[1] * 0.87, outline[2] * 0.87]
    columns = 2 + int(wide / prints.STEP)
    low = -0.3 * height if design in ("arch", "notched", "tag") else -0.17 * height
    size = fitting(label.word, 0.66 * wide, 0.15 * height)
    kind = str(rng.choice(["lemon", "cherries", "pear", "olives"]))
    crest = (
        fruit_layers(label, kind, 0.12 * min(wide, height), 0.0, 0.24 * height, 4)
        if rng.uniform() < 0.4
        else [
            PrintLayer(
                "crest", prints.shifted(_crest(0.14 * min(wide, height)), 0.0, 0.24 * height), strong, 4
            )
        ]
    )
    return [
        PrintLayer("label", [prints.lens(*outline, columns)], base, 1),
        PrintLayer("frame", [prints.lens(*inner, columns)], strong, 2),
        PrintLayer("ground", [prints.lens(*core, columns)], base, 3),
        *crest,
        PrintLayer("title", prints.written(label.word, size, 0.0, 0.02 * height, 0.14), on_base, 4),
        PrintLayer("rule", [prints.patch(0.4 * wide, 0.012 * height, 0.0, -0.11 * height)], strong, 4),
        PrintLayer("print", prints.shifted(text, 0.0, low), on_base, 4),
    ]


def _outline(design: str, wide: float, height: float) -> tuple[Array, Array, Array]:
    """Heights, left and right borders of a label's paper."""
    rise = np.linspace(-0.5, 0.5, 41)
    if design == "oval":
        half = np.sqrt(np.maximum(0.25 - rise**2, 4e-4))
    elif design == "shield":
        below = np.clip((-0.05 - rise) / 0.455, 0.0, 1.0)
        half = 0.5 * np.sqrt(np.maximum(1 - below**1.7, 2e-3))
    elif design == "notched":
        # Corners cut round, as of tickets.
        corner = 0.1 - np.maximum(np.abs(rise) - 0.4, 0.0)
        half = 0.5 - np.sqrt(np.maximum(0.01 - corner**2, 0.0))
    elif design == "tag":
        half = np.where(rise > 0.25, 0.5 - 1.2 * (rise - 0.25), 0.5)
    else:
        half = np.where(
            rise > 0.12, np.sqrt(np.maximum(0.25 - 0.25 * ((rise - 0.12) / 0.385) ** 2, 4e-4)), 0.5
        )
    return height * rise, -wide * half, wide * half


def _crest(radius: float) -> list[Array]:
    """Three tines over two bars, as a crown."""
    rise = np.linspace(0.0, 0.96, 7)
    tines = [
        prints.lens(
            radius * (rise - 0.35), radius * (at - 0.3 * (1 - rise)), radius * (at + 0.3 * (1 - rise)), 3
        )
        for at in (-0.6, 0.0, 0.6)
    ]
    bars = [prints.patch(1.8 * radius, 0.22 * radius, 0.0, -0.45 * radius)]
    dots = [prints.disc(0.11 * radius, at * radius, 0.74 * radius) for at in (-0.6, 0.0, 0.6)]
    return [*tines, *bars, *dots]
