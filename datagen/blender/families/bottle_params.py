"""Bottle: its parameters and how they are drawn."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, product_label_rand
from pairbridge.datagen.blender.materials.glass_and_liquids import drink
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

# Radius over height, foot to neck, in units of the bottle's height without its cap; then the label's heights,
# the radius of the cap and its kind.
STYLES: dict[str, tuple[tuple[tuple[float, float], ...], tuple[float, float], str]] = {
    "bordeaux": (
        (
            (0.118, 0.0),
            (0.124, 0.02),
            (0.124, 0.6),
            (0.118, 0.65),
            (0.085, 0.71),
            (0.052, 0.76),
            (0.045, 0.82),
            (0.044, 0.97),
        ),
        (0.14, 0.5),
        "foil",
    ),
    "burgundy": (
        (
            (0.132, 0.0),
            (0.138, 0.02),
            (0.138, 0.42),
            (0.128, 0.5),
            (0.098, 0.6),
            (0.066, 0.7),
            (0.049, 0.8),
            (0.045, 0.97),
        ),
        (0.08, 0.38),
        "foil",
    ),
    "longneck": (
        (
            (0.128, 0.0),
            (0.134, 0.02),
            (0.134, 0.5),
            (0.126, 0.56),
            (0.092, 0.66),
            (0.062, 0.76),
            (0.053, 0.9),
            (0.055, 0.96),
            (0.055, 0.985),
        ),
        (0.1, 0.44),
        "crown",
    ),
    "water": (
        (
            (0.118, 0.0),
            (0.128, 0.02),
            (0.128, 0.56),
            (0.12, 0.66),
            (0.085, 0.78),
            (0.055, 0.87),
            (0.05, 0.9),
            (0.05, 0.93),
        ),
        (0.26, 0.5),
        "screw",
    ),
    "milk": (
        (
            (0.17, 0.0),
            (0.18, 0.025),
            (0.18, 0.56),
            (0.168, 0.64),
            (0.12, 0.78),
            (0.102, 0.88),
            (0.112, 0.93),
            (0.112, 0.97),
        ),
        (0.16, 0.46),
        "foil lid",
    ),
    "squeeze": (
        (
            (0.17, 0.0),
            (0.18, 0.03),
            (0.182, 0.3),
            (0.168, 0.52),
            (0.168, 0.72),
            (0.14, 0.82),
            (0.1, 0.87),
            (0.09, 0.9),
        ),
        (0.14, 0.62),
        "nozzle",
    ),
    "shampoo": (
        ((0.17, 0.0), (0.185, 0.03), (0.19, 0.4), (0.186, 0.72), (0.16, 0.83), (0.09, 0.88), (0.075, 0.9)),
        (0.14, 0.68),
        "screw",
    ),
    "pump": (
        ((0.2, 0.0), (0.212, 0.03), (0.212, 0.62), (0.205, 0.7), (0.15, 0.77), (0.08, 0.8), (0.075, 0.83)),
        (0.12, 0.6),
        "pump",
    ),
    "flask": (
        ((0.13, 0.0), (0.14, 0.02), (0.14, 0.7), (0.135, 0.76), (0.11, 0.82), (0.1, 0.86)),
        (0.25, 0.6),
        "screw",
    ),
    "jug": (
        ((0.16, 0.0), (0.172, 0.03), (0.175, 0.5), (0.15, 0.62), (0.075, 0.76), (0.055, 0.83), (0.06, 0.9)),
        (0.16, 0.46),
        "cork",
    ),
    "spray": (
        ((0.17, 0.0), (0.18, 0.03), (0.18, 0.42), (0.16, 0.55), (0.1, 0.68), (0.07, 0.75), (0.068, 0.78)),
        (0.1, 0.42),
        "trigger",
    ),
}
# Those that are moulded, whose section may be flat or square.
MOULDED = ("squeeze", "shampoo", "pump", "spray")


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleParams:
    """Lengths in units of the height without cap. `section` = (power, depth over width) of the body's plan: a
    circle is (2, 1). `label` None leaves the bottle bare; `label_share` is its width over the girth.
    Glass has an inside, filled to the share `fill` of the height."""

    style: str
    profile: tuple[tuple[float, float], ...]
    section: tuple[float, float]
    label: ProductLabel | None
    label_span: tuple[float, float]
    label_share: float
    fill: float
    neck_label: bool
    cap: str
    ribs: int
    turn_rad: float
    body: Material
    top: Material
    trim: Material
    contents: Material


def bottle_rand(rng: np.random.Generator) -> BottleParams:
    shape, extras, skin = rng.spawn(3)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    profile, span, cap = STYLES[style]
    stout = shape.uniform(0.88, 1.15)
    section = (2.0, 1.0)
    if style in MOULDED and shape.uniform() < 0.65:
        section = (float(shape.choice([2.0, 3.0, 5.0])), shape.uniform(0.55, 0.95))
    body = _body_rand(skin, style)
    bare = extras.uniform() < (0.75 if style in ("flask", "jug") else 0.12)
    top = material_rand(
        skin, ("plastic",) if cap not in ("foil", "crown", "foil lid") else ("metal", "painted")
    )
    # Bare metal has its own reflectance; what is moulded or painted is often white, grey or black.
    if skin.uniform() < 0.6 and top.kind != "metal":
        top = replace(top, colour=_neutral_rand(skin))
    if cap == "foil":
        # Capsules are varnished, deep red, black, gold or white.
        top = replace(
            material_rand(skin, ("plastic",)),
            colour=(
                palette.hsv(0.98, 0.75, 0.35),
                palette.hsv(0, 0, 0.17),
                palette.shaded(palette.METALS["gold"], 0.8),
                palette.hsv(0.1, 0.05, 0.85),
            )[skin.integers(4)],
            finish="glossy",
            bump=0.0,
            roughness=skin.uniform(0.3, 0.45),
        )
    if cap == "cork":
        top = replace(
            material_rand(skin, ("clay",)), colour=palette.hsv(0.085, 0.42, 0.72), scale=26.0, bump=0.004
        )
    return BottleParams(
        style=style,
        profile=tuple((float(r * stout), z) for r, z in profile),
        section=section,
        label=None if bare else product_label_rand(skin),
        label_span=(span[0] + extras.uniform(0.0, 0.04), span[1] - extras.uniform(0.0, 0.06)),
        label_share=extras.uniform(0.36, 0.62) if extras.uniform() < 0.6 else 0.98,
        neck_label=style in ("longneck", "bordeaux", "burgundy") and extras.uniform() < 0.45,
        fill=extras.uniform(0.6, 0.8) if extras.uniform() < 0.8 else 0.0,
        cap=cap,
        ribs=int(extras.integers(28, 60)),
        turn_rad=extras.uniform(-0.7, 0.7),
        body=body,
        top=top,
        trim=material_rand(skin, ("plastic", "metal")),
        contents=_contents_rand(skin, style),
    )


def _neutral_rand(rng: np.random.Generator) -> palette.RGB:
    """White, black or grey, as most caps and half of all packages are."""
    return palette.hsv(0.1, rng.uniform(0.0, 0.05), float(rng.choice([0.93, 0.88, 0.17, 0.5])))


def _body_rand(rng: np.random.Generator, style: str) -> Material:
    """What such bottles are made of. A dark one that is full looks opaque, and half of them are (`pane`)."""
    if style in ("bordeaux", "burgundy", "longneck"):
        if rng.uniform() < 0.5:
            tint = ((0.16, 0.34, 0.12), (0.3, 0.5, 0.22), (0.45, 0.2, 0.04), (0.9, 0.95, 0.92))[
                rng.integers(4)
            ]
            return replace(_clear_rand(rng), kind="coloured_glass", colour=tint)
        hue, value = ((0.27, 0.2), (0.3, 0.26), (0.06, 0.26), (0.08, 0.19), (0.1, 0.17))[rng.integers(5)]
        pane = material_rand(rng, ("pane",))
        return replace(pane, colour=palette.hsv(hue, 0.6, value), accent=palette.hsv(hue, 0.5, 0.8 * value))
    if style == "water" or (style in ("jug", "milk") and rng.uniform() < 0.5):
        return _clear_rand(rng)
    if style == "flask":
        flask = material_rand(rng, ("metal", "painted", "painted"))
        return (
            replace(flask, colour=_neutral_rand(rng))
            if flask.kind == "painted" and rng.uniform() < 0.6
            else flask
        )
    if style == "jug":
        return material_rand(rng, ("ceramic", "ceramic", "clay"))
    if style == "milk":
        return replace(
            material_rand(rng, ("ceramic",)),
            finish="plain",
            colour=palette.hsv(0.12, rng.uniform(0, 0.06), 0.95),
            bump=0.001,
        )
    mould = material_rand(rng, ("plastic", "plastic", "translucent_plastic"))
    mould = replace(mould, scale=150.0, bump=min(mould.bump, 0.0006))
    if style == "squeeze" and rng.uniform() < 0.6:
        return replace(
            mould, colour=palette.hsv(float(rng.choice([0.0, 0.13, 0.02])), 0.85, rng.uniform(0.55, 0.85))
        )
    return replace(mould, colour=_neutral_rand(rng)) if rng.uniform() < 0.65 else mould


def _clear_rand(rng: np.random.Generator) -> Material:
    return replace(material_rand(rng, ("glass",)), finish="clear", roughness=rng.uniform(0.0, 0.02), bump=0.0)


def _contents_rand(rng: np.random.Generator, style: str) -> Material:
    """What is in a glass one: wine, beer, water, milk, oil or vinegar."""
    name = {"bordeaux": "wine", "burgundy": "wine", "milk": "milk", "jug": "oil"}.get(style, "water")
    poured = drink(rng, name)
    if style == "longneck":
        return replace(poured, colour=(0.9, 0.6, 0.15))
    if style == "burgundy" and rng.uniform() < 0.5:
        return replace(poured, colour=(0.93, 0.87, 0.55))
    return poured
