"""The lighting: a world whose nodes are built once per scene; its image changes. Needs bpy.

Adding nodes at every swap leaks.
"""

from pathlib import Path

import bpy
import numpy as np

from pairbridge.datagen.core.errors import AssetError

WORLD = "surroundings"
NODE = "lighting"
STRENGTH_NODE = "strength"


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

    Raises AssetError if Blender cannot read it.
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
        raise AssetError(
            f"lighting {path} cannot be read by Blender: {str(error).strip().splitlines()[-1]}",
            remedy="repair, replace or remove the file",
        ) from error
    image.colorspace_settings.name = "Linear Rec.709"
    image.alpha_mode = "NONE"
    # Half floats end at 65504, below the sun of a physical sky.
    image.use_half_precision = False
    return image
