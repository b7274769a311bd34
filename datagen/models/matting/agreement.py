"""How far an estimated alpha is from the true one."""

from dataclasses import dataclass

import cv2
import numpy as np

from pairbridge.datagen.imaging.filters import disc

# Reach of the boundary band to either side of the true edge, as a share of the longer side, and at least.
_BAND, _LEAST_BAND_PX = 0.02, 2


@dataclass(frozen=True, slots=True)
class MaskAgreement:
    """`iou` of both alphas cut at one half; the mean absolute difference of alpha in 0..1, over the whole
    image and over the band around the true edge.
    """

    iou: float
    error: float
    boundary_error: float


def mask_agreement(alpha: np.ndarray, truth: np.ndarray) -> MaskAgreement:
    """Both uint8 (H, W). Raises ValueError for a truth without an edge: it has no boundary."""
    band = boundary_band(truth)
    if not band.any():
        raise ValueError("the true mask is all foreground or all background, and has no edge")
    found, true = alpha >= 128, truth >= 128
    difference = np.abs(alpha.astype(np.float64) - truth) / 255
    return MaskAgreement(
        iou=float((found & true).sum() / (found | true).sum()),
        error=float(difference.mean()),
        boundary_error=float(difference[band].mean()),
    )


def boundary_band(truth: np.ndarray) -> np.ndarray:
    """bool (H, W): within 2 % of the longer side (at least 2 pixels) of the edge. The frame is no edge."""
    reach = max(_LEAST_BAND_PX, round(_BAND * max(truth.shape)))
    solid = (truth >= 128).astype(np.uint8)
    return cv2.dilate(solid, disc(reach)) > cv2.erode(solid, disc(reach))
