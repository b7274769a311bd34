"""Does an output have as much contrast and as fine a texture as its target? Ratios in a mask, 1 where it has.

An error in decibels likes what is between two answers, and what is between them has less of both: haze and
blur gain PSNR and lose here. Neither ratio says that what is there is right, only how much of it there is:
noise has texture, too. Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from pairbridge.training.evaluation.metrics import MSE_FLOOR, median_interval

# By the names that results have, in the order in which they are shown.
RATIOS = {"contrast": "Contrast", "texture": "Texture"}

# Of red, green and blue as they are encoded: luma of Rec. ITU-R BT.709, whose primaries are those of sRGB.
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
# Sum of the squared taps of a pixel less its binomial mean: what the band makes of white noise of variance 1.
_NOISE_GAIN = 1 - 2 * _BINOMIAL[2] ** 2 + (_BINOMIAL**2).sum() ** 2
# Resizing and mattes leave the inside of an object a few levels below 255.
_INSIDE = 250


def appearance_ratios(output: np.ndarray, target: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Contrast and texture of `output` over those of `target`. NaN where the target has less of it than
    rounding to 8 bits leaves, and for texture also where no pixel is far enough inside the mask.
    """
    planes = [image.astype(np.float64) @ _LUMA for image in (output, target)]
    variances = [_variance(plane, mask.astype(np.float64)) for plane in planes]
    deep = _interior(mask)
    energies = [_fine_energy(plane, deep) for plane in planes]
    return {
        "contrast": _root_ratio(*variances, floor=MSE_FLOOR),
        "texture": _root_ratio(*energies, floor=MSE_FLOOR * _NOISE_GAIN),
    }


def _root_ratio(of_output: float, of_target: float, floor: float) -> float:
    return float(np.sqrt(of_output / of_target)) if of_target > floor else float("nan")


def _variance(plane: np.ndarray, weight: np.ndarray) -> float:
    total = weight.sum()
    if not total:
        return 0.0
    mean = (weight * plane).sum() / total
    return float((weight * np.square(plane - mean)).sum() / total)


def _fine_energy(plane: np.ndarray, deep: np.ndarray) -> float:
    """Mean over `deep` of the squared finest band of a Laplacian pyramid (Burt and Adelson, IEEE Transactions
    on Communications 31, 1983), not subsampled: luma less its mean under [1 4 6 4 1] / 16 in both directions.

    At frequencies u and v, in radians a pixel, the band has the gain 1 - (cos(u/2) cos(v/2))^4: a half at
    periods of 5.5 pixels, less above, all at 2.
    """
    if not deep.any():
        return 0.0
    band = plane - cv2.sepFilter2D(plane, cv2.CV_64F, _BINOMIAL, _BINOMIAL)
    return float(np.square(band[deep]).mean())


def _interior(mask: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels whose 5 x 5 surroundings are in the picture and in the foreground, so that its
    outline is no texture.
    """
    inside = (mask >= _INSIDE).astype(np.uint8)
    return cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=0, borderType=cv2.BORDER_CONSTANT) > 0


def ratio_summary(
    ratios: Sequence[dict[str, float]],
    objects: Sequence[str],
    lightings: Sequence[str] = (),
    *,
    seed: int,
    resamples: int = 2000,
) -> dict[str, dict[str, float]]:
    """Of every ratio over images: `median`, with the crossed bootstrap's `low` and `high`, and `pairs`, how
    many images have it. One that no image has is left out.
    """
    summary = {}
    for name in RATIOS:
        values = np.array([one[name] for one in ratios])
        there = np.flatnonzero(np.isfinite(values))
        if len(there):
            median, low, high = median_interval(
                values[there].tolist(),
                [objects[place] for place in there],
                [lightings[place] for place in there] if len(lightings) else (),
                seed=seed,
                resamples=resamples,
            )
            summary[name] = {"median": median, "low": low, "high": high, "pairs": len(there)}
    return summary


def ratio_cell(ratio: dict[str, float] | None) -> str:
    """0.87 [0.81, 0.92] in a table; a dash where no pair has it."""
    if ratio is None:
        return "–"
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
