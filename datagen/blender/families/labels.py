"""Printed labels of products, drawn for no real brand: how one is laid out, and the parts it is made of."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds
from pairbridge.datagen.scene import palette

LAYOUTS = ("classic", "band", "corner", "picture", "quiet", "stripes")
EMBLEMS = ("disc", "ring", "leaf", "hills", "sun", "drops")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductLabel:
    """A label's layout, words and inks; `number` seeds the fine print. `base` is its own paper, None where
    the ink lies on what carries it."""

    layout: str
    emblem: str
    word: str
    second: str
    number: int
    base: Material | None
    ink: Material
    colour: Material


def paper(rng: np.random.Generator, colour: palette.RGB, gloss: float = 0.0) -> Material:
    """Paper or board of one colour, plain from matt (`gloss` 0) to varnished (1)."""
    if gloss < 0.5:
        sheet = replace(material_rand(rng, ("paper",)), finish="plain", print=None, bump=0.0004)
    else:
        sheet = replace(material_rand(rng, ("plastic",)), finish="glossy", bump=0.0)
    return replace(
        sheet,
        colour=colour,
        accent=palette.shaded(colour, 0.8),
        roughness=0.75 - 0.5 * gloss + rng.uniform(-0.06, 0.06),
    )


def product_label_rand(rng: np.random.Generator, *, base: bool = True) -> ProductLabel:
    """Most labels are white, cream, grey, kraft or black with one strong colour, as in a shop."""
    look, words, skin = rng.spawn(3)
    ground = (
        palette.hsv(0.1, look.uniform(0.0, 0.06), look.uniform(0.86, 0.96)),
        palette.hsv(0.11, look.uniform(0.08, 0.2), look.uniform(0.82, 0.93)),
        palette.hsv(0.08, look.uniform(0.3, 0.4), look.uniform(0.6, 0.75)),
        palette.hsv(0.6, 0.05, look.uniform(0.1, 0.2)),
        palette.deep_rand(look),
    )[int(look.choice(5, p=[0.4, 0.22, 0.1, 0.12, 0.16]))]
    dark = float(np.mean(ground)) < 0.2
    gloss = float(look.choice([0.0, 0.3, 0.8]))
    ink = palette.hsv(0.12, look.uniform(0.0, 0.25), 0.93) if dark else palette.hsv(0.6, 0.2, 0.16)
    return ProductLabel(
        layout=str(look.choice(LAYOUTS)),
        emblem=str(look.choice(EMBLEMS)),
        word=prints.word_rand(words, int(words.integers(2, 4))),
        second=prints.word_rand(words, 3),
        number=int(words.integers(2**31)),
        base=paper(skin, ground, gloss) if base else None,
        ink=paper(skin, ink, gloss),
        colour=paper(skin, palette.paint_rand(look) if dark else palette.deep_rand(look), gloss),
    )


def label_parts(
    label: ProductLabel, surface: prints.Surface, width: float, height: float, seen: float | None = None
) -> list[Part]:
    """The label `width` by `height` about the surface's (0, 0); what is to be read stays within `seen` of its
    width."""
    result: list[Part] = []
    if label.base is not None:
        result.append(Part("label", prints.printed(surface, [prints.patch(width, height)], 1), label.base))
    colour, ink, over = _layout(label, width, min(width, seen or width), height)
    if colour:
        result.append(Part("picture", prints.printed(surface, colour, 2), label.colour))
    if ink:
        result.append(Part("print", prints.printed(surface, ink, 3), label.ink))
    if over:
        above = label.base or replace(label.ink, colour=(0.8, 0.8, 0.78))
        result.append(Part("title", prints.printed(surface, over, 3), above))
    return result


def _layout(
    label: ProductLabel, width: float, seen: float, height: float
) -> tuple[list[Array], list[Array], list[Array]]:
    """Shapes in the strong colour, in the ink, and in the ground's colour over them."""
    rng = seeds.rng(label.number, "fine print")
    size = _fitting(label.word, 0.8 * seen, 0.24 * height)
    small = _fitting(label.second, 0.5 * seen, 0.09 * height)
    text = prints.fine_print(rng, 0.62 * seen, 0.16 * height, 3)
    if label.layout == "classic":
        frame = [
            *(prints.patch(0.94 * width, 0.012 * height, 0.0, s * 0.455 * height) for s in (-1, 1)),
            *(prints.patch(0.94 * width, 0.03 * height, 0.0, s * 0.42 * height) for s in (-1, 1)),
        ]
        emblem = _emblem(label.emblem, 0.14 * min(seen, height))
        title = prints.written(label.word, size, 0.0, 0.0, 0.13)
        ink = [
            *title,
            *prints.written(label.second, small, 0.0, -0.2 * height, 0.12),
            *prints.shifted(prints.fine_print(rng, 0.5 * seen, 0.09 * height, 2), 0.0, -0.32 * height),
        ]
        return [*frame, *prints.shifted(emblem, 0.0, 0.25 * height)], ink, []
    if label.layout == "band":
        band = prints.patch(width, 0.4 * height, 0.0, 0.1 * height)
        ink = [
            *prints.shifted(text, 0.0, -0.3 * height),
            *prints.written(label.second, small, 0.0, 0.4 * height, 0.14),
        ]
        return [band], ink, prints.written(label.word, size, 0.0, 0.1 * height, 0.2)
    if label.layout == "corner":
        block = prints.patch(width, 0.34 * height, 0.0, -0.33 * height)
        left = -0.42 * seen
        size = 0.7 * size
        title = prints.written(
            label.word, size, left + 0.5 * prints.word_width(label.word, size), 0.3 * height
        )
        rule = prints.patch(0.84 * seen, 0.008 * height, 0.0, 0.16 * height)
        lines = prints.shifted(prints.fine_print(rng, 0.84 * seen, 0.2 * height, 4), 0.0, 0.02 * height)
        return [block], [*title, rule, *lines], prints.written(label.second, small, 0.0, -0.33 * height, 0.14)
    if label.layout == "picture":
        emblem = _emblem(label.emblem, 0.3 * min(seen, height))
        ink = [
            *prints.written(label.word, size, 0.0, 0.32 * height, 0.18),
            *prints.shifted(prints.fine_print(rng, 0.4 * seen, 0.06 * height, 2), 0.0, -0.42 * height),
        ]
        return prints.shifted(emblem, 0.0, -0.06 * height), ink, []
    if label.layout == "stripes":
        pitch = height / 9
        bands = [
            prints.patch(width, 0.5 * pitch, 0.0, (k - 4) * pitch) for k in range(9) if k not in (4, 5, 6)
        ]
        return bands, prints.written(label.word, size, 0.0, pitch, 0.2), []
    ink = [
        *prints.written(label.word, 0.55 * size, 0.0, 0.18 * height, 0.13),
        *prints.shifted(prints.fine_print(rng, 0.44 * seen, 0.12 * height, 3), 0.0, -0.1 * height),
    ]
    return [prints.patch(0.12 * seen, 0.01 * height, 0.0, 0.05 * height)], ink, []


def _fitting(word: str, width: float, height: float) -> float:
    """Size of letters at which the word is no wider and no higher."""
    return min(height, width / prints.word_width(word, 1.0))


def _emblem(kind: str, radius: float) -> list[Array]:
    """A pictogram about (0, 0) of about this radius."""
    if kind == "disc":
        return [prints.disc(radius)]
    if kind == "ring":
        angle = np.linspace(0.0, math.tau, 41)
        ring = prints.stroke(
            np.stack([0.85 * radius * np.cos(angle), 0.85 * radius * np.sin(angle)], 1), 0.2 * radius
        )
        return [ring, prints.disc(0.45 * radius)]
    if kind == "leaf":
        rise = np.linspace(-1.0, 1.0, 21)
        half = 0.32 * radius * np.maximum(1 - rise**2, 0.01)
        blades = []
        for turn in (-0.9, 0.0, 0.9):
            blade = prints.lens(radius * (0.5 * rise + 0.5), -half, half, 4)
            c, s = math.cos(turn), math.sin(turn)
            blades.append(blade @ np.array([[c, s], [-s, c]]) - [0.0, 0.4 * radius])
        return blades
    if kind == "hills":
        rise = np.linspace(0.0, 0.98, 9)
        return [
            prints.lens(
                radius * (tall * rise - 0.7),
                radius * (middle - wide * (1 - rise)),
                radius * (middle + wide * (1 - rise)),
            )
            for middle, wide, tall in ((-0.45, 0.55, 0.9), (0.3, 0.75, 1.4))
        ]
    if kind == "sun":
        rays = [
            prints.stroke([(0.62 * radius * c, 0.62 * radius * s), (radius * c, radius * s)], 0.12 * radius)
            for c, s in ((math.cos(a), math.sin(a)) for a in np.arange(12) * math.tau / 12)
        ]
        return [prints.disc(0.5 * radius), *rays]
    rise = np.linspace(0.0, 1.0, 21)
    half = np.sqrt(np.maximum(rise * (1 - rise), 0.0)) * (1 - rise) * 1.3 + 0.004
    return [
        prints.lens(
            radius * (scale * (rise - 0.5) + up),
            radius * (side - scale * half),
            radius * (side + scale * half),
        )
        for side, up, scale in ((-0.5, -0.2, 0.9), (0.5, -0.2, 0.9), (0.0, 0.2, 1.3))
    ]
