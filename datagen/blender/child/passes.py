"""Which passes a render writes, and the writing: one multilayer EXR, no compositor. Needs bpy."""

import bpy

from pairbridge.datagen.blender.child.blender_lines import write_multilayer_exr
from pairbridge.datagen.scene.specs import GEOMETRIC_HITS, GEOMETRIC_NORMAL, SURFACE

# Uncompressed: the file never leaves memory, and compression costs more than it saves there.
CODEC = "NONE"

# Everything that a renderer draws; lights, cameras, speakers and probes of a file are removed.
BOUNDED_TYPES = frozenset({"MESH", "CURVE", "SURFACE", "META", "FONT"})

# Objects that one pixel can tell apart.
CRYPTOMATTE_DEPTH = 6

# Shaders that have a roughness beside the Principled BSDF's, and those of them that are metal.
_METALS = ("BSDF_GLOSSY", "BSDF_METALLIC")
_REFLECTING = ("BSDF_PRINCIPLED", "BSDF_GLASS", "BSDF_REFRACTION", *_METALS)


def enable_passes(*, coverage: bool, catches: bool = False) -> None:
    """Depth, world-space normals with and without bump, the colour before denoising, the albedo that the
    denoiser uses (diffuse + glossy colour), roughness and metallic; with `coverage` also each object's share
    of each pixel, and, where a ground `catches` shadows, what they leave of its light.
    """
    layer = bpy.context.view_layer
    layer.cycles.use_pass_shadow_catcher = catches
    layer.use_pass_combined = True
    layer.use_pass_z = True
    layer.use_pass_normal = True
    layer.cycles.denoising_store_passes = True
    # By asset: whatever hangs under one root is one object.
    layer.use_pass_cryptomatte_asset = coverage
    layer.pass_cryptomatte_depth = CRYPTOMATTE_DEPTH
    for name, kind in ((GEOMETRIC_NORMAL, "COLOR"), (GEOMETRIC_HITS, "VALUE"), (SURFACE, "COLOR")):
        output = layer.aovs.add()
        output.name, output.type = name, kind


def write_surfaces() -> None:
    """Have every material that is loaded write its roughness and metallic, and the normal of its surface,
    which Cycles' own pass mixes with bump maps and smooth shading. What has no material gets the one that
    Cycles would show.
    """
    bare = bpy.data.materials.new("bare")
    for item in bpy.data.objects:
        # Not an empty, and no data of a kind that has no surface.
        if hasattr(item.data, "materials"):
            if not item.material_slots:
                item.data.materials.append(bare)
            for slot in item.material_slots:
                slot.material = slot.material or bare
    for material in bpy.data.materials:
        if not material.use_nodes:
            _show_by_nodes(material)
        _write_surface(material.node_tree)


def _show_by_nodes(material: bpy.types.Material) -> None:
    """Cycles shows a material without nodes as diffuse, in the colour of the viewport."""
    colour = material.diffuse_color[:]
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    diffuse = tree.nodes.new("ShaderNodeBsdfDiffuse")
    diffuse.inputs["Color"].default_value = colour
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(diffuse.outputs["BSDF"], output.inputs["Surface"])


def _write_surface(tree: bpy.types.ShaderNodeTree) -> None:
    there = _there(tree)
    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    for name, socket, value in (
        (GEOMETRIC_NORMAL, "Color", _scaled(tree, geometry.outputs["True Normal"], there)),
        (GEOMETRIC_HITS, "Value", there),
        (SURFACE, "Color", _scaled(tree, _surface(tree, _shader(tree)), there)),
    ):
        output = tree.nodes.new("ShaderNodeOutputAOV")
        output.aov_name = name
        tree.links.new(value, output.inputs[socket])


def _scaled(
    tree: bpy.types.ShaderNodeTree, vector: bpy.types.NodeSocket, factor: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation = "SCALE"
    tree.links.new(vector, node.inputs["Vector"])
    tree.links.new(factor, node.inputs["Scale"])
    return node.outputs["Vector"]


def _surface(tree: bpy.types.ShaderNodeTree, shader: bpy.types.Node | None) -> bpy.types.NodeSocket:
    """(roughness, metallic, 0) of what `shader` shows. Mixed shaders are mixed; what has no roughness of a
    reflection, as cloth, wax and light, counts as matte.
    """
    kind = shader.type if shader else ""
    if kind == "MIX_SHADER":
        first, second = (
            _surface(tree, socket.links[0].from_node if socket.links else None)
            for socket in shader.inputs[1:3]
        )
        step = tree.nodes.new("ShaderNodeVectorMath")
        step.operation = "SUBTRACT"
        tree.links.new(second, step.inputs[0])
        tree.links.new(first, step.inputs[1])
        mixed = tree.nodes.new("ShaderNodeVectorMath")
        mixed.operation = "MULTIPLY_ADD"
        tree.links.new(step.outputs[0], mixed.inputs[0])
        _copy(tree, shader.inputs["Fac"], mixed.inputs[1])
        tree.links.new(first, mixed.inputs[2])
        return mixed.outputs[0]
    written = tree.nodes.new("ShaderNodeCombineXYZ")
    written.inputs["X"].default_value = 1.0
    if kind in _REFLECTING:
        _copy(tree, shader.inputs["Roughness"], written.inputs["X"])
    if kind == "BSDF_PRINCIPLED":
        _copy(tree, shader.inputs["Metallic"], written.inputs["Y"])
    elif kind in _METALS:
        written.inputs["Y"].default_value = 1.0
    return written.outputs["Vector"]


def _copy(tree: bpy.types.ShaderNodeTree, read: bpy.types.NodeSocket, written: bpy.types.NodeSocket) -> None:
    """Give one input what another has: its link, or its number."""
    if read.links:
        tree.links.new(read.links[0].from_socket, written)
    else:
        value = read.default_value
        written.default_value = (value,) * 3 if written.type == "VECTOR" else value


def _shader(tree: bpy.types.ShaderNodeTree) -> bpy.types.Node | None:
    """The node that is shown as the surface."""
    output = tree.get_output_node("CYCLES")
    links = output.inputs["Surface"].links if output else ()
    return links[0].from_node if links else None


def _there(tree: bpy.types.ShaderNodeTree) -> bpy.types.NodeSocket:
    """1 where a camera's ray ends on the surface, 0 where it passes through a hole, by the rule of the depth
    pass: an alpha of half. Knows the alpha of the Principled BSDF, which is where importers put it.
    """
    there = tree.nodes.new("ShaderNodeMath")
    there.operation = "GREATER_THAN"
    there.inputs[0].default_value = 1.0
    there.inputs[1].default_value = 0.5 - 1e-4
    shader = _shader(tree)
    if shader and shader.type == "BSDF_PRINCIPLED":
        alpha = shader.inputs["Alpha"]
        there.inputs[0].default_value = alpha.default_value
        if alpha.links:
            tree.links.new(alpha.links[0].from_socket, there.inputs[0])
    return there.outputs[0]


def is_bounded() -> bool:
    """Whether the vertices that a camera is placed by bound all that is rendered: neither hair, nor a surface
    that nodes move or that is subdivided more finely in renders.
    """
    return not any(map(_reaches_out, bpy.data.objects)) and not any(map(_moves, bpy.data.materials))


def _reaches_out(item: bpy.types.Object) -> bool:
    if item.type not in BOUNDED_TYPES:
        return item.type not in ("EMPTY", "ARMATURE", "CAMERA", "LATTICE")
    return bool(item.particle_systems) or any(
        modifier.type == "NODES"
        or modifier.show_viewport != modifier.show_render
        or getattr(modifier, "levels", 0) != getattr(modifier, "render_levels", 0)
        for modifier in item.modifiers
    )


def _moves(material: bpy.types.Material) -> bool:
    output = material.node_tree.get_output_node("CYCLES") if material.use_nodes else None
    return output is not None and output.inputs["Displacement"].is_linked


def set_part(box: tuple[int, int, int, int], size_WH: tuple[int, int]) -> None:
    """Which part of the picture `show_part` renders: left, top, right and bottom in pixels. What is around
    it is empty in every pass, and its pixels have the bits of a whole render before denoising.
    """
    render, (width, height) = bpy.context.scene.render, size_WH
    left, top, right, bottom = box
    # Blender rounds down: a quarter of a pixel, so that no rounding of floats loses one.
    render.border_min_x, render.border_max_x = (left + 0.25) / width, (right + 0.25) / width
    render.border_min_y, render.border_max_y = (
        (height - bottom + 0.25) / height,
        (height - top + 0.25) / height,
    )
    render.use_crop_to_border = False


def show_part(part: bool) -> None:
    """Whether the next renders are of the part that was set, or of the whole frame."""
    bpy.context.scene.render.use_border = part


def render_to(path: str) -> None:
    """Render the current scene and camera to a 32-bit multilayer EXR at `path`."""
    render = bpy.context.scene.render
    render.filepath = path
    # `path` is a file descriptor of /proc: no suffix, and it exists already.
    render.use_file_extension = False
    render.use_overwrite = True
    write_multilayer_exr(render.image_settings)
    render.image_settings.color_depth = "32"
    render.image_settings.exr_codec = CODEC
    bpy.ops.render.render(write_still=True)
