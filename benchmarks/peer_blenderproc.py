"""The same renders by BlenderProc, through its own functions. Run by `benchmarks.peers` in an environment
that has BlenderProc and bpy 4.2 (USE_EXTERNAL_BPY_MODULE=1); answers one JSON request a line.
"""

import argparse
import json
import os
import sys
import time

# BlenderProc prints while it is imported, and Blender from C; replies have the pipe alone.
REPLIES = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import blenderproc as bproc  # noqa: E402
import bpy  # noqa: E402
import numpy as np  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--object", required=True)
    parser.add_argument("--camera", required=True, help="JSON: matrix, fov_x_rad, size")
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    camera = json.loads(arguments.camera)
    bproc.init()
    bproc.loader.load_obj(arguments.object)
    bproc.camera.set_resolution(*camera["size"])
    bproc.camera.set_intrinsics_from_blender_params(lens=camera["fov_x_rad"], lens_unit="FOV")
    bproc.camera.add_camera_pose(np.array(camera["matrix"]))
    bproc.renderer.set_cpu_threads(1)
    bproc.renderer.set_noise_threshold(0)
    bproc.renderer.set_denoiser("INTEL")
    bproc.renderer.set_output_format("OPEN_EXR", 32, enable_transparency=True, view_transform="Raw")
    # As its documentation has them for opaque and clear things; its default reflects nothing glossy.
    bproc.renderer.set_light_bounces(
        diffuse_bounces=4, glossy_bounces=4, max_bounces=8, transmission_bounces=8
    )
    bproc.renderer.enable_depth_output(activate_antialiasing=False)
    bproc.renderer.enable_normals_output()
    for line in sys.stdin:
        request = json.loads(line)
        began = time.process_time()
        bproc.world.set_world_background_hdr_img(request["hdri"])
        bproc.renderer.set_max_amount_of_samples(request["samples"])
        bpy.context.scene.cycles.seed = request["seed"]
        found = bproc.renderer.render(output_dir=arguments.folder, keys_with_alpha_channel={"colors"})
        cpu_s = time.process_time() - began
        np.save(request["out"], np.asarray(found["colors"][0], np.float32))
        REPLIES.write(json.dumps({"cpu_s": cpu_s}) + "\n")
    os._exit(0)


if __name__ == "__main__":
    main()
