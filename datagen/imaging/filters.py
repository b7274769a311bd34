"""Filters over a neighbourhood: discs for morphology, blurs, means over a foreground alone, a soft step."""

from collections.abc import Callable

import cv2
import numpy as np


def disc(radius_px: int) -> np.ndarray:
    """uint8 (2 r + 1, 2 r + 1), 1 within the circle: a structuring element for OpenCV."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))


def grown(mask: np.ndarray, radius_px: int) -> np.ndarray:
    """uint8 (H, W) of 0 and 1: `mask`, which holds 0 and 1 or bools, grown by a disc of this radius."""
    return cv2.dilate(mask.astype(np.uint8), disc(radius_px))


def gaussian_blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)


def box_blur(image: np.ndarray, radius_px: int) -> np.ndarray:
    side = 2 * radius_px + 1
    return cv2.blur(image, (side, side), borderType=cv2.BORDER_REPLICATE)


def masked_mean(
    values: np.ndarray, weight: np.ndarray, blur: Callable[[np.ndarray, float], np.ndarray], reach: float
) -> np.ndarray:
    """Mean of `values` (H, W, 3) around each pixel, weighted by `weight` (H, W, 1) in [0, 1].

    `reach` is that of `blur`. Where no weight is near, the values themselves.
    """
    total = blur(weight, reach)[..., None]
    return np.where(total > 1e-4, blur(values * weight, reach) / np.maximum(total, 1e-4), values)


def smooth_step(value: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, and between them 3 t^2 - 2 t^3 of the share t of the way."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def spread(values: np.ndarray, valid: np.ndarray, otherwise: np.ndarray | float) -> np.ndarray:
    """`values` (H, W, 3) where `valid` (H, W) is 1, around it what is near by there, and `otherwise` where
    nothing is."""
    total, weight = np.zeros_like(values), np.zeros_like(valid)
    for sigma in (0.7, 2.0, 6.0):
        share = cv2.GaussianBlur(valid, (0, 0), sigma)
        near = cv2.GaussianBlur(values * valid[..., None], (0, 0), sigma)
        # Each coarser level only where the finer ones had too little.
        missing = np.maximum(1e-2 - weight, 0) / 1e-2
        total += missing[..., None] * near
        weight += missing * share
    spread = np.where(weight[..., None] > 1e-6, total / np.maximum(weight, 1e-6)[..., None], otherwise)
    return np.where(valid[..., None] > 0, values, spread)
