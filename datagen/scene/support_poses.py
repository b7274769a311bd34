"""How a rigid object can rest on level ground: convex hull, centre of mass, stable poses. Pure NumPy.

A pose is a facet of the hull that lies on the ground. It is stable where the centre of mass is above it,
inside its outline. How likely an object comes to rest on a facet is estimated as for a die that is dropped
slowly: the facet's solid angle seen from the centre of mass, and that of every facet from which it rolls
there (Goldberg et al., Part pose statistics, 1999).

Objects count as thin shells of equal weight, so their centre of mass is that of their surface: it exists for
open meshes, as most are, and is that of the solid for every shape with a centre of symmetry.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# Vertices beyond this many are thinned to the farthest along that many directions. What is cut off is at most
# 1 - cos(0.16), 1.3 % of the radius; the facets that an object can rest on are then made exact.
MOST_POINTS = 200
# Facets of the hull whose normals are closer than this are one.
_SAME_FACET_RAD = math.radians(0.5)
# An object that leans this little over is about to fall: it does not count as standing upright.
LEAST_TIP_RAD = math.radians(1.5)
# Of the radius: how far beside its plane a facet's support may be.
_FLAT = 1e-4
# Of the radius: moves points apart that lie in one plane, which a hull could not tell from each other.
_JOGGLE = 1e-7


@dataclass(frozen=True, slots=True)
class RestPose:
    """A facet of the hull on which an object rests: `down` (3,) is its outward normal, `share` how often it
    is the one, `tip_rad` how far the object can be tilted before it falls over.
    """

    down: np.ndarray
    share: float
    tip_rad: float

    @property
    def turn(self) -> np.ndarray:
        """(3, 3) the smallest rotation that turns `down` to -z."""
        return turn_between(self.down, np.array([0.0, 0.0, -1.0]))

    @property
    def angle_rad(self) -> float:
        """Of that rotation."""
        return math.acos(float(np.clip(-self.down[2], -1, 1)))


def centre_of_mass(triangles: np.ndarray) -> np.ndarray:
    """Of a surface of equal weight everywhere: (3,) of triangles (M, 3, 3)."""
    areas = np.linalg.norm(_cross_of(triangles), axis=1)
    if not areas.sum() > 0:
        return triangles.reshape(-1, 3).mean(axis=0)
    return (areas[:, None] * triangles.mean(axis=1)).sum(axis=0) / areas.sum()


def stable_poses(vertices: np.ndarray, mass: np.ndarray) -> list[RestPose]:
    """The poses in which vertices (N, 3) with their centre of mass at `mass` can rest, the likeliest first;
    none for a shape without volume.
    """
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=1).max())
    if not radius > 0:
        return []
    shape, centre = (vertices - middle) / radius, (mass - middle) / radius
    points = _thinned(shape)
    hull = _Hull.of(points)
    if hull is None:
        return []
    for _ in range(3):
        poses = _poses(points, hull.faces, centre)
        # The thinned hull may lie inside the true one: what reaches beyond a support joins it.
        missed = [
            shape[farthest]
            for pose, offset in poses
            if shape[farthest := int((shape @ pose.down).argmax())] @ pose.down > offset + _FLAT
        ]
        if not missed:
            break
        points = np.concatenate([points, missed])
        hull.add(np.array(missed))
    return sorted((pose for pose, _ in poses), key=lambda pose: -pose.share)


def turn_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3) the smallest rotation that takes one unit vector to another."""
    axis, cos = np.cross(start, end), float(start @ end)
    if cos < -1 + 1e-12:
        other = np.array([1.0, 0.0, 0.0]) if abs(start[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
        axis = np.cross(start, other)
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cos)


def _thinned(points: np.ndarray) -> np.ndarray:
    if len(points) <= MOST_POINTS:
        return points
    # Points that are about equally far from each other on the sphere, along a spiral.
    height = 1 - (2 * np.arange(MOST_POINTS) + 1) / MOST_POINTS
    around = math.pi * (1 + math.sqrt(5)) * np.arange(MOST_POINTS)
    across = np.sqrt(1 - height**2)
    directions = np.stack([across * np.cos(around), across * np.sin(around), height], axis=1)
    best, farthest = np.full(MOST_POINTS, -np.inf), np.zeros(MOST_POINTS, int)
    # In pieces: two million vertices along 600 directions would not fit.
    for start in range(0, len(points), 16384):
        reach = directions @ points[start : start + 16384].T
        index = reach.argmax(axis=1)
        found = reach[np.arange(MOST_POINTS), index]
        better = found > best
        best[better], farthest[better] = found[better], index[better] + start
    return points[np.unique(farthest)]


class _Hull:
    """The convex hull of points of radius about 1, to which more can be added: faces (F, 3), outward."""

    @classmethod
    def of(cls, points: np.ndarray) -> "_Hull | None":
        """None for points in one plane."""
        hull = cls(points)
        first = _first_four(hull._points)
        if first is None:
            return None
        a, b, c, d = first
        hull._inside = hull._points[first].mean(axis=0)
        hull.faces = np.array([[a, b, c], [a, c, d], [a, d, b], [b, d, c]])
        hull._normals, hull._offsets = hull._outward(hull.faces)
        hull._grow(number for number in range(len(points)) if number not in first)
        return hull

    def __init__(self, points: np.ndarray) -> None:
        self._draw = np.random.default_rng(0)
        self._points = self._joggled(points)

    def add(self, points: np.ndarray) -> None:
        before = len(self._points)
        self._points = np.concatenate([self._points, self._joggled(points)])
        self._grow(range(before, len(self._points)))

    def _joggled(self, points: np.ndarray) -> np.ndarray:
        return points + self._draw.uniform(-_JOGGLE, _JOGGLE, points.shape)

    def _grow(self, numbers: Iterable[int]) -> None:
        """Each point takes the place of the faces that it sees."""
        for number in numbers:
            visible = self._normals @ self._points[number] > self._offsets + 1e-12
            if not visible.any():
                continue
            # Two faces run along their edge in opposite directions: the rim is what no second one runs back.
            seen = self.faces[visible].tolist()
            edges = dict.fromkeys(edge for a, b, c in seen for edge in ((a, b), (b, c), (c, a)))
            new = np.array([(a, b, number) for a, b in edges if (b, a) not in edges])
            normals, offsets = self._outward(new)
            self.faces = np.concatenate([self.faces[~visible], new])
            self._normals = np.concatenate([self._normals[~visible], normals])
            self._offsets = np.concatenate([self._offsets[~visible], offsets])

    def _outward(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals (F, 3) that point away from the inside, and their offsets (F,); turns `faces` so."""
        normals = _cross_of(self._points[faces])
        normals /= np.maximum(np.sqrt((normals * normals).sum(axis=1)), 1e-300)[:, None]
        offsets = np.einsum("fi,fi->f", normals, self._points[faces[:, 0]])
        wrong = normals @ self._inside > offsets
        normals[wrong], offsets[wrong] = -normals[wrong], -offsets[wrong]
        faces[wrong] = faces[wrong][:, ::-1]
        return normals, offsets


def _first_four(points: np.ndarray) -> list[int] | None:
    """Indices of four points that span a volume."""
    a = int(points[:, 0].argmin())
    b = int(np.linalg.norm(points - points[a], axis=1).argmax())
    line = (points[b] - points[a]) / np.linalg.norm(points[b] - points[a])
    away = np.linalg.norm(np.cross(points - points[a], line), axis=1)
    c = int(away.argmax())
    normal = np.cross(line, points[c] - points[a])
    if not away[c] > 1e-5:
        return None
    height = np.abs((points - points[a]) @ normal) / np.linalg.norm(normal)
    d = int(height.argmax())
    return [a, b, c, d] if height[d] > 1e-5 else None


def _cross_of(triangles: np.ndarray) -> np.ndarray:
    # Written out, for np.cross takes longer to set out than a few triangles take.
    (ax, ay, az), (bx, by, bz) = ((triangles[:, corner] - triangles[:, 0]).T for corner in (1, 2))
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _poses(points: np.ndarray, faces: np.ndarray, mass: np.ndarray) -> list[tuple[RestPose, float]]:
    """The stable facets of a hull, and how far each is from the origin along its normal."""
    corners = points[faces]
    crosses = _cross_of(corners)
    areas = np.linalg.norm(crosses, axis=1)
    group, normals = _facets(crosses, areas)
    angles = np.bincount(group, _solid_angles(corners - mass), len(normals))
    # Every edge of the hull lies between two faces; those between two facets are outlines.
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = np.tile(group, 3)
    codes = np.sort(edges, axis=1) @ np.array([len(points), 1])
    order = np.argsort(codes, kind="stable")
    left, right = order[0::2], order[1::2]
    outline = owner[left] != owner[right]
    left, right = left[outline], right[outline]
    here, there = np.concatenate([left, right]), np.concatenate([right, left])
    starts, ends = points[edges[here, 0]], points[edges[here, 1]]
    inward = np.cross(normals[owner[here]], ends - starts)
    lengths = np.linalg.norm(inward, axis=1)
    margin = np.einsum("ei,ei->e", inward, mass - starts) / np.maximum(lengths, 1e-300)
    least, across = np.full(len(normals), np.inf), np.zeros(len(normals), int)
    for edge in np.argsort(margin, kind="stable")[::-1]:
        # Ascending in the end: the last that is written is the most violated edge of its facet.
        least[owner[here[edge]]], across[owner[here[edge]]] = margin[edge], owner[there[edge]]
    shares = np.zeros(len(normals))
    heights = np.full(len(normals), -np.inf)
    np.maximum.at(heights, group, np.einsum("fki,fi->fk", corners, normals[group]).max(axis=1))
    for facet, angle in enumerate(angles):
        at = facet
        # A roll lowers the centre of mass, so that it ends; rounding could make two facets roll to each
        # other.
        for _ in range(len(normals)):
            if least[at] >= 0:
                break
            at = across[at]
        shares[at] += angle / (4 * math.pi)
    return [
        (
            RestPose(
                down=normals[facet],
                share=float(shares[facet]),
                tip_rad=math.atan2(least[facet], heights[facet] - mass @ normals[facet]),
            ),
            float(heights[facet]),
        )
        for facet in np.flatnonzero(least >= 0)
    ]


def _facets(crosses: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each face the number of its facet (F,), and the unit normals of the facets."""
    units = crosses / np.maximum(areas, 1e-300)[:, None]
    group, normals = np.full(len(areas), -1), []
    for face in np.argsort(-areas, kind="stable"):
        if group[face] >= 0:
            continue
        same = (group < 0) & (units @ units[face] > math.cos(_SAME_FACET_RAD))
        same[face] = True
        group[same] = len(normals)
        total = crosses[same].sum(axis=0)
        normals.append(total / max(np.linalg.norm(total), 1e-300))
    return group, np.array(normals)


def _solid_angles(corners: np.ndarray) -> np.ndarray:
    """Of triangles (F, 3, 3) seen from the origin (Van Oosterom and Strackee, 1983)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("fi,fi->f", p, q) for p, q in ((a, b), (b, c), (c, a)))
    below = la * lb * lc + ab * lc + bc * la + ca * lb
    return 2 * np.arctan2(np.abs(volume), below)
