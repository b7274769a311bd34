"""Which passes a render writes, and the writing: one multilayer EXR, no compositor. Needs bpy."""

import bpy

# Uncompressed: the file never leaves memory, and compression costs more than it saves there.
CODEC = "NONE"

# Objects that one pixel can tell apart.
CRYPTOMATTE_DEPTH = 6


def enable_passes(*, coverage: bool) -> None:
    """Depth, world-space normal, the colour before denoising and the albedo that the denoiser uses (diffuse +
    glossy colour); with `coverage` also each object's share of each pixel.
    """
    layer = bpy.context.view_layer
    layer.use_pass_combined = True
    layer.use_pass_z = True
    layer.use_pass_normal = True
    layer.cycles.denoising_store_passes = True
    # By asset: whatever hangs under one root is one object.
    layer.use_pass_cryptomatte_asset = coverage
    layer.pass_cryptomatte_depth = CRYPTOMATTE_DEPTH


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
