"""Books: one, a stack, or a row of hardcovers and paperbacks, with page blocks, spines and printed covers."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.labels import ProductLabel, label_parts, paper, product_label_rand
from pairbridge.datagen.blender.materials.material import Decoration, Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds
from pairbridge.datagen.scene import palette

ARRANGEMENTS = ("lying", "lying", "standing", "stack", "stack", "stack", "row", "row", "open")
# Thickness of a cover's board, and how far it stands out beyond the pages, in units of a book's height.
BOARD, PAPERBACK, OVERHANG = 0.014, 0.005, 0.014


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One book: `size` = (width, height, thickness), and the raised bands across its back."""

    size: tuple[float, float, float]
    hard: bool
    bands: int
    ribbon: bool
    cover: Material
    pages: Material
    trim: Material
    label: ProductLabel


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksParams:
    """`turns` are each book's angle in a stack, `lean_rad` that of a row's last book."""

    arrangement: str
    books: tuple[Book, ...]
    turns: tuple[float, ...]
    shifts: tuple[tuple[float, float], ...]
    lean_rad: float
    turn_rad: float


def books_rand(rng: np.random.Generator) -> BooksParams:
    shape, skin, order = rng.spawn(3)
    arrangement = str(shape.choice(ARRANGEMENTS))
    count = {"stack": int(shape.integers(2, 7)), "row": int(shape.integers(3, 7))}.get(arrangement, 1)
    books = [_book_rand(one, arrangement) for one in skin.spawn(count)]
    if arrangement == "stack" and order.uniform() < 0.7:
        books.sort(key=lambda book: -book.size[0] * book.size[1])
    return BooksParams(
        arrangement=arrangement,
        books=tuple(books),
        turns=tuple(order.normal(0.0, 0.16, count).tolist()),
        shifts=tuple((order.uniform(-0.03, 0.03), order.uniform(-0.03, 0.03)) for _ in range(count)),
        lean_rad=order.uniform(0.12, 0.3),
        turn_rad=order.uniform(-0.5, 0.5) + (0.6 if arrangement in ("lying", "stack") else 0.0),
    )


def _book_rand(rng: np.random.Generator, arrangement: str) -> Book:
    shape, skin, words = rng.spawn(3)
    height = shape.uniform(0.72, 1.0)
    hard = shape.uniform() < 0.6
    thick = shape.uniform(0.05, 0.2) if hard else shape.uniform(0.03, 0.13)
    cover = material_rand(
        skin, ("fabric", "leather", "plastic", "plastic", "painted") if hard else ("plastic",)
    )
    if cover.kind in ("plastic", "painted"):
        cover = replace(
            cover, finish="glossy", wear=0.0, bump=min(cover.bump, 0.0004), roughness=skin.uniform(0.25, 0.6)
        )
    else:
        cover = replace(cover, scale=cover.scale * 1.8, bump=0.4 * cover.bump)
    look = skin.uniform()
    if look < 0.3:
        cover = replace(cover, colour=palette.hsv(0.1, skin.uniform(0.0, 0.12), skin.uniform(0.8, 0.95)))
    elif look < 0.5:
        cover = replace(cover, colour=palette.hsv(0.6, 0.1, skin.uniform(0.14, 0.3)))
    elif look < 0.7:
        cover = replace(
            cover, colour=palette.hsv(skin.choice([0.0, 0.6, 0.4, 0.07]), 0.55, skin.uniform(0.25, 0.5))
        )
    cover = replace(cover, accent=palette.shaded(cover.colour, 0.75))
    label = product_label_rand(words, base=False)
    dark = float(np.mean(cover.colour)) < 0.25
    stamped = hard and cover.kind in ("fabric", "leather") and words.uniform() < 0.6
    ink = (
        palette.METALS["gold"]
        if stamped
        else palette.hsv(0.12, 0.1, 0.92)
        if dark
        else palette.hsv(0.6, 0.2, 0.14)
    )
    label = replace(label, ink=replace(label.ink, colour=palette.shaded(ink, 0.9)))
    if stamped:
        gold = replace(
            material_rand(words, ("metal",)),
            colour=palette.shaded(ink, 0.9),
            finish="polished",
            bump=0.0,
            wear=0.0,
            roughness=0.3,
        )
        label = replace(label, layout="quiet", ink=gold, colour=gold)
    yellowed = skin.uniform(0.03, 0.22)
    return Book(
        size=(height * shape.uniform(0.62, 0.78), height, thick),
        hard=hard,
        bands=int(shape.choice([0, 0, 4, 5])) if cover.kind == "leather" else 0,
        ribbon=hard and shape.uniform() < 0.25,
        cover=cover,
        pages=_pages(skin, palette.hsv(0.12, yellowed, skin.uniform(0.84, 0.93)), thick),
        trim=material_rand(skin, ("fabric",)),
        label=label,
    )


def _pages(rng: np.random.Generator, colour: palette.RGB, thick: float) -> Material:
    """The cut edge of a block: hair lines along the sheets, which lie across the part's z."""
    sheets = replace(paper(rng, colour), roughness=0.9, bump=0.0)
    lines = Decoration(
        kind="bands",
        colour=palette.shaded(colour, rng.uniform(0.6, 0.75)),
        count=1.0,
        rows=max(8.0, rng.uniform(14, 26)) / thick,
        share=0.3,
        around=False,
    )
    return replace(sheets, decoration=lines)


def books(p: BooksParams) -> list[Part]:
    if p.arrangement == "open":
        parts = _open(p)
    elif p.arrangement in ("lying", "stack"):
        parts, z = [], 0.0
        for book, turn, (x, y) in zip(p.books, p.turns, p.shifts, strict=True):
            for part in _book(book):
                parts.append(Part(part.name, part.mesh.turned("z", turn).moved(x, y, z), part.material))
            z += book.size[2]
    else:
        parts = _row(p)
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in parts]


def _row(p: BooksParams) -> list[Part]:
    """Books upright with their spines to the front; the last of several leans on the others."""
    result, x, tallest = [], 0.0, 0.0
    for number, book in enumerate(p.books):
        thick, height = book.size[2], book.size[1]
        leaning = number == len(p.books) - 1 and len(p.books) > 1
        # Upright: the spine (which lies along y at -x) faces the front, the foot stands on the ground.
        upright = [
            Part(
                part.name,
                part.mesh.turned("x", math.pi / 2).moved(z=0.5 * height).turned("z", math.pi / 2),
                part.material,
            )
            for part in _book(book)
        ]
        for part in upright:
            mesh = part.mesh.moved(0, 0.5 * book.size[0])
            low = float(min(q.mesh.vertices[:, 0].min() for q in upright))
            mesh = mesh.moved(-low)
            if leaning:
                # It turns about its outer foot, until its upper edge lies on its taller or shorter neighbour.
                turn = min(p.lean_rad, 0.5)
                mesh = mesh.turned("y", -turn).moved(
                    x + min(tallest, height * math.cos(turn)) * math.tan(turn) + 0.002
                )
            else:
                mesh = mesh.moved(x)
            result.append(Part(part.name, mesh, part.material))
        x += thick + 0.0015
        tallest = height
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in result)
    return [Part(part.name, part.mesh.moved(-0.5 * x, -0.2, -lowest), part.material) for part in result]


def _book(book: Book) -> list[Part]:
    """A closed book lying on its back: spine along y at -x, z from 0 to its thickness, title on top."""
    width, height, thick = book.size
    board = BOARD if book.hard else PAPERBACK
    over = OVERHANG if book.hard else 0.0
    inside = thick - 2 * board
    block = _block(width - over, height - 2 * over, inside, 0.3 * inside if book.hard else 0.0)
    result = [Part("pages", block.moved(-0.5 * over if book.hard else 0.0, 0, board), book.pages)]
    result.append(Part("cover", _cover(book, board), book.cover))
    top = prints.plane((0.0, 0.0, thick), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    result += label_parts(book.label, top, 0.86 * width, 0.86 * height)
    result += _spine_print(book)
    for k in range(book.bands):
        y = height * ((k + 1) / (book.bands + 1) - 0.5)
        rib = solids.extruded(curves.rectangle(0.02, 0.98 * thick, 0.012), 0.022, 0.006)
        result.append(
            Part(
                "band",
                rib.turned("x", math.pi / 2).moved(-0.5 * width - 0.006, y + 0.011, 0.5 * thick),
                book.cover,
            )
        )
    if book.ribbon:
        line = curves.spline(
            [
                (0.1 * width, -0.5 * height + over + 0.01, 0.5 * thick),
                (0.12 * width, -0.5 * height - 0.03, 0.5 * thick),
                (0.15 * width, -0.5 * height - 0.07, 0.3 * thick),
            ],
            16,
        )
        result.append(
            Part(
                "ribbon",
                solids.tube(line, 1.0, section=curves.superellipse(12, 0.012, 0.0018, 4.0)),
                book.trim,
            )
        )
    return result


def _block(width: float, height: float, thick: float, bow: float) -> Mesh:
    """The pages: a slab with a rounded back at -x and, on a hard book, a hollow front edge."""
    z = np.linspace(0.0, thick, 13)
    rise = 2 * z / thick - 1
    bulge = bow * 0.35 * (1 - rise**2)
    left, right = -0.5 * width - 0.4 * bulge, 0.5 * width - bulge
    rows = []
    for height_z, a, b in zip(z, left, right, strict=True):
        plan = curves.rounded(
            [(b, -0.5 * height), (b, 0.5 * height), (a, 0.5 * height), (a, -0.5 * height)], 0.003, closed=True
        )
        rows.append(np.column_stack([plan, np.full(len(plan), height_z)]))
    return loft(np.stack(rows))


def _cover(book: Book, board: float) -> Mesh:
    """Both boards and the spine as one strip around the block; a hard one has a joint beside its spine."""
    width, height, thick = book.size
    half, edge = 0.5 * width, 0.5 * thick
    round_back = (0.12 if book.hard else 0.03) * thick
    dip = 0.35 * board if book.hard else 0.0
    joint = 0.05 * width

    def side(out: float) -> list[tuple[float, float]]:
        """From the lower board's front edge over the spine to the upper board's, `out` from its middle."""
        low = [
            (half, 0.5 * board - out),
            (-half + 2.2 * joint, 0.5 * board - out),
            (-half + 1.4 * joint, 0.5 * board - out + dip),
            (-half + 0.7 * joint, 0.5 * board - out),
        ]
        angle = np.linspace(-math.pi / 2, math.pi / 2, 15)[1:-1]
        corner = 0.4 * thick if book.hard else 0.16 * thick
        back = []
        for a in angle:
            # A superellipse from board to board: a flat back with round corners, more or less.
            c, s = math.cos(a), math.sin(a)
            power = 3.0 if book.hard else 6.0
            k = (abs(c) ** power + abs(s) ** power) ** (-1 / power)
            back.append(
                (
                    -half + corner * 0.5 - (corner * 0.5 + round_back * 0.5 + out) * k * c,
                    edge + (edge - 0.5 * board + out) * k * s,
                )
            )
        high = [(x, thick - z) for x, z in low[::-1]]
        return [*low, *back, *high]

    outer, inner = np.array(side(0.5 * board)), np.array(side(-0.5 * board))
    outline = np.vstack([outer, inner[::-1]])
    outline = curves.rounded(outline, 0.35 * board, steps=3, closed=True)
    return _across(outline, height)


def _across(outline: Array, height: float) -> Mesh:
    """An outline in (x, z) as a plate `height` deep along y, its ends a little rounded."""
    x, z = outline.T
    area = float((x * np.roll(z, -1) - np.roll(x, -1) * z).sum())
    if area < 0:
        outline = outline[::-1]
    plate = solids.extruded(outline, height, 0.0015, steps=2)
    # Drawn in (x, z), swept along -y, so that the winding holds.
    vertices = np.column_stack(
        [plate.vertices[:, 0], 0.5 * height - plate.vertices[:, 2], plate.vertices[:, 1]]
    )
    return replace(plate, vertices=vertices, rest=vertices.copy())


def _spine_print(book: Book) -> list[Part]:
    """The title along the back, read from the head down, and a bar at the foot."""
    width, height, thick = book.size
    # As far out as the back is at its middle, see `_cover`.
    reach = -0.5 * width - (0.06 * thick + 0.5 * BOARD if book.hard else 0.015 * thick + 0.5 * PAPERBACK)
    surface = prints.plane((reach - 0.0004, 0.0, 0.5 * thick), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    size = min(0.42 * thick, 0.5 * height / prints.word_width(book.label.word, 1.0))
    strokes = prints.written(book.label.word, size, -0.08 * height, 0.0, 0.14)
    small = min(0.25 * thick, 0.2 * height / prints.word_width(book.label.second, 1.0))
    strokes += prints.written(book.label.second, small, 0.33 * height, 0.0, 0.12)
    return [Part("title", prints.printed(surface, strokes, 1), book.label.ink)]


def _open(p: BooksParams) -> list[Part]:
    """Lying open in the middle: two curved halves of pages on the spread boards, text in columns on both."""
    book = p.books[0]
    width, height, _ = book.size
    thick = max(0.07, 0.6 * book.size[2])
    board = BOARD
    x = np.linspace(0.0, width, 40)
    # From the gutter the sheets rise steeply, then fall towards the front edge.
    top = board + thick * (0.25 + 0.75 * (1 - np.exp(-x / (0.09 * width)))) * (1 - 0.35 * (x / width) ** 2)
    result: list[Part] = []
    for side in (-1, 1):
        lower = np.full_like(x, board)
        slant = 0.5 * thick * (1 - (top - board) / thick)
        outline = np.vstack(
            [np.column_stack([x, lower]), np.column_stack([x + slant * (x / width), top])[::-1]]
        )
        half = _across(outline * [side, 1.0], height)
        # The sheets follow the bend: their lines are drawn over the height above the board, as a share.
        share = np.clip(
            (half.vertices[:, 2] - board) / np.interp(np.abs(half.vertices[:, 0]), x, top - board), 0, 1
        )
        half = replace(half, rest=np.column_stack([half.rest[:, :2], thick * share - 0.002]))
        result.append(Part("pages", half, book.pages))
        rng_side = seeds.rng(book.label.number, "page", side)
        columns = prints.shifted(
            prints.fine_print(rng_side, 0.72 * width, 0.78 * height, 26), 0.53 * width * side, 0.0
        )

        def place(uv: Array) -> tuple[Array, Array]:
            at = np.abs(uv[..., 0])
            slope = np.interp(at + 0.002, x, top) - np.interp(at - 0.002, x, top)
            points = np.stack([uv[..., 0], uv[..., 1], np.interp(at, x, top)], -1)
            normal = np.stack([-np.sign(uv[..., 0]) * slope / 0.004, np.zeros_like(at), np.ones_like(at)], -1)
            return points, normal / np.linalg.norm(normal, axis=-1, keepdims=True)

        result.append(
            Part(
                "text", prints.printed(place, columns, 1), replace(book.label.ink, colour=(0.05, 0.05, 0.052))
            )
        )
        cover = solids.box(width + 0.03, height + 0.03, board, 0.004).moved(
            side * (0.5 * width + 0.015), 0, 0.5 * board
        )
        result.append(Part("cover", cover, book.cover))
    spine = solids.box(0.05, height + 0.03, board, 0.004).moved(0, 0, 0.5 * board - 0.001)
    result.append(Part("spine", spine, book.cover))
    return [Part(part.name, part.mesh.scaled(0.8, 0.8, 0.8), part.material) for part in result]
