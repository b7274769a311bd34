"""Soft bodies as signed distances: bones and balls that flow into each other, and the mesh of where a field
is zero.

A field maps points (N, 3) to distances (N,), negative inside; it need not be exact, but must not change
faster than the distance does by much (a slope of 1.3 is safe), or `surface` overlooks parts of it.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, mesh

Field = Callable[[Array], Array]

_BLOCK = 4  # cells along a block's side: blocks that no surface can cross are filled without evaluation
_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
_EDGES = tuple(
    (a, b) for a, b in itertools.combinations(range(8), 2) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1
)


def bone(points: Array, start: ArrayLike, end: ArrayLike, radii: float | ArrayLike) -> Array:
    """A limb with round ends: one radius, or several at equal steps from start to end."""
    start, way = np.asarray(start, float), np.asarray(end, float) - np.asarray(start, float)
    away = points - start
    length2 = max(float((way * way).sum()), 1e-12)
    t = np.clip((away[:, 0] * way[0] + away[:, 1] * way[1] + away[:, 2] * way[2]) / length2, 0, 1)
    radii = np.atleast_1d(np.asarray(radii, float))
    radius = radii[0] if len(radii) == 1 else np.interp(t, np.linspace(0, 1, len(radii)), radii)
    return _length(away - t[:, None] * way) - radius


def ball(points: Array, centre: ArrayLike, radii: ArrayLike) -> Array:
    """An ellipsoid with axes along x, y and z; the distance is right to first order around its surface."""
    radii = np.asarray(radii, float)
    away = (points - np.asarray(centre, float)) / radii
    near, slope = _length(away), _length(away / radii)
    # At the centre both vanish, and what is left is the distance to the nearest side.
    middle = slope < 1e-9
    return (near - 1) * np.where(middle, radii.min(), near / np.where(middle, 1.0, slope))


def beyond(points: Array, place: ArrayLike, direction: ArrayLike) -> Array:
    """How far points lie beyond a plane, along its direction: the half space before it is inside."""
    way = np.asarray(direction, float) / np.linalg.norm(direction)
    away = points - np.asarray(place, float)
    return away[:, 0] * way[0] + away[:, 1] * way[1] + away[:, 2] * way[2]


def merged(first: Array, second: Array, softness: float | Array) -> Array:
    """Union whose seam is filled as wide as `softness`."""
    h = np.clip(0.5 + 0.5 * (second - first) / softness, 0, 1)
    return second + (first - second) * h - softness * h * (1 - h)


def common(first: Array, second: Array, softness: float | Array) -> Array:
    """Intersection whose edge is rounded; `common(a, -b, s)` carves b out of a."""
    return -merged(-first, -second, softness)


def ripples(points: Array, waves: Array) -> Array:
    """Smooth noise within about [-1, 1] from `waves` (W, 4), wave vectors and phases: crests that wander."""
    total = np.zeros(len(points))
    swing = np.zeros(len(points))
    for x, y, z, phase in waves:
        value = np.sin(points[:, 0] * x + points[:, 1] * y + points[:, 2] * z + phase + 1.3 * swing)
        total += value
        swing = value
    return total / math.sqrt(len(waves))


def waves_rand(
    rng: np.random.Generator, count: int, wavelength: float, stretch: ArrayLike = (1.0, 1.0, 1.0)
) -> tuple[tuple[float, float, float, float], ...]:
    """Wave vectors and phases for `ripples`; along axes with a `stretch` above 1 the crests are longer."""
    result = []
    for _ in range(count):
        way = rng.normal(size=3) / np.asarray(stretch, float)
        way *= math.tau / (wavelength * rng.uniform(0.75, 1.3)) / np.linalg.norm(way)
        result.append((*way.tolist(), rng.uniform(0, math.tau)))
    return tuple(result)


def surface(field: Field, low: ArrayLike, high: ArrayLike, cell: float) -> Mesh:
    """The mesh of where the field is zero within a box that holds it whole, in quads about `cell` wide.

    One vertex for every cell that the surface crosses (surface nets), brought onto it by a Newton step, so
    that it shades smoothly. What reaches out of the box is cut off flat.
    """
    low = np.asarray(low, float)
    blocks = np.maximum(np.ceil((np.asarray(high, float) - low) / (cell * _BLOCK)).astype(int), 1)
    values = _values(field, low, blocks, cell)
    for axis in range(3):
        for side in (0, -1):
            border = np.moveaxis(values, axis, 0)[side]
            np.maximum(border, 0.5 * cell, out=border)
    _unknotted(values, cell)
    inside = values < 0
    count = np.zeros(np.array(values.shape) - 1, np.int8)
    for corner in _CORNERS:
        count += inside[tuple(slice(c, c + n) for c, n in zip(corner, count.shape, strict=True))]
    cells = np.argwhere((count > 0) & (count < 8))
    number = np.full(count.shape, -1, np.int64)
    number[tuple(cells.T)] = np.arange(len(cells))
    places = low + cell * _crossings(values, cells)
    places = _projected(field, places, cell)
    loops = _faces(inside, number)
    return mesh(places, loops, np.full(len(loops) // 4, 4))


def _values(field: Field, low: Array, blocks: Array, cell: float) -> Array:
    """Field at all grid points, evaluated near the surface only; elsewhere far off, with the right sign."""
    centres = np.stack(np.meshgrid(*(np.arange(n) for n in blocks), indexing="ij"), -1).reshape(-1, 3)
    rough = field(low + cell * _BLOCK * (centres + 0.5)).reshape(blocks)
    near = np.abs(rough) < 1.3 * 0.5 * math.sqrt(3) * cell * _BLOCK
    shape = blocks * _BLOCK + 1
    values = np.full(shape, 1.0)
    wanted = np.zeros(shape, bool)
    spread = near
    sign = np.where(rough < 0, -1.0, 1.0)
    for axis in range(3):
        spread, sign = np.repeat(spread, _BLOCK, axis), np.repeat(sign, _BLOCK, axis)
    values[:-1, :-1, :-1] = sign
    for corner in _CORNERS:
        view = tuple(slice(c, c + n) for c, n in zip(corner, spread.shape, strict=True))
        wanted[view] |= spread
    points = np.argwhere(wanted)
    values[wanted] = field(low + cell * points)
    return values


def _unknotted(values: Array, cell: float) -> None:
    """Close the faces of the grid whose corners are inside and outside crosswise: four quads would share
    one edge there, which no closed surface has."""
    for _ in range(8):
        found = False
        for axis in range(3):
            one, two = (a for a in range(3) if a != axis)
            turned = np.moveaxis(values, (one, two), (0, 1))
            inside = turned < 0
            a, b, c, d = inside[:-1, :-1], inside[1:, :-1], inside[1:, 1:], inside[:-1, 1:]
            cross = (a == c) & (b == d) & (a != b)
            if cross.any():
                found = True
                for view in (turned[:-1, :-1], turned[1:, :-1]):
                    view[cross & (view >= 0)] = -1e-3 * cell
        if not found:
            return


def _crossings(values: Array, cells: Array) -> Array:
    """In each cell (C, 3), the mean of the points where its edges cross zero, in cells."""
    total, hits = np.zeros((len(cells), 3)), np.zeros(len(cells))
    corners = [values[tuple((cells + corner).T)] for corner in _CORNERS]
    for a, b in _EDGES:
        first, second = corners[a], corners[b]
        crossed = (first < 0) != (second < 0)
        t = np.where(crossed, first / np.where(crossed, first - second, 1.0), 0.0)[:, None]
        total += np.where(crossed[:, None], (1 - t) * _CORNERS[a] + t * _CORNERS[b], 0.0)
        hits += crossed
    return cells + total / hits[:, None]


def _projected(field: Field, places: Array, cell: float) -> Array:
    step = 0.2 * cell
    here = field(places)
    slope = np.stack([(field(places + step * axis) - here) / step for axis in np.eye(3)], 1)
    move = -here[:, None] * slope / np.maximum((slope * slope).sum(axis=1), 0.25)[:, None]
    return places + np.clip(move, -0.5 * cell, 0.5 * cell)


def _faces(inside: Array, number: Array) -> Array:
    """A quad around every grid edge that the surface crosses, wound to look outwards."""
    loops = []
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        before = np.moveaxis(inside, axis, 0)
        crossed = np.moveaxis(before[:-1] != before[1:], 0, axis)
        edges = np.argwhere(crossed)
        # Edges on the border of the box have no four cells around them; the border is outside.
        leaves = inside[tuple(edges.T)]
        ring = []
        for a, b in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = edges.copy()
            cell[:, one] += a
            cell[:, two] += b
            ring.append(number[tuple(cell.T)])
        quads = np.stack(ring, 1)
        quads[~leaves] = quads[~leaves][:, ::-1]
        loops.append(quads)
    return np.concatenate(loops).ravel()


def _length(vectors: Array) -> Array:
    return np.sqrt(
        vectors[:, 0] * vectors[:, 0] + vectors[:, 1] * vectors[:, 1] + vectors[:, 2] * vectors[:, 2]
    )
