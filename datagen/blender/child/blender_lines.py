"""What differs between the lines of Blender that are supported: 4.5 LTS and 5.2 LTS. Needs bpy.

The rest of the room is written once, in what both know.
"""

import bpy

# 5.0 named the sky of 4.5, whose light is scattered once, and gave it a neighbour; dust became aerosols.
_SINGLE_SCATTERING = "NISHITA" if bpy.app.version < (5, 0) else "SINGLE_SCATTERING"
_DUST = "dust_density" if bpy.app.version < (5, 0) else "aerosol_density"


def write_multilayer_exr(settings: bpy.types.ImageFormatSettings) -> None:
    """Have a render write one multilayer EXR with all of its passes in one part."""
    if bpy.app.version >= (5, 0):
        # A file's kind comes before its format; and each pass would have a part of its own.
        settings.media_type = "MULTI_LAYER_IMAGE"
        settings.use_exr_interleave = True
    settings.file_format = "OPEN_EXR_MULTILAYER"


def set_sky(texture: bpy.types.ShaderNodeTexSky, *, air: float, dust: float, ozone: float) -> None:
    """Make `texture` the physical sky of single scattering through this air, in multiples of the usual."""
    texture.sky_type = _SINGLE_SCATTERING
    texture.air_density = air
    setattr(texture, _DUST, dust)
    texture.ozone_density = ozone
