"""Curves in two and three dimensions: the lines along which parts are turned, swept and cut."""

import math

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray


def spline(points: ArrayLike, count: int, *, closed: bool = False) -> Array:
    """`count` points (count, D) of the centripetal Catmull-Rom spline through `points` (P, D), ends included
    if open.

    Centripetal knots, because uniform ones overshoot where control points lie close together.
    """
    points = np.asarray(points, float)
    if closed:
        extended = np.vstack([points[-1:], points, points[:2]])
    else:
        extended = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    spans = len(extended) - 3
    position = np.linspace(0, spans, count, endpoint=not closed)
    index = np.minimum(position.astype(int), spans - 1)
    p0, p1, p2, p3 = (extended[index + k] for k in range(4))
    knots = [np.zeros(count)]
    for a, b in ((p0, p1), (p1, p2), (p2, p3)):
        knots.append(knots[-1] + np.maximum(np.linalg.norm(b - a, axis=1), 1e-9) ** 0.5)
    t0, t1, t2, t3 = (knot[:, None] for knot in knots)
    t = t1 + (position - index)[:, None] * (t2 - t1)
    a1 = (t1 - t) / (t1 - t0) * p0 + (t - t0) / (t1 - t0) * p1
    a2 = (t2 - t) / (t2 - t1) * p1 + (t - t1) / (t2 - t1) * p2
    a3 = (t3 - t) / (t3 - t2) * p2 + (t - t2) / (t3 - t2) * p3
    b1 = (t2 - t) / (t2 - t0) * a1 + (t - t0) / (t2 - t0) * a2
    b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
    return (t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2


def rounded(points: ArrayLike, radius: float | ArrayLike, *, steps: int = 4, closed: bool = False) -> Array:
    """The polyline `points` (P, D) with every corner replaced by an arc that starts `radius` before it.

    `radius` is one number or one per point; it is cut to 45 % of the shorter neighbouring edge, and 0 keeps a
    corner.
    """
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(points))
    result: list[Array] = []
    for index, corner in enumerate(points):
        if not closed and index in (0, len(points) - 1):
            result.append(corner)
            continue
        before, after = points[index - 1], points[(index + 1) % len(points)]
        lengths = np.linalg.norm(before - corner), np.linalg.norm(after - corner)
        reach = min(radii[index], 0.45 * min(lengths))
        if reach <= 1e-6:
            result.append(corner)
            continue
        start = corner + (before - corner) * reach / lengths[0]
        end = corner + (after - corner) * reach / lengths[1]
        for t in np.linspace(0, 1, steps + 1):
            result.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return np.array(result)


def bezier(p0: ArrayLike, p1: ArrayLike, p2: ArrayLike, p3: ArrayLike, t: Array) -> Array:
    """Cubic Bezier points (..., D) at parameters t; the control points broadcast against t[..., None]."""
    t = np.asarray(t, float)[..., None]
    s = 1 - t
    p0, p1, p2, p3 = (np.asarray(p, float) for p in (p0, p1, p2, p3))
    return s**3 * p0 + 3 * s**2 * t * p1 + 3 * s * t**2 * p2 + t**3 * p3


def circle(count: int, radius: float = 1.0) -> Array:
    """Counter-clockwise points (count, 2)."""
    return superellipse(count, radius, radius, 2.0)


def superellipse(count: int, half_x: float, half_y: float, power: float) -> Array:
    """Counter-clockwise outline (count, 2): 2 is an ellipse, larger powers approach a rectangle with round
    corners."""
    angle = np.arange(count) * math.tau / count
    cos, sin = np.cos(angle), np.sin(angle)
    scale = (np.abs(cos) ** power + np.abs(sin) ** power) ** (-1 / power)
    return np.stack([half_x * scale * cos, half_y * scale * sin], 1)


def rectangle(size_x: float, size_y: float, radius: float, *, steps: int = 4) -> Array:
    """Counter-clockwise rectangle with rounded corners, centred (P, 2)."""
    x, y = size_x / 2, size_y / 2
    return rounded([(x, -y), (x, y), (-x, y), (-x, -y)], radius, steps=steps, closed=True)


def resampled(points: ArrayLike, count: int, *, closed: bool = False) -> Array:
    """`count` points (count, D) at equal distances along a polyline (P, D)."""
    points = np.asarray(points, float)
    if closed:
        points = np.vstack([points, points[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count, endpoint=not closed)
    return np.stack([np.interp(at, length, points[:, axis]) for axis in range(points.shape[1])], 1)


def inset(outline: Array, distance: float) -> Array:
    """A counter-clockwise outline (P, 2) moved inwards along its vertex normals; for distances below its
    curvature."""
    forward = np.roll(outline, -1, 0) - outline
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-12)
    tangent = forward + np.roll(forward, 1, 0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    inward = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    return outline + distance * inward


def line(start: ArrayLike, end: ArrayLike, count: int = 2) -> Array:
    """Evenly spaced points (count, D) from start to end."""
    return np.linspace(np.asarray(start, float), np.asarray(end, float), count)


def in_plane(points: Array, plane: str = "xy") -> Array:
    """2-D points (P, 2) placed in the plane "xy", "xz" or "yz" of space (P, 3)."""
    result = np.zeros((len(points), 3))
    result[:, "xyz".index(plane[0])] = points[:, 0]
    result[:, "xyz".index(plane[1])] = points[:, 1]
    return result
