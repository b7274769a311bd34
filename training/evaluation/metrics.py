"""How close a translated image is to its target, per image, and how sure a mean over images is.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground. Errors are on the 0..255 scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.metrics import structural_similarity

from pairbridge.datagen.core.seeds import rng

# Rounding to 8 bits alone gives 1/12: below it a PSNR measures luck, and it is infinite at 0.
MSE_FLOOR = 1 / 12


@dataclass(frozen=True, slots=True)
class Metric:
    """How a figure is called and read: `more` says whether more is better."""

    label: str
    unit: str
    digits: int
    more: bool


# Every figure of single images, and of whole sets (fid, local_fid), in the order in which they are shown.
METRICS = {
    "foreground_psnr": Metric("Foreground PSNR", "dB", 2, True),
    "foreground_mse": Metric("Foreground MSE", "", 0, False),
    "psnr": Metric("PSNR", "dB", 2, True),
    "ssim": Metric("SSIM", "", 3, True),
    "lpips": Metric("LPIPS", "", 3, False),
    "abs_rel": Metric("AbsRel", "", 3, False),
    "delta1": Metric("delta < 1.25", "", 3, True),
    "delta2": Metric("delta < 1.25²", "", 3, True),
    "mean_angle": Metric("Mean angle", "°", 2, False),
    "within_11": Metric("Within 11.25°", "", 3, True),
    "within_30": Metric("Within 30°", "", 3, True),
    "fid": Metric("FID", "", 2, False),
    "local_fid": Metric("Local FID", "", 2, False),
}


def foreground_mse(output: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Mean over pixels and channels of the squared error, each pixel weighted by its mask value.

    Raises ValueError on an empty mask.
    """
    weight = mask.astype(np.float64)
    if not weight.any():
        raise ValueError("foreground error of an empty mask is undefined")
    error = np.square(output.astype(np.float64) - target.astype(np.float64)).mean(axis=2)
    return float((weight * error).sum() / weight.sum())


def psnr(mse: float) -> float:
    """10 log10(255^2 / mse) in dB, with `mse` not below 1/12 (so at most 58.9 dB)."""
    return float(10 * np.log10(255**2 / max(mse, MSE_FLOOR)))


def ssim(output: np.ndarray, target: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004), mean of the three channels over the whole image.

    11x11 Gaussian window of sigma 1.5, K1 .01, K2 .03, population covariance, as in the paper.
    """
    return float(
        structural_similarity(
            output,
            target,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=2,
        )
    )


def image_metrics(output: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    """PSNR and SSIM of the whole image, without weights; with a mask also the error of its foreground."""
    whole = float(np.square(output.astype(np.float64) - target.astype(np.float64)).mean())
    found = {"psnr": psnr(whole), "ssim": ssim(output, target)}
    if mask is None:
        return found
    fg = foreground_mse(output, target, mask)
    return {"foreground_mse": fg, "foreground_psnr": psnr(fg), **found}


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over images, and the interval in which resampling its objects puts it."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: Sequence[float], objects: Sequence[str], *, seed: int, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap over objects of the mean of `values`, one value and one object id per image.

    Images of one object are not independent, so whole objects are drawn with replacement. For a difference
    between two methods pass the per-image differences: they are paired.
    """
    if not values or len(values) != len(objects):
        raise ValueError(
            f"{len(values)} values need as many object ids, got {len(objects)}, and at least one"
        )
    _, owner = np.unique(np.asarray(objects), return_inverse=True)
    sums = np.bincount(owner, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(owner)
    generator = rng(seed, "bootstrap")
    draws = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    means = (draws @ sums) / (draws @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=float(np.mean(values)), low=float(low), high=float(high))


# How close predicted depth and normals are to rendered or measured ones, over the pixels where these hold.


# An aligned depth at or behind the camera has no ratio to the truth: a thousandth of the unit stands for it.
MIN_DEPTH = 1e-3


def align_depth(predicted: np.ndarray, depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """scale x predicted + shift, least squares to `depth` over `valid`; (H, W) in the unit of `depth`, above
    0.

    Raises ValueError where no pixel is valid.
    """
    p, d = predicted[valid].astype(np.float64), depth[valid].astype(np.float64)
    if not d.size:
        raise ValueError("depth without a valid pixel cannot be compared")
    deviation = p - p.mean()
    variance = (deviation**2).sum()
    scale = (deviation * (d - d.mean())).sum() / variance if variance > 0 else 0.0
    shift = d.mean() - scale * p.mean()
    return np.maximum(scale * predicted.astype(np.float64) + shift, MIN_DEPTH)


def depth_metrics(predicted: np.ndarray, depth: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """predicted: (H, W) on any scale that grows with distance; depth: (H, W); valid: bool (H, W).

    abs_rel: mean of |p - d| / d after alignment. delta1, delta2: share of pixels, 0 to 1, with max(p / d, d /
    p) below 1.25 and 1.25^2.
    """
    aligned, d = align_depth(predicted, depth, valid)[valid], depth[valid].astype(np.float64)
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
