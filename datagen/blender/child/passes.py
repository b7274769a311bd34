"""Which passes a render writes, and the writing: one multilayer EXR, no compositor. Needs bpy."""

import bpy

from pairbridge.datagen.scene.specs import GEOMETRIC_HITS, GEOMETRIC_NORMAL

# Uncompressed: the file never leaves memory, and compression costs more than it saves there.
CODEC = "NONE"

# Objects that one pixel can tell apart.
CRYPTOMATTE_DEPTH = 6


def enable_passes(*, coverage: bool) -> None:
    """Depth, world-space normals with and without bump, the colour before denoising and the albedo that the
    denoiser uses (diffuse + glossy colour); with `coverage` also each object's share of each pixel.
    """
    layer = bpy.context.view_layer
    layer.use_pass_combined = True
    layer.use_pass_z = True
    layer.use_pass_normal = True
    layer.cycles.denoising_store_passes = True
    # By asset: whatever hangs under one root is one object.
    layer.use_pass_cryptomatte_asset = coverage
    layer.pass_cryptomatte_depth = CRYPTOMATTE_DEPTH
    for name, kind in ((GEOMETRIC_NORMAL, "COLOR"), (GEOMETRIC_HITS, "VALUE")):
        output = layer.aovs.add()
        output.name, output.type = name, kind


def write_geometric_normals() -> None:
    """Have every material that is loaded write the normal of its surface, which Cycles' own pass mixes with
    bump maps and smooth shading. What has no material gets the one that Cycles would show.
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
        _write_normal(material.node_tree)


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


def _write_normal(tree: bpy.types.ShaderNodeTree) -> None:
    normal = tree.nodes.new("ShaderNodeNewGeometry").outputs["True Normal"]
    there = _there(tree)
    written = tree.nodes.new("ShaderNodeVectorMath")
    written.operation = "SCALE"
    tree.links.new(normal, written.inputs["Vector"])
    tree.links.new(there, written.inputs["Scale"])
    for name, socket, value in (
        (GEOMETRIC_NORMAL, "Color", written.outputs["Vector"]),
        (GEOMETRIC_HITS, "Value", there),
    ):
        output = tree.nodes.new("ShaderNodeOutputAOV")
        output.aov_name = name
        tree.links.new(value, output.inputs[socket])


def _there(tree: bpy.types.ShaderNodeTree) -> bpy.types.NodeSocket:
    """1 where a camera's ray ends on the surface, 0 where it passes through a hole, by the rule of the depth
    pass: an alpha of half. Knows the alpha of the Principled BSDF, which is where importers put it.
    """
    there = tree.nodes.new("ShaderNodeMath")
    there.operation = "GREATER_THAN"
    there.inputs[0].default_value = 1.0
    there.inputs[1].default_value = 0.5 - 1e-4
    output = tree.get_output_node("CYCLES")
    links = output.inputs["Surface"].links if output else ()
    if links and links[0].from_node.type == "BSDF_PRINCIPLED":
        alpha = links[0].from_node.inputs["Alpha"]
        there.inputs[0].default_value = alpha.default_value
        if alpha.links:
            tree.links.new(alpha.links[0].from_socket, there.inputs[0])
    return there.outputs[0]


def render_to(path: str) -> None:
    """Render the current scene and camera to a 32-bit multilayer EXR at `path`."""
    render = bpy.context.scene.render
    render.filepath = path
    # `path` is a file descriptor of /proc: no suffix, and it exists already.
    render.use_file_extension = False
    render.use_overwrite = True
    render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    render.image_settings.color_depth = "32"
    render.image_settings.exr_codec = CODEC
    bpy.ops.render.render(write_still=True)
