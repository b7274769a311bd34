"""A furnished room, and the panorama of it as an environment texture stores it. Needs bpy.

Light comes through the windows from the map of what is outside, and from the sun, which is a lamp of its own
because its texels would be found too seldom; windows are portals, so that samples go where light can come.
"""

import math
from pathlib import Path

import bpy
import mathutils
import numpy as np

from pairbridge.datagen.blender.child.receivers import dress
from pairbridge.datagen.blender.families import build
from pairbridge.datagen.blender.panorama import SUN_DIAMETER_RAD
from pairbridge.datagen.scene.interior_specs import Block, InteriorSpec, Prop, Window
from pairbridge.datagen.scene.specs import SurfaceSpec

WALL_M = 0.22
# What the denoiser needs to leave walls smooth. Paths of four diffuse bounces are what recipes render with.
SAMPLES = 12
_BOUNCES = 4
_FACES = ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))

Box = tuple[float, float, float, float, float, float]


def build_interior(spec: InteriorSpec, outside: Path, width: int) -> None:
    """World, room, lamps, camera and settings of a panorama of `width` x `width`/2; the scene is fresh."""
    materials: dict[SurfaceSpec, bpy.types.Material] = {}
    _surroundings(outside, spec.outside_factor)
    _sun(spec)
    wide, deep, high = spec.size
    far = WALL_M
    _boxes("floor", [(-far, -far, -0.1, wide + far, deep + far, 0.0)], spec.floor, materials)
    _boxes("ceiling", [(-far, -far, high, wide + far, deep + far, high + 0.1)], spec.ceiling, materials)
    for number in range(4):
        _wall(spec, number, materials)
    for number, block in enumerate(spec.blocks):
        _block(number, block, materials)
    for prop in spec.props:
        _prop(prop)
    _settings(spec, width)


def _settings(spec: InteriorSpec, width: int) -> None:
    scene = bpy.context.scene
    lens = bpy.data.cameras.new("panorama")
    lens.type = "PANO"
    lens.panorama_type = "EQUIRECTANGULAR"
    lens.clip_start, lens.clip_end = 0.02, 100.0
    scene.camera = bpy.data.objects.new("panorama", lens)
    # Looking along +X with +Z up: the panorama's centre is where an environment texture has u = 0.5.
    scene.camera.rotation_euler = (math.pi / 2, 0, -math.pi / 2)
    scene.camera.location = spec.camera
    scene.collection.objects.link(scene.camera)
    scene.render.resolution_x, scene.render.resolution_y = width, width // 2
    scene.render.film_transparent = False
    cycles = scene.cycles
    cycles.samples = SAMPLES
    cycles.max_bounces = cycles.diffuse_bounces = _BOUNCES
    cycles.glossy_bounces = 2
    cycles.transmission_bounces = 4
    cycles.sample_clamp_indirect = 4.0 * max(spec.outside_factor, 0.1)
    cycles.use_denoising = True
    cycles.seed = 0


def _surroundings(outside: Path, factor: float) -> None:
    world = bpy.data.worlds.new("outside")
    bpy.context.scene.world = world
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = 256
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images.load(str(outside))
    texture.image.colorspace_settings.name = "Linear Rec.709"
    background = tree.nodes.new("ShaderNodeBackground")
    background.inputs["Strength"].default_value = factor
    output = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(texture.outputs["Color"], background.inputs["Color"])
    tree.links.new(background.outputs["Background"], output.inputs["Surface"])


def _sun(spec: InteriorSpec) -> None:
    strongest = max(spec.sun_irradiance)
    if strongest <= 0:
        return
    sun = bpy.data.lights.new("sun", "SUN")
    sun.angle = SUN_DIAMETER_RAD
    sun.energy = strongest * spec.outside_factor
    sun.color = tuple(channel / strongest for channel in spec.sun_irradiance)
    item = bpy.data.objects.new("sun", sun)
    item.rotation_mode = "QUATERNION"
    item.rotation_quaternion = mathutils.Vector(spec.sun_direction).to_track_quat("Z", "Y")
    bpy.context.scene.collection.objects.link(item)


def _wall(spec: InteriorSpec, number: int, materials: dict[SurfaceSpec, bpy.types.Material]) -> None:
    """One wall around its windows, in its own axes: x along it, y up, z into the room."""
    wide, deep, high = spec.size
    length = wide if number % 2 == 0 else deep
    windows = sorted((w for w in spec.windows if w.wall == number), key=lambda w: w.middle_m)
    panels: list[Box] = []
    at = -WALL_M
    for window in windows:
        left, right = window.middle_m - window.width_m / 2, window.middle_m + window.width_m / 2
        top = window.sill_m + window.height_m
        panels.append((at, 0.0, -WALL_M, left, high, 0.0))
        if window.sill_m > 0:
            panels.append((left, 0.0, -WALL_M, right, window.sill_m, 0.0))
        panels.append((left, top, -WALL_M, right, high, 0.0))
        at = right
    panels.append((at, 0.0, -WALL_M, length + WALL_M, high, 0.0))
    placed = [_boxes(f"wall{number}", panels, spec.wall, materials)]
    skirting: list[Box] = []
    at = 0.0
    for window in [w for w in windows if w.sill_m < 0.1]:
        skirting.append((at, 0.0, 0.0, window.middle_m - window.width_m / 2, 0.08, 0.015))
        at = window.middle_m + window.width_m / 2
    skirting.append((at, 0.0, 0.0, length, 0.08, 0.015))
    placed.append(_boxes(f"skirting{number}", skirting, spec.trim, materials))
    for window in windows:
        placed.append(_boxes("frame", _frame(window), spec.trim, materials))
        placed.append(_portal(window))
    # x along the wall, y up and z inwards, from the wall's end with the smaller coordinate; two walls are
    # mirrored by that, which a pattern does not show.
    axes = {
        0: ((1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 0)),
        1: ((0, 1, 0), (0, 0, 1), (-1, 0, 0), (wide, 0, 0)),
        2: ((1, 0, 0), (0, 0, 1), (0, -1, 0), (0, deep, 0)),
        3: ((0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 0, 0)),
    }[number]
    matrix = np.eye(4)
    matrix[:3] = np.array(axes, float).T
    for item in placed:
        item.matrix_world = mathutils.Matrix(matrix.tolist()) @ item.matrix_world


def _frame(window: Window) -> list[Box]:
    left, right = window.middle_m - window.width_m / 2, window.middle_m + window.width_m / 2
    low, high = window.sill_m, window.sill_m + window.height_m
    out, in_, bar = -0.16, -0.1, 0.055
    boxes = [
        (left, low, out, left + bar, high, in_),
        (right - bar, low, out, right, high, in_),
        (left, low, out, right, low + bar, in_),
        (left, high - bar, out, right, high, in_),
        (left - 0.04, low - 0.03, -0.1, right + 0.04, low, 0.05),
    ]
    if window.width_m > 0.8:
        middle = window.middle_m
        boxes.append((middle - 0.04, low, out, middle + 0.04, high, in_))
    return boxes


def _portal(window: Window) -> bpy.types.Object:
    light = bpy.data.lights.new("portal", "AREA")
    light.shape = "RECTANGLE"
    light.size, light.size_y = window.width_m, window.height_m
    light.cycles.is_portal = True
    item = bpy.data.objects.new("portal", light)
    bpy.context.scene.collection.objects.link(item)
    # An area light shines along its -Z, which is to be the wall's +Z.
    turn = mathutils.Matrix.Rotation(math.pi, 4, "X")
    place = mathutils.Matrix.Translation((window.middle_m, window.sill_m + window.height_m / 2, -WALL_M))
    item.matrix_world = place @ turn
    return item


def _boxes(
    name: str, boxes: list[Box], surface: SurfaceSpec, materials: dict[SurfaceSpec, bpy.types.Material]
) -> bpy.types.Object:
    vertices: list[tuple[float, float, float]] = []
    faces = []
    for x0, y0, z0, x1, y1, z1 in boxes:
        first = len(vertices)
        vertices += [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)]
        vertices += [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)]
        faces += [tuple(first + corner for corner in face) for face in _FACES]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.materials.append(_material(surface, materials))
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def _block(number: int, block: Block, materials: dict[SurfaceSpec, bpy.types.Material]) -> None:
    name = f"block{number}"
    x, y, z = block.size
    if block.shape == "box":
        half = (-x / 2, -y / 2, -z / 2, x / 2, y / 2, z / 2)
        item = _boxes(name, [half], block.surface, materials)
        if block.bevel_m:
            bevel = item.modifiers.new("bevel", "BEVEL")
            bevel.width = min(block.bevel_m, 0.45 * min(block.size))
            bevel.segments = 3
            for face in item.data.polygons:
                face.use_smooth = block.bevel_m > 0.02
    else:
        if block.shape == "cylinder":
            bpy.ops.mesh.primitive_cylinder_add(vertices=40, radius=0.5, depth=1.0)
        else:
            bpy.ops.mesh.primitive_uv_sphere_add(segments=40, ring_count=20, radius=0.5)
        item = bpy.context.object
        # Not an object's scale: patterns lie in metres.
        item.data.transform(mathutils.Matrix.Diagonal((x, y, z, 1.0)))
        item.data.shade_smooth()
        item.data.set_sharp_from_angle(angle=math.radians(40))
        item.data.materials.append(_material(block.surface, materials))
    if block.glow is not None:
        item.data.materials.clear()
        item.data.materials.append(_glowing(name, block.glow))
    item.location = block.at
    item.rotation_euler = (0.0, 0.0, block.yaw_rad)


def _prop(prop: Prop) -> None:
    before = set(bpy.data.objects)
    build(prop.family, prop.seed)
    (item,) = (item for item in bpy.data.objects if item not in before)
    corners = np.array([corner[:] for corner in item.bound_box])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = prop.size_m / float((high - low).max())
    middle = (low + high) / 2
    cos, sin = math.cos(prop.yaw_rad), math.sin(prop.yaw_rad)
    item.scale = (scale,) * 3
    item.rotation_euler = (0.0, 0.0, prop.yaw_rad)
    item.location = (
        prop.foot[0] - scale * (cos * middle[0] - sin * middle[1]),
        prop.foot[1] - scale * (sin * middle[0] + cos * middle[1]),
        prop.foot[2] - scale * low[2],
    )


def _material(surface: SurfaceSpec, materials: dict[SurfaceSpec, bpy.types.Material]) -> bpy.types.Material:
    if surface not in materials:
        materials[surface] = dress(f"surface{len(materials)}", surface)
    return materials[surface]


def _glowing(name: str, radiance: tuple[float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(f"{name}.glow")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    emission = tree.nodes.new("ShaderNodeEmission")
    strongest = max(radiance)
    emission.inputs["Color"].default_value = (*(channel / strongest for channel in radiance), 1.0)
    emission.inputs["Strength"].default_value = strongest
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material
