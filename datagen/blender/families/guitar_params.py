"""What a guitar is drawn from: outlines, scale, fittings and materials."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

Outline = tuple[tuple[float, float], ...]

# Right halves from the bottom's middle to the neck's joint for acoustic bodies, mirrored.
ACOUSTIC: dict[str, Outline] = {
    "dreadnought": ((0.0, 0.0), (0.11, 0.008), (0.185, 0.06), (0.195, 0.15), (0.15, 0.26), (0.138, 0.3),
        (0.155, 0.37), (0.135, 0.44), (0.07, 0.47), (0.0, 0.472)),
    "classical": ((0.0, 0.0), (0.1, 0.01), (0.175, 0.07), (0.18, 0.15), (0.125, 0.26), (0.115, 0.3),
        (0.14, 0.38), (0.12, 0.44), (0.06, 0.468), (0.0, 0.47)),
    "parlour": ((0.0, 0.0), (0.09, 0.01), (0.155, 0.07), (0.16, 0.15), (0.098, 0.27), (0.092, 0.31),
        (0.12, 0.39), (0.1, 0.45), (0.05, 0.475), (0.0, 0.477)),
}  # fmt: skip
# Whole outlines, counter-clockwise from the bottom's middle, for electric bodies.
ELECTRIC: dict[str, Outline] = {
    "double": ((0.0, 0.0), (0.1, 0.01), (0.165, 0.07), (0.16, 0.16), (0.115, 0.24), (0.135, 0.31),
        (0.145, 0.4), (0.12, 0.42), (0.075, 0.35), (0.035, 0.335),
               (-0.035, 0.335), (-0.07, 0.37), (-0.105, 0.46), (-0.14, 0.46), (-0.145, 0.38), (-0.115, 0.29),
               (-0.12, 0.21), (-0.165, 0.13), (-0.15, 0.05), (-0.09, 0.008)),
    "single": ((0.0, 0.0), (0.1, 0.012), (0.165, 0.08), (0.155, 0.17), (0.11, 0.25), (0.125, 0.32),
        (0.14, 0.385), (0.11, 0.405), (0.06, 0.36), (0.035, 0.345),
               (-0.035, 0.41), (-0.08, 0.425), (-0.13, 0.395), (-0.14, 0.33), (-0.115, 0.26), (-0.15, 0.18),
               (-0.168, 0.09), (-0.11, 0.015)),
    "offset": ((0.0, 0.0), (0.12, 0.03), (0.175, 0.1), (0.155, 0.19), (0.105, 0.26), (0.12, 0.33),
        (0.135, 0.42), (0.11, 0.44), (0.07, 0.37), (0.035, 0.34),
               (-0.035, 0.35), (-0.075, 0.4), (-0.115, 0.45), (-0.145, 0.42), (-0.135, 0.33), (-0.1, 0.24),
               (-0.135, 0.16), (-0.17, 0.08), (-0.12, 0.0), (-0.06, -0.01)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GuitarParams:
    """Lengths in units of about the guitar's own length."""

    acoustic: bool
    outline: Outline
    depth: float
    bridge_at: float
    scale_length: float
    nut_width: float
    hole_radius: float
    rosette: int
    pickups: tuple[float, ...]
    humbuckers: bool
    knobs: int
    pegs_in_line: bool
    frets: int
    head_length: float
    guard: bool
    body: Material
    top: Material
    neck: Material
    fretboard: Material
    binding: Material
    metal: Material
    guard_skin: Material
    dark: Material


def guitar_rand(rng: np.random.Generator) -> GuitarParams:
    shape, parts, skin = rng.spawn(3)
    acoustic = bool(shape.uniform() < 0.5)
    table = ACOUSTIC if acoustic else ELECTRIC
    half = table[sorted(table)[shape.integers(len(table))]]
    wide, tall = shape.uniform(0.93, 1.08), shape.uniform(0.95, 1.05)
    outline = (*half, *((-x, y) for x, y in reversed(half[1:-1]))) if acoustic else half
    wood = material_rand(skin, ("wood",))
    top = (
        material_rand(skin, ("wood", "wood", "wood", "painted"))
        if acoustic
        else material_rand(skin, ("car_paint", "car_paint", "painted", "wood"))
    )
    glossy = replace(
        top, coat=0.7, roughness=min(top.roughness, 0.4), wear=0.0 if top.kind == "painted" else top.wear
    )
    board = material_rand(skin, ("wood",))
    return GuitarParams(
        acoustic=acoustic,
        outline=tuple((float(x * wide), float(y * tall)) for x, y in outline),
        depth=shape.uniform(0.085, 0.115) if acoustic else shape.uniform(0.04, 0.052),
        bridge_at=0.14 if acoustic else 0.1,
        scale_length=shape.uniform(0.6, 0.66),
        nut_width=shape.uniform(0.042, 0.05),
        hole_radius=shape.uniform(0.046, 0.054),
        rosette=int(parts.integers(1, 4)),
        pickups=((0.14, 0.2, 0.26), (0.15, 0.25), (0.15,))[parts.integers(3)],
        humbuckers=bool(parts.uniform() < 0.5),
        knobs=int(parts.integers(1, 5)),
        pegs_in_line=bool(not acoustic and parts.uniform() < 0.6),
        frets=int(parts.integers(18, 23)),
        head_length=parts.uniform(0.13, 0.17),
        guard=bool(parts.uniform() < 0.65),
        body=wood if acoustic else glossy,
        top=glossy,
        neck=wood,
        fretboard=replace(
            board,
            colour=palette.shaded(board.accent, 0.5),
            accent=palette.shaded(board.accent, 0.3),
            coat=0.0,
        ),
        binding=replace(
            material_rand(skin, ("plastic",)),
            colour=palette.pale_rand(skin) if skin.uniform() < 0.6 else (0.04, 0.04, 0.04),
        ),
        metal=material_rand(skin, ("metal",)),
        guard_skin=material_rand(skin, ("plastic",)),
        dark=material_rand(skin, ("pane",)),
    )
