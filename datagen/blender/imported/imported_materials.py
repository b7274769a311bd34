"""Materials of objects from files: pictures that are not where the file says, alpha, colours of vertices.
Needs bpy."""

import re
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from pairbridge.datagen.assets.object_formats.file_references import find_beside
from pairbridge.datagen.assets.object_formats.ply_files import ply_picture
from pairbridge.datagen.assets.object_formats.unusable_objects import unusable
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.signatures import SIGNATURE_BYTES, content_of
from pairbridge.datagen.blender.imported.passing_light import let_light_pass

# Of a picture: where less of it is opaque, its alpha is taken for something else than coverage.
_OPAQUE_SHARE = 0.05
# A connection of a binary FBX from a picture to what a material calls its transparency.
_FBX_TRANSPARENCY = re.compile(rb"S\x02\0\0\0OPL.{8}L.{8}S.\0\0\0(?:Transparen|Opacity)", re.DOTALL)
# On a shader whose alpha is settled: of a scene of several files each one's import comes by.
_DONE = "pairbridge_alpha"
# Formats whose colours of vertices are colours: those of others may be weights of something.
_COLOURED_BESIDE_MATERIALS = frozenset({".obj", ".ply"})


def settle_materials(path: Path, meshes: list[bpy.types.Mesh], rules: ObjectRules) -> None:
    """Make the imported materials show what the file at `path` says. Raises AssetError where they cannot."""
    for image in bpy.data.images:
        if image.users and image.source == "FILE" and 0 in image.size[:]:
            _find_again(path, image)
        # With straight alpha Blender draws black where alpha is 0, whether or not a material uses alpha.
        if image.alpha_mode == "STRAIGHT":
            image.alpha_mode = "CHANNEL_PACKED"
    _check_images(path, rules)
    suffix = path.suffix.lower()
    picture = ply_picture(path) if suffix == ".ply" else None
    for mesh in meshes:
        if picture is not None and mesh.uv_layers and not mesh.materials:
            _show_picture(mesh, path.parent / picture)
        _show_vertex_colours(mesh, beside_materials=suffix in _COLOURED_BESIDE_MATERIALS)
    if suffix == ".fbx":
        if _FBX_TRANSPARENCY.search(path.read_bytes()) is None:
            _drop_alpha_that_is_no_coverage()
        _keep_stated_alpha()
    _check_visible(path, meshes)
    let_light_pass(_trees())


def _find_again(path: Path, image: bpy.types.Image) -> None:
    """Load the picture from where it lies: its name was written on Windows, in another case or as a path of
    old."""
    found = find_beside(path.parent, _name_in_file(path, image))
    if found is not None:
        image.filepath = str((path.parent / found).absolute())
        image.reload()


def _name_in_file(path: Path, image: bpy.types.Image) -> str:
    name = image.filepath.removeprefix("//") or image.name
    folder = str(path.parent.absolute())
    return name.removeprefix(folder).lstrip("/") if name.startswith(folder) else name


def _check_images(path: Path, rules: ObjectRules) -> None:
    """A missing texture does not raise: it renders purple."""
    for tree in _trees():
        for node in tree.nodes:
            # The USD importer leaves the node empty, as does an author who never chose a picture.
            if node.bl_idname == "ShaderNodeTexImage" and node.image is None and _is_linked(node):
                raise unusable(
                    path, "missing_texture", f"the picture of node {node.name!r} in {tree.name!r} is missing"
                )
    for image in bpy.data.images:
        if not image.users or image.source not in ("FILE", "TILED"):
            continue
        width, height = image.size[:]
        if 0 in (width, height):
            raise unusable(path, "missing_texture", _why_missing(path, image))
        if max(width, height) > rules.max_texture_side:
            raise unusable(
                path,
                "texture_too_large",
                f"its texture {_name_in_file(path, image)} has {width}x{height} pixels, above "
                f"object_rules.max_texture_side of {rules.max_texture_side}",
            )


def _trees() -> list[bpy.types.ShaderNodeTree]:
    """Of the materials that are used, and the groups in them."""
    own = [thing.node_tree for thing in bpy.data.materials if thing.use_nodes and thing.users]
    return [*own, *(group for group in bpy.data.node_groups if group.users and group.type == "SHADER")]


def _why_missing(path: Path, image: bpy.types.Image) -> str:
    name = _name_in_file(path, image)
    found = find_beside(path.parent, name)
    if found is None:
        return f"its texture {name if not name.startswith('/') else Path(name).name} is missing or damaged"
    with open(path.parent / found, "rb") as stream:
        content = content_of(stream.read(SIGNATURE_BYTES))
    return f"its texture {found} is damaged" + (f": it is {content}" if content else "")


def _is_linked(node: bpy.types.Node) -> bool:
    return any(output.is_linked for output in node.outputs)


def _show_picture(mesh: bpy.types.Mesh, picture: Path) -> None:
    """A PLY comes without a material; its header names the picture that its texture coordinates belong to."""
    tree, surface = _new_material(mesh, "picture")
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.load(str(picture.absolute()), check_existing=True)
    node.image.alpha_mode = "CHANNEL_PACKED"
    tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])


def _show_vertex_colours(mesh: bpy.types.Mesh, *, beside_materials: bool) -> None:
    """Scans have a colour per vertex, and no material or one of a plain colour: show the vertices'
    colours."""
    if not mesh.color_attributes:
        return
    if not len(mesh.materials):
        surfaces = [_new_material(mesh, "vertex colours")]
    elif beside_materials:
        surfaces = [
            (tree, surface) for tree, surface in _surfaces(mesh) if not surface.inputs["Base Color"].is_linked
        ]
    else:
        return
    for tree, surface in surfaces:
        attribute = tree.nodes.new("ShaderNodeVertexColor")
        attribute.layer_name = mesh.color_attributes[0].name
        tree.links.new(attribute.outputs["Color"], surface.inputs["Base Color"])


def _new_material(mesh: bpy.types.Mesh, name: str) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    mesh.materials.append(material)
    return _principled(material)


def _principled(material: bpy.types.Material) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    tree = material.node_tree
    return tree, next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")


def _surfaces(mesh: bpy.types.Mesh) -> Iterator[tuple[bpy.types.NodeTree, bpy.types.Node]]:
    for material in mesh.materials:
        nodes = material.node_tree.nodes if material and material.use_nodes else ()
        if any(node.type == "BSDF_PRINCIPLED" for node in nodes):
            yield _principled(material)


def _drop_alpha_that_is_no_coverage() -> None:
    """Blender's FBX importer takes every alpha channel of a diffuse picture for coverage, stated or not.

    Where nearly nothing of the picture is opaque, games keep gloss or a mask there.
    """
    for material in bpy.data.materials:
        nodes = material.node_tree.nodes if material.use_nodes else ()
        for surface in (node for node in nodes if node.type == "BSDF_PRINCIPLED"):
            for link in surface.inputs["Alpha"].links:
                alpha = _alpha(getattr(link.from_node, "image", None))
                if alpha is not None and np.mean(alpha > 0.99) < _OPAQUE_SHARE:
                    material.node_tree.links.remove(link)
                    surface.inputs["Alpha"].default_value = 1.0


def _keep_stated_alpha() -> None:
    """Blender's FBX importer also puts a picture's alpha in the place of the material's own: both count. (0
    is what some exporters write of what is opaque.)
    """
    for material in bpy.data.materials:
        nodes = material.node_tree.nodes if material.use_nodes else ()
        for surface in [node for node in nodes if node.type == "BSDF_PRINCIPLED"]:
            alpha = surface.inputs["Alpha"]
            # A product is how the importers of the other formats show both.
            if (
                not alpha.is_linked
                or not 0 < alpha.default_value < 1
                or alpha.links[0].from_node.type == "MATH"
            ):
                continue
            both = material.node_tree.nodes.new("ShaderNodeMath")
            both.operation = "MULTIPLY"
            both.inputs[1].default_value = alpha.default_value
            material.node_tree.links.new(alpha.links[0].from_socket, both.inputs[0])
            material.node_tree.links.new(both.outputs[0], alpha)


def _check_visible(path: Path, meshes: list[bpy.types.Mesh]) -> None:
    """Refuse an object of which nothing would be seen, by its materials."""
    # A mesh without a material is drawn.
    materials = [material for mesh in meshes for material in (list(mesh.materials) or [None])]
    if materials and all(material and _is_invisible(material) for material in materials):
        why = f"its material {materials[0].name!r} is transparent: its alpha is 0 everywhere"
        raise unusable(path, "transparent", why)


def _is_invisible(material: bpy.types.Material) -> bool:
    nodes = material.node_tree.nodes if material.use_nodes else ()
    surfaces = [node for node in nodes if node.type == "BSDF_PRINCIPLED"]
    return bool(surfaces) and all(_alpha_is_zero(surface.inputs["Alpha"]) for surface in surfaces)


def _alpha_is_zero(socket: bpy.types.NodeSocket) -> bool:
    if not socket.is_linked:
        return socket.default_value == 0.0
    link = socket.links[0]
    if link.from_node.type == "MATH" and link.from_node.operation == "MULTIPLY":
        return any(_alpha_is_zero(factor) for factor in link.from_node.inputs[:2])
    alpha = _alpha(getattr(link.from_node, "image", None)) if link.from_socket.name == "Alpha" else None
    return alpha is not None and not alpha.any()


def _alpha(image: bpy.types.Image | None) -> np.ndarray | None:
    if image is None or image.channels != 4:
        return None
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels[3::4]
