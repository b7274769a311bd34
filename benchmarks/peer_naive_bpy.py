"""A render loop in bpy as its user would write it with care: one process, persistent data, one node tree.

Run by `benchmarks.peers` in any Python that has bpy. Answers one JSON request a line; nothing of pairbridge.
`--denoiser` is what Blender's user leaves (HIGH, ACCURATE) or that of pairbridge (BALANCED, FAST).
"""

import argparse
import json
import os
import sys
import time

import bpy
import numpy as np
import OpenEXR


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--object", required=True)
    parser.add_argument("--camera", required=True, help="JSON: matrix, fov_x_rad, size")
    parser.add_argument("--denoiser", nargs=2, default=["HIGH", "ACCURATE"])
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    # Blender prints from C; replies have the pipe alone.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=arguments.object)
    texture = set_up(json.loads(arguments.camera), arguments.denoiser)
    path = os.path.join(arguments.folder, f"naive-{arguments.denoiser[0]}.exr")
    for line in sys.stdin:
        request = json.loads(line)
        began = time.process_time()
        rgba = render(texture, request, path)
        cpu_s = time.process_time() - began
        np.save(request["out"], rgba)
        replies.write(json.dumps({"cpu_s": cpu_s}) + "\n")
    # Blender's own teardown of a module takes seconds.
    os._exit(0)


def set_up(camera: dict, denoiser: list[str]) -> bpy.types.ShaderNodeTexEnvironment:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = camera["size"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.denoising_quality, scene.cycles.denoising_prefilter = denoiser
    layer = bpy.context.view_layer
    layer.use_pass_z = layer.use_pass_normal = True
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.image_settings.color_depth = "32"
    eye = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    eye.matrix_world = np.array(camera["matrix"]).T
    eye.data.angle = camera["fov_x_rad"]
    scene.collection.objects.link(eye)
    scene.camera = eye
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    texture = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    world.node_tree.links.new(texture.outputs[0], world.node_tree.nodes["Background"].inputs["Color"])
    return texture


def render(texture: bpy.types.ShaderNodeTexEnvironment, request: dict, path: str) -> np.ndarray:
    """(H, W, 4) premultiplied linear; depth and normals are read as well, as a data set would."""
    scene = bpy.context.scene
    texture.image = bpy.data.images.load(request["hdri"], check_existing=True)
    scene.cycles.samples, scene.cycles.seed = request["samples"], request["seed"]
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)
    with OpenEXR.File(path) as file:
        channels = {name: channel.pixels for name, channel in file.channels().items()}
    return channels["ViewLayer.Combined"]


if __name__ == "__main__":
    main()
