"""Run by test_families.py in a fresh interpreter: builds objects and prints JSON about each."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
import OpenEXR

from pairbridge.datagen.blender.families import FAMILIES, build


def digest(obj: bpy.types.Object) -> dict:
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    parts = []
    for collection, field, width, kind in (
        (mesh.vertices, "co", 3, np.float32),
        (mesh.loops, "vertex_index", 1, np.int32),
        (mesh.polygons, "material_index", 1, np.int32),
        (mesh.corner_normals, "vector", 3, np.float32),
    ):
        values = np.empty(len(collection) * width, kind)
        collection.foreach_get(field, values)
        parts.append(values.tobytes())
    return {"mesh": hashlib.sha256(b"".join(parts)).hexdigest(), "materials": nodes_digest(mesh.materials)}


def nodes_digest(materials) -> str:
    """Digest of every node's kind, unlinked inputs and links."""
    lines = []
    for material in materials:
        tree = material.node_tree
        for node in tree.nodes:
            values = [
                tuple(s.default_value) if hasattr(s.default_value, "__len__") else s.default_value
                for s in node.inputs
                if hasattr(s, "default_value")
            ]
            lines.append(f"{node.bl_idname} {values}")
        lines += [f"{link.from_socket.path_from_id()} {link.to_socket.path_from_id()}" for link in tree.links]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def audit(obj: bpy.types.Object) -> dict:
    mesh = obj.data
    slots = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    surfaces = [next(n for n in m.node_tree.nodes if n.type == "BSDF_PRINCIPLED") for m in mesh.materials]
    return {
        "repaired": mesh.validate(verbose=True),
        "objects": len(bpy.context.scene.objects),
        "unused_slots": sorted(set(range(len(mesh.materials))) ^ set(slots.tolist())),
        "emission": max(s.inputs["Emission Strength"].default_value for s in surfaces),
        "alpha": min(s.inputs["Alpha"].default_value for s in surfaces),
        "invalid_links": sum(not link.is_valid for m in mesh.materials for link in m.node_tree.links),
    }


def furnace(obj: bpy.types.Object) -> dict:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 8
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.world = bpy.data.worlds.new("furnace")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.7 * max(obj.dimensions)
    camera.location, camera.rotation_euler = (3.0, -6.0, 3.3), (1.16, 0.0, 0.46)
    corners = np.array([tuple(corner) for corner in obj.bound_box])
    obj.location = -(corners.min(0) + corners.max(0)) / 2
    scene.collection.objects.link(camera)
    scene.camera = camera
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "furnace.exr")
        bpy.ops.render.render(write_still=True)
        image = OpenEXR.File(scene.render.filepath).channels()["RGBA"].pixels
    inside = image[..., 3] > 0.999
    luminance = image[inside][:, :3].mean(1)
    return {
        "median": float(np.median(luminance)),
        "high": float(np.percentile(luminance, 99)),
        "coverage": float(inside.mean()),
    }


JOBS = {"digest": digest, "audit": audit, "furnace": furnace}

if __name__ == "__main__":
    job, *seeds = sys.argv[1:]
    found = {}
    for family in FAMILIES:
        for seed in seeds:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            build(family, int(seed))
            # Blender reports on the C level's stdout; only the last line is ours.
            with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
                found[f"{family}:{seed}"] = JOBS[job](bpy.context.scene.objects[0])
    print(json.dumps(found))
