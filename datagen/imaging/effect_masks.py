"""What an object does to a picture beyond hiding what is behind it: shadow, reflection, bounced light.

Two renders with one seed, before denoising, are equal to the bit wherever no path meets the object, so their
difference is the effect (and, where it is faint, the noise of that effect).
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.view import ViewTransform, srgb_encode


def effect_mask(
    with_object: np.ndarray, without: np.ndarray, *, view: ViewTransform, threshold: float
) -> np.ndarray:
    """Bool (H, W): some channel of the two undenoised linear images (H, W, 3) differs by more than
    `threshold` as it is seen, that is after exposure, clipped at white and sRGB-encoded to [0, 1].

    In linear light one threshold would pass plain shadows on dark ground and catch noise on bright.
    """
    return np.abs(as_seen(with_object, view) - as_seen(without, view)).max(axis=-1) > threshold


def as_seen(linear: np.ndarray, view: ViewTransform) -> np.ndarray:
    """Float sRGB in [0, 1] of linear light, without the highlights' shoulder."""
    return srgb_encode(linear * np.float32(view.exposure))


def dilated(mask: np.ndarray, radius_px: int) -> np.ndarray:
    """Bool (H, W): `mask` grown by a disc of this radius."""
    if radius_px == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), disc) > 0
