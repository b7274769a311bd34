"""Polygon meshes as NumPy arrays, and how they are moved, mirrored and joined."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Polygons wound counter-clockwise seen from outside.

    vertices (V, 3), loops (L,) vertex indices of all faces in a row, sizes (F,) corners per face. `rest` (V,
    3) are coordinates that moving, turning and bending leave alone: textures follow the part as if it were
    carved from its own piece of wood or cloth.
    """

    vertices: Array
    loops: Array
    sizes: Array
    rest: Array

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float, y: float, z: float) -> "Mesh":
        """Positive factors only; `mirrored` turns the winding too."""
        return replace(self, vertices=self.vertices * np.array([x, y, z]))

    def turned(self, axis: str, angle_rad: float) -> "Mesh":
        """Right-handed rotation about "x", "y" or "z" through the origin."""
        return replace(self, vertices=_mapped(self.vertices, rotation(axis, angle_rad).T))

    def aimed(self, direction: ArrayLike) -> "Mesh":
        """Rotated so that its +z axis points along `direction` and its x axis stays level."""
        forward = np.asarray(direction, float) / np.linalg.norm(direction)
        side = np.cross((0.0, 0.0, 1.0), forward)
        if np.linalg.norm(side) < 1e-6:
            side = np.array([1.0, 0.0, 0.0])
        side = side / np.linalg.norm(side)
        return replace(
            self, vertices=_mapped(self.vertices, np.stack([side, np.cross(forward, side), forward]))
        )

    def corners(self) -> tuple[Array, Array]:
        """For every loop (L,) the index of its face's first loop and of the loop that follows it round the
        face."""
        first = np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        following = np.arange(len(self.loops)) + 1
        last = np.cumsum(self.sizes) - 1
        following[last] = first[last]
        return first, following

    def mirrored(self, axis: str) -> "Mesh":
        """Reflected through the plane across `axis`, faces turned so that they still look outwards."""
        vertices = self.vertices.copy()
        vertices[:, "xyz".index(axis)] *= -1
        # Reversed as a whole and re-cut: each face's corners come out in opposite order.
        return replace(self, vertices=vertices, loops=self.loops[::-1], sizes=self.sizes[::-1])

    def at_rest(self) -> "Mesh":
        """Texture coordinates taken anew from where the vertices are now."""
        return replace(self, rest=self.vertices.copy())

    def grained(self, axis: str) -> "Mesh":
        """The texture's z axis (the grain of wood) laid along `axis` of the part."""
        turn = {"x": [1, 2, 0], "y": [2, 0, 1], "z": [0, 1, 2]}[axis]
        return replace(self, rest=self.rest[:, turn])

    def restarted(self, offset: ArrayLike) -> "Mesh":
        """Texture coordinates shifted by `offset` (3,), so that equal parts do not show equal grain."""
        return replace(self, rest=self.rest + np.asarray(offset, float))


def box_uv(whole: Mesh) -> Array:
    """Texture coordinates (L, 2) of every corner: the rest coordinates seen from the side that its face looks
    to most, so that pictures lie upright and are not mirrored on any of the six sides.
    """
    first, following = whole.corners()
    a, b, c = (whole.rest[whole.loops[index]] for index in (first, np.arange(len(whole.loops)), following))
    normal = np.add.reduceat(np.cross(b - a, c - a), np.cumsum(whole.sizes) - whole.sizes)
    axis = np.repeat(np.abs(normal).argmax(1), whole.sizes)
    side = np.repeat(
        np.where(np.take_along_axis(normal, np.abs(normal).argmax(1)[:, None], 1) < 0, -1, 1), whole.sizes
    )
    x, y, z = whole.rest[whole.loops].T
    across = np.choose(axis, [side * y, -side * x, side * x])
    return np.stack([across, np.where(axis == 2, y, z)], 1)


def _mapped(vertices: Array, matrix: Array) -> Array:
    """Row vectors (V, 3) times a 3x3 matrix.

    Written out, because the BLAS behind `@` may start threads, which wait for each other on a machine that
    renders on all cores, and because the last bits of its result depend on the kernel it picks.
    """
    return vertices[:, :1] * matrix[0] + vertices[:, 1:2] * matrix[1] + vertices[:, 2:] * matrix[2]


def rotation(axis: str, angle_rad: float) -> Array:
    """Right-handed 3x3 rotation about a coordinate axis."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


def mesh(vertices: ArrayLike, loops: ArrayLike, sizes: ArrayLike) -> Mesh:
    """A mesh whose texture coordinates are its vertices."""
    vertices = np.asarray(vertices, float)
    return Mesh(
        vertices=vertices,
        loops=np.asarray(loops, np.int64),
        sizes=np.asarray(sizes, np.int64),
        rest=vertices.copy(),
    )


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of disconnected pieces, in the order given."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return Mesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        loops=np.concatenate([m.loops + start for m, start in zip(meshes, starts[:-1], strict=True)]),
        sizes=np.concatenate([m.sizes for m in meshes]),
        rest=np.concatenate([m.rest for m in meshes]),
    )


def loft(
    rows: Array,
    *,
    ring: bool = True,
    start_cap: bool = True,
    end_cap: bool = True,
    loop: bool = False,
) -> Mesh:
    """Skin over cross-sections `rows` (R, C, 3), each counter-clockwise seen against the direction of travel.

    `ring` closes every section on itself, `loop` joins the last section to the first. Caps are single
    polygons and belong to rings that do not loop.
    """
    rows = np.asarray(rows, float)
    r, c = rows.shape[:2]
    row, column = np.meshgrid(np.arange(r if loop else r - 1), np.arange(c if ring else c - 1), indexing="ij")
    row, column = row.ravel(), column.ravel()
    up, right = (row + 1) % r, (column + 1) % c
    loops = np.stack([row * c + column, row * c + right, up * c + right, up * c + column], 1).ravel()
    sizes = np.full(len(row), 4)
    if ring and not loop:
        if start_cap:
            loops, sizes = np.append(loops, np.arange(c)[::-1]), np.append(sizes, c)
        if end_cap:
            loops, sizes = np.append(loops, (r - 1) * c + np.arange(c)), np.append(sizes, c)
    return mesh(rows.reshape(-1, 3), loops, sizes)


def sheet(grid: Array, thickness: float = 0.0) -> Mesh:
    """A curved sheet through `grid` (R, C, 3); its front looks along column step x row step.

    With a thickness the front stays where it is, and a back and four edges are added behind it.
    """
    grid = np.asarray(grid, float)
    if thickness == 0:
        return loft(grid, ring=False)
    across, along = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    normal = np.cross(across, along)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    back = grid - thickness * normal
    # Each row becomes a flat ring: over the front from left to right and home along the back.
    rings = np.concatenate([grid, back[:, ::-1]], axis=1)
    return loft(rings[:, ::-1][::-1])


def signed_volume(part: Mesh) -> float:
    """Volume enclosed by a closed mesh; negative when its faces look inwards."""
    first, following = part.corners()
    a, b, c = (part.vertices[part.loops[index]] for index in (first, np.arange(len(part.loops)), following))
    # A fan from each face's first corner; where two of the three coincide the term is zero.
    return float((a * np.cross(b, c)).sum()) / 6
