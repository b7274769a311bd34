"""From parts to one Blender mesh object. Runs in the Blender child."""

import math

import bpy
import numpy as np

from pairbridge.datagen.blender.modelling.meshes import box_uv, joined
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.blender.shading.pattern_nodes import UV_ATTRIBUTE
from pairbridge.datagen.blender.shading.shaders import REST_ATTRIBUTE, shade

# Edges sharper than this stay crisp; bevels and lathe profiles are cut finer than it.
SMOOTH_ANGLE_RAD = math.radians(38)


def realise(name: str, parts: list[Part]) -> bpy.types.Object:
    """One mesh object with a material slot per distinct material, smooth but for its sharp edges."""
    whole = joined([part.mesh for part in parts])
    data = bpy.data.meshes.new(name)
    # Written as attributes wherever they exist: no operator context, and one copy instead of a call per
    # element.
    data.vertices.add(len(whole.vertices))
    data.attributes["position"].data.foreach_set("vector", whole.vertices.astype(np.float32).ravel())
    data.loops.add(len(whole.loops))
    data.attributes[".corner_vert"].data.foreach_set("value", whole.loops.astype(np.int32))
    data.polygons.add(len(whole.sizes))
    data.polygons.foreach_set("loop_start", (np.cumsum(whole.sizes) - whole.sizes).astype(np.int32))

    slots = {material: index for index, material in enumerate(dict.fromkeys(part.material for part in parts))}
    for index, material in enumerate(slots):
        data.materials.append(shade(f"{name}.{index}.{material.kind}", material))
    owner = np.concatenate([np.full(len(part.mesh.sizes), slots[part.material]) for part in parts])
    slot = data.attributes.new("material_index", "INT", "FACE")
    slot.data.foreach_set("value", owner.astype(np.int32))

    data.update(calc_edges=True)
    data.shade_smooth()
    data.set_sharp_from_angle(angle=SMOOTH_ANGLE_RAD)
    rest = data.attributes.new(REST_ATTRIBUTE, "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", whole.rest.astype(np.float32).ravel())
    if any(material.print is not None for material in slots):
        flat = data.attributes.new(UV_ATTRIBUTE, "FLOAT2", "CORNER")
        flat.data.foreach_set("vector", box_uv(whole).astype(np.float32).ravel())

    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj
