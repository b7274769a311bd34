"""Objects from files. Broken ones raise in Blender or come back empty; both end as AssetError. Needs bpy."""

from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from pairbridge.datagen.assets.object_files import check_object_file, unusable
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.blender.child.blend_files import append_blend

# Area of all faces over the square of the extent: below it lie only lines and points, to rounding.
LEAST_AREA = 1e-10


def import_file(path: Path, rules: ObjectRules, operators: Mapping[str, str]) -> None:
    """Add the objects of a file to the scene, and check their images and faces.

    `operators` maps the suffixes of add-ons to their import operators. The caller checks that there is
    geometry: a broken OBJ comes back empty without a word.
    """
    check_object_file(path, rules)
    meshes_before = set(bpy.data.meshes)
    try:
        _import(path, operators)
    except (RuntimeError, OSError, AttributeError) as error:
        # Operators raise RuntimeError with their report, and often with a traceback before it.
        raise unusable(path, "damaged", str(error).strip().splitlines()[-1]) from error
    _check_images(path, rules)
    meshes = [mesh for mesh in bpy.data.meshes if mesh not in meshes_before]
    _check_area(path, meshes)
    for mesh in meshes:
        _show_vertex_colours(mesh)


def _import(path: Path, operators: Mapping[str, str]) -> None:
    name = str(path)
    match path.suffix.lower():
        case suffix if suffix in operators:
            room, _, operator = operators[suffix].partition(".")
            getattr(getattr(bpy.ops, room), operator)(filepath=name)
        case ".glb" | ".gltf":
            # Bones are drawn as spheres in a collection of their own unless told otherwise.
            bpy.ops.import_scene.gltf(filepath=name, disable_bone_shape=True)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=name)
        case ".fbx":
            bpy.ops.import_scene.fbx(filepath=name, use_anim=False, use_custom_props=False)
        case ".ply":
            bpy.ops.wm.ply_import(filepath=name)
        case ".stl":
            bpy.ops.wm.stl_import(filepath=name)
        case ".usd" | ".usda" | ".usdc" | ".usdz":
            bpy.ops.wm.usd_import(filepath=name, import_cameras=False, import_lights=False)
        case ".blend":
            append_blend(path)
        case suffix:
            raise unusable(path, "unknown_format", f"{suffix or 'no suffix'} is no format of an object")


def _check_images(path: Path, rules: ObjectRules) -> None:
    """A missing texture does not raise: it renders purple."""
    trees = [thing.node_tree for thing in bpy.data.materials if thing.use_nodes and thing.users]
    for tree in [*trees, *(group for group in bpy.data.node_groups if group.users)]:
        for node in tree.nodes:
            # The USD importer leaves the node empty, as does an author who never chose a picture.
            if node.bl_idname == "ShaderNodeTexImage" and node.image is None and _is_linked(node):
                raise unusable(
                    path, "missing_texture", f"the picture of node {node.name!r} in {tree.name!r} is missing"
                )
    for image in bpy.data.images:
        if not image.users or image.source not in ("FILE", "TILED"):
            continue
        name = image.filepath or image.name
        width, height = image.size[:]
        if 0 in (width, height):
            raise unusable(path, "missing_texture", f"its texture {name} is missing or damaged")
        if max(width, height) > rules.max_texture_side:
            raise unusable(
                path,
                "texture_too_large",
                f"its texture {name} has {width}x{height} pixels, above object_rules.max_texture_side of "
                f"{rules.max_texture_side}",
            )


def _is_linked(node: bpy.types.Node) -> bool:
    return any(output.is_linked for output in node.outputs)


def _check_area(path: Path, meshes: list[bpy.types.Mesh]) -> None:
    """Refuse a file whose faces have no area. Modifiers make area out of nothing: such objects are spared."""
    drawn = [item for item in bpy.context.scene.objects if item.data in meshes and not item.hide_render]
    if not drawn or any(item.modifiers or not item.data.polygons for item in drawn):
        return
    for mesh in {item.data for item in drawn}:
        area = np.empty(len(mesh.polygons), np.float32)
        mesh.polygons.foreach_get("area", area)
        corners = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", corners)
        extent = float(np.ptp(corners.reshape(-1, 3).astype(np.float64), axis=0).max())
        # Written so that NaN is not taken for too little: that has a name of its own.
        if not float(area.sum(dtype=np.float64)) <= LEAST_AREA * extent**2:
            return
    raise unusable(path, "zero_area", "its faces have no area")


def _show_vertex_colours(mesh: bpy.types.Mesh) -> None:
    """A scan comes without a material and with a colour per vertex: give it one that shows them."""
    if len(mesh.materials) or not mesh.color_attributes:
        return
    material = bpy.data.materials.new("vertex colours")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    attribute = nodes.new("ShaderNodeVertexColor")
    attribute.layer_name = mesh.color_attributes[0].name
    surface = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    links.new(attribute.outputs["Color"], surface.inputs["Base Color"])
    mesh.materials.append(material)
