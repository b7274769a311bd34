"""Which of a room's own objects a scene can do without: one becomes an object of the scene like the others,
hidden and counted by its number. Needs bpy."""

import itertools
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from pairbridge.datagen.blender.child.scene_builder import HIDDEN_IN_FILE, NUMBER
from pairbridge.datagen.blender.imported.evaluated_geometry import evaluated
from pairbridge.datagen.scene.specs import OBJECT_NAME, CameraPose

# Meshes whose names begin so are removed rather than others.
_MARK = "removable"
# Others are things, not furniture or walls, by their size beside the scene's objects.
_SIZES = (0.2, 2.5)
# Of the frame's sides: how far inside all of a thing must be.
_INSIDE = 0.98
_UP = Vector((0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class _Thing:
    """A mesh of the room and what hangs under it, and its bounds (3,) in the room's own coordinates."""

    item: bpy.types.Object
    low: np.ndarray
    high: np.ndarray

    @property
    def marked(self) -> bool:
        return self.item.name.lower().startswith(_MARK)

    def holds(self, point: np.ndarray, skin: float) -> bool:
        return bool((point >= self.low - skin).all() and (point <= self.high + skin).all())


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """What can be removed, in an order of chance, the marked first; `number` is the one it gets."""

    things: list[_Thing]
    number: int

    @classmethod
    def of(
        cls, items: list[bpy.types.Object], size: float, number: int, draw: np.random.Generator
    ) -> "OwnObjects":
        """Of a room that is not placed yet; `size` is that of the scene's objects in its units."""
        found = []
        for item in sorted((item for item in items if item.type == "MESH"), key=lambda item: item.name):
            vertices, triangles, _, _ = evaluated([item, *item.children_recursive])
            if not len(triangles):
                continue
            thing = _Thing(item, vertices.min(axis=0), vertices.max(axis=0))
            if thing.marked or _SIZES[0] <= np.ptp(vertices, axis=0).max() / size <= _SIZES[1]:
                found.append(thing)
        shuffled = [found[index] for index in draw.permutation(len(found))]
        return cls(sorted(shuffled, key=lambda thing: not thing.marked), number)

    def choose(
        self,
        room: bpy.types.Object,
        tree: BVHTree,
        place: Vector,
        pose: CameraPose,
        size_WH: tuple[int, int],
    ) -> str | None:
        """Make the first that the camera sees whole an object of its own; its name, None where none is.

        Nothing stands on it: neither the scene's objects nor, unless it is marked, a thing of the room.
        """
        self._give_back(room)
        into_room = np.linalg.inv(np.array(room.matrix_world))
        camera = np.array(pose.camera_to_world)
        eye = (into_room @ camera[:, 3])[:3]
        for thing in self.things:
            skin = 1e-3 * float((thing.high - thing.low).max())
            corners = np.array(list(itertools.product(*zip(thing.low, thing.high, strict=True))))
            in_camera = np.linalg.inv(camera) @ np.array(room.matrix_world) @ np.c_[corners, np.ones(8)].T
            half_x = np.tan(pose.fov_x_rad / 2) * _INSIDE
            depth = -in_camera[2]
            inside = (depth > 0).all() and (np.abs(in_camera[0]) <= half_x * depth).all()
            inside = inside and (np.abs(in_camera[1]) <= half_x * size_WH[1] / size_WH[0] * depth).all()
            middle = (thing.low + thing.high) / 2
            hit = tree.ray_cast(Vector(eye), Vector(middle - eye).normalized())[0]
            seen = hit is not None and thing.holds(np.array(hit), skin)
            if inside and seen and not self._carries(thing, tree, place, skin):
                self._take_out(thing, room)
                return thing.item.name
        return None

    def _carries(self, thing: _Thing, tree: BVHTree, place: Vector, skin: float) -> bool:
        if thing.holds(np.array(place), 10 * skin):
            return True
        if thing.marked:
            return False
        places = itertools.product(
            *(np.linspace(thing.low[axis], thing.high[axis], 7)[1:-1] for axis in (0, 1))
        )
        starts = (Vector((x, y, thing.high[2] + skin)) for x, y in places)
        return any(tree.ray_cast(start, _UP, 20 * skin)[0] is not None for start in starts)

    def _take_out(self, thing: _Thing, room: bpy.types.Object) -> None:
        # Cryptomatte knows an object by the name of its topmost parent.
        root = bpy.data.objects.new(f"{OBJECT_NAME}{self.number}", None)
        root[NUMBER] = self.number
        bpy.context.scene.collection.objects.link(root)
        _hang(thing.item, root)
        for item in (thing.item, *thing.item.children_recursive):
            if item.hide_render:
                item[HIDDEN_IN_FILE] = True

    def _give_back(self, room: bpy.types.Object) -> None:
        root = bpy.data.objects.get(f"{OBJECT_NAME}{self.number}")
        if root is not None:
            for item in root.children:
                _hang(item, room)
            bpy.data.objects.remove(root)


def _hang(item: bpy.types.Object, root: bpy.types.Object) -> None:
    """Under another parent, where it is."""
    bpy.context.view_layer.update()
    where = item.matrix_world.copy()
    item.parent = root
    item.matrix_parent_inverse.identity()
    item.matrix_world = where
    bpy.context.view_layer.update()
