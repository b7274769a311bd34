"""Box: its parameters and how they are drawn."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, paper, product_label_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

STYLES = (
    "parcel",
    "parcel",
    "open parcel",
    "product",
    "product",
    "gift",
    "gable",
    "brick",
    "crate",
    "lidded",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxParams:
    """Lengths in units of about the longest side. `flaps` are the angles of an open parcel's four flaps from
    upright; `dents` moves the corners of board by so much."""

    style: str
    size: tuple[float, float, float]
    dents: float
    flaps: tuple[float, ...]
    lid_height: float
    ribbon_width: float
    tape_width: float
    number: int
    turn_rad: float
    body: Material
    lid: Material
    tape: Material
    ribbon: Material
    nail: Material
    label: ProductLabel
    slip: ProductLabel


def box_rand(rng: np.random.Generator) -> BoxParams:
    shape, extras, skin = rng.spawn(3)
    style = str(shape.choice(STYLES))
    size = {
        "product": (shape.uniform(0.45, 0.8), shape.uniform(0.14, 0.5), shape.uniform(0.55, 1.0)),
        "gift": (shape.uniform(0.6, 0.9), shape.uniform(0.55, 0.8), shape.uniform(0.3, 0.7)),
        "lidded": (shape.uniform(0.6, 1.0), shape.uniform(0.45, 0.7), shape.uniform(0.22, 0.5)),
        "gable": (a := shape.uniform(0.36, 0.46), a, shape.uniform(0.75, 1.0)),
        "brick": (shape.uniform(0.32, 0.42), shape.uniform(0.22, 0.3), shape.uniform(0.7, 0.9)),
        "crate": (shape.uniform(0.8, 1.0), shape.uniform(0.5, 0.75), shape.uniform(0.4, 0.6)),
    }.get(style, (shape.uniform(0.6, 1.0), shape.uniform(0.45, 0.8), shape.uniform(0.25, 0.7)))
    number = int(extras.integers(2**31))
    label = product_label_rand(skin, base=False)
    body, lid = _boards_rand(skin, style)
    return BoxParams(
        style=style,
        size=size,
        dents=extras.uniform(0.0, 0.008) if "parcel" in style else extras.uniform(0.0, 0.002),
        flaps=tuple(extras.uniform(0.7, 2.3, 4).tolist()),
        lid_height=extras.uniform(0.12, 0.35) if style == "gift" else extras.uniform(0.3, 0.6),
        ribbon_width=extras.uniform(0.06, 0.1),
        tape_width=extras.uniform(0.07, 0.11),
        number=number,
        turn_rad=extras.uniform(0.15, 0.75) * float(extras.choice([-1.0, 1.0])),
        body=body,
        lid=lid,
        tape=_tape_rand(skin),
        ribbon=replace(material_rand(skin, ("fabric", "plastic")), scale=160.0, bump=0.0008, roughness=0.45),
        nail=material_rand(skin, ("metal",)),
        label=inked(label, body),
        slip=replace(
            product_label_rand(skin),
            base=paper(skin, palette.hsv(0.1, 0.02, 0.94), 0.3),
            ink=paper(skin, (0.04, 0.04, 0.04)),
        ),
    )


def _boards_rand(rng: np.random.Generator, style: str) -> tuple[Material, Material]:
    """What a box and its lid are made of: kraft board for parcels, white or coloured board for goods."""
    if style == "crate":
        timber = material_rand(rng, ("wood",))
        return timber, timber
    white = palette.hsv(0.1, rng.uniform(0.0, 0.05), rng.uniform(0.88, 0.95))
    kraft = palette.hsv(rng.uniform(0.075, 0.095), rng.uniform(0.32, 0.5), rng.uniform(0.55, 0.76))
    grey = palette.hsv(0.6, 0.04, float(rng.choice([0.16, 0.3, 0.6])))
    shares = {"parcel": (0.12, 0.83, 0.05, 0.0), "open parcel": (0.1, 0.85, 0.05, 0.0)}.get(
        style, (0.45, 0.13, 0.17, 0.25)
    )
    pick = int(rng.choice(4, p=shares))
    colour = (white, kraft, grey, palette.paint_rand(rng))[pick]
    if pick == 1:
        board = material_rand(rng, ("cardboard",))
        picture = board.print and replace(
            board.print, paper=colour, ink=palette.shaded(colour, 0.75), second=palette.shaded(colour, 0.88)
        )
        board = replace(board, colour=colour, accent=palette.shaded(colour, 0.7), print=picture)
    elif style == "lidded" and rng.uniform() < 0.4:
        board = material_rand(rng, ("leather", "fabric", "wood", "metal"))
    else:
        board = paper(rng, colour, float(rng.choice([0.0, 0.4, 1.0])))
    lid = board
    if style in ("gift", "lidded") and rng.uniform() < 0.4:
        lid = paper(rng, palette.paint_rand(rng), 0.3)
    return board, lid


def _tape_rand(rng: np.random.Generator) -> Material:
    """Packing tape: brown, clear over kraft (a darker gloss), white or printed in a colour."""
    colour = (
        palette.hsv(0.085, 0.55, 0.5),
        palette.hsv(0.09, 0.45, 0.62),
        palette.hsv(0.1, 0.02, 0.9),
        palette.paint_rand(rng),
    )[int(rng.choice(4, p=[0.45, 0.35, 0.12, 0.08]))]
    return replace(paper(rng, colour, 1.0), roughness=rng.uniform(0.2, 0.32))


def inked(label: ProductLabel, board: Material) -> ProductLabel:
    """The label's inks, so that they are seen on the board: light on dark, else dark."""
    dark = float(np.mean(board.colour)) < 0.25
    ink = palette.hsv(0.12, 0.05, 0.93) if dark else palette.hsv(0.6, 0.1, 0.15)
    return replace(label, ink=replace(label.ink, colour=ink))
