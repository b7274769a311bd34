"""Did a relit foreground keep its edges? Light may change levels and contrast, but not where things are.

The structure term of SSIM (Wang et al. 2004) on luminance, in Gaussian windows: the correlation of the two
images around each pixel, which a local change of brightness or contrast leaves alone. A flat window says
nothing, so each counts by the texture that either image has there.
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.filters import gaussian_blur

# Of the window, as a share of the image's longer side: a few pixels at 512, so that a drift of two shows.
_SIGMA = 3 / 512
# Variance of 8-bit noise: texture below it counts for nothing.
_NOISE = 4.0


def structure_agreement(photo: np.ndarray, relit: np.ndarray, mask: np.ndarray) -> float:
    """From 1 (every edge where it was) over 0 (unrelated) to -1 (inverted), over the foreground's inside.

    photo, relit: uint8 (H, W, 3); mask: uint8 (H, W). 1.0 where there is nothing to tell by: a foreground
    without texture, or thinner than a window.
    """
    first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (photo, relit))
    sigma = max(1.0, _SIGMA * max(mask.shape))
    mean_first, mean_second = gaussian_blur(first, sigma), gaussian_blur(second, sigma)
    variances = [
        np.maximum(gaussian_blur(image * image, sigma) - mean * mean, 0)
        for image, mean in ((first, mean_first), (second, mean_second))
    ]
    shared = gaussian_blur(first * second, sigma) - mean_first * mean_second
    spread = np.sqrt(variances[0] * variances[1])
    texture = np.maximum(np.sqrt(variances[0]) + np.sqrt(variances[1]) - 2 * _NOISE**0.5, 0)
    weight = texture * _inside(mask, sigma)
    total = float(weight.sum())
    if total == 0:
        return 1.0
    return float(((shared / (spread + _NOISE)) * weight).sum() / total)


def _inside(mask: np.ndarray, sigma: float) -> np.ndarray:
    """1 where a window sees the foreground alone: at the rim a relighter's own background would count."""
    margin = 2 * round(2 * sigma) + 1
    solid = (mask > 250).astype(np.uint8)
    return cv2.erode(solid, np.ones((margin, margin), np.uint8), borderValue=1).astype(np.float32)
