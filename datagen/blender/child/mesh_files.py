"""Objects from files. Broken ones raise in Blender or come back empty; both end as AssetError. Needs bpy.

Out of a .blend they are appended, never opened, so that none of its settings or scripts runs. A file that
wants to run Python (a text that registers itself, a driver beyond plain arithmetic) is refused: with scripts
off it would not look as its author saw it.
"""

from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from pairbridge.datagen.assets.object_files import check_object_file, unusable
from pairbridge.datagen.assets.object_rules import ObjectRules

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
            _append_blend(path)
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


def _append_blend(path: Path) -> None:
    """Add what the first scene of the file renders, or all of its objects where it has no scene."""
    with bpy.data.libraries.load(str(path), link=False) as (there, wanted):
        wanted.scenes = there.scenes
        wanted.texts = there.texts
        if not there.scenes:
            wanted.objects = there.objects
    for text in wanted.texts:
        if text.use_module:
            raise unusable(path, "script", f"its text {text.name!r} is a script that wants to run on opening")
        bpy.data.texts.remove(text)
    if wanted.scenes:
        _link_rendered(wanted.scenes[0].view_layers[0].layer_collection)
        for scene in wanted.scenes:
            bpy.data.scenes.remove(scene)
    else:
        for item in wanted.objects:
            bpy.context.scene.collection.objects.link(item)
    for library in bpy.data.libraries:
        if not Path(bpy.path.abspath(library.filepath)).is_file():
            raise unusable(path, "missing_library", f"it links to {library.filepath}, which is not there")
    # Drivers are evaluated here, and Blender notes those whose expression it refused.
    bpy.context.evaluated_depsgraph_get()
    if bpy.app.autoexec_fail:
        raise unusable(path, "script", f"it wants to run Python: {bpy.app.autoexec_fail_message}")


def _link_rendered(layer: bpy.types.LayerCollection) -> None:
    """Link the objects of a layer's collections, leaving out those that its scene does not render."""
    if layer.exclude or layer.collection.hide_render:
        return
    linked = bpy.context.scene.collection.objects
    for item in layer.collection.objects:
        # An object may lie in several collections.
        if item.name not in linked:
            linked.link(item)
    for child in layer.children:
        _link_rendered(child)
