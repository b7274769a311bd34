"""Where objects of real sizes come to rest on the ground and on each other: geometry alone, no forces.

Each object takes a stable pose and joins those that are there: apart from them, touching one, on top of one
or leaning against one, as the plan says. Whatever moves goes along a line to the first contact of the
surfaces themselves (`first_contact`), so that nothing intersects and what touches touches to rounding. Where
there is no such place (no flat top, no balance), an object touches instead; what came of it is returned. Pure
NumPy, and a function of its arguments to the bit on one machine.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pairbridge.datagen.scene.first_contact import first_contact
from pairbridge.datagen.scene.specs import PlacedObject, Relation
from pairbridge.datagen.scene.support_poses import (
    LEAST_TIP_RAD,
    RestPose,
    centre_of_mass,
    stable_poses,
    turn_between,
)

# An object that does not stand by itself is turned by up to this to a pose in which it does; beyond, it lies.
RIGHTED_RAD, NEARLY_RAD = math.radians(30), math.radians(10)
# Cells across an upper object's footprint in which a place for it is looked for.
_CELLS = 40
# Places that are tried on top of another object, at most so many along each side: the next number where
# the one before has none.
_PLACES = (9, 18, 36)
# Of an upper object's width: what counts as one level under it. Of how far its support on level ground
# reaches from its balance in each direction: how much must be held. Together they tell a table from a ball:
# of one as wide as the object, the level part is 0.3 of its radius.
_LEVEL, _HELD = 0.012, 0.45
# Of its longest extent: what is lower lies flat, and is put up to lean.
_FLAT = 0.3
# Further tilts that a leaning object tries, and the largest.
_TILT_STEP_RAD, _MOST_TILT_RAD = math.radians(4), math.radians(36)
# Least height of what an object leans on, in heights of its own centre of mass.
_LEAN_ON = 0.5
# How far behind all others what leans on a wall ends, in world units.
_BEHIND = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Vertices (N, 3) and triangles (M, 3) of their indices."""

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """One object at rest: `turn` (3, 3), `scale` and `position` take its own coordinates to the world's.

    `pose` is "as filed", "upright", "lying" or "leaning" and `relation` what it is to object `of`; `gap` is
    how far it is from it along the line that it came, in world units. What leans on a wall has a `wall_rad`
    and no `of`: of all objects it reaches farthest in that direction.
    """

    turn: np.ndarray
    scale: float
    position: np.ndarray
    pose: str
    relation: Relation | None = None
    of: int | None = None
    gap: float | None = None
    wall_rad: float | None = None

    def world(self, own: np.ndarray) -> np.ndarray:
        """Points (..., 3) in world coordinates."""
        return self.scale * own @ self.turn.T + self.position


@dataclass(slots=True, eq=False)
class _Body:
    """An object while it is placed: vertices (N, 3), of which `faces` (M, 3) are indices, and centre of mass
    where it is now."""

    vertices: np.ndarray
    faces: np.ndarray
    mass: np.ndarray
    turn: np.ndarray
    scale: float
    position: np.ndarray
    pose: str
    poses: list[RestPose] = field(default_factory=list)
    relation: Relation | None = None
    of: int | None = None
    gap: float | None = None
    wall_rad: float | None = None

    def move(self, by: np.ndarray) -> None:
        self.vertices = self.vertices + by
        self.mass = self.mass + by
        self.position = self.position + by

    def rotate(self, turn: np.ndarray) -> None:
        """About the world's origin."""
        self.vertices = self.vertices @ turn.T
        self.mass, self.position, self.turn = turn @ self.mass, turn @ self.position, turn @ self.turn

    def drop(self) -> None:
        """Onto the ground z = 0."""
        self.move(np.array([0.0, 0.0, -self.low[2]]))

    @property
    def triangles(self) -> np.ndarray:
        return self.vertices[self.faces]

    @property
    def low(self) -> np.ndarray:
        return self.vertices.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        return self.vertices.max(axis=0)

    @property
    def middle(self) -> np.ndarray:
        return (self.low + self.high) / 2


def settle(
    objects: Sequence[PlacedObject], surfaces: Sequence[Surface], scales: Sequence[float], unit_m: float
) -> list[Settled]:
    """Where `objects` rest. Their surfaces are in coordinates of their own, made `scales`
    times as large; `unit_m` is the length of a world unit in metres. The group is centred on the origin: on
    the ground if the first is standing, else with its middle there.
    """
    # What leans on a wall comes last, since the wall is behind all.
    order = sorted(range(len(objects)), key=lambda number: objects[number].wall_rad is not None)
    placed_at = {number: at for at, number in enumerate(order)}
    bodies: list[_Body] = []
    for number in order:
        placed, surface, scale = objects[number], surfaces[number], scales[number]
        of = placed.of
        # What was to stand beside it stands beside its neighbour.
        while placed.wall_rad is None and objects[of].wall_rad is not None:
            of = objects[of].of
        body = _posed(placed, surface, scale)
        if bodies:
            _join(body, replace(placed, of=placed_at[of]), bodies, unit_m)
        bodies.append(body)
    for body in bodies:
        body.of = None if body.of is None else order[body.of]
    bodies = [bodies[placed_at[number]] for number in range(len(objects))]
    low = np.min([body.low for body in bodies], axis=0)
    high = np.max([body.high for body in bodies], axis=0)
    shift = -(low + high) / 2
    if objects[0].standing:
        shift[2] = 0.0
    return [
        Settled(
            turn=body.turn,
            scale=body.scale,
            position=body.position + shift,
            pose=body.pose,
            relation=body.relation,
            of=body.of,
            gap=body.gap,
            wall_rad=body.wall_rad,
        )
        for body in bodies
    ]


def _posed(placed: PlacedObject, surface: Surface, scale: float) -> _Body:
    """On the ground in its pose, turned by its yaw, its middle above the origin."""
    mass = centre_of_mass(surface.vertices[surface.faces])
    poses = stable_poses(surface.vertices, mass) if placed.pose != "filed" else []
    turn, name = _pose(placed, poses)
    cos, sin = math.cos(placed.yaw_rad), math.sin(placed.yaw_rad)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ turn
    body = _Body(
        vertices=scale * surface.vertices @ turn.T,
        faces=surface.faces,
        mass=scale * turn @ mass,
        turn=turn,
        scale=scale,
        position=np.zeros(3),
        pose=name,
        poses=poses,
    )
    body.move(-body.middle)
    body.drop()
    return body


def _pose(placed: PlacedObject, poses: list[RestPose]) -> tuple[np.ndarray, str]:
    """The turn (3, 3) of the pose that is asked for, and its name."""
    if not poses:
        return np.eye(3), "as filed"
    if placed.pose == "stable":
        ends = np.cumsum([pose.share for pose in poses])
        chosen = poses[min(int(np.searchsorted(ends, placed.pose_u * ends[-1], "right")), len(poses) - 1)]
    else:
        steady = [pose for pose in poses if pose.tip_rad >= LEAST_TIP_RAD] or poses
        near = [pose for pose in steady if pose.angle_rad <= RIGHTED_RAD]
        # What stands but for a little stands: two feet of a clock, the bottom of a round vase.
        near = near or [pose for pose in poses if pose.angle_rad <= NEARLY_RAD]
        if not near and (placed.never_lies or placed.relation == "leaning"):
            return np.eye(3), "as filed"
        chosen = min(near or steady, key=lambda pose: pose.angle_rad)
    return chosen.turn, "upright" if chosen.angle_rad <= RIGHTED_RAD else "lying"


def _join(body: _Body, placed: PlacedObject, there: list[_Body], unit_m: float) -> None:
    """Put an object beside, on or against those that are there."""
    body.of = placed.of
    match placed.relation:
        case "stacked" if _stack(body, placed, there):
            body.relation = "stacked"
        case "leaning" if _lean_on_wall(body, placed, there, unit_m) or _lean(body, placed, there):
            body.relation = "leaning"
        case "apart":
            body.relation = "apart"
            _approach(body, placed, there, placed.gap_m / unit_m)
        case _:
            body.relation = "touching"
            _approach(body, placed, there, None)


def _before(body: _Body, placed: PlacedObject, there: list[_Body]) -> np.ndarray:
    """Move a body to the side of its neighbour, clear of everything; the direction (3,) to the neighbour."""
    away = np.array([math.cos(placed.bearing_rad), math.sin(placed.bearing_rad), 0.0])
    middle = there[placed.of].middle
    reach = max(float((other.vertices @ away).max()) for other in there) - float(middle @ away)
    behind = float((body.vertices @ away).min()) - float(body.middle @ away)
    by = middle + (reach - behind + 0.1) * away - body.middle
    body.move(np.array([by[0], by[1], 0.0]))
    return -away


def _approach(body: _Body, placed: PlacedObject, there: list[_Body], gap: float | None) -> None:
    """Move a body towards its neighbour: up to `gap` from the footprints of all, or, without one, until the
    surfaces touch.
    """
    towards = _before(body, placed, there)
    footprints = min(_footprint_gap(body, other, towards) for other in there)
    if gap is not None:
        body.gap = gap
        body.move((footprints - gap) * towards)
        return
    # Between the legs of a chair an object may go on and touch nothing: it stays before the middle then.
    most = float((there[placed.of].middle - body.middle) @ towards)
    distance, _, touched = _contact(body, there, towards)
    if distance <= most:
        body.of, body.gap = touched, 0.0
        body.move(distance * towards)
    else:
        body.relation, body.gap = "apart", 0.0
        body.move(footprints * towards)


def _contact(
    body: _Body, there: list[_Body], direction: np.ndarray
) -> tuple[float, np.ndarray, int] | tuple[float, None, int]:
    """How far a body goes until it touches another, where, and which."""
    best: tuple[float, np.ndarray, int] | tuple[float, None, int] = (math.inf, None, -1)
    for number, other in enumerate(there):
        found = first_contact(body.triangles, other.triangles, direction)
        if found is not None and found[0] < best[0]:
            best = (*found, number)
    return best


def _footprint_gap(body: _Body, other: _Body, towards: np.ndarray) -> float:
    """How far a body goes until the convex outlines of the two, seen from above, touch; infinite if never."""
    aside = np.array([-towards[1], towards[0]])
    front = _profile(body, aside, towards[:2])
    back = _profile(other, aside, -towards[:2])
    low, high = max(front[0][0], back[0][0]), min(front[0][-1], back[0][-1])
    if low > high:
        return math.inf
    # Of two convex outlines the least gap is at a corner of one of them.
    places = np.concatenate([[low, high], front[0], back[0]])
    places = places[(places >= low) & (places <= high)]
    return float((-np.interp(places, *back) - np.interp(places, *front)).min())


def _profile(body: _Body, aside: np.ndarray, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The foremost outline of the convex hull of a footprint: places along `aside`, ascending, and how far it
    reaches `towards` there.
    """
    flat = body.vertices[:, :2] @ np.stack([aside, towards], axis=1)
    # What lies inside the polygon of the farthest points in many directions is no corner of the hull.
    around = np.linspace(0, math.tau, 64, endpoint=False)
    ring = flat[(flat @ np.stack([np.cos(around), np.sin(around)])).argmax(axis=0)]
    sides = np.roll(ring, -1, axis=0) - ring
    outside = np.zeros(len(flat), bool)
    # One point may be the farthest in several directions: a side without length would have all points
    # outside.
    for corner, side in zip(ring[sides.any(axis=1)], sides[sides.any(axis=1)], strict=True):
        outside |= (flat[:, 0] - corner[0]) * side[1] - (flat[:, 1] - corner[1]) * side[0] >= 0
    kept: list[tuple[float, float]] = []
    for point in map(tuple, np.unique(flat[outside], axis=0).tolist()):
        while len(kept) > 1 and _turns_left(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return np.array([place for place, _ in kept]), np.array([reach for _, reach in kept])


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def _stack(body: _Body, placed: PlacedObject, there: list[_Body]) -> bool:
    """Put a body on top of its neighbour where it is level and the body keeps its balance."""
    lower = there[placed.of]
    width = float((body.high - body.low)[:2].max())
    cell = width / _CELLS
    under = _height_map(-1.0, body, cell)
    top = _height_map(1.0, lower, cell)
    balance = (body.mass[:2] - body.low[:2]) / cell
    ceiling = max(float(other.high[2]) for other in there)
    places = next(
        (
            found
            for most in _PLACES
            if (found := list(_level_places(top, under, balance, _LEVEL * width, most)))
        ),
        [],
    )
    # In an order that a small change of the shape does not move: by place, not by how good they are.
    while places:
        row, column = places.pop(int(placed.place_u * len(places)) % len(places))
        start = lower.low[:2] + cell * np.array([column, row])
        by = np.array([*(start - body.low[:2]), ceiling - body.low[2] + 0.1])
        body.move(by)
        distance, _, touched = _contact(body, there, np.array([0.0, 0.0, -1.0]))
        if touched == placed.of:
            body.move(np.array([0.0, 0.0, -distance]))
            body.gap = 0.0
            return True
        body.move(-by)
    return False


def _level_places(
    top: np.ndarray, under: np.ndarray, balance: np.ndarray, level: float, most: int
) -> Iterator[tuple[int, int]]:
    """Rows and columns of `top` at which `under` (its heights negated) rests level and keeps its balance, of
    at most `most` along each side."""
    rows, columns = under.shape
    padded = np.full((top.shape[0] + 2 * rows, top.shape[1] + 2 * columns), -np.inf)
    padded[rows : rows + top.shape[0], columns : columns + top.shape[1]] = top
    steps = [max(1, -(-(side + half) // most)) for side, half in zip(top.shape, under.shape, strict=True)]
    around = np.linspace(0, math.tau, 16, endpoint=False)
    directions = np.stack([np.cos(around), np.sin(around)], axis=1)

    def reach(height: np.ndarray) -> np.ndarray:
        """How far the support goes from the balance in each direction."""
        held = np.argwhere(height >= height.max() - level)[:, ::-1] + 0.5
        return ((held - balance) @ directions.T).max(axis=0)

    # At least half a cell: what does not stand on the ground stands on nothing.
    least = np.maximum(_HELD * reach(under), 0.5)
    for row in range(-rows // 2, top.shape[0] - rows // 2, steps[0]):
        for column in range(-columns // 2, top.shape[1] - columns // 2, steps[1]):
            beneath = padded[row + rows : row + 2 * rows, column + columns : column + 2 * columns]
            height = beneath + under
            if np.isfinite(height).any() and (reach(height) >= least).all():
                yield row, column


def _height_map(sign: float, body: _Body, cell: float) -> np.ndarray:
    """The largest of `sign` times z of a body over each cell of its bounding box (rows along y), -inf where
    nothing is. Triangles larger than a cell are sampled in between.
    """
    low = body.low[:2]
    shape = np.maximum(np.ceil((body.high[:2] - low) / cell).astype(int), 1)
    found = np.full((shape[1], shape[0]), -np.inf)
    triangles = body.triangles
    heights, flat = sign * triangles[..., 2], (triangles[..., :2] - low) / cell
    spans = np.ptp(flat, axis=1).max(axis=1)
    steps = np.minimum(2 ** np.ceil(np.log2(np.maximum(2 * spans, 1))).astype(int), 512)
    for step in np.unique(steps):
        chosen = np.flatnonzero(steps == step)
        i, j = (part.ravel() for part in np.meshgrid(np.arange(step + 1), np.arange(step + 1)))
        weights = np.stack([step - i - j, i, j], axis=1)[i + j <= step] / step
        for start in range(0, len(chosen), max(1, 2_000_000 // len(weights))):
            some = chosen[start : start + max(1, 2_000_000 // len(weights))]
            place = np.clip((weights @ flat[some]).astype(int), 0, shape - 1)
            np.maximum.at(found, (place[..., 1], place[..., 0]), heights[some] @ weights.T)
    return found


def _lean(body: _Body, placed: PlacedObject, there: list[_Body]) -> bool:
    """Tilt a body towards its neighbour until it would fall that way, and let it be held."""
    away = np.array([math.cos(placed.bearing_rad), math.sin(placed.bearing_rad), 0.0])
    for _ in _tilted(body, placed, away):
        towards = _before(body, placed, there)
        distance, point, touched = _contact(body, there, towards)
        if point is None or touched != placed.of or not _falls(body, towards):
            continue
        held = float((point - distance * towards) @ towards)
        if held > float(body.mass @ towards) and point[2] >= _LEAN_ON * body.mass[2]:
            body.move(distance * towards)
            body.of, body.gap, body.pose = touched, 0.0, "leaning"
            return True
    if body.poses and not placed.never_lies:
        _lie_down(body)
    return False


def _lean_on_wall(body: _Body, placed: PlacedObject, there: list[_Body], unit_m: float) -> bool:
    """Tilt a body, if it has a wall, until it would fall towards that. It stands behind all others, beside
    their middle by chance, and reaches farther than they do: the wall is where it ends.
    """
    if placed.wall_rad is None:
        return False
    towards = np.array([math.cos(placed.wall_rad), math.sin(placed.wall_rad), 0.0])
    aside = np.array([-towards[1], towards[0], 0.0])
    for _ in _tilted(body, placed, -towards):
        ends = body.vertices @ towards
        if not _falls(body, towards) or body.vertices[ends.argmax(), 2] < _LEAN_ON * body.mass[2]:
            continue
        others = np.concatenate([other.vertices for other in there])
        low, high = float((others @ aside).min()), float((others @ aside).max())
        reach = float((others @ towards).max())
        beside = (low + high) / 2 + math.sin(placed.bearing_rad) * (high - low) / 2
        body.move((beside - float(body.middle @ aside)) * aside + (reach - float(ends.min()) + 0.1) * towards)
        free = min(_footprint_gap(body, other, -towards) for other in there) - placed.gap_m / unit_m
        beyond = float((body.vertices @ towards).max()) - reach - _BEHIND
        body.move(-min(free, beyond) * towards)
        body.of, body.gap, body.pose, body.wall_rad = None, 0.0, "leaning", placed.wall_rad
        return True
    return False


def _tilted(body: _Body, placed: PlacedObject, away: np.ndarray) -> Iterator[None]:
    """Turn a body's flat side to what it leans on and tilt it there, `away` from which it stands, farther
    each time; it stands again when no tilt is left."""
    _put_up(body)
    flat = body.vertices[:, :2] - body.mass[:2]
    _, axes = np.linalg.eigh(flat.T @ flat)
    thin = np.array([*axes[:, 0], 0.0])
    if thin @ away < 0:
        thin = -thin
    body.rotate(turn_between(thin, away))
    start = (body.vertices, body.mass, body.turn, body.position)
    tilt = placed.tilt_rad
    while tilt <= _MOST_TILT_RAD:
        body.rotate(_about(np.cross([0.0, 0.0, 1.0], -away), tilt))
        body.drop()
        yield
        body.vertices, body.mass, body.turn, body.position = start
        tilt += _TILT_STEP_RAD
    body.drop()


def _put_up(body: _Body) -> None:
    """What lies flat, as a tool or a book of a file may, is put on its heavier end."""
    points = body.vertices - body.mass
    longest = np.linalg.eigh(points.T @ points)[1][:, 2]
    along = points @ longest
    if float(body.high[2]) >= _FLAT * float(np.ptp(along)):
        return
    down = longest if along.max() < -along.min() else -longest
    body.rotate(turn_between(down, np.array([0.0, 0.0, -1.0])))
    body.drop()


def _falls(body: _Body, towards: np.ndarray) -> bool:
    """Whether a body on the ground falls over in this direction, left alone."""
    foot = body.vertices[body.vertices[:, 2] < 1e-3 * body.high[2]]
    return float(body.mass @ towards) > float((foot @ towards).max())


def _lie_down(body: _Body) -> None:
    """What could only have leaned takes its likeliest pose."""
    # Its poses are in its own coordinates, which `turn` has taken to the world's.
    down = body.turn @ body.poses[0].down
    body.rotate(turn_between(down, np.array([0.0, 0.0, -1.0])))
    body.drop()
    body.pose = "lying"


def _about(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle_rad) * skew + (1 - math.cos(angle_rad)) * skew @ skew
