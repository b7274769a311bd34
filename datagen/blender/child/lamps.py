"""Area lights: discs above the scene that all look at the origin. Needs bpy.

They are made once and reused, since every datablock that is added and removed again leaks a little.
"""

import math

import bpy
import mathutils

from pairbridge.datagen.scene.specs import LampSpec

COLLECTION = "lamps"


def set_lamps(lamps: list[LampSpec]) -> None:
    """Light with exactly these."""
    collection = _collection()
    while len(collection.objects) < len(lamps):
        number = len(collection.objects)
        light = bpy.data.lights.new(f"lamp{number}", "AREA")
        light.shape = "DISK"
        lamp = bpy.data.objects.new(f"lamp{number}", light)
        # What a mirror shows of a lamp is light; what the camera would see of it is no part of the scene.
        lamp.visible_camera = False
        collection.objects.link(lamp)
    for number, lamp in enumerate(collection.objects):
        if number < len(lamps):
            _set(lamp, lamps[number])
        else:
            # Not hidden: with persistent data, a scene whose last lamp was hidden stays dark when it returns.
            lamp.data.energy = 0.0


def _set(lamp: bpy.types.Object, spec: LampSpec) -> None:
    position = mathutils.Vector(spec.position)
    lamp.location = position
    # A lamp shines along its -Z.
    lamp.rotation_euler = position.to_track_quat("Z", "Y").to_euler()
    lamp.data.size = spec.diameter
    # Power of a Lambertian emitter whose irradiance at the origin is pi; colours end at 1.
    brightest = max(spec.colour)
    lamp.data.energy = math.pi**2 * position.length_squared * brightest
    lamp.data.color = [channel / brightest if brightest else 0.0 for channel in spec.colour]


def _collection() -> bpy.types.Collection:
    found = bpy.data.collections.get(COLLECTION)
    if found is None:
        found = bpy.data.collections.new(COLLECTION)
        bpy.context.scene.collection.children.link(found)
    return found
