"""Which passes a render writes, and the writing: one multilayer EXR, no compositor. Needs bpy."""

import bpy

from pairbridge.datagen.blender.child.blender_lines import write_multilayer_exr
from pairbridge.datagen.blender.child.surface_outputs import write_surface
from pairbridge.datagen.scene.specs import GEOMETRIC_HITS, GEOMETRIC_NORMAL, SURFACE

# Uncompressed: the file never leaves memory, and compression costs more than it saves there.
CODEC = "NONE"

# Objects that one pixel can tell apart.
CRYPTOMATTE_DEPTH = 6


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
        write_surface(material.node_tree)


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
