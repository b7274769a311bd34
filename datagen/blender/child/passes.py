"""Which passes a render writes, and the writing: one multilayer EXR, no compositor. Needs bpy."""

import bpy

from pairbridge.datagen.blender.child.blender_lines import write_multilayer_exr
from pairbridge.datagen.blender.child.surface_outputs import write_surface
from pairbridge.datagen.blender.imported.evaluated_geometry import SURFACES
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


def is_bounded() -> bool:
    """Whether the vertices that a camera is placed by bound all that is rendered: neither hair, nor a surface
    that nodes move or that is subdivided more finely in renders.
    """
    return not any(map(_reaches_out, bpy.data.objects)) and not any(map(_moves, bpy.data.materials))


def _reaches_out(item: bpy.types.Object) -> bool:
    if item.type not in SURFACES:
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
