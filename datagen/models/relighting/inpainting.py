"""A background without its own foreground: smooth colours in the subject's place, for a relighter to look at.

A relighter takes light from a background, not detail, so no removal model is needed: what lies around the
hole is carried into it, ever more widely averaged (push-pull; Gortler et al., "The Lumigraph", 1996, 5.4).
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.filters import grown

# The hole is grown by this share of the longer side: a soft edge, a shadow's beginning, the subject's light.
_GROWN = 0.02


def without_foreground(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): `image` where alpha is 0 and not near its foreground, smooth elsewhere.

    image: uint8 sRGB (H, W, 3); alpha: uint8 (H, W). An alpha that leaves nothing gives the image's mean.
    """
    radius = max(1, round(_GROWN * max(alpha.shape)))
    hole = grown(alpha > 12, radius)
    if hole.all():
        return np.broadcast_to(np.rint(image.mean(axis=(0, 1))).astype(np.uint8), image.shape).copy()
    known = (1 - hole).astype(np.float32)[..., None]
    filled = _pull(image.astype(np.float32) * known, known)
    return np.where(hole[..., None] > 0, np.rint(filled).clip(0, 255).astype(np.uint8), image)


def _pull(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colours where the weight is 1, the coarser level's where it is 0, their mixture between."""
    height, width = weight.shape[:2]
    own = sums / np.maximum(weight, 1e-6)
    if min(height, width) <= 2 or weight.min() >= 1:
        return own if weight.min() > 0 else np.where(weight > 0, own, own[weight[..., 0] > 0].mean(axis=0))
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)[..., None]
    coarse_sums = cv2.resize(sums, half, interpolation=cv2.INTER_AREA)
    # A cell counts as known once a quarter of it is: otherwise holes would grow with every level.
    scale = np.minimum(1, 4 * coarse_weight) / np.maximum(coarse_weight, 1e-6)
    coarse = _pull(coarse_sums * scale, coarse_weight * scale)
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return weight * own + (1 - weight) * around
