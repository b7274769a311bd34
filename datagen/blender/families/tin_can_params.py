"""Tin can: its parameters and how they are drawn."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, product_label_rand
from pairbridge.datagen.blender.materials.glass_and_liquids import drink
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

# Radius, height, the label's heights as shares of it.
STYLES: dict[str, tuple[float, float, tuple[float, float]]] = {
    "food": (0.34, 1.0, (0.06, 0.94)),
    "fish": (0.45, 0.38, (0.1, 0.9)),
    "drink": (0.27, 1.0, (0.09, 0.84)),
    "slim drink": (0.19, 1.0, (0.06, 0.88)),
    "paint": (0.42, 0.92, (0.12, 0.8)),
    "canister": (0.32, 0.85, (0.12, 0.78)),
    "jar": (0.31, 0.85, (0.16, 0.66)),
    "aerosol": (0.16, 0.9, (0.08, 0.82)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TinCanParams:
    """Lengths in units of about the height. `ribs` = (number, depth) of the rings pressed into the wall;
    `opened` tells a food tin without its lid, or a drink can whose tab was pulled."""

    style: str
    radius: float
    height: float
    ribs: tuple[int, float]
    label: ProductLabel | None
    label_span: tuple[float, float]
    printed: bool
    opened: bool
    handle_rad: float
    dent: tuple[float, float, float]
    turn_rad: float
    body: Material
    metal: Material
    lid: Material
    contents: Material
    hollow: Material


def tin_can_rand(rng: np.random.Generator) -> TinCanParams:
    shape, extras, skin = rng.spawn(3)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    radius, height, span = STYLES[style]
    metal = replace(
        material_rand(skin, ("metal",)),
        colour=palette.shaded(palette.METALS[str(skin.choice(["steel", "aluminium"]))], 1.0),
        finish=str(skin.choice(["polished", "brushed"])),
        wear=skin.uniform(0.0, 0.2),
        roughness=skin.uniform(0.2, 0.34),
        bump=0.0003,
    )
    metal = replace(metal, accent=palette.shaded(metal.colour, 0.5))
    whole = style in ("drink", "slim drink", "aerosol", "canister")
    bare = extras.uniform() < (0.3 if style in ("food", "paint", "canister") else 0.05)
    label = product_label_rand(skin, base=not whole)
    body = _body_rand(skin, style, metal, bare=bare)
    if whole and not bare:
        dark = float(np.mean(body.colour)) < 0.22
        label = replace(
            label,
            ink=replace(
                label.ink, colour=palette.hsv(0.12, 0.05, 0.93) if dark else palette.hsv(0.6, 0.2, 0.14)
            ),
        )
    ribbed = style == "food" and shape.uniform() < 0.75
    return TinCanParams(
        style=style,
        radius=radius * shape.uniform(0.85, 1.15),
        height=height * shape.uniform(0.85, 1.05),
        ribs=(int(shape.integers(5, 12)), shape.uniform(0.004, 0.008)) if ribbed else (0, 0.0),
        label=None if bare else label,
        label_span=span,
        printed=whole and not bare,
        opened=extras.uniform() < (0.3 if style in ("food", "paint") else 0.2),
        handle_rad=float(extras.choice([-1.2, 1.15, 0.0])) + extras.uniform(-0.1, 0.1),
        dent=(
            extras.uniform(-0.8, 0.8),
            extras.uniform(0.3, 0.7),
            extras.uniform(0.0, 0.02) if extras.uniform() < 0.3 else 0.0,
        ),
        turn_rad=extras.uniform(-0.6, 0.6),
        body=body,
        metal=metal,
        lid=_lid_rand(skin, style, metal),
        contents=_contents_rand(skin, style),
        # What one sees of a can's inside: next to nothing.
        hollow=replace(
            material_rand(skin, ("rubber",)), colour=(0.022, 0.022, 0.022), accent=(0.03, 0.03, 0.03)
        ),
    )


def _contents_rand(rng: np.random.Generator, style: str) -> Material:
    """Soup, sauce, cream and beans; in jars also honey and jam, which light enters, and paint in tins."""
    hue, saturation, value = (
        (0.01, 0.75, 0.55),
        (0.09, 0.6, 0.7),
        (0.12, 0.1, 0.93),
        (0.07, 0.6, 0.3),
        (0.3, 0.5, 0.45),
        (0.6, 0.5, 0.4),
    )[rng.integers(6)]
    colour = palette.hsv(hue, saturation, value)
    if style == "jar" and rng.uniform() < 0.4:
        passes = ((0.95, 0.62, 0.12), (0.6, 0.04, 0.06), (0.9, 0.4, 0.05))[rng.integers(3)]
        return replace(drink(rng, "oil"), colour=passes)
    poured = material_rand(rng, ("ceramic",))
    return replace(poured, finish="plain", coat=0.6, scale=9.0, bump=0.01, colour=colour)


def _body_rand(rng: np.random.Generator, style: str, metal: Material, *, bare: bool) -> Material:
    """The wall: bare metal under a paper label, enamelled where the print is on the metal."""
    if style == "jar":
        return replace(
            material_rand(rng, ("glass",)), finish="clear", roughness=rng.uniform(0.0, 0.02), bump=0.0
        )
    if style in ("food", "fish", "paint") or (bare and style != "canister"):
        return metal
    enamel = material_rand(rng, ("painted",))
    colour = (
        palette.hsv(0.1, rng.uniform(0, 0.05), rng.uniform(0.85, 0.95)),
        palette.hsv(0.6, 0.05, rng.uniform(0.14, 0.2)),
        palette.hsv(0.6, 0.02, rng.uniform(0.5, 0.8)),
        palette.paint_rand(rng),
    )[int(rng.choice(4, p=[0.3, 0.15, 0.15, 0.4]))]
    glossy = replace(enamel, colour=colour, wear=0.0, bump=0.0, roughness=rng.uniform(0.2, 0.35), coat=0.6)
    if style in ("drink", "slim drink") and rng.uniform() < 0.4:
        # Lacquer over aluminium: metal in a tint.
        return replace(
            metal,
            colour=_lacquered(colour),
            finish="polished",
            wear=0.0,
        )
    return glossy


def _lacquered(colour: palette.RGB) -> palette.RGB:
    """Aluminium seen through a tint: its strongest channel stays as bright as metal is."""
    peak = max(colour)
    red, green, blue = (0.06 + 0.74 * channel / peak for channel in colour)
    return red, green, blue


def _lid_rand(rng: np.random.Generator, style: str, metal: Material) -> Material:
    if style in ("jar", "canister", "aerosol"):
        lid = material_rand(rng, ("painted", "metal", "plastic") if style != "aerosol" else ("plastic",))
        if lid.kind != "metal" and rng.uniform() < 0.5:
            lid = replace(lid, colour=palette.hsv(0.1, 0.04, float(rng.choice([0.16, 0.92]))))
        return replace(lid, wear=0.0, bump=min(lid.bump, 0.0004))
    return metal
