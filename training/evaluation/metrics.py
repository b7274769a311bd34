"""How close a translated image is to its target, per image, and how sure a mean over images is.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground. Errors are on the 0..255 scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.training.data.targets import LOG_BRIGHTEST

# Rounding to 8 bits alone gives 1/12: below it a PSNR measures luck, and it is infinite at 0.
MSE_FLOOR = 1 / 12


@dataclass(frozen=True, slots=True)
class Metric:
    """How a figure is called and read: `more` says whether more is better."""

    label: str
    unit: str
    digits: int
    more: bool


# Every figure of single images, and of whole sets (see `SetFigures`), in the order in which they are shown.
METRICS = {
    "foreground_psnr": Metric("Foreground PSNR", "dB", 2, True),
    "foreground_mse": Metric("Foreground MSE", "", 0, False),
    "psnr": Metric("PSNR", "dB", 2, True),
    "ssim": Metric("SSIM", "", 3, True),
    "lpips": Metric("LPIPS", "", 3, False),
    "context_deviation": Metric("Context deviation", "", 3, False),
    "class_accuracy": Metric("Class accuracy", "", 3, True),
    "iou": Metric("IoU", "", 3, True),
    "precision": Metric("Precision", "", 3, True),
    "recall": Metric("Recall", "", 3, True),
    "abs_rel": Metric("AbsRel", "", 3, False),
    "delta1": Metric("delta < 1.25", "", 3, True),
    "delta2": Metric("delta < 1.25²", "", 3, True),
    "mean_angle": Metric("Mean angle", "°", 2, False),
    "within_5": Metric("Within 5°", "", 3, True),
    "within_7": Metric("Within 7.5°", "", 3, True),
    "within_11": Metric("Within 11.25°", "", 3, True),
    "within_22": Metric("Within 22.5°", "", 3, True),
    "within_30": Metric("Within 30°", "", 3, True),
    "log_rmse": Metric("RMSE of log light", "", 3, False),
    "light_angle": Metric("Angle of the light", "°", 1, False),
    "fid": Metric("FID", "", 2, False),
    "local_fid": Metric("Local FID", "", 2, False),
    "sfid": Metric("SFID", "", 2, False),
    "csfid": Metric("CSFID", "", 2, False),
    "inception_score": Metric("Inception score", "", 2, True),
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
    return _similarity(output, target)[0]


def ssim_map(output: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`ssim` at every pixel and channel, (H, W, 3), the border included."""
    return _similarity(output, target)[1]


def _similarity(output: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    # Here: of an extra, and a config names metrics without measuring any.
    from skimage.metrics import structural_similarity

    mean, everywhere = structural_similarity(
        output,
        target,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
        full=True,
    )
    return float(mean), everywhere


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
    """A mean over images, and the interval in which resampling its objects and lightings puts it."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: Sequence[float],
    objects: Sequence[str],
    lightings: Sequence[str] = (),
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of the mean of `values` over objects and over lightings, one id of each per image.

    Neither images of one object nor images under one lighting are independent. Objects are drawn with
    replacement, and so, independently, are lightings; an image counts as often as its object was drawn times
    as often as its lighting was (the crossed bootstrap: Owen, The pigeonhole bootstrap, Annals of Applied
    Statistics 1, 2007; it errs to the wide side). A lighting of one object alone, such as a lamp that was
    placed for it, comes and goes with the object. Without `lightings`, objects alone are drawn. For a
    difference between two methods pass the per-image differences: they are paired.
    """
    of_images, draws = _resampled(values, objects, lightings, seed, resamples)
    sums, counts = np.bincount(draws.cell, weights=of_images), np.bincount(draws.cell).astype(np.float64)
    totals = draws.weights @ counts
    # Of a handful of images a draw may hold none: no object that was drawn is seen under a lighting that was.
    means = (draws.weights @ sums)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    mean = float(of_images.mean())
    # Of one object alone all three are the same number, summed in another order.
    return Interval(mean=mean, low=min(float(low), mean), high=max(float(high), mean))


def median_interval(
    values: Sequence[float],
    objects: Sequence[str],
    lightings: Sequence[str] = (),
    *,
    seed: int,
    resamples: int = 2000,
) -> tuple[float, float, float]:
    """The median of `values`, and of it the ends of the 95 % interval that `bootstrap_interval` describes."""
    of_images, draws = _resampled(values, objects, lightings, seed, resamples)
    order = np.argsort(of_images, kind="stable")
    ascending, cell = of_images[order], draws.cell[order]
    medians = []
    for weights in draws.weights:
        reached = np.cumsum(weights[cell])
        if not reached[-1]:
            continue
        # Half of the weight lies below the one and not yet above the other; whole numbers, so exactly.
        below, above = (np.searchsorted(reached, reached[-1] / 2, side=side) for side in ("left", "right"))
        medians.append((ascending[below] + ascending[above]) / 2)
    low, high = np.quantile(medians, [0.025, 0.975])
    median = float(np.median(of_images))
    return median, min(float(low), median), max(float(high), median)


class _Draws(NamedTuple):
    """cell: (N,) of every image, which combination of object and lighting it has. weights: (resamples, cells)
    of every draw, how often each combination counts.
    """

    cell: np.ndarray
    weights: np.ndarray


def _resampled(
    values: Sequence[float], objects: Sequence[str], lightings: Sequence[str], seed: int, resamples: int
) -> tuple[np.ndarray, _Draws]:
    """The values as float64 (N,), and the draws of the crossed bootstrap."""
    of_images = np.asarray(values, dtype=np.float64)
    if not len(of_images) or any(len(ids) != len(of_images) for ids in (objects, lightings or objects)):
        raise ValueError(
            f"{len(of_images)} values need as many object ids and lighting ids, got {len(objects)} and "
            f"{len(lightings)}, and at least one"
        )
    owner = np.unique(np.asarray(objects), return_inverse=True)[1]
    light = np.unique(np.asarray(lightings or [""] * len(of_images)), return_inverse=True)[1]
    cells, cell = np.unique(np.stack([owner, light]), axis=1, return_inverse=True)
    generator = rng(seed, "bootstrap")
    weights = _drawn(generator, owner.max() + 1, resamples)[:, cells[0]]
    shared = np.flatnonzero(np.bincount(cells[1]) > 1)
    if len(shared) > 1:
        of_lightings = np.ones((resamples, light.max() + 1))
        of_lightings[:, shared] = _drawn(generator, len(shared), resamples)
        weights = weights * of_lightings[:, cells[1]]
    return of_images, _Draws(cell.ravel(), weights)


def _drawn(generator: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """float64 (resamples, count): how often each of `count` things comes in as many draws."""
    return generator.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def mask_metrics(output: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Of regions, uint8 (H, W) or (H, W, 3), marked where they are at least half of 255: intersection over
    union, and the share of what is marked that is right, and of what is right that is marked. Each is 1 where
    nothing could be.
    """
    marked, right = (_marked(image) for image in (output, target))
    both = float((marked & right).sum())

    def share(of: np.ndarray) -> float:
        return both / float(of.sum()) if of.any() else 1.0

    return {"iou": share(marked | right), "precision": share(marked), "recall": share(right)}


def _marked(image: np.ndarray) -> np.ndarray:
    return (image if image.ndim == 2 else image.mean(axis=2)) >= 127.5


def light_metrics(output: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Of environment maps as networks make them, (H, W, 3) in [-1, 1]: the logarithm of light, log(1 + L), of
    0 to the largest 16-bit float (`pairbridge.training.data.targets.light_planes`).

    log_rmse: root of the mean over directions and channels of the squared difference of log(1 + L).
    light_angle: degrees between the mean directions that light comes from, by energy.
    """
    height, width = target.shape[:2]
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    share = np.broadcast_to(np.cos(elevation)[:, None], (height, width))
    share = share / share.sum()
    logarithms = [
        (image.astype(np.float64).clip(-1, 1) + 1) / 2 * LOG_BRIGHTEST for image in (output, target)
    ]
    squared = np.square(logarithms[0] - logarithms[1]).mean(axis=2)
    level = np.cos(elevation)[:, None]
    towards = np.stack(
        [
            level * np.sin(azimuth),
            np.broadcast_to(np.sin(elevation)[:, None], (height, width)),
            -level * np.cos(azimuth),
        ],
        axis=2,
    )
    mean = [np.tensordot(share * np.expm1(of).mean(axis=2), towards, axes=2) for of in logarithms]
    lengths = np.linalg.norm(mean[0]) * np.linalg.norm(mean[1])
    cosine = float(mean[0] @ mean[1] / lengths) if lengths > 1e-12 else 0.0
    return {
        "log_rmse": float(np.sqrt((share * squared).sum())),
        "light_angle": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    }


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


def depth_metrics(
    predicted: np.ndarray,
    depth: np.ndarray,
    valid: np.ndarray,
    within: tuple[float, float] = (MIN_DEPTH, np.inf),
) -> dict[str, float]:
    """predicted: (H, W) on any scale that grows with distance; depth: (H, W); valid: bool (H, W); within:
    what aligned depth is clipped to, in the unit of `depth`.

    abs_rel: mean of |p - d| / d after alignment. delta1, delta2: share of pixels, 0 to 1, with max(p / d, d /
    p) below 1.25 and 1.25^2.
    """
    aligned, d = align_depth(predicted, depth, valid)[valid].clip(*within), depth[valid].astype(np.float64)
    ratio = np.maximum(aligned / d, d / aligned)
    return {
        "abs_rel": float((np.abs(aligned - d) / d).mean()),
        "delta1": float((ratio < 1.25).mean()),
        "delta2": float((ratio < 1.25**2).mean()),
    }


def normal_metrics(predicted: np.ndarray, normals: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """Angles between vectors (H, W, 3) of any length, in degrees, over `valid`, bool (H, W).

    mean_angle; within_5, within_7, within_11, within_22 and within_30: share of pixels, 0 to 1, with an angle
    below 5, 7.5, 11.25, 22.5 and 30 degrees. A predicted vector of length 0 points nowhere: it counts as 90
    degrees. Raises ValueError where no pixel is valid.
    """
    p, n = predicted[valid].astype(np.float64), normals[valid].astype(np.float64)
    if not len(n):
        raise ValueError("normals without a valid pixel cannot be compared")
    lengths = np.linalg.norm(p, axis=1) * np.linalg.norm(n, axis=1)
    cosine = (p * n).sum(axis=1) / np.maximum(lengths, 1e-12)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    limits = {"within_5": 5, "within_7": 7.5, "within_11": 11.25, "within_22": 22.5, "within_30": 30}
    shares = {name: float((angle < limit).mean()) for name, limit in limits.items()}
    return {"mean_angle": float(angle.mean()), **shares}
