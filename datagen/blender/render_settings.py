"""Every Cycles setting that decides a pixel, written out: the wheel's defaults do not suit data generation.

The values are recorded in the dataset's configuration. Times and decibels in the comments are measurements at
256x256 and 16 samples on two CPU cores.
"""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel

# Full width at half height of a reflected GGX lobe, in rad per alpha (4 x 0.644); Blender's alpha is the
# square of its roughness.
LOBE_WIDTH = 2.57
# Above, reading the copy and its importance map costs more at every swap than it brings.
WIDEST_COPY = 2048

Device = Literal["cpu", "cuda", "optix", "hip", "oneapi", "metal"]


class RenderSettings(FrozenModel):
    """Settings of Cycles."""

    python: Path | None = None
    """Path of the Python interpreter that has bpy; null: the one that runs pairbridge. Another environment's
    (`renderer/bin/python`) has packages of its own, which need not agree with these; it is needed on every
    machine that renders. The path is no part of a dataset, its version of Blender is."""

    device: Device = "cpu"
    """Device that renders. A GPU that is missing is an error, never a fallback."""

    samples: int = Field(default=64, ge=1, le=65536)
    """Paths per pixel, all of which are taken. Below about 32 the denoiser leaves blotches that follow the
    albedo, and the largest error of an edge's alpha grows from 0.07 (64) to 0.16 (16)."""

    adaptive_sampling: bool = False
    """Cycles' adaptive sampling. With it, a pixel's number of paths depends on the lighting, and alpha
    differs between lightings."""

    denoiser_quality: Literal["fast", "balanced", "high"] = "balanced"
    """Quality of OpenImageDenoise. Balanced adds 20 % to a 16-sample render, high more than 100 % for 0.4 to
    1.2 dB."""

    denoiser_prefilter: Literal["none", "fast", "accurate"] = "fast"
    """How the denoiser filters its albedo and normal inputs first."""

    lighting_copy_width: int = Field(default=256, ge=16, le=16384)
    """Width in pixels of the area-averaged copy of an environment map that lights the object, and of Cycles'
    importance map. Averaging keeps the energy of a sun; mirrors need more, because they reflect the copy."""

    max_bounces: int = Field(default=8, ge=0, le=1024)
    """Largest number of bounces of a path."""
    diffuse_bounces: int = Field(default=4, ge=0, le=1024)
    """Largest number of diffuse bounces."""
    glossy_bounces: int = Field(default=4, ge=0, le=1024)
    """Largest number of glossy bounces."""
    transmission_bounces: int = Field(default=8, ge=0, le=1024)
    """Largest number of passages through glass, which needs about eight before it stops being black."""
    volume_bounces: int = Field(default=0, ge=0, le=1024)
    """Largest number of scatterings in volumes."""
    transparent_bounces: int = Field(default=8, ge=0, le=1024)
    """Largest number of transparent surfaces that a path passes."""

    clamp_direct: float = Field(default=0.0, ge=0)
    """Largest radiance of direct light on a path; 0 turns it off, since the light of a sun is real energy."""
    clamp_indirect: float = Field(default=10.0, ge=0)
    """Largest radiance of one indirect path, in units of the environment map. It darkens strong
    interreflections slightly; 0 turns it off and leaves fireflies that the denoiser smears."""
    glossy_blur: float = Field(default=1.0, ge=0)
    """Cycles' filter_glossy, which blurs glossy surfaces behind diffuse bounces against fireflies."""
    reflective_caustics: bool = False
    """Trace caustics from reflections."""
    refractive_caustics: bool = False
    """Trace caustics through glass."""
    light_tree: bool = False
    """Cycles' light tree, which helps scenes with many lamps; most recipes have the environment map alone."""

    pixel_filter: Literal["BLACKMAN_HARRIS", "GAUSSIAN", "BOX"] = "BLACKMAN_HARRIS"
    """Reconstruction filter of pixels."""
    pixel_filter_width: float = Field(default=1.5, gt=0)
    """Width of that filter in pixels. The 0.01 of an older published lineage gives jagged edges and aliased
    alpha."""

    def lighting_copy_width_for(self, smoothest: float) -> int:
        """Width of the copy that lights a scene whose smoothest metal or glass has this roughness in [0, 1].

        The lobe of a GGX reflection is about 2.57 roughness² rad wide at half its height; a texel of the copy
        is not to be wider than that, so the width is at least 2.44 / roughness², up to WIDEST_COPY.
        """
        needed = 2 * math.pi / (LOBE_WIDTH * max(smoothest, 1e-3) ** 2)
        stepped = 32 * math.ceil(needed / 32)
        return max(self.lighting_copy_width, min(stepped, WIDEST_COPY))
