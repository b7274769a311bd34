"""What a camera is drawn from: kind, proportions, fittings and materials."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

STYLES = ("reflex", "rangefinder", "folding", "twin")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraParams:
    """Lengths in units of about the body's width; the body stands on z = 0."""

    style: str
    width: float
    depth: float
    height: float
    corner: float
    lens_radius: float
    lens_length: float
    lens_offset: float
    ribs: int
    dials: int
    grip: bool
    flash: bool
    strap: bool
    strap_sag: float
    case: Material
    skin: Material
    lens: Material
    ring: Material
    glass: Material
    coating: Material
    metal: Material
    band: Material


def camera_rand(rng: np.random.Generator) -> CameraParams:
    shape, lens, extras, skin = rng.spawn(4)
    style = STYLES[shape.integers(len(STYLES))]
    case = _case(skin)
    dark = palette.hsv(0.1, 0.05, skin.uniform(0.16, 0.24))
    # Barrels are black, of plastic or of anodised metal, or silver.
    barrel = replace(
        material_rand(skin, ("plastic", "painted")), colour=dark, accent=palette.shaded(dark, 1.8), wear=0.0
    )
    if skin.uniform() < 0.3:
        barrel = material_rand(skin, ("metal",))
    glass = material_rand(skin, ("pane",))
    twin = style == "twin"
    return CameraParams(
        style=style,
        width=shape.uniform(0.5, 0.58) if twin else shape.uniform(0.92, 1.08),
        depth=shape.uniform(0.46, 0.54) if twin else shape.uniform(0.26, 0.34),
        height=shape.uniform(0.8, 0.92) if twin else shape.uniform(0.52, 0.64),
        corner=shape.uniform(0.03, 0.12),
        lens_radius=lens.uniform(0.14, 0.17) if twin else lens.uniform(0.17, 0.235),
        lens_length=lens.uniform(0.1, 0.16) if twin else lens.uniform(0.16, 0.42),
        lens_offset=lens.uniform(-0.06, 0.06),
        ribs=int(lens.choice([36, 48, 60])),
        dials=int(extras.integers(2, 4)),
        grip=bool(extras.uniform() < 0.5),
        flash=bool(extras.uniform() < 0.25),
        strap=bool(extras.uniform() < 0.4),
        strap_sag=extras.uniform(0.25, 0.45),
        case=case,
        skin=material_rand(skin, ("leather", "leather", "rubber", "plastic")),
        lens=barrel,
        ring=material_rand(skin, ("metal", "painted")),
        glass=replace(glass, colour=(0.03, 0.03, 0.035), accent=(0.035, 0.03, 0.04)),
        coating=replace(
            glass,
            colour=palette.hsv(skin.choice([0.55, 0.75, 0.08, 0.4]), 0.7, 0.35),
            accent=palette.hsv(0.7, 0.6, 0.25),
        ),
        metal=material_rand(skin, ("metal",)),
        band=material_rand(skin, ("leather", "fabric")),
    )


def _case(rng: np.random.Generator) -> Material:
    """Bodies as cameras have them: black with brass at worn edges, silver, grey, seldom a colour."""
    kind = rng.uniform()
    if kind < 0.25:
        return replace(material_rand(rng, ("metal",)), colour=palette.METALS["aluminium"], finish="satin")
    body = replace(material_rand(rng, ("painted", "plastic")), wear=0.0, roughness=rng.uniform(0.25, 0.6))
    if kind < 0.85:
        black = palette.hsv(0.1, 0.04, rng.uniform(0.15, 0.24) if kind < 0.7 else rng.uniform(0.3, 0.75))
        body = replace(body, colour=black, accent=palette.shaded(black, 1.8))
    if body.kind == "painted" and rng.uniform() < 0.6:
        body = replace(
            body, accent=palette.varied(palette.METALS["brass"], rng, 0.1), edges=rng.uniform(0.3, 1)
        )
    return body
