"""Every Cycles setting that decides a pixel, written out: the wheel's defaults do not suit data generation.

The values are recorded in the dataset's configuration. Times and decibels in the comments are measurements at
256x256 and 16 samples on two CPU cores.
"""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Full width at half height of a reflected GGX lobe, in rad per alpha (4 x 0.644); Blender's alpha is the
# square of its roughness.
LOBE_WIDTH = 2.57
# Above, reading the copy and its importance map costs more at every swap than it brings.
WIDEST_COPY = 2048

Device = Literal["cpu", "cuda", "optix", "hip", "oneapi", "metal"]


class RenderSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = "cpu"
    """Asserted after every reset of the scene. A GPU that is missing is an error, never a fallback."""

    samples: int = Field(default=64, ge=1, le=65536)
    """Paths per pixel; all of them are taken. Below about 32 the denoiser leaves blotches that follow the
    albedo, and the largest error of an edge's alpha grows from 0.07 (64) to 0.16 (16)."""

    adaptive_sampling: bool = False
    """Off: if a pixel's number of paths depended on the lighting, alpha would differ between lightings."""

    denoiser_quality: Literal["fast", "balanced", "high"] = "balanced"
    """OpenImageDenoise. Balanced adds 20 % to a 16-sample render; high more than 100 % for 0.4 to 1.2 dB."""

    denoiser_prefilter: Literal["none", "fast", "accurate"] = "fast"

    lighting_copy_width: int = Field(default=256, ge=16, le=16384)
    """Width in pixels of the area-averaged copy of an HDRI that lights the object, and of Cycles' importance
    map, which so finds each of its texels. Averaging keeps the energy of a sun. Mirrors need more (their
    reflections show the copy). docs/rendering.md has what other widths cost."""

    max_bounces: int = Field(default=8, ge=0, le=1024)
    diffuse_bounces: int = Field(default=4, ge=0, le=1024)
    glossy_bounces: int = Field(default=4, ge=0, le=1024)
    transmission_bounces: int = Field(default=8, ge=0, le=1024)
    """Glass needs about eight interfaces before it stops being black."""

    volume_bounces: int = Field(default=0, ge=0, le=1024)
    transparent_bounces: int = Field(default=8, ge=0, le=1024)

    clamp_direct: float = Field(default=0.0, ge=0)
    """0 is off: direct light of an HDRI's sun is real energy."""

    clamp_indirect: float = Field(default=10.0, ge=0)
    """Largest radiance of one indirect path, in units of the lighting. It darkens strong interreflections
    slightly; off (0) leaves fireflies that the denoiser smears."""

    glossy_blur: float = Field(default=1.0, ge=0)
    """Cycles' filter_glossy: blurs glossy surfaces behind diffuse bounces, against fireflies."""

    reflective_caustics: bool = False
    refractive_caustics: bool = False

    light_tree: bool = False
    """Helps scenes with many lamps; here the only light is the environment."""

    pixel_filter: Literal["BLACKMAN_HARRIS", "GAUSSIAN", "BOX"] = "BLACKMAN_HARRIS"
    pixel_filter_width: float = Field(default=1.5, gt=0)
    """Blender's default. The 0.01 of an older published lineage gives jagged edges and aliased alpha."""

    def lighting_copy_width_for(self, smoothest: float) -> int:
        """Width of the copy that lights a scene whose smoothest metal or glass has this roughness in [0, 1].

        The lobe of a GGX reflection is about 2.57 roughness² rad wide at half its height; a texel of the copy
        is not to be wider than that, so the width is at least 2.44 / roughness², up to WIDEST_COPY.
        """
        needed = 2 * math.pi / (LOBE_WIDTH * max(smoothest, 1e-3) ** 2)
        stepped = 32 * math.ceil(needed / 32)
        return max(self.lighting_copy_width, min(stepped, WIDEST_COPY))
