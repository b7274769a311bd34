"""Labels of tins and cans: prints that go all around, with fruit, fish, stripes, waves and medallions."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel
from pairbridge.datagen.blender.families.package_shapes import (
    FRUIT,
    PrintLayer,
    burst,
    checks,
    fitting,
    fruit_layers,
    inked,
    legible,
    parts_of,
    ribbon,
    slanted,
    upright,
    wavy,
)
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds
from pairbridge.datagen.scene import palette

_FOOD = ("orchard", "orchard", "burst", "checks", "waves", "medallion", "diagonals")
_DRINK = ("swoosh", "upright", "diagonals", "dots", "medallion", "orchard")
DESIGNS: dict[str, tuple[str, ...]] = {
    "food": _FOOD,
    "jar": ("orchard", "checks", "medallion", "orchard"),
    "fish": ("waves", "checks", "orchard", "diagonals"),
    "drink": _DRINK,
    "slim drink": _DRINK,
    "aerosol": ("upright", "swoosh", "dots", "diagonals"),
    "paint": ("burst", "diagonals", "swoosh", "dots"),
    "canister": ("medallion", "dots", "checks", "orchard"),
}


def can_label_parts(
    label: ProductLabel, surface: prints.Surface, style: str, width: float, height: float, seen: float
) -> list[Part]:
    """The label `width` by `height` around the wall, its middle at the surface's (0, 0); what is to be read
    stays within `seen` of the front and, where the label goes around, stands on the back once more."""
    rng = seeds.rng(label.number, "can")
    design = str(rng.choice(DESIGNS[style]))
    kind = "fish" if style == "fish" and rng.uniform() < 0.8 else str(rng.choice(list(FRUIT)[:-1]))
    around, panel = _design(label, design, kind, rng, width, height, seen)
    result = parts_of(around, surface)
    front = parts_of(panel, surface)
    if style == "jar":
        return result + front
    back = [Part(part.name, part.mesh.turned("z", math.pi), part.material) for part in front]
    return result + front + back


def _design(
    label: ProductLabel,
    design: str,
    kind: str,
    rng: np.random.Generator,
    width: float,
    height: float,
    seen: float,
) -> tuple[list[PrintLayer], list[PrintLayer]]:
    """What goes all around, and what stands on the front."""
    strong, ground = label.colour, label.base
    pale = ground if ground is not None and np.mean(ground.colour) > 0.3 else inked(label, 0.12, 0.06, 0.93)
    # On metal the enamel is the ground, as the label is on paper.
    around = [] if ground is None else [PrintLayer("label", [prints.patch(width, height)], ground, 1)]
    under = legible(label, ground) if ground is not None else label.ink
    size = fitting(label.word, 0.84 * seen, 0.2 * height)
    small = fitting(label.second, 0.5 * seen, 0.08 * height)
    s = min(seen, height)
    text = prints.fine_print(rng, 0.56 * seen, 0.08 * height, 2)
    if design == "orchard":
        # A pale oval window with fruit on a coloured wall, a ribbon with the name under it.
        around = [PrintLayer("label", [prints.patch(width, height)], strong, 1)]
        r = 0.17 * s
        middle = 0.12 * height
        window = prints.disc(0.47 * seen, 0.0, middle, min(0.7, 0.7 * height / seen))
        fruit = [
            layer
            for u, v in ((-1.1 * r, -0.2 * r), (1.1 * r, -0.1 * r), (0.0, 0.55 * r))
            for layer in fruit_layers(label, kind, r, u, middle + v, 3)
        ]
        name = fitting(label.word, 0.74 * seen, 0.13 * height)
        bar = ribbon(0.86 * seen, 1.7 * name, 0.0, -0.3 * height)
        edge = [prints.patch(width, 0.03 * height, 0.0, side * 0.47 * height) for side in (-1, 1)]
        around.append(PrintLayer("edge", edge, pale, 2))
        return around, [
            PrintLayer("window", [window], pale, 2),
            *fruit,
            PrintLayer("ribbon", bar, inked(label, 0.13, 0.7, 0.85), 3),
            PrintLayer("title", prints.written(label.word, name, 0.0, -0.3 * height, 0.18), _dark(label), 4),
        ]
    if design == "burst":
        star = prints.shifted(burst(0.42 * s, int(rng.integers(14, 22))), 0.0, 0.08 * height)
        name = fitting(label.word, 0.54 * s, 0.16 * height)
        rim = [prints.patch(width, 0.1 * height, 0.0, side * 0.43 * height) for side in (-1, 1)]
        return [*around, PrintLayer("rim", rim, strong, 2)], [
            PrintLayer("burst", star, strong, 2),
            PrintLayer(
                "title", prints.written(label.word, name, 0.0, 0.08 * height, 0.2), legible(label, strong), 3
            ),
            PrintLayer("print", prints.shifted(text, 0.0, -0.31 * height), under, 2),
        ]
    if design == "checks":
        count = 2 * round(0.5 * width / (0.07 * height + 0.02))
        rows = [*checks(width, count, 0.36 * height), *checks(width, count, -0.36 * height)]
        r = 0.13 * height
        return [*around, PrintLayer("checks", rows, strong, 2)], [
            PrintLayer("title", prints.written(label.word, size, 0.0, 0.1 * height, 0.15), under, 2),
            *fruit_layers(label, kind, r, -1.3 * r, -0.12 * height, 2),
            *fruit_layers(label, kind, r, 1.3 * r, -0.12 * height, 2),
        ]
    if design in ("waves", "swoosh"):
        count = int(rng.integers(2, 4)) * (2 if design == "waves" else 1)
        swing = (0.03 if design == "waves" else 0.12) * height
        tint = palette.shaded(strong.colour, float(rng.choice([0.55, 1.8])))
        second = replace(strong, colour=tint, accent=tint)
        sea = [
            PrintLayer("wave", [wavy(width, -0.5 * height, -0.02 * height, swing, count)], second, 2),
            PrintLayer("wave", [wavy(width, -0.5 * height, -0.12 * height, swing, count, 1.3)], strong, 3),
        ]
        lower = (
            [
                PrintLayer("sticker", [prints.disc(0.21 * s, 0.0, -0.26 * height)], pale, 4),
                *fruit_layers(label, kind, 0.17 * s, 0.0, -0.26 * height, 5),
            ]
            if design == "waves"
            else [PrintLayer("print", prints.shifted(text, 0.0, -0.34 * height), legible(label, strong), 4)]
        )
        return [*around, *sea], [
            PrintLayer("title", prints.written(label.word, size, 0.0, 0.26 * height, 0.2), under, 4),
            *lower,
        ]
    if design == "diagonals":
        count = max(6, round(width / (0.3 * height)))
        stripes = slanted(width, -0.5 * height, 0.5 * height, count, 0.5 * height, 0.5)
        plate = prints.patch(0.86 * seen, 0.42 * height)
        name = fitting(label.word, 0.72 * seen, 0.17 * height)
        return [*around, PrintLayer("stripes", stripes, strong, 2)], [
            PrintLayer("plate", [plate], pale, 3),
            PrintLayer(
                "title", prints.written(label.word, name, 0.0, 0.07 * height, 0.18), legible(label, pale), 4
            ),
            PrintLayer("print", prints.shifted(text, 0.0, -0.12 * height), legible(label, pale), 4),
        ]
    if design == "dots":
        pitch = width / round(width / (0.16 * height))
        dots = [
            prints.disc(0.26 * pitch, (k + 0.5 * (row % 2)) * pitch - 0.5 * width, (row - 2) * 0.2 * height)
            for row in range(5)
            for k in range(round(width / pitch))
        ]
        sticker = prints.disc(0.4 * s)
        name = fitting(label.word, 0.58 * s, 0.16 * height)
        return [*around, PrintLayer("dots", dots, strong, 2)], [
            PrintLayer("sticker", [sticker], pale, 3),
            PrintLayer("title", prints.written(label.word, name, 0.0, 0.0, 0.18), legible(label, pale), 4),
        ]
    if design == "medallion":
        # A circus of upright stripes, and a coin with the first letter.
        count = max(8, 2 * round(0.5 * width / (0.13 * s)))
        stripes = slanted(width, -0.5 * height, 0.5 * height, count, 0.0, 0.5)
        coin = [PrintLayer("coin", [prints.disc(0.36 * s, 0.0, 0.06 * height)], pale, 3)]
        ring = prints.shifted(_ring(0.32 * s, 0.018 * s), 0.0, 0.06 * height)
        letter = prints.written(label.word[0], 0.34 * s, 0.0, 0.06 * height, 0.2)
        name = fitting(label.word, 0.7 * seen, 0.1 * height)
        return [*around, PrintLayer("stripes", stripes, strong, 2)], [
            *coin,
            PrintLayer("monogram", [*ring, *letter], legible(label, pale), 4),
            PrintLayer("plate", [prints.patch(0.8 * seen, 1.6 * name, 0.0, -0.38 * height)], pale, 3),
            PrintLayer(
                "title", prints.written(label.word, name, 0.0, -0.38 * height, 0.17), legible(label, pale), 4
            ),
        ]
    # Upright: the name along the can, beside it a stripe from top to bottom.
    stripe = prints.patch(0.3 * seen, height, 0.26 * seen, 0.0)
    return around, [
        PrintLayer("stripe", [stripe], strong, 2),
        PrintLayer("title", upright(label.word, 0.86 * height, 0.36 * seen, -0.14 * seen), under, 2),
        PrintLayer(
            "second", upright(label.second, 0.5 * height, 0.13 * seen, 0.26 * seen), legible(label, strong), 3
        ),
        PrintLayer(
            "small",
            prints.written(label.second[0], small, 0.26 * seen, 0.4 * height),
            legible(label, strong),
            3,
        ),
    ]


def _dark(label: ProductLabel) -> Material:
    return replace(label.ink, colour=(0.03, 0.028, 0.026), accent=(0.03, 0.03, 0.03))


def _ring(radius: float, thick: float) -> list[Array]:
    angle = np.linspace(0.0, math.tau, 49)
    return [prints.stroke(radius * np.stack([np.cos(angle), np.sin(angle)], 1), thick)]
