"""Panoramas of the physical sky, as an environment texture stores them. Needs bpy.

The sky is smooth and the sun is one texel in a hundred thousand, so they are rendered apart: the whole
panorama at few samples, then a small window around the sun at many.
"""

import math

import bpy

from pairbridge.datagen.blender.child.blender_lines import set_sky
from pairbridge.datagen.blender.panorama import SUN_DIAMETER_RAD
from pairbridge.datagen.scene.specs import SkySpec

# A box filter of one pixel: every texel is the mean over its own area, and no energy is lost.
SKY_SAMPLES = 4
DISC_SAMPLES = 1024


def build_sky(sky: SkySpec, width: int) -> None:
    """World, camera and settings of a panorama of `width` x `width`/2; the scene is fresh."""
    scene = bpy.context.scene
    world = bpy.data.worlds.new("sky")
    scene.world = world
    # Nothing is lit, so no importance map is needed; building one costs more than the render.
    world.cycles.sampling_method = "NONE"
    sky_nodes(world, sky)
    lens = bpy.data.cameras.new("panorama")
    lens.type = "PANO"
    lens.panorama_type = "EQUIRECTANGULAR"
    scene.camera = bpy.data.objects.new("panorama", lens)
    # Looking along +X with +Z up: the panorama's centre is where an environment texture has u = 0.5.
    scene.camera.rotation_euler = (math.pi / 2, 0, -math.pi / 2)
    scene.collection.objects.link(scene.camera)
    scene.render.resolution_x, scene.render.resolution_y = width, width // 2
    scene.render.film_transparent = False
    scene.cycles.samples = SKY_SAMPLES
    scene.cycles.use_denoising = False
    scene.cycles.sample_clamp_indirect = 0.0
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 1.0
    scene.cycles.seed = 0


def sky_nodes(world: bpy.types.World, sky: SkySpec) -> None:
    """Make `world` shine like `sky`."""
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexSky")
    set_sky(texture, air=sky.air, dust=sky.dust, ozone=sky.ozone)
    texture.sun_disc = True
    texture.sun_size = SUN_DIAMETER_RAD
    texture.sun_intensity = 1.0
    texture.sun_elevation = sky.sun_elevation_rad
    texture.sun_rotation = sky.sun_rotation_rad
    texture.altitude = sky.altitude_m
    background = tree.nodes.new("ShaderNodeBackground")
    output = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(texture.outputs["Color"], background.inputs["Color"])
    tree.links.new(background.outputs["Background"], output.inputs["Surface"])


def narrow_to(window: tuple[int, int, int, int]) -> None:
    """Limit the next render to `window` (left, top, right, bottom in pixels), at the samples a disc needs.

    The world is left as it is: touching it would make Blender compute the sky's tables again.
    """
    scene = bpy.context.scene
    scene.cycles.samples = DISC_SAMPLES
    left, top, right, bottom = window
    width, height = scene.render.resolution_x, scene.render.resolution_y
    scene.render.use_border = True
    scene.render.use_crop_to_border = False
    scene.render.border_min_x, scene.render.border_max_x = left / width, right / width
    scene.render.border_min_y, scene.render.border_max_y = 1 - bottom / height, 1 - top / height
