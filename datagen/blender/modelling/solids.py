"""Solid building blocks: turned, extruded, swept and rounded bodies, each around its own origin."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pairbridge.datagen.blender.modelling.curves import circle, inset, resampled, spline
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh, loft, mesh


def lathe(
    profile: ArrayLike,
    segments: int = 48,
    *,
    lobes: tuple[int, float] = (0, 0.0),
    twist: float = 0.0,
    start_cap: bool = True,
    end_cap: bool = True,
) -> Mesh:
    """Body of revolution about z from a profile (P, 2) of (radius, height), from the bottom's axis outwards
    and up.

    A profile that turns inwards at the rim and runs down inside makes a vessel. `lobes` = (count, depth)
    flutes the wall by a relative depth, `twist` turns the flutes by that many radians per unit of height.
    Caps close the ends; an end where another lathe goes on, such as the rim between two materials, has none.
    """
    profile = np.asarray(profile, float)
    # A hair's breadth instead of a true pole keeps every quad from collapsing, which would spoil its normal.
    radius, height = np.maximum(profile[:, 0], 1e-4), profile[:, 1]
    angle = np.arange(segments) * math.tau / segments
    count, depth = lobes
    wall = radius[:, None] * (1 + depth * np.cos(count * (angle[None, :] + twist * height[:, None])))
    rows = np.stack(
        [wall * np.cos(angle), wall * np.sin(angle), np.broadcast_to(height[:, None], wall.shape)], 2
    )
    return loft(rows, start_cap=start_cap, end_cap=end_cap)


def extruded(outline: ArrayLike, depth: float, bevel: float = 0.0, *, steps: int = 3) -> Mesh:
    """Plate over a counter-clockwise outline (P, 2) in xy, from z = 0 to `depth`, its edges rounded by
    `bevel`."""
    outline = np.asarray(outline, float)
    if bevel == 0:
        return loft(np.stack([_at(outline, 0.0), _at(outline, depth)]))
    angle = np.linspace(0, math.pi / 2, steps + 1)
    away, rise = bevel * (1 - np.sin(angle)), bevel * (1 - np.cos(angle))
    lower = [_at(inset(outline, a), r) for a, r in zip(away, rise, strict=True)]
    upper = [_at(inset(outline, a), depth - r) for a, r in zip(away[::-1], rise[::-1], strict=True)]
    return loft(np.stack(lower + upper))


def _at(outline: Array, z: float) -> Array:
    return np.column_stack([outline, np.full(len(outline), z)])


def box(size_x: float, size_y: float, size_z: float, bevel: float, *, steps: int = 3) -> Mesh:
    """Box centred on the origin whose edges and corners are rounded by `bevel`."""
    half = np.array([size_x, size_y, size_z]) / 2
    bevel = min(bevel, float(half.min()) * 0.98)
    # Each axis is cut twice at the middle, where the two halves of a small sphere are drawn apart to the
    # box's size.
    angle = np.linspace(-math.pi / 4, 0, steps + 1)
    ticks = np.concatenate([np.tan(angle), -np.tan(angle[::-1])])
    side = np.repeat([-1.0, 1.0], steps + 1)
    n = len(ticks)
    grid = np.array([(i, j) for j in range(n) for i in range(n)])
    vertices, loops = [], []
    cell = np.array(
        [
            (j * n + i, j * n + i + 1, (j + 1) * n + i + 1, (j + 1) * n + i)
            for j in range(n - 1)
            for i in range(n - 1)
        ]
    )
    for axis in range(3):
        for sign in (-1.0, 1.0):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            unit, half_space = np.zeros((n * n, 3)), np.zeros((n * n, 3))
            unit[:, axis] = half_space[:, axis] = sign
            for target, column in ((first, 0), (second, 1)):
                unit[:, target], half_space[:, target] = ticks[grid[:, column]], side[grid[:, column]]
            unit /= np.linalg.norm(unit, axis=1, keepdims=True)
            vertices.append(half_space * (half - bevel) + bevel * unit)
            faces = cell if sign > 0 else cell[:, ::-1]
            loops.append(faces.ravel() + n * n * (len(vertices) - 1))
    return _welded(np.concatenate(vertices), np.concatenate(loops))


def _welded(vertices: Array, loops: Array) -> Mesh:
    # The six sides meet in equal points; as one vertex each, the rounded edge shades smoothly.
    _, first, index = np.unique(np.round(vertices, 7), axis=0, return_index=True, return_inverse=True)
    return mesh(vertices[first], index.ravel()[loops], np.full(len(loops) // 4, 4))


def ellipsoid(radius_x: float, radius_y: float, radius_z: float, segments: int = 24) -> Mesh:
    """Ellipsoid centred on the origin."""
    angle = np.linspace(-math.pi / 2, math.pi / 2, segments // 2 + 1)
    return lathe(np.stack([np.cos(angle), np.sin(angle)], 1), segments).scaled(radius_x, radius_y, radius_z)


def tube(
    path: ArrayLike,
    radius: float | ArrayLike,
    *,
    section: Array | None = None,
    segments: int = 12,
    closed: bool = False,
    up: ArrayLike = (0.0, 0.0, 1.0),
) -> Mesh:
    """A section swept along `path` (P, 3), scaled by `radius` (a number or one per point).

    `section` (K, 2) is counter-clockwise in the frame (side, up'); a circle if absent. The first frame's
    second axis leans towards `up`, the others follow by parallel transport, so the sweep does not twist.
    Texture coordinates: z runs along the path, x and y across the section.
    """
    path = np.asarray(path, float)
    section = circle(segments) if section is None else np.asarray(section, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(path))
    rows = _swept(path, radii, section, up, closed=closed)
    body = loft(rows, loop=closed)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    across = radii[:, None, None] * section[None]
    rest = np.concatenate([across, np.broadcast_to(along[:, None, None], (*rows.shape[:2], 1))], 2)
    return Mesh(vertices=body.vertices, loops=body.loops, sizes=body.sizes, rest=rest.reshape(-1, 3))


def pipe(
    path: ArrayLike, radius: float | ArrayLike, wall: float, *, depth: int, section: Array | None = None
) -> Mesh:
    """Tube with an open far end: its wall turns in there and runs back inside over `depth` points of the
    path."""
    path = np.asarray(path, float)
    section = circle(24) if section is None else np.asarray(section, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(path))
    outer = _swept(path, radii, section, (0.0, 0.0, 1.0))
    tip = outer[-1] + 0.3 * wall * (path[-1] - path[-2]) / np.linalg.norm(path[-1] - path[-2])
    lip = path[-1] + (1 - 0.5 * wall / radii[-1]) * (tip - path[-1])
    inner = _swept(path, radii - wall, section, (0.0, 0.0, 1.0))[::-1][:depth]
    return loft(np.concatenate([outer, lip[None], inner]))


def _swept(path: Array, radii: Array, section: Array, up: ArrayLike, *, closed: bool = False) -> Array:
    """Rows (P, K, 3) of the section carried along the path."""
    tangents, normals = frames(path, up, closed=closed)
    sides = np.cross(normals, tangents)
    offsets = section[None, :, :1] * sides[:, None] + section[None, :, 1:] * normals[:, None]
    return path[:, None] + radii[:, None, None] * offsets


def frames(path: Array, up: ArrayLike, *, closed: bool = False) -> tuple[Array, Array]:
    """Unit tangents and normals (P, 3) along a path by parallel transport, starting from a normal near
    `up`."""
    tangents = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    tangents = tangents / np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)
    first = np.asarray(up, float)
    if abs(float(first @ tangents[0])) > 0.98 * float(np.linalg.norm(first)):
        first = np.array([0.0, -1.0, 0.0]) if abs(tangents[0][1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    normals = np.zeros_like(path)
    current = first
    for index, tangent in enumerate(tangents):
        current = current - (current @ tangent) * tangent
        current = current / np.linalg.norm(current)
        normals[index] = current
    return tangents, normals


def torus(
    radius: float, thickness: float, *, segments: int = 48, around: int = 12, section: Array | None = None
) -> Mesh:
    """Ring about z; `section` (K, 2) in (inwards, up) replaces the circle and is scaled by `thickness`."""
    path = np.column_stack([circle(segments, radius), np.zeros(segments)])
    return tube(path, thickness, section=section, segments=around, closed=True)


def cushion(
    size_x: float, size_y: float, thickness: float, *, corner: float, crown: float, segments: int = 8
) -> Mesh:
    """Upholstered slab with its underside at z = 0: rounded plan, bulging edge, and a top that rises by
    `crown`."""
    half_x, half_y = size_x / 2, size_y / 2
    plan = resampled(spline(_rounded_plan(half_x, half_y, corner), 96, closed=True), 64, closed=True)
    edge = np.linspace(-math.pi / 2, math.pi / 2, 9)
    bulge = thickness / 2
    rows = [_at(inset(plan, bulge * (1 - math.cos(a))), bulge * (1 + math.sin(a))) for a in edge]
    top = inset(plan, bulge)
    for t in np.linspace(0, 1, segments + 1)[1:]:
        shrink = max(1 - t, 0.002)
        rows.append(_at(top * shrink, thickness + crown * (1 - (1 - t) ** 2.5)))
    return loft(np.stack(rows))


def _rounded_plan(half_x: float, half_y: float, corner: float) -> Array:
    c = min(corner, 0.9 * min(half_x, half_y))
    k = 0.3 * c
    return np.array(
        [
            (half_x, -half_y + c), (half_x, 0), (half_x, half_y - c), (half_x - k, half_y - k),
            (half_x - c, half_y), (0, half_y), (-half_x + c, half_y), (-half_x + k, half_y - k),
            (-half_x, half_y - c), (-half_x, 0), (-half_x, -half_y + c), (-half_x + k, -half_y + k),
            (-half_x + c, -half_y), (0, -half_y), (half_x - c, -half_y), (half_x - k, -half_y + k),
        ]
    )  # fmt: skip
