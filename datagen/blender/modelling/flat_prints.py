"""Flat prints laid on surfaces as thin sheets: patches, discs, strokes and words, without any image or font.

A print is drawn in the plane (u to the right, v up, lengths in object units) and carried to a surface, which
maps (..., 2) to points and outward normals (..., 3). Layers lie a little above each other, so that ink covers
paper.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pairbridge.datagen.blender.modelling import curves
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, joined, sheet

Surface = Callable[[Array], tuple[Array, Array]]

# Height of a layer over the one below, in object units: above a renderer's precision, below a pixel.
LAYER = 0.0009
# Longest piece of a print between two vertices; a chord of it sinks less than a layer into a can's wall.
STEP = 0.025

# Strokes of capital letters in a cell of 1 by 1; bowls are drawn as polylines that a spline rounds.
_BOWL = [(0.0, 1.0), (0.55, 1.0), (0.82, 0.9), (0.85, 0.74), (0.75, 0.58), (0.5, 0.53), (0.0, 0.53)]
_RING = [(0.5 + 0.5 * math.cos(a), 0.5 + 0.5 * math.sin(a)) for a in np.linspace(0.5, 0.5 + math.tau, 25)]
LETTERS: dict[str, list[list[tuple[float, float]]]] = {
    "A": [[(0.0, 0.0), (0.45, 1.0)], [(0.9, 0.0), (0.45, 1.0)], [(0.16, 0.33), (0.74, 0.33)]],
    "B": [
        _BOWL,
        [(0.0, 0.53), (0.55, 0.53), (0.88, 0.42), (0.9, 0.2), (0.75, 0.03), (0.0, 0.0)],
        [(0, 0), (0, 1)],
    ],
    "C": [[p for p in _RING[2:-2]]],
    "D": [
        [(0.0, 1.0), (0.4, 1.0), (0.75, 0.85), (0.9, 0.5), (0.75, 0.15), (0.4, 0.0), (0.0, 0.0)],
        [(0, 0), (0, 1)],
    ],
    "E": [[(0, 0), (0, 1)], [(0, 1), (0.7, 1)], [(0, 0.52), (0.6, 0.52)], [(0, 0), (0.7, 0)]],
    "F": [[(0, 0), (0, 1)], [(0, 1), (0.7, 1)], [(0, 0.52), (0.6, 0.52)]],
    "H": [[(0, 0), (0, 1)], [(0.8, 0), (0.8, 1)], [(0, 0.5), (0.8, 0.5)]],
    "I": [[(0.1, 0), (0.1, 1)]],
    "K": [[(0, 0), (0, 1)], [(0.0, 0.4), (0.75, 1.0)], [(0.25, 0.6), (0.8, 0.0)]],
    "L": [[(0, 0), (0, 1)], [(0, 0), (0.65, 0)]],
    "M": [[(0, 0), (0, 1)], [(0, 1), (0.5, 0.3)], [(1.0, 1), (0.5, 0.3)], [(1.0, 0), (1.0, 1)]],
    "N": [[(0, 0), (0, 1)], [(0, 1), (0.8, 0)], [(0.8, 0), (0.8, 1)]],
    "O": [_RING],
    "P": [_BOWL, [(0, 0), (0, 1)]],
    "R": [_BOWL, [(0, 0), (0, 1)], [(0.42, 0.53), (0.85, 0.0)]],
    "S": [
        [
            (0.78, 0.85),
            (0.6, 0.98),
            (0.35, 1.0),
            (0.12, 0.88),
            (0.1, 0.68),
            (0.3, 0.54),
            (0.62, 0.44),
            (0.8, 0.28),
            (0.72, 0.08),
            (0.45, 0.0),
            (0.2, 0.02),
            (0.03, 0.15),
        ]
    ],
    "T": [[(0.4, 0), (0.4, 1)], [(0, 1), (0.8, 1)]],
    "U": [[(0, 1), (0, 0.35), (0.1, 0.1), (0.4, 0.0), (0.7, 0.1), (0.8, 0.35), (0.8, 1)]],
    "V": [[(0, 1), (0.42, 0)], [(0.84, 1), (0.42, 0)]],
    "Z": [[(0, 1), (0.75, 1)], [(0.75, 1), (0, 0)], [(0, 0), (0.75, 0)]],
}
_CONSONANTS, _VOWELS = "BDFHKLMNPRSTVZ", "AEIOU"


def word_rand(rng: np.random.Generator, syllables: int) -> str:
    """A name that can be spoken and means nothing, so that no real product is shown."""
    pairs = [
        _CONSONANTS[rng.integers(len(_CONSONANTS))] + _VOWELS[rng.integers(len(_VOWELS))]
        for _ in range(syllables)
    ]
    return "".join(pairs) + (_CONSONANTS[rng.integers(len(_CONSONANTS))] if rng.uniform() < 0.4 else "")


def plane(origin: ArrayLike, right: ArrayLike, up: ArrayLike) -> Surface:
    """The plane through `origin` (3,) along two orthogonal unit vectors."""
    start, across, along = (np.asarray(value, float) for value in (origin, right, up))
    normal = np.cross(across, along)

    def place(uv: Array) -> tuple[Array, Array]:
        points = start + uv[..., :1] * across + uv[..., 1:] * along
        return points, np.broadcast_to(normal, points.shape)

    return place


def turned(profile: ArrayLike, height: float) -> Surface:
    """The wall of a body of revolution with a profile (P, 2) of (radius, z), z rising.

    u = 0 is its front (-y), u an arc length at the middle of the print, v = 0 the given height.
    """
    outline = np.asarray(profile, float)
    middle = float(np.interp(height, outline[:, 1], outline[:, 0]))

    def place(uv: Array) -> tuple[Array, Array]:
        z = height + uv[..., 1]
        radius = np.interp(z, outline[:, 1], outline[:, 0])
        slope = (
            np.interp(z + 0.004, outline[:, 1], outline[:, 0])
            - np.interp(z - 0.004, outline[:, 1], outline[:, 0])
        ) / 0.008
        angle = uv[..., 0] / middle
        out = np.stack([np.sin(angle), -np.cos(angle), np.zeros_like(angle)], -1)
        points = radius[..., None] * out + np.stack([0 * z, 0 * z, z], -1)
        normal = out - slope[..., None] * np.array([0.0, 0.0, 1.0])
        return points, normal / np.linalg.norm(normal, axis=-1, keepdims=True)

    return place


def laid(surface: Surface, grid: Array, layer: int = 1) -> Mesh:
    """The sheet over a grid (R, C, 2) of the plane, columns to the right and rows up, closed and thin."""
    points, normals = surface(np.asarray(grid, float))
    return sheet(points + layer * LAYER * normals, 0.8 * LAYER)


def patch(width: float, height: float, u: float = 0.0, v: float = 0.0) -> Array:
    """Rectangle (R, C, 2) centred on (u, v)."""
    columns = np.linspace(u - 0.5 * width, u + 0.5 * width, 2 + int(width / STEP))
    rows = np.linspace(v - 0.5 * height, v + 0.5 * height, 2 + int(height / STEP))
    return np.stack(np.meshgrid(columns, rows), -1)


def lens(heights: Array, left: Array, right: Array, columns: int = 6) -> Array:
    """Shape (R, C, 2) between two borders given at rising heights, such as a disc, a leaf or a hill."""
    share = np.linspace(0.0, 1.0, columns)
    across = left[:, None] + (right - left)[:, None] * share
    return np.stack([across, np.broadcast_to(heights[:, None], across.shape)], -1)


def disc(radius: float, u: float = 0.0, v: float = 0.0, stretch: float = 1.0) -> Array:
    """Ellipse (R, C, 2) about (u, v), `stretch` times as high as wide."""
    angle = np.linspace(-0.98, 0.98, 21) * math.pi / 2
    half = radius * np.cos(angle)
    return lens(v + stretch * radius * np.sin(angle), u - half, u + half, 4 + int(2 * radius / STEP))


def stroke(points: ArrayLike, width: float) -> Array:
    """A pen's line (R, 2, 2) along a polyline (P, 2), its corners mitred."""
    path = np.asarray(points, float)
    spans = np.linalg.norm(np.diff(path, axis=0), axis=1)
    pieces = [
        curves.line(a, b, 1 + max(1, math.ceil(span / STEP)))[:-1]
        for a, b, span in zip(path[:-1], path[1:], spans, strict=True)
    ]
    path = np.vstack([*pieces, path[-1:]])
    ahead = np.diff(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    before, after = np.vstack([ahead[:1], ahead]), np.vstack([ahead, ahead[-1:]])
    tangent = before + after
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    reach = 0.5 * width / np.maximum((tangent * after).sum(1), 0.5)
    side = np.stack([tangent[:, 1], -tangent[:, 0]], 1) * reach[:, None]
    return np.stack([path - side, path + side], 1)


def word_width(word: str, size: float) -> float:
    """Width of `word` in letters `size` high."""
    return size * sum(0.26 + _advance(letter) for letter in word) - 0.26 * size


def written(word: str, size: float, u: float, v: float, weight: float = 0.16) -> list[Array]:
    """Strokes of a word centred on (u, v), letters `size` high, pen `weight` of that."""
    at = u - 0.5 * word_width(word, size)
    strokes: list[Array] = []
    for letter in word:
        for points in LETTERS[letter]:
            line = np.asarray(points, float)
            # A pen's end stands half its width beyond the last point, as ends of letters do.
            if len(line) == 2:
                ahead = 0.5 * weight * (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
                line = np.stack([line[0] - ahead, line[1] + ahead])
            strokes.append(stroke(line * size + [at, v - 0.5 * size], weight * size))
        at += size * (0.26 + _advance(letter))
    return strokes


def fine_print(rng: np.random.Generator, width: float, height: float, lines: int) -> list[Array]:
    """Lines of words too small to read: bars, ragged at the right, centred on (0, 0)."""
    pitch = height / lines
    bars: list[Array] = []
    for row in range(lines):
        v = 0.5 * height - (row + 0.5) * pitch
        at, end = -0.5 * width, 0.5 * width * rng.uniform(0.3, 1.0)
        while at < end:
            length = float(min(rng.uniform(0.8, 3.2) * pitch, end - at))
            if length > 0.3 * pitch:
                bars.append(patch(length, 0.42 * pitch, at + 0.5 * length, v))
            at += length + 0.45 * pitch
    return bars


def barcode(rng: np.random.Generator, width: float, height: float) -> list[Array]:
    """Upright bars of four widths, centred on (0, 0)."""
    unit = width / 48
    at, bars = 0.0, []
    while at < 47:
        thick = int(rng.integers(1, 4))
        bars.append(patch(thick * unit, height, (at + 0.5 * thick) * unit - 0.5 * width, 0.0))
        at += thick + int(rng.integers(1, 4))
    return bars


def shifted(shapes: Sequence[Array], u: float, v: float) -> list[Array]:
    """The shapes moved by (u, v)."""
    return [shape + np.array([u, v]) for shape in shapes]


def printed(surface: Surface, shapes: Sequence[Array], layer: int) -> Mesh:
    """All shapes of one ink on one layer as one mesh."""
    return joined([laid(surface, shape, layer) for shape in shapes])


def _advance(letter: str) -> float:
    return max(x for line in LETTERS[letter] for x, _ in line)
