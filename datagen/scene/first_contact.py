"""How far one surface can be moved along a line until it touches another: exact on their triangles.

Seen along the line, two triangles that overlap are nearest to each other at a corner of their overlap,
because their gap is linear there: at a vertex of one inside the other, or where two edges cross. A grid over
the view bounds the gap of what falls into one cell from below, so that cells are looked into from the nearest
on until none can hold a smaller gap. Pure NumPy.
"""

import math
from collections.abc import Iterator

import numpy as np

# Pairs of triangles that are looked at in one piece.
_PAIRS = 100_000
# Of the view's size: how far outside a triangle a point still counts as in it.
_EDGE = 1e-9


def first_contact(
    moving: np.ndarray, fixed: np.ndarray, direction: np.ndarray
) -> tuple[float, np.ndarray] | None:
    """The distance that triangles `moving` (M, 3, 3) go along the unit vector `direction` until they touch
    triangles `fixed` (F, 3, 3), and the point (3,) of `fixed` that they touch; None where they pass. They
    must begin before them.
    """
    axes = _view(direction)
    a, b = moving @ axes.T, fixed @ axes.T
    low = np.maximum(a[..., :2].min(axis=(0, 1)), b[..., :2].min(axis=(0, 1)))
    high = np.minimum(a[..., :2].max(axis=(0, 1)), b[..., :2].max(axis=(0, 1)))
    if (low > high).any():
        return None
    a, b = _within(a, low, high), _within(b, low, high)
    if not len(a) or not len(b):
        return None
    side = int(np.clip(math.sqrt(max(len(a), len(b))), 8, 128))
    span = np.maximum(high - low, 1e-12)
    of_a, cell_a = _binned(a, low, span, side)
    of_b, cell_b = _binned(b, low, span, side)
    front, back = a[..., 2].max(axis=1), b[..., 2].min(axis=1)
    foremost, hindmost = np.full(side * side, -np.inf), np.full(side * side, np.inf)
    np.maximum.at(foremost, cell_a, front[of_a])
    np.minimum.at(hindmost, cell_b, back[of_b])
    bound = hindmost - foremost
    order = np.argsort(bound, kind="stable")
    best, where = math.inf, None
    position, count = 0, 4
    while position < len(order):
        cells = order[position : position + count]
        cells = cells[bound[cells] < best]
        if not len(cells):
            break
        position, count = position + count, min(4 * count, 1024)
        in_cells = np.zeros(side * side, bool)
        in_cells[cells] = True
        near_a = in_cells[cell_a] & (hindmost[cell_a] - front[of_a] < best)
        near_b = in_cells[cell_b] & (back[of_b] - foremost[cell_b] < best)
        for i, j in _pairs(of_a[near_a], cell_a[near_a], of_b[near_b], cell_b[near_b]):
            near = back[j] - front[i] < best
            if near.any():
                gap, point = _nearest(a[i[near]], b[j[near]], _EDGE * float(span.max()))
                if gap < best:
                    best, where = gap, point
    return (best, where @ axes) if where is not None else None


def _pairs(
    of_a: np.ndarray, cell_a: np.ndarray, of_b: np.ndarray, cell_b: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every pair of two lists that share a cell, in pieces; both are sorted by cell."""
    first, last = (np.searchsorted(cell_b, cell_a, side) for side in ("left", "right"))
    counts = last - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(of_a):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, "right")))
        some = counts[start:stop]
        within = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        yield np.repeat(of_a[start:stop], some), of_b[np.repeat(first[start:stop], some) + within]
        start = stop


def _view(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rows: right, up and along `direction`."""
    other = np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(other, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def _within(triangles: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    flat = triangles[..., :2]
    return triangles[((flat.max(axis=1) >= low) & (flat.min(axis=1) <= high)).all(axis=1)]


def _binned(
    triangles: np.ndarray, low: np.ndarray, span: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which triangle lies in which cell of the grid, by its bounding box: two arrays, sorted by cell."""
    flat = (triangles[..., :2] - low) / span * side
    first = np.clip(np.floor(flat.min(axis=1) - 1e-6).astype(int), 0, side - 1)
    last = np.clip(np.floor(flat.max(axis=1) + 1e-6).astype(int), 0, side - 1)
    wide, high = (last - first + 1).T
    counts = wide * high
    owner = np.repeat(np.arange(len(triangles)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first[owner, 0] + within % wide[owner]
    row = first[owner, 1] + within // wide[owner]
    cells = row * side + column
    order = np.argsort(cells, kind="stable")
    return owner[order], cells[order]


def _nearest(a: np.ndarray, b: np.ndarray, tolerance: float) -> tuple[float, np.ndarray]:
    """The least gap along z of pairs of triangles (P, 3, 3) that overlap in xy, and its point on `b`."""
    found: list[tuple[float, np.ndarray]] = []

    def consider(gap: np.ndarray, valid: np.ndarray, points: np.ndarray) -> None:
        gap = np.where(valid, gap, np.inf)
        least = int(gap.argmin())
        found.append((float(gap[least]), points[least]))

    for corner in range(3):
        height, valid = _heights(b, a[:, corner, :2], tolerance)
        consider(height - a[:, corner, 2], valid, np.column_stack([a[:, corner, :2], height]))
        height, valid = _heights(a, b[:, corner, :2], tolerance)
        consider(b[:, corner, 2] - height, valid, b[:, corner])
    for one in range(3):
        p, p_end = a[:, one], a[:, (one + 1) % 3]
        for other in range(3):
            q, q_end = b[:, other], b[:, (other + 1) % 3]
            along_p, along_q, apart = p_end - p, q_end - q, q - p
            turn = along_p[:, 0] * along_q[:, 1] - along_p[:, 1] * along_q[:, 0]
            safe = np.where(np.abs(turn) > 1e-300, turn, 1.0)
            s = (apart[:, 0] * along_q[:, 1] - apart[:, 1] * along_q[:, 0]) / safe
            t = (apart[:, 0] * along_p[:, 1] - apart[:, 1] * along_p[:, 0]) / safe
            valid = (turn != 0) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
            at_q = q + t[:, None] * along_q
            consider(at_q[:, 2] - p[:, 2] - s * along_p[:, 2], valid, at_q)
    return min(found, key=lambda one: one[0])


def _heights(triangles: np.ndarray, at: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """z of triangles (P, 3, 3) over the points `at` (P, 2), and whether the points lie in them."""
    origin = triangles[:, 0]
    first, second = triangles[:, 1] - origin, triangles[:, 2] - origin
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    safe = np.where(np.abs(area) > 1e-300, area, 1.0)
    x, y = (at - origin[:, :2]).T
    u = (x * second[:, 1] - y * second[:, 0]) / safe
    v = (y * first[:, 0] - x * first[:, 1]) / safe
    # As a length: the same tolerance for a needle as for a large triangle.
    slack = tolerance / np.sqrt(np.maximum(np.abs(area), 1e-300))
    valid = (area != 0) & (u >= -slack) & (v >= -slack) & (u + v <= 1 + slack)
    return origin[:, 2] + u * first[:, 2] + v * second[:, 2], valid
