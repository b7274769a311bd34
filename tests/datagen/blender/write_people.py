"""Writes a person in the shape of a character add-on's export with a Blender of its own: a posed armature,
skin with a picture and subsurface, a mask modifier over what clothes hide, and a hair card with alpha. Run as
a script with the folder to write to.
"""

import math
import sys
from pathlib import Path

import bpy
import numpy as np


def picture(name: str, pixels: np.ndarray) -> bpy.types.Image:
    image = bpy.data.images.new(name, pixels.shape[1], pixels.shape[0], alpha=True)
    image.pixels.foreach_set(pixels.astype(np.float32).ravel())
    image.pack()
    return image


def add(name: str, corners: list, faces: list, material: bpy.types.Material, uv: list | None = None):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(material)
    if uv is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        for corner, loop in zip(layer.data, mesh.loops, strict=True):
            corner.uv = uv[loop.vertex_index]
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def material(name: str, **inputs):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    surface = made.node_tree.nodes["Principled BSDF"]
    for key, value in inputs.items():
        surface.inputs[key.replace("_", " ")].default_value = value
    return made, surface


def textured(made, surface, image: bpy.types.Image, *, alpha: bool) -> None:
    node = made.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    made.node_tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])
    if alpha:
        made.node_tree.links.new(node.outputs["Alpha"], surface.inputs["Alpha"])


def box(low, high):
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    return corners, [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def main(folder: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    skin_colour = np.tile(np.array([0.8, 0.5, 0.4, 1.0]), (8, 8, 1))
    skin, surface = material("skin", Subsurface_Weight=0.5, Roughness=0.5)
    textured(skin, surface, picture("skin", skin_colour), alpha=False)
    # A body of two parts; the lower would be under clothes, and is hidden by a mask.
    corners, faces = box((-0.2, -0.1, 0.0), (0.2, 0.1, 0.8))
    upper, upper_faces = box((-0.2, -0.1, 0.8), (0.2, 0.1, 1.7))
    uv = [(0.5, 0.5)] * 16
    body = add("body", corners + upper, faces + [tuple(8 + i for i in f) for f in upper_faces], skin, uv)
    body.vertex_groups.new(name="delete").add(list(range(8)), 1.0, "REPLACE")
    body.vertex_groups.new(name="spine").add(list(range(16)), 1.0, "REPLACE")
    mask = body.modifiers.new("Hide under clothes", "MASK")
    mask.vertex_group, mask.invert_vertex_group = "delete", True
    rig_data = bpy.data.armatures.new("rig")
    rig = bpy.data.objects.new("rig", rig_data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig_data.edit_bones.new("spine")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="POSE")
    # The pose: bent to +x by half a right angle.
    rig.pose.bones["spine"].rotation_mode = "XYZ"
    rig.pose.bones["spine"].rotation_euler = (0, 0, math.radians(-45))
    bpy.ops.object.mode_set(mode="OBJECT")
    body.parent = rig
    body.modifiers.new("Armature", "ARMATURE").object = rig
    hair_pixels = np.ones((8, 8, 4))
    hair_pixels[..., :3] = 0.3
    hair_pixels[:, ::2, 3] = 0.0
    hair, hair_surface = material("hair", Roughness=0.6)
    image = picture("hair", hair_pixels)
    textured(hair, hair_surface, image, alpha=True)
    card = [(-0.3, -0.3, 1.4), (0.3, -0.3, 1.4), (0.3, -0.3, 1.9), (-0.3, -0.3, 1.9)]
    add("hair card", card, [(0, 1, 2, 3)], hair, [(0, 0), (1, 0), (1, 1), (0, 1)])
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "person.blend"))
    print("written")


main(Path(sys.argv[1]))
