"""Pictures that materials carry as image textures: labels, motifs, pages, cartons and sheets of veneer.

Made with NumPy alone from a seed, so that embedded objects have what files have, textures with pixels, and
nothing is loaded. Text is pseudo-text: rows of invented glyphs. All but labels and motifs repeat without a
seam.
"""

import math
from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.core import seeds
from pairbridge.datagen.imaging.colour import RGB, srgb_encode

PRINTS = ("label", "motif", "page", "carton", "veneer")

# Rows of a picture in pixels: at 384 a label of a third of the frame has a pixel of its own for each of ours.
_HEIGHT = 384
_GLYPH_ROWS, _GLYPH_COLUMNS = 7, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """A picture. `paper`, `ink` and `second` are linear reflectances, `aspect` its width over its height."""

    kind: str
    seed: int
    paper: RGB
    ink: RGB
    second: RGB
    aspect: float = 1.0


def print_pixels(picture: Print) -> np.ndarray:
    """The picture as it is displayed: uint8 (H, W, 3), sRGB, top row first."""
    rng = seeds.rng(picture.seed, "print", picture.kind)
    width = int(np.clip(round(_HEIGHT * picture.aspect), 96, 1024))
    drawn = {"label": _label, "motif": _motif, "page": _page, "carton": _carton, "veneer": _veneer}
    # Shares (H, W) of the ink and of the second colour over the paper.
    ink, second = drawn[picture.kind](rng, (_HEIGHT, width))
    canvas = np.asarray(picture.paper)[None, None]
    canvas = canvas + second[..., None] * (np.asarray(picture.second) - canvas)
    canvas = canvas + ink[..., None] * (np.asarray(picture.ink) - canvas)
    return np.rint(255 * srgb_encode(canvas)).astype(np.uint8)


Layers = tuple[np.ndarray, np.ndarray]


def _label(rng: np.random.Generator, size: tuple[int, int]) -> Layers:
    """A name in large glyphs, a band or disc of the second colour, small print, at times a bar code."""
    height, width = size
    ink, second = np.zeros(size), np.zeros(size)
    alphabet = _alphabet(rng)
    rows, columns = np.mgrid[0:height, 0:width]
    if rng.uniform() < 0.6:
        top = rng.uniform(0.0, 0.5)
        second[(rows >= top * height) & (rows < (top + rng.uniform(0.15, 0.4)) * height)] = 1
    else:
        middle, radius = (0.5 * width, rng.uniform(0.25, 0.45) * height), rng.uniform(0.15, 0.3) * height
        second[np.hypot(columns - middle[0], rows - middle[1]) < radius] = 1
    margin = max(6, round(0.05 * height))
    if rng.uniform() < 0.5:
        frame = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns))
        ink[(frame > 0.5 * margin) & (frame < 0.5 * margin + 3)] = 1
    scale = max(2, round(rng.uniform(0.012, 0.022) * height))
    line = round(rng.uniform(0.08, 0.25) * height)
    _write(ink, rng, alphabet, line, 2 * margin, width - 2 * margin, scale, words=int(rng.integers(1, 3)))
    line += round(1.6 * _GLYPH_ROWS * scale)
    small = max(1, scale // 3)
    last = height - 2 * margin
    if rng.uniform() < 0.4:
        last -= round(0.2 * height)
        bars = np.repeat(rng.uniform(size=48) < 0.5, 2)[: max(width - 4 * margin, 1)]
        ink[last + margin : height - margin, 2 * margin : 2 * margin + len(bars)] = bars
    while line + _GLYPH_ROWS * small < last:
        _write(ink, rng, alphabet, line, 2 * margin, width - 2 * margin, small)
        line += round(1.7 * _GLYPH_ROWS * small)
    return ink, second


def _motif(rng: np.random.Generator, size: tuple[int, int]) -> Layers:
    """A badge: rings, a star or stripes, over a short name."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = (columns - 0.5 * width) / height, (rows - 0.42 * height) / height
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    ink, second = np.zeros(size), np.zeros(size)
    reach = min(0.34, 0.45 * width / height)
    style = rng.integers(4)
    if style == 0:
        second[radius < reach] = 1
        ink[(radius < reach) & (radius > 0.86 * reach)] = 1
        ink[radius < 0.3 * reach] = 1
    elif style == 1:
        points = int(rng.integers(5, 9))
        second[radius < reach * (0.68 + 0.32 * np.cos(points * angle))] = 1
        ink[radius < 0.4 * reach] = 1
    elif style == 2:
        inside = np.maximum(np.abs(x), np.abs(y)) < reach
        stripes = np.floor((x + y * rng.choice([-1, 0, 1])) / (reach / 3)) % 2 == 0
        second[inside & stripes] = 1
        ink[inside & ~stripes] = 1
    else:
        second[(np.abs(x) + np.abs(y) < reach)] = 1
        ink[(y > -0.2 * reach) & (y < 0.55 * reach - 1.3 * np.abs(x))] = 1
    scale = max(2, round(0.012 * height))
    _write(ink, rng, _alphabet(rng), round(0.83 * height), round(0.2 * width), round(0.8 * width), scale, 1)
    return ink, second


def _page(rng: np.random.Generator, size: tuple[int, int]) -> Layers:
    """Columns of small print with headings, and a picture of flat tone."""
    height, width = size
    ink, second = np.zeros(size), np.zeros(size)
    alphabet, line = _alphabet(rng), 12
    while line < height - 30:
        heading = rng.uniform() < 0.08
        if not heading and rng.uniform() < 0.03:
            block = int(rng.integers(40, 90))
            second[line : min(line + block, height - 12), 16 : width - 16] = rng.uniform(0.4, 1.0)
            line += block + 10
            continue
        scale = 3 if heading else 1
        _write(ink, rng, alphabet, line, 16, width - 16, scale, words=2 if heading else None)
        line += round(1.8 * _GLYPH_ROWS * scale)
    return 0.9 * ink, second


def _carton(rng: np.random.Generator, size: tuple[int, int]) -> Layers:
    """Kraft board: fibres, and the faint flutes of what is glued behind."""
    width = size[1]
    fibres = _noise(rng, size, (96, 24)) * 0.5 + _noise(rng, size, (24, 6)) * 0.5
    flutes = 0.5 + 0.5 * np.cos(math.tau * 48 * np.arange(width) / width)[None]
    return 0.35 * np.clip(fibres + 0.2 * flutes - 0.2, 0, 1), 0.6 * _noise(rng, size, (6, 6))


def _veneer(rng: np.random.Generator, size: tuple[int, int]) -> Layers:
    """Flat-sawn boards: rings that bend along the board, which runs down the picture, and pores."""
    width = size[1]
    x = np.arange(width)[None] / width
    bend = _noise(rng, size, (3, 4)) * rng.uniform(1.5, 3.0) + _noise(rng, size, (4, 16)) * 0.35
    # A whole number of rings: the picture repeats.
    phase = np.mod(int(rng.integers(7, 16)) * x + bend, 1.0)
    late = np.where(phase < 0.9, (phase / 0.9) ** 2.2, (1 - phase) / 0.1)
    fibre = _noise(rng, size, (6, 128))
    pores = (_noise(rng, size, (24, 192)) > 0.72) * 0.35
    return 0.7 * np.clip(pores, 0, 1), np.clip(0.75 * late + 0.5 * (fibre - 0.5), 0, 1)


def _alphabet(rng: np.random.Generator) -> np.ndarray:
    """Glyphs (26, 7, 5) of upright, level and slanting strokes."""
    glyphs = np.zeros((26, _GLYPH_ROWS, _GLYPH_COLUMNS), bool)
    for glyph in glyphs:
        for stroke in rng.integers(0, 7, size=3):
            if stroke < 3:
                glyph[:, (0, 2, 4)[stroke]] = True
            elif stroke < 6:
                glyph[(0, 3, 6)[stroke - 3], :] = True
            else:
                glyph[np.arange(_GLYPH_ROWS), np.arange(_GLYPH_ROWS) * 4 // 6] = True
    return glyphs


def _write(
    ink: np.ndarray,
    rng: np.random.Generator,
    alphabet: np.ndarray,
    row: int,
    left: int,
    right: int,
    scale: int,
    words: int | None = None,
) -> None:
    """A line of words from `left` to before `right`, glyph pixels `scale` wide; as many as fit, if not
    `words`."""
    column, written, advance = left, 0, (_GLYPH_COLUMNS + 1) * scale
    while words is None or written < words:
        length = int(rng.integers(2, 9))
        if words is None and column + length * advance >= right:
            return
        for letter in rng.integers(0, len(alphabet), size=length):
            glyph = np.kron(alphabet[letter], np.ones((scale, scale)))
            place = ink[row : row + glyph.shape[0], column : column + glyph.shape[1]]
            if column + advance > right or place.shape != glyph.shape:
                return
            np.maximum(place, glyph, out=place)
            column += advance
        column += advance
        written += 1


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise in [0, 1] that repeats at the picture's edges, `cells` (down, across) lattice points."""
    values = rng.uniform(size=cells)
    for axis, (pixels, count) in enumerate(zip(size, cells, strict=True)):
        position = np.arange(pixels) * count / pixels
        low = np.floor(position).astype(int)
        share = position - low
        share = share * share * (3 - 2 * share)
        shape = [1, 1]
        shape[axis] = pixels
        weight = share.reshape(shape)
        values = (
            np.take(values, low % count, axis) * (1 - weight)
            + np.take(values, (low + 1) % count, axis) * weight
        )
    return values
