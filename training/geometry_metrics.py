"""How close predicted depth and normals are to rendered or measured ones, over the pixels where these hold.

Depth is compared after the best scale and shift (MiDaS, arXiv 1907.01341), which monocular prediction leaves
open; normals as they are.
"""

import numpy as np

# An aligned depth at or behind the camera has no ratio to the truth: one millimetre stands for it.
MIN_DEPTH_M = 1e-3


def align_depth(predicted: np.ndarray, depth_m: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """scale x predicted + shift, least squares to `depth_m` over `valid`; (H, W) in metres, above 0.

    Raises ValueError where no pixel is valid.
    """
    p, d = predicted[valid].astype(np.float64), depth_m[valid].astype(np.float64)
    if not d.size:
        raise ValueError("depth without a valid pixel cannot be compared")
    deviation = p - p.mean()
    variance = (deviation**2).sum()
    scale = (deviation * (d - d.mean())).sum() / variance if variance > 0 else 0.0
    shift = d.mean() - scale * p.mean()
    return np.maximum(scale * predicted.astype(np.float64) + shift, MIN_DEPTH_M)


def depth_metrics(predicted: np.ndarray, depth_m: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """predicted: (H, W) on any scale that grows with distance; depth_m: (H, W); valid: bool (H, W).

    abs_rel: mean of |p - d| / d after alignment. delta1, delta2: share of pixels, 0 to 1, with max(p / d, d /
    p) below 1.25 and 1.25^2.
    """
    aligned, d = align_depth(predicted, depth_m, valid)[valid], depth_m[valid].astype(np.float64)
    ratio = np.maximum(aligned / d, d / aligned)
    return {
        "abs_rel": float((np.abs(aligned - d) / d).mean()),
        "delta1": float((ratio < 1.25).mean()),
        "delta2": float((ratio < 1.25**2).mean()),
    }


def normal_metrics(predicted: np.ndarray, normals: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """Angles between vectors (H, W, 3) of any length, in degrees, over `valid`, bool (H, W).

    mean_angle; within_11 and within_30: share of pixels, 0 to 1, with an angle below 11.25 and 30 degrees. A
    predicted vector of length 0 points nowhere: it counts as 90 degrees. Raises ValueError where no pixel is
    valid.
    """
    p, n = predicted[valid].astype(np.float64), normals[valid].astype(np.float64)
    if not len(n):
        raise ValueError("normals without a valid pixel cannot be compared")
    lengths = np.linalg.norm(p, axis=1) * np.linalg.norm(n, axis=1)
    cosine = (p * n).sum(axis=1) / np.maximum(lengths, 1e-12)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return {
        "mean_angle": float(angle.mean()),
        "within_11": float((angle < 11.25).mean()),
        "within_30": float((angle < 30).mean()),
    }
