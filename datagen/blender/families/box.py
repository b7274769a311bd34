"""Box: parcels with tape and label, product cartons, gift boxes with a ribbon, gable-top cartons, crates."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.box_params import BoxParams, box_rand, inked
from pairbridge.datagen.blender.families.labels import label_parts
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, joined, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds
from pairbridge.datagen.scene import palette

__all__ = ["box", "box_rand"]


def box(p: BoxParams) -> list[Part]:
    build = {
        "parcel": _parcel,
        "open parcel": _open_parcel,
        "product": _product,
        "gift": _gift,
        "lidded": _lidded,
        "gable": _gable,
        "brick": _brick,
        "crate": _crate,
    }
    parts = build[p.style](p)
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in parts]


def _board_box(p: BoxParams, size: tuple[float, float, float], bevel: float) -> Mesh:
    """A carton on the ground; its corners are pushed a little out of true, as those of board are."""
    x, y, z = size
    body = solids.box(x, y, z, bevel, steps=3).moved(z=0.5 * z)
    rng = seeds.rng(p.number, "dents")
    push = rng.uniform(-p.dents, p.dents, (2, 2, 2, 3))
    share = np.clip(body.vertices / [x, y, z] + [0.5, 0.5, 0.0], 0, 1)
    moved = np.zeros_like(share)
    for i in (0, 1):
        for j in (0, 1):
            for k in (0, 1):
                weight = np.prod(
                    [s if bit else 1 - s for s, bit in zip(share.T, (i, j, k), strict=True)], axis=0
                )
                moved += weight[:, None] * push[i, j, k] * [1, 1, float(k)]
    return replace(body, vertices=body.vertices + moved)


def _sides(
    size: tuple[float, float, float], lift: float
) -> tuple[prints.Surface, prints.Surface, prints.Surface]:
    """Front (-y), right (+x) and top, `lift` above their faces."""
    x, y, z = size
    return (
        prints.plane((0, -0.5 * y - lift, 0.5 * z), (1, 0, 0), (0, 0, 1)),
        prints.plane((0.5 * x + lift, 0, 0.5 * z), (0, 1, 0), (0, 0, 1)),
        prints.plane((0, 0, z + lift), (1, 0, 0), (0, 1, 0)),
    )


def _tape(p: BoxParams, size: tuple[float, float, float]) -> list[Part]:
    """A strip over the seam of the flaps, over both edges and a hand down the sides, and the seam itself."""
    x, _, z = size
    down, lift = 0.16 * z + 0.04, p.dents + 0.0016
    path = curves.rounded(
        [
            (-0.5 * x - lift, z - down),
            (-0.5 * x - lift, z + lift),
            (0.5 * x + lift, z + lift),
            (0.5 * x + lift, z - down),
        ],
        0.012,
        steps=4,
    )
    strip = solids.tube(
        curves.in_plane(path, "xz"),
        1.0,
        section=curves.rectangle(0.0022, p.tape_width, 0.0006, steps=2),
        up=(0.0, 1.0, 0.0),
    )
    return [Part("tape", strip, p.tape)]


def _parcel(p: BoxParams) -> list[Part]:
    x, y, z = p.size
    front, right, _ = _sides(p.size, p.dents)
    seam = solids.box(x - 0.01, 0.004, 0.004, 0.001).moved(z=z + 0.0006)
    dark = replace(
        p.body, colour=palette.shaded(p.body.colour, 0.45), accent=palette.shaded(p.body.colour, 0.4)
    )
    result = [
        Part("carton", _board_box(p, p.size, 0.012), p.body),
        Part("seam", seam, dark),
        *_tape(p, p.size),
    ]
    rng = seeds.rng(p.number, "slip")
    wide, high = 0.36 * x, 0.3 * y
    place = prints.plane((0.22 * x, -0.5 * y + 0.62 * high, z + p.dents), (1, 0, 0), (0, 1, 0))
    if rng.uniform() < 0.75:
        result += _slip(p, place, wide, high, rng)
    if rng.uniform() < 0.6:
        result += label_parts(
            replace(p.label, layout="quiet", ink=dark, colour=dark), front, 0.9 * x, 0.9 * z
        )
    if rng.uniform() < 0.6:
        ink = prints.shifted(_handling(0.12 * min(y, z)), 0.28 * y, 0.26 * z)
        result.append(Part("print", prints.printed(right, ink, 1), dark))
    return result


def _slip(
    p: BoxParams, place: prints.Surface, wide: float, high: float, rng: np.random.Generator
) -> list[Part]:
    """Address label: lines and a bar code on white."""
    ink = [
        *prints.shifted(prints.barcode(rng, 0.6 * wide, 0.3 * high), -0.08 * wide, -0.26 * high),
        *prints.shifted(prints.fine_print(rng, 0.84 * wide, 0.36 * high, 4), 0.0, 0.2 * high),
    ]
    paper_sheet = prints.printed(place, [prints.patch(wide, high)], 2)
    return [
        Part("slip", paper_sheet, p.slip.base or p.tape),
        Part("slip print", prints.printed(place, ink, 3), p.slip.ink),
    ]


def _handling(size: float) -> list[Array]:
    """Two arrows up over a line, as parcels carry."""
    rise = np.linspace(0.0, 0.98, 6)
    shapes = [prints.patch(2.2 * size, 0.16 * size, 0.0, -0.9 * size)]
    for u in (-0.6 * size, 0.6 * size):
        shapes.append(prints.patch(0.22 * size, 0.9 * size, u, -0.25 * size))
        shapes.append(
            prints.lens(size * (0.1 + 0.7 * rise), u - 0.4 * size * (1 - rise), u + 0.4 * size * (1 - rise))
        )
    return shapes


def _open_parcel(p: BoxParams) -> list[Part]:
    """Four walls of board, a floor, and four flaps that stand open."""
    x, y, z = p.size
    t = 0.016
    walls = [solids.box(x, t, z, 0.004).moved(0, s * (0.5 * y - 0.5 * t), 0.5 * z) for s in (-1, 1)] + [
        solids.box(t, y - 1.9 * t, z, 0.004).moved(s * (0.5 * x - 0.5 * t), 0, 0.5 * z) for s in (-1, 1)
    ]
    floor = solids.box(x - t, y - t, t, 0.004).moved(z=0.5 * t + 0.002)
    result = [Part("carton", joined([*walls, floor]), p.body)]
    short = 0.46 * min(x, y)
    for k, (across, reach, angle) in enumerate(
        ((x, short, p.flaps[0]), (y, short, p.flaps[1]), (x, short, p.flaps[2]), (y, short, p.flaps[3]))
    ):
        flap = solids.box(across - 0.01, t, reach, 0.004).moved(z=0.5 * reach).turned("x", angle)
        depth = (y if k % 2 == 0 else x) / 2 - 0.5 * t
        # The first stands on the wall at -y and opens outwards, the others follow around.
        mesh = flap.moved(0, -depth, z - 0.004).turned("z", k * math.pi / 2)
        result.append(Part("flap", mesh, p.body))
    front, right, _ = _sides(p.size, 0.0)
    dark = replace(
        p.body, colour=palette.shaded(p.body.colour, 0.45), accent=palette.shaded(p.body.colour, 0.4)
    )
    result.append(
        Part(
            "print", prints.printed(right, prints.shifted(_handling(0.1 * min(y, z)), 0.2 * y, 0.0), 1), dark
        )
    )
    return result + label_parts(replace(p.label, ink=dark, colour=dark), front, 0.8 * x, 0.8 * z)


def _product(p: BoxParams) -> list[Part]:
    """A printed carton as goods are sold in: a title on the front, text and a bar code on the side."""
    x, y, z = p.size
    front, right, top = _sides(p.size, 0.0002 + p.dents)
    result = [Part("carton", _board_box(p, p.size, 0.008), p.body)]
    result += label_parts(p.label, front, 0.96 * x, 0.96 * z)
    rng = seeds.rng(p.number, "side")
    small = min(0.5 * y, 0.3)
    text = prints.shifted(prints.fine_print(rng, 0.74 * y, 0.5 * z, 11), 0.0, 0.16 * z)
    bars = prints.shifted(prints.barcode(rng, small, 0.5 * small), 0.0, -0.32 * z)
    pad = prints.shifted([prints.patch(1.2 * small, 0.7 * small)], 0.0, -0.32 * z)
    result += [
        Part("print", prints.printed(right, text, 1), p.label.ink),
        Part("pad", prints.printed(right, pad, 1), p.slip.base or p.tape),
        Part("bars", prints.printed(right, bars, 2), p.slip.ink),
    ]
    size = min(0.5 * y, 0.7 * x / prints.word_width(p.label.word, 1.0))
    result.append(
        Part("title", prints.printed(top, prints.written(p.label.word, size, 0.0, 0.0, 0.18), 1), p.label.ink)
    )
    flap = solids.box(0.94 * x, 0.0035, 0.0025, 0.001).moved(0, -0.5 * y + 0.01, z + p.dents)
    edge = replace(p.body, decoration=None, colour=palette.shaded(p.body.colour, 0.6))
    result.append(Part("seam", flap, edge))
    return result


def _lid(p: BoxParams, low: float) -> Mesh:
    """The upper shell of a box in two parts, a little larger than what it covers, from `low` to the top."""
    x, y, z = p.size
    return solids.box(x + 0.022, y + 0.022, z - low, 0.01).moved(z=0.5 * (z + low) + 0.01)


def _gift(p: BoxParams) -> list[Part]:
    x, y, z = p.size
    low = z * (1 - p.lid_height)
    top = z + 0.01
    result = [Part("box", _board_box(p, (x, y, z - 0.02), 0.01), p.body), Part("lid", _lid(p, low), p.lid)]
    band = curves.rectangle(0.006, p.ribbon_width, 0.002, steps=2)
    for turn, reach in ((0.0, x), (math.pi / 2, y)):
        half = 0.5 * reach + 0.014
        ring = curves.rounded(
            [(-half, 0.003), (half, 0.003), (half, top + 0.003), (-half, top + 0.003)],
            0.012,
            steps=3,
            closed=True,
        )
        tube = solids.tube(curves.in_plane(ring, "xz"), 1.0, section=band, closed=True, up=(0.0, 1.0, 0.0))
        result.append(Part("ribbon", tube.turned("z", turn), p.ribbon))
    return [*result, *_bow(p, top + 0.004)]


def _bow(p: BoxParams, z: float) -> list[Part]:
    """Two loops, two tails and a knot where the ribbons cross."""
    band = curves.rectangle(0.005, p.ribbon_width, 0.002, steps=2)
    reach = min(0.3, 0.42 * min(p.size[0], p.size[1]))
    pieces = []
    for side in (-1, 1):
        loop = curves.spline(
            [
                (0, 0, z + 0.012),
                (0.45 * reach, 0, z + 0.1),
                (0.95 * reach, 0, z + 0.13),
                (1.05 * reach, 0, z + 0.06),
                (0.6 * reach, 0, z + 0.02),
                (0, 0, z + 0.014),
            ],
            40,
        )
        width = 0.55 + 0.5 * np.sin(np.linspace(0, math.pi, 40))
        strip = solids.tube(loop, width, section=band, up=(0.0, 1.0, 0.0))
        pieces.append(strip.turned("z", 0.5 + (math.pi if side < 0 else 0.0)))
        tail = curves.spline(
            [
                (0, 0, z + 0.01),
                (0.5 * reach, 0, z + 0.03),
                (0.85 * reach, 0, z + 0.012),
                (1.1 * reach, 0, z + 0.02),
            ],
            24,
        )
        strip = solids.tube(tail, np.linspace(0.5, 0.95, 24), section=band, up=(0.0, 1.0, 0.0))
        pieces.append(strip.turned("z", -0.6 + (math.pi if side < 0 else 0.0)))
    knot = solids.ellipsoid(0.055, 0.045, 0.036, 32).turned("z", 0.5).moved(z=z + 0.024)
    return [Part("bow", joined(pieces), p.ribbon), Part("knot", knot, p.ribbon)]


def _lidded(p: BoxParams) -> list[Part]:
    """A shoe box or a case: base, lid, a label on the front of the base."""
    x, _, z = p.size
    low = z * (1 - p.lid_height * 0.6)
    result = [
        Part("box", _board_box(p, (*p.size[:2], z - 0.02), 0.01), p.body),
        Part("lid", _lid(p, low), p.lid),
    ]
    wide, high = 0.3 * x, min(0.16 * x, 0.6 * low)
    place = prints.plane((0.24 * x, -0.5 * p.size[1] - 0.0004 - p.dents, 0.5 * low), (1, 0, 0), (0, 0, 1))
    result += _slip(p, place, wide, high, seeds.rng(p.number, "slip"))
    top = prints.plane((0, 0, z + 0.01), (1, 0, 0), (0, 1, 0))
    return result + label_parts(replace(inked(p.label, p.lid), layout="quiet"), top, x, 0.9 * p.size[1])


def _gable(p: BoxParams) -> list[Part]:
    """Milk or juice carton: a square column whose roof is folded to a fin, with a screw cap."""
    x, y, z = p.size
    rise = 0.42 * y
    column = curves.rectangle(x, y, 0.012, steps=3)
    # The roof's front and back lean in to the fin; its sides fold inwards between them.
    ridge = column * [1.0, 0.03 / y]
    rows = [(column, 0.0, 0.99), (column, 0.012, 1.0), (column, z, 1.0)]
    body = [np.column_stack([plan * scale, np.full(len(plan), height)]) for plan, height, scale in rows]
    for t in np.linspace(0.12, 1.0, 8):
        plan = column * (1 - t) + ridge * t
        fold = 0.2 * x * math.sin(math.pi * min(t, 0.98) * 0.75) * t
        pinch = np.clip(1 - np.abs(plan[:, 1]) / (0.5 * y * (1 - t) + 0.02), 0, 1) * (1 - t)
        plan = plan - np.column_stack([np.sign(plan[:, 0]) * fold * pinch, 0 * pinch])
        body.append(np.column_stack([plan, np.full(len(plan), z + rise * t)]))
    fin = solids.box(x * 0.995, 0.024, 0.1, 0.006).moved(z=z + rise + 0.045)
    front = prints.plane((0, -0.5 * y, 0.5 * z), (1, 0, 0), (0, 0, 1))
    right = prints.plane((0.5 * x, 0, 0.5 * z), (0, 1, 0), (0, 0, 1))
    rng = seeds.rng(p.number, "side")
    result = [Part("carton", loft(np.stack(body)), p.body), Part("fin", fin, p.body)]
    result += label_parts(p.label, front, 0.98 * x, 0.96 * z)
    text = prints.shifted(prints.fine_print(rng, 0.74 * y, 0.5 * z, 12), 0.0, 0.1 * z)
    result.append(Part("print", prints.printed(right, text, 1), p.label.ink))
    if rng.uniform() < 0.6:
        slope = np.array([0.0, -rise, 0.5 * y - 0.015])
        radius = 0.13 * x
        cap = curves.rounded([(0, -0.02), (radius, -0.02), (radius, 0.05), (0, 0.05)], [0, 0.003, 0.01, 0])
        place = (0.0, -0.27 * y, z + 0.5 * rise)
        result.append(
            Part("cap", solids.lathe(cap, 96, lobes=(24, 0.012)).aimed(slope).moved(*place), p.tape)
        )
    return result


def _brick(p: BoxParams) -> list[Part]:
    """Drink carton with a straw through its top."""
    x, y, z = p.size
    front, right, _ = _sides(p.size, 0.0002 + p.dents)
    rng = seeds.rng(p.number, "side")
    result = [Part("carton", _board_box(p, p.size, 0.012), p.body)]
    result += label_parts(p.label, front, 0.97 * x, 0.97 * z)
    text = prints.fine_print(rng, 0.7 * y, 0.6 * z, 14)
    result.append(Part("print", prints.printed(right, text, 1), p.label.ink))
    path = curves.rounded(
        [(0.28 * x, 0, z - 0.05), (0.28 * x, 0, z + 0.16), (0.12 * x, -0.1, z + 0.26)], 0.05, steps=6
    )
    straw = solids.pipe(curves.resampled(path, 30), 0.02, 0.005, depth=6, section=curves.circle(20))
    foil = solids.lathe(curves.rounded([(0, 0), (0.045, 0), (0.045, 0.003), (0, 0.003)], 0.001), 40).moved(
        0.28 * x, 0, z + p.dents
    )
    return [*result, Part("straw", straw, p.ribbon), Part("foil", foil, p.slip.base or p.tape)]


def _crate(p: BoxParams) -> list[Part]:
    """Slatted box of boards on corner posts."""
    x, y, z = p.size
    rng = seeds.rng(p.number, "boards")
    boards: list[Part] = []
    t, gap, count = 0.022, 0.02, 3
    high = (z - (count + 1) * gap) / count
    for k in range(count):
        at = gap + (k + 0.5) * high + k * gap
        for s in (-1, 1):
            for length, turn, reach in ((x, 0.0, y), (y - 2.1 * t, math.pi / 2, x)):
                plank = solids.box(length, t, high, 0.005).grained("x").restarted(rng.uniform(-5, 5, 3))
                mesh = plank.moved(0, s * (0.5 * reach - 0.5 * t), at + rng.uniform(-0.003, 0.003)).turned(
                    "z", turn
                )
                boards.append(Part("board", mesh, p.body))
    for sx in (-1, 1):
        for sy in (-1, 1):
            post = solids.box(0.05, 0.05, z, 0.006).restarted(rng.uniform(-5, 5, 3))
            boards.append(
                Part(
                    "post",
                    post.moved(sx * (0.5 * x - t - 0.027), sy * (0.5 * y - t - 0.027), 0.5 * z),
                    p.body,
                )
            )
    floors = 5
    for k in range(floors):
        depth = (y - 2.2 * t) / floors
        plank = solids.box(x - 2.2 * t, depth - 0.008, t, 0.005).grained("x").restarted(rng.uniform(-5, 5, 3))
        boards.append(
            Part("floor", plank.moved(0, -0.5 * y + 1.1 * t + (k + 0.5) * depth, 0.5 * t + 0.004), p.body)
        )
    dark = replace(
        p.label,
        ink=replace(p.label.ink, colour=palette.shaded(p.body.colour, 0.3)),
        colour=replace(p.label.ink, colour=palette.shaded(p.body.colour, 0.3)),
    )
    size = min(0.6 * high, 0.6 * x / prints.word_width(p.label.word, 1.0))
    front = prints.plane((0, -0.5 * y, gap + 1.5 * high + gap), (1, 0, 0), (0, 0, 1))
    boards.append(
        Part("title", prints.printed(front, prints.written(p.label.word, size, 0.0, 0.0, 0.2), 1), dark.ink)
    )
    nail = solids.ellipsoid(0.007, 0.004, 0.007, 12)
    nails = [
        nail.moved(sx * (0.5 * x - 0.045), -0.5 * y, gap + (k + 0.5 + s) * high + k * gap)
        for sx in (-1, 1)
        for k in range(count)
        for s in (-0.22, 0.22)
    ]
    return [*boards, Part("nails", joined(nails), p.nail)]
