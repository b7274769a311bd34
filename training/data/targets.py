"""Targets: images, depth and normals as three channels in [-1, 1], and the mask of valid pixels.

    image     target.png                as it is, uint8
    depth     depth.npy, any unit (H, W)  from -1 at d2 to 1 at d98, clipped; three equal channels
    normal    normal.png, normal.npy    the unit vector's components

d2 and d98 are the 2nd and 98th percentile of the crop's valid depths (affine-invariant depth, arXiv
2312.02145). A PNG of normals stores 127.5 (n + 1); x points right, y up, z at the camera. Depth is valid
where it is finite and above 0, a normal where it is no zero vector. Sizes change by taking the nearest
pixel: an average of near and far lies on no surface.
"""

from enum import StrEnum

import cv2
import numpy as np

from pairbridge.training.data.framing import Frame, crop_and_resize

NEAR_PERCENTILE, FAR_PERCENTILE = 2, 98


class TargetKind(StrEnum):
    IMAGE = "image"
    DEPTH = "depth"
    NORMAL = "normal"


# In order of preference.
FIELDS = {
    TargetKind.IMAGE: ("target.png",),
    TargetKind.DEPTH: ("depth.npy",),
    TargetKind.NORMAL: ("normal.npy", "normal.png"),
}


def framed_depth(depth: np.ndarray, frame: Frame | None) -> np.ndarray:
    """Depth (H, W) -> float32 (h, w), still in its unit."""
    return _framed(np.asarray(depth, np.float32), frame)


def depth_target(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W), any unit -> float32 (H, W, 3) in [-1, 1], and where it holds: uint8 (H, W), 0 or 255."""
    valid = np.isfinite(depth) & (depth > 0)
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.float32), _as_mask(valid)
    near, far = np.percentile(depth[valid], [NEAR_PERCENTILE, FAR_PERCENTILE])
    # A wall seen straight on has no span; half a thousandth keeps the quotient finite.
    scaled = (np.where(valid, depth, near) - near) / max(far - near, 5e-4) * 2 - 1
    scaled = np.clip(scaled, -1, 1).astype(np.float32)
    return np.repeat(np.where(valid, scaled, 0)[..., None], 3, axis=2), _as_mask(valid)


def normal_target(normals: np.ndarray, frame: Frame | None) -> tuple[np.ndarray, np.ndarray]:
    """Normals (H, W, 3), uint8 or components -> float32 (h, w, 3) unit vectors, and where they hold, as
    above.
    """
    if normals.ndim != 3 or normals.shape[2] != 3:
        raise ValueError(f"normals have shape {normals.shape}, not (H, W, 3)")
    if normals.dtype == np.uint8:
        # Black stands for "no surface", and rounding moves a unit vector by at most 0.7 %.
        vectors = np.where(normals.any(axis=2, keepdims=True), normals.astype(np.float32) / 127.5 - 1, 0)
    else:
        vectors = np.nan_to_num(normals.astype(np.float32))
    vectors = _framed(vectors, frame)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    valid = length[..., 0] > 0.5
    unit = np.where(valid[..., None], vectors / np.maximum(length, 1e-6), 0).astype(np.float32)
    return unit, _as_mask(valid)


def to_picture(target: np.ndarray) -> np.ndarray:
    """Targets or outputs as uint8 of their shape: images as they are, [-1, 1], clipped, as 0..255."""
    if target.dtype == np.uint8:
        return target
    return np.rint((target.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def _framed(array: np.ndarray, frame: Frame | None) -> np.ndarray:
    return array if frame is None else crop_and_resize(array, frame, interpolation=cv2.INTER_NEAREST_EXACT)


def _as_mask(valid: np.ndarray) -> np.ndarray:
    return valid.astype(np.uint8) * 255
