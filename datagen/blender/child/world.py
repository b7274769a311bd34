"""What lights the scene: a world and area lights, and how sharply what is loaded reflects them. Needs bpy.

The world's nodes are built once per scene; its image changes. Lamps are discs above the scene that all look
at the origin, made once and reused. Adding nodes or datablocks again and again leaks.
"""

import math
from pathlib import Path

import bpy
import mathutils
import numpy as np

from pairbridge.datagen.assets.object_formats.file_references import check_readable
from pairbridge.datagen.blender.child.scene_collections import collection_of
from pairbridge.datagen.blender.shading.shaders import SHARPEST
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import LampSpec

WORLD = "surroundings"
NODE = "lighting"
STRENGTH_NODE = "strength"
LAMPS = "lamps"
# From here on a surface counts as one that shows its surroundings, rather than a highlight on its own colour.
_REFLECTS = 0.5


def build_world(map_width: int) -> None:
    """Give the fresh scene its world, with an importance map of this width: that of the images to come.

    The map's size is set here only: persistent data makes Cycles ignore a later change.
    """
    world = bpy.data.worlds.new(WORLD)
    bpy.context.scene.world = world
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = map_width
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.name = NODE
    texture.projection = "EQUIRECTANGULAR"
    background = tree.nodes.new("ShaderNodeBackground")
    background.name = STRENGTH_NODE
    output = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(texture.outputs["Color"], background.inputs["Color"])
    tree.links.new(background.outputs["Background"], output.inputs["Surface"])


def set_lighting(path: Path, strength: float, *, seen: bool) -> None:
    """Light with the equirectangular image at `path`, times `strength`; `seen` by the camera, it is smooth.

    Raises FileUnreadable if this process cannot read it, AssetError if Blender cannot.
    """
    level = bpy.context.scene.world.node_tree.nodes[STRENGTH_NODE].inputs["Strength"]
    if level.default_value != np.float32(strength):
        level.default_value = strength
    texture = bpy.context.scene.world.node_tree.nodes[NODE]
    if texture.image is None or texture.image.filepath != str(path):
        old, texture.image = texture.image, _load(path)
        if old is not None:
            bpy.data.images.remove(old)
    # Flat texels are what an importance map of the same size samples exactly; between interpolated ones it
    # misses up to 1 dB under a small sun. Writing an equal value would rebuild the map.
    interpolation = "Linear" if seen else "Closest"
    if texture.interpolation != interpolation:
        texture.interpolation = interpolation


def lighting() -> bpy.types.Image:
    """The image that lights the scene now."""
    return bpy.context.scene.world.node_tree.nodes[NODE].image


def _load(path: Path) -> bpy.types.Image:
    image = None
    try:
        image = bpy.data.images.load(str(path))
        # A damaged or empty file does not raise: its image has no pixels.
        if 0 in image.size[:] or not image.has_data:
            raise RuntimeError("it has no pixels")
    except RuntimeError as error:
        if image is not None:
            bpy.data.images.remove(image)
        check_readable(path)
        raise AssetError(
            f"lighting {path.name} cannot be read by Blender: {str(error).strip().splitlines()[-1]}",
            remedy="repair, replace or remove the file",
        ) from error
    image.colorspace_settings.name = "Linear Rec.709"
    image.alpha_mode = "NONE"
    # Half floats end at 65504, below the sun of a physical sky.
    image.use_half_precision = False
    return image


def set_lamps(lamps: list[LampSpec]) -> None:
    """Light with exactly these area lights."""
    collection = collection_of(LAMPS)
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
            _set_lamp(lamp, lamps[number])
        else:
            # Not hidden: with persistent data, a scene whose last lamp was hidden stays dark when it returns.
            lamp.data.energy = 0.0


def _set_lamp(lamp: bpy.types.Object, spec: LampSpec) -> None:
    position = mathutils.Vector(spec.position)
    lamp.location = position
    # A lamp shines along its -Z.
    lamp.rotation_euler = position.to_track_quat("Z", "Y").to_euler()
    lamp.data.size = spec.diameter
    # Power of a Lambertian emitter whose irradiance at the origin is pi; colours end at 1.
    brightest = max(spec.colour)
    lamp.data.energy = math.pi**2 * position.length_squared * brightest
    lamp.data.color = [channel / brightest if brightest else 0.0 for channel in spec.colour]


def smoothest_roughness() -> float:
    """Smallest roughness of the metals and glasses in the scene, 1 where there are none: it decides how wide
    the lighting's copy is.

    Embedded objects state it of each material. Of others it looks at numbers alone: a roughness, metallic or
    transmission that a texture paints counts as rough, for nobody knows its smallest value without baking it.
    """
    materials = {
        slot.material
        for item in bpy.context.scene.objects
        for slot in item.material_slots
        if slot.material is not None and slot.material.use_nodes
    }
    found = [material[SHARPEST] for material in materials if SHARPEST in material]
    found += [
        _roughness(node)
        for material in materials
        if SHARPEST not in material
        for node in material.node_tree.nodes
    ]
    return min((roughness for roughness in found if roughness is not None), default=1.0)


def _roughness(node: bpy.types.Node) -> float | None:
    if node.type in ("BSDF_GLOSSY", "BSDF_GLASS", "BSDF_REFRACTION"):
        return _number(node, "Roughness")
    if node.type != "BSDF_PRINCIPLED":
        return None
    reflects = max(_number(node, "Metallic") or 0.0, _number(node, "Transmission Weight") or 0.0)
    return _number(node, "Roughness") if reflects >= _REFLECTS else None


def _number(node: bpy.types.Node, name: str) -> float | None:
    socket = node.inputs.get(name)
    return None if socket is None or socket.is_linked else float(socket.default_value)
