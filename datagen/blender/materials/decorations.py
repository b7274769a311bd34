"""Patterns and labels painted on a material."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Decoration, Material
from pairbridge.datagen.blender.materials.prints import Print
from pairbridge.datagen.scene import palette
from pairbridge.datagen.scene.palette import RGB

DECORATIONS = (
    "bands",
    "stripes",
    "checks",
    "dots",
    "flowers",
    "waves",
    "zigzag",
    "blotches",
    "label",
    "label",
)


def decoration_rand(
    rng: np.random.Generator,
    *,
    radius: float,
    low: float,
    high: float,
    kinds: tuple[str, ...] = DECORATIONS,
    colour: RGB | None = None,
) -> Decoration:
    """A pattern around a turned body of about `radius` between two heights, its cells about as wide as
    high."""
    kind = str(rng.choice(kinds))
    count = int(rng.integers(6, 15))
    rows = count / (math.tau * radius)
    if kind == "bands":
        rows *= rng.uniform(0.5, 1.4)
    middle, reach = rng.uniform(0.35, 0.65), rng.uniform(0.15, 0.5)
    colour = palette.deep_rand(rng) if colour is None else colour
    if kind == "label":
        return label_rand(rng, radius=radius, low=low, high=high, ink=colour)
    return Decoration(
        kind=kind,
        colour=colour,
        count=count,
        rows=rows,
        share=rng.uniform(0.3, 0.6),
        low=low + (high - low) * max(0.0, middle - reach),
        high=low + (high - low) * min(1.0, middle + reach),
    )


def label_rand(
    rng: np.random.Generator, *, radius: float, low: float, high: float, ink: RGB, around: bool = True
) -> Decoration:
    """A label or a printed motif at the front (-y) of a turned body of about `radius`, or of a box twice as
    wide (not `around`), between two heights.
    """
    span = high - low
    bottom, top = low + span * rng.uniform(0.12, 0.25), high - span * rng.uniform(0.12, 0.25)
    around_length = math.tau * radius if around else 2 * radius
    width = min((top - bottom) * rng.uniform(0.8, 1.7), around_length * (0.45 if around else 0.85))
    picture = Print(
        kind=str(rng.choice(["label", "motif"])),
        seed=int(rng.integers(2**31)),
        paper=palette.paper_rand(rng) if rng.uniform() < 0.7 else palette.product_rand(rng, 0.3),
        ink=ink,
        second=palette.product_rand(rng, 0.25),
        aspect=width / (top - bottom),
    )
    return Decoration(
        kind="label",
        colour=ink,
        count=around_length / width if around else 1 / width,
        rows=1.0,
        share=1.0,
        low=bottom,
        high=top,
        around=around,
        print=picture,
    )


def decorated(material: Material, decoration: Decoration) -> Material:
    """The material with a pattern painted on; busy glazes are calmed, because two patterns at once read as
    noise."""
    finish = "plain" if material.kind == "ceramic" and material.finish != "speckled" else material.finish
    return replace(material, decoration=decoration, finish=finish)
