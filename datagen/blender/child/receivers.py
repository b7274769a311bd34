"""Grounds and walls: large planes with a procedural surface. Needs bpy."""

import math

import bpy

from pairbridge.datagen.blender.child.surface_materials import dress
from pairbridge.datagen.scene.specs import ReceiverSpec

# Half the side of every receiver: at this distance the horizon of the ground is that of the surroundings.
FAR = 150.0
COLLECTION = "receivers"


def build_receiver(number: int, receiver: ReceiverSpec) -> None:
    """Add one plane. Its surface's pattern lies in its local xy; its local z points to the objects."""
    name = f"receiver{number}"
    mesh = bpy.data.meshes.new(name)
    # A wall starts at its foot: what would lie below the ground could only cost time.
    low = -FAR if receiver.azimuth_rad is None else 0.0
    corners = [(-FAR, low, 0.0), (FAR, low, 0.0), (FAR, FAR, 0.0), (-FAR, FAR, 0.0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    plane = bpy.data.objects.new(name, mesh)
    if receiver.azimuth_rad is not None:
        azimuth, distance = receiver.azimuth_rad, receiver.distance
        plane.location = (distance * math.cos(azimuth), distance * math.sin(azimuth), 0.0)
        plane.rotation_euler = (math.pi / 2, 0.0, azimuth - math.pi / 2)
    mesh.materials.append(dress(f"{name}.surface", receiver.surface))
    _collection().objects.link(plane)


def hold_out(held_out: bool) -> None:
    """Whether the receivers are cut out of the picture; they go on to reflect light and to take shadows."""
    for plane in _collection().objects:
        # Writing an equal value would have Cycles synchronise it again.
        if plane.is_holdout != held_out:
            plane.is_holdout = held_out


def _collection() -> bpy.types.Collection:
    found = bpy.data.collections.get(COLLECTION)
    if found is None:
        found = bpy.data.collections.new(COLLECTION)
        bpy.context.scene.collection.children.link(found)
    return found
