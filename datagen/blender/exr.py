"""From the multilayer EXR that Cycles wrote to arrays."""

import time

import numpy as np
import OpenEXR

from datagen.blender.protocol import RenderedPasses

# The view layer's name in every factory scene, and thus the prefix of every channel.
LAYER = "ViewLayer"

# Cycles' depth where no surface was hit is 1e10.
NO_HIT_DEPTH = 1e9


def read_passes(path: str, start_s: float) -> RenderedPasses:
    """All passes of one render; `start_s` is the `time.perf_counter` at which the request was made."""
    with OpenEXR.File(path) as file:
        # The header is emptied when the file is closed.
        render_s = seconds_of(file.header()[f"cycles.{LAYER}.render_time"])
        channels = {name: channel.pixels for name, channel in file.channels().items()}
    # The denoiser leaves traces of the order of 1e-6 where there is nothing.
    rgba = channels[f"{LAYER}.Combined"]
    rgba[rgba[..., 3] == 0] = 0
    depth = channels[f"{LAYER}.Depth.Z"]
    hit = depth < NO_HIT_DEPTH
    normal = np.stack([channels[f"{LAYER}.Normal.{axis}"] for axis in "XYZ"], axis=-1)
    # Anti-aliased edges average normals with the empty background, which shortens them.
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal))[..., None]
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 1e-6)
    return RenderedPasses(
        rgba=rgba,
        depth=np.where(hit, depth, np.float32(0)),
        normal=normal,
        albedo=channels[f"{LAYER}.Denoising Albedo"],
        wall_s=time.perf_counter() - start_s,
        render_s=render_s,
    )


def read_radiance(path: str) -> np.ndarray:
    """The combined pass as (H, W, 3) float32."""
    with OpenEXR.File(path) as file:
        combined = file.channels()[f"{LAYER}.Combined"].pixels
    return np.ascontiguousarray(combined[..., :3])


def seconds_of(stamp: str) -> float:
    """Seconds of Cycles' "MM:SS.ss" or "HH:MM:SS.ss"."""
    seconds = 0.0
    for part in stamp.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
