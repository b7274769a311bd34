"""From the multilayer EXR that Cycles wrote to arrays."""

import json
import time
from typing import Any

import numpy as np
import OpenEXR

from pairbridge.datagen.scene.specs import (
    GEOMETRIC_HITS,
    GEOMETRIC_NORMAL,
    OBJECT_NAME,
    SURFACE,
    RenderedPasses,
)

# The view layer's name in every factory scene, and thus the prefix of every channel.
LAYER = "ViewLayer"

# Cycles' depth where no surface was hit is 1e10.
NO_HIT_DEPTH = 1e9


def read_passes(path: str, start_s: float, num_objects: int) -> RenderedPasses:
    """All passes of one render of `num_objects`; `start_s` is the `time.perf_counter` at which it was asked
    for.
    """
    with OpenEXR.File(path) as file:
        # The header is emptied when the file is closed.
        header = dict(file.header())
        render_s = seconds_of(header[f"cycles.{LAYER}.render_time"])
        channels = {name: channel.pixels for name, channel in file.channels().items()}
    # The denoiser leaves traces of the order of 1e-6 where there is nothing.
    rgba = channels[f"{LAYER}.Combined"]
    coverage = _coverage(header, channels, num_objects)
    caught = channels.get(f"{LAYER}.Shadow Catcher")
    if caught is not None:
        # The alpha of such a render mixes objects with the shadow that they cast.
        rgba[..., 3] = np.minimum(coverage.sum(axis=0), 1)
    rgba[rgba[..., 3] == 0] = 0
    depth = channels[f"{LAYER}.Depth.Z"]
    hit = depth < NO_HIT_DEPTH
    shading_normal = _unit(np.stack([channels[f"{LAYER}.Normal.{axis}"] for axis in "XYZ"], axis=-1))
    hits = channels[f"{LAYER}.{GEOMETRIC_HITS}.X"][..., None]
    # Where several surfaces of a ray wrote theirs, or none, as nodes may have it, Cycles' own pass knows
    # which.
    one = (hits > 0) & (hits < 1 + 1e-3)
    normal = np.where(one, _unit(channels[f"{LAYER}.{GEOMETRIC_NORMAL}"][..., :3]), shading_normal)
    # A mean over the surfaces that wrote one: at an edge the empty background counts nothing.
    surface = channels[f"{LAYER}.{SURFACE}"][..., :2] / np.maximum(hits, np.float32(1e-6))
    return RenderedPasses(
        rgba=rgba,
        noisy=channels[f"{LAYER}.Noisy Image"][..., :3],
        coverage=coverage,
        depth=np.where(hit, depth, np.float32(0)),
        normal=normal,
        shading_normal=shading_normal,
        albedo=channels[f"{LAYER}.Denoising Albedo"],
        roughness=np.clip(surface[..., 0], 0, 1),
        metallic=np.clip(surface[..., 1], 0, 1),
        wall_s=time.perf_counter() - start_s,
        render_s=render_s,
        caught=None if caught is None else caught[..., :3],
    )


def _unit(normal: np.ndarray) -> np.ndarray:
    """Of unit length: anti-aliased edges average normals with the empty background, which shortens them."""
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal))[..., None]
    return np.divide(normal, length, out=np.zeros_like(normal), where=length > 1e-6)


def _coverage(header: dict[str, Any], channels: dict[str, np.ndarray], num_objects: int) -> np.ndarray | None:
    """(N, H, W) share of each pixel taken by each numbered object, from Cryptomatte's ranked pairs of (name
    hash, share); None where the render has no such pass.
    """
    ranked = [channels[name] for name in sorted(channels) if name.startswith(f"{LAYER}.Crypto")]
    if not ranked:
        return None
    manifest = next(text for name, text in header.items() if name.endswith("/manifest"))
    hashes = {name: int(value, 16) for name, value in json.loads(manifest).items()}
    # Sorted by name, the four channels of each pass come as a, b, g, r: its ranks are (r, g) and (b, a).
    pairs = [
        (ids.view(np.uint32), shares)
        for a, b, g, r in zip(*[iter(ranked)] * 4, strict=True)
        for ids, shares in ((r, g), (b, a))
    ]
    coverage = np.zeros((num_objects, *ranked[0].shape), np.float32)
    for number in range(num_objects):
        # A hidden object has no entry.
        wanted = hashes.get(f"{OBJECT_NAME}{number}")
        for ids, shares in pairs if wanted is not None else ():
            coverage[number] += np.where(ids == wanted, shares, 0)
    return np.clip(coverage, 0, 1)


def read_alpha(path: str) -> np.ndarray:
    """The combined pass's alpha as (H, W) float32."""
    with OpenEXR.File(path) as file:
        combined = file.channels()[f"{LAYER}.Combined"].pixels
    return np.ascontiguousarray(combined[..., 3])


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
