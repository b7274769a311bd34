"""A room of the user's around the objects of a scene: where in it they stand, and how it is turned to the
camera.

Both are found by rays through the room alone: a place is an upward surface, or an empty called `place...`,
with room for all of the objects on it and walls around; the camera, which is that of the objects, sees them
from inside. The room is moved, turned and scaled to the objects, never the other way round. Needs bpy.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.blender.child.own_objects import OwnObjects
from pairbridge.datagen.blender.imported.evaluated_geometry import evaluated
from pairbridge.datagen.blender.imported.mesh_files import import_file
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import CameraPose, RoomSpec
from pairbridge.datagen.scene.surface_draws import METRES_A_UNIT

NAME = "room"
# Empties whose names begin so are where objects go.
_MARK = "place"
_DROPPED = frozenset({"CAMERA", "LIGHT_PROBE", "SPEAKER"})
# Places are looked for on a grid of so many steps along the longer side, and surfaces below each other.
_STEPS = 40
_MOST_BELOW = 6
# The cosine of what still counts as level.
_LEVEL = 0.97
_AROUND = [Vector((math.cos(angle), math.sin(angle), 0.0)) for angle in np.arange(8) * math.tau / 8]
_DOWN, _UP = Vector((0.0, 0.0, -1.0)), Vector((0.0, 0.0, 1.0))
# Of the eight directions, how many must meet a wall or a thing: fewer is outdoors, or on the roof.
_LEAST_WALLS = 5
# Places and turns that are tried until the camera sees the objects.
_MOST_PLACES = 24
_TURNS = 16


@dataclass(frozen=True, slots=True)
class UserRoom:
    """A room that is loaded. `places`, in its own units, are tried in order; `unit` of those are a world
    unit."""

    path: Path
    root: bpy.types.Object
    tree: BVHTree
    places: list[Vector]
    turn_rad: float
    unit: float
    own: OwnObjects | None

    def turn_to(self, pose: CameraPose, vertices: np.ndarray, size_WH: tuple[int, int]) -> dict[str, Any]:
        """Put the room around the objects (`vertices` (N, 3), world) so that the camera sees them from
        inside; says how, and which of its own objects can be removed (`own`, a name or None). Raises
        AssetError where no place and turn does."""
        camera = np.array(pose.camera_to_world)[:3, 3]
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        middle = (low + high) / 2
        top = [(x, y, 0.9 * high[2]) for x in (low[0], high[0]) for y in (low[1], high[1])]
        seen = [middle, *np.array(top)]
        for place in self.places:
            for number in range(_TURNS):
                turn = self.turn_rad + number * math.tau / _TURNS
                here, *targets = (self._inside(point, place, turn) for point in (camera, *seen))
                if self._is_indoors(here) and all(self._is_free(target, here) for target in targets):
                    self._put(place, turn)
                    told = {
                        "place": [round(part, 6) for part in place],
                        "turn_rad": turn,
                        "units_per_world_unit": self.unit,
                    }
                    if self.own is not None:
                        told["own"] = self.own.choose(self.root, self.tree, place, pose, size_WH)
                    return told
        raise _unusable(
            self.path, "no_view", f"from none of {len(self.places)} places is there a free view to the camera"
        )

    def _inside(self, point: np.ndarray, place: Vector, turn_rad: float) -> Vector:
        """A point of the world in the room's own coordinates."""
        cos, sin = math.cos(turn_rad), math.sin(turn_rad)
        x, y, z = (self.unit * float(part) for part in point)
        return place + Vector((cos * x + sin * y, -sin * x + cos * y, z))

    def _put(self, place: Vector, turn_rad: float) -> None:
        cos, sin = math.cos(turn_rad), math.sin(turn_rad)
        x, y, z = place / self.unit
        self.root.scale = (1 / self.unit,) * 3
        self.root.rotation_euler = (0.0, 0.0, turn_rad)
        self.root.location = (-cos * x + sin * y, -sin * x - cos * y, -z)
        bpy.context.view_layer.update()

    def _is_free(self, target: Vector, camera: Vector) -> bool:
        way = camera - target
        # Beyond the camera as well: with its eye on a wall it would see through it.
        return self.tree.ray_cast(target, way.normalized(), 1.05 * way.length)[0] is None

    def _is_indoors(self, point: Vector) -> bool:
        return _walls(self.tree, point) >= _LEAST_WALLS

    def show_to_camera(self, shown: bool) -> None:
        """Whether the camera sees the room; its light and shadows stay."""
        for item in self.root.children_recursive:
            item.visible_camera = shown


def build_room(
    room: RoomSpec, vertices: np.ndarray, metres_per_unit: float | None, number: int, rules: ObjectRules
) -> UserRoom:
    """Add the room to a scene of `number` objects that have these `vertices` (N, 3). Raises AssetError for a
    file that is broken, and for one without a place that is large enough."""
    before = set(bpy.data.objects)
    metres = import_file(room.path, rules, {}, None) or 1.0
    added = _kept(before, lights=room.lights)
    unit = (metres_per_unit or METRES_A_UNIT) / metres
    corners, triangles, _, _ = evaluated(added)
    if not 0 < len(triangles) <= rules.max_faces:
        why = f"it has {len(triangles)} triangles, and object_rules.max_faces is {rules.max_faces}"
        raise _unusable(room.path, "too_many_faces" if len(triangles) else "no_geometry", why)
    tree = BVHTree.FromPolygons(corners.tolist(), triangles.tolist(), all_triangles=True)
    marks = [
        item.matrix_world.translation.copy()
        for item in sorted(added, key=lambda item: item.name)
        if item.type == "EMPTY" and item.name.lower().startswith(_MARK)
    ]
    reach = unit * float(np.hypot(vertices[:, 0], vertices[:, 1]).max())
    height = unit * float(vertices[:, 2].max())
    draw = np.random.default_rng(room.seed)
    places = _places(tree, corners, marks, reach, height, draw)
    if not places:
        need = f"{2 * reach * metres:.2f} m across and {height * metres:.2f} m high"
        where = "its empties" if marks else "its upward surfaces"
        raise _unusable(room.path, "no_place", f"{where} leave no free place {need} between walls")
    root = _root(added, unit)
    turn_rad = float(draw.uniform(0, math.tau))
    own = OwnObjects.of(added, unit * np.ptp(vertices, axis=0).max(), number, draw) if room.own else None
    return UserRoom(room.path, root, tree, places, turn_rad, unit, own)


def _kept(before: set[bpy.types.Object], *, lights: bool) -> list[bpy.types.Object]:
    kept = []
    for item in [item for item in bpy.data.objects if item not in before]:
        if item.type in _DROPPED or (item.type == "LIGHT" and not lights):
            bpy.data.objects.remove(item)
        else:
            item.animation_data_clear()
            kept.append(item)
    return kept


def _places(
    tree: BVHTree,
    corners: np.ndarray,
    marks: list[Vector],
    reach: float,
    height: float,
    draw: np.random.Generator,
) -> list[Vector]:
    """Free places for a cylinder of radius `reach`, in an order of chance in which levels of few places, as
    tables, come before their share."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    top, skin = float(high[2]) + 1.0, 1e-4 * float((high - low).max())
    if marks:
        starts = [mark + _UP * (0.05 * height + skin) for mark in marks]
        found = [hit for start in starts if (hit := tree.ray_cast(start, _DOWN)[0]) is not None]
    else:
        step = float((high - low)[:2].max()) / _STEPS
        grid = [
            (float(x), float(y))
            for x in np.arange(low[0] + step / 2, high[0], step)
            for y in np.arange(low[1] + step / 2, high[1], step)
        ]
        found = [hit for x, y in grid for hit in _levels(tree, Vector((x, y, top)), skin)]
    free = [place for place in found if _is_place(tree, place, reach, height, skin)]
    if not free:
        return []
    level = [round(place.z / (50 * skin)) for place in free]
    weights = np.array([level.count(one) ** -0.5 for one in level])
    order = draw.choice(
        len(free), size=min(_MOST_PLACES, len(free)), replace=False, p=weights / weights.sum()
    )
    return [free[index] for index in order]


def _levels(tree: BVHTree, start: Vector, skin: float) -> list[Vector]:
    """The level surfaces below a point, the highest first."""
    levels = []
    for _ in range(_MOST_BELOW):
        hit, normal, _, _ = tree.ray_cast(start, _DOWN)
        if hit is None:
            break
        # Rooms are seen from inside: which side of a face is its front says little.
        if abs(normal.z) >= _LEVEL:
            levels.append(hit)
        start = hit + _DOWN * skin
    return levels


def _is_place(tree: BVHTree, place: Vector, reach: float, height: float, skin: float) -> bool:
    foot = place + _UP * max(skin, 0.02 * height)
    if tree.ray_cast(foot, _UP, height)[0] is not None:
        return False
    for part in (0.05, 0.5, 1.0):
        at = place + _UP * max(skin, part * height)
        if any(tree.ray_cast(at, way, reach)[0] is not None for way in _AROUND):
            return False
    for way in _AROUND:
        edge = foot + way * reach
        below = tree.ray_cast(edge, _DOWN, 2 * (foot.z - place.z) + 2 * skin)[0]
        if below is None or tree.ray_cast(edge, _UP, height)[0] is not None:
            return False
    return _walls(tree, place + _UP * 0.5 * height) >= _LEAST_WALLS


def _walls(tree: BVHTree, point: Vector) -> int:
    return sum(tree.ray_cast(point, way)[0] is not None for way in _AROUND)


def _root(items: list[bpy.types.Object], unit: float) -> bpy.types.Object:
    """One empty over the whole room; its lights keep what they make in the room when it is scaled."""
    root = bpy.data.objects.new(NAME, None)
    bpy.context.scene.collection.objects.link(root)
    for item in items:
        if item.parent is None:
            item.parent = root
    for light in {item.data for item in items if item.type == "LIGHT"}:
        if light.type != "SUN":
            light.energy /= unit**2
        if light.type in ("POINT", "SPOT"):
            light.shadow_soft_size /= unit
    return root


def _unusable(path: Path, fault: str, why: str) -> AssetError:
    return AssetError(
        f"room {path.name} cannot be used: {why}",
        remedy="give it empties called `place` where there is space, make it larger, or leave it out",
        fault=fault,
    )
