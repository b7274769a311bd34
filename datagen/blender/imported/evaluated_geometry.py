"""The geometry that Blender makes of objects: modifiers applied, instances counted, hair on it. Needs bpy."""

from collections.abc import Sequence

import bpy
import numpy as np

# What is drawn with faces.
SURFACES = frozenset({"MESH", "CURVE", "SURFACE", "META", "FONT"})
# Points of one object's hair that count for its bounds: a person may have millions.
_MOST_HAIR = 100_000


def evaluated(items: Sequence[bpy.types.Object]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """World positions (N, 3) of all rendered vertices and hair of `items`, the triangles (M, 3) as indices of
    them, the number of meshes and that of faces.

    Modifiers are applied, and each instance counts.
    """
    wanted = set(items)
    graph = bpy.context.evaluated_depsgraph_get()
    parts, triangles, hair, num_faces, num_vertices = [], [], [], 0, 0
    for instance in graph.object_instances:
        item = instance.object
        if item.hide_render or (instance.parent if instance.is_instance else item).original not in wanted:
            continue
        strands = _hair(item)
        if len(strands):
            matrix = np.array(instance.matrix_world, np.float64)
            hair.append(strands @ matrix[:3, :3].T + matrix[:3, 3])
        if item.type not in SURFACES or not instance.show_self:
            continue
        mesh = item.to_mesh()
        flat = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", flat)
        num_faces += len(mesh.polygons)
        mesh.calc_loop_triangles()
        corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        item.to_mesh_clear()
        matrix = np.array(instance.matrix_world, np.float64)
        if flat.size:
            parts.append(flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
            triangles.append(corners.reshape(-1, 3) + num_vertices)
            num_vertices += len(flat) // 3
    if not parts:
        return np.empty((0, 3)), np.empty((0, 3), int), 0, 0
    # Last, so that the indices of the triangles stay.
    return np.concatenate([*parts, *hair]), np.concatenate(triangles), len(parts), num_faces


def _hair(item: bpy.types.Object) -> np.ndarray:
    """Points (N, 3) of an evaluated object's hair, in its own coordinates: of curves, and of particles the
    strands that children grow between."""
    if item.type == "CURVES":
        flat = np.empty(3 * len(item.data.points), np.float32)
        item.data.points.foreach_get("position", flat)
        points = flat.reshape(-1, 3)
    else:
        points = np.array(
            [
                key.co[:]
                for system in item.particle_systems
                if system.settings.type == "HAIR"
                for strand in system.particles
                for key in strand.hair_keys
            ]
        ).reshape(-1, 3)
    return points[:: 1 + len(points) // _MOST_HAIR].astype(np.float64)
