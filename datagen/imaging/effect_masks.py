"""What an object does to a picture beyond hiding what is behind it: shadow, reflection, bounced light.

Two renders with one seed, before denoising, are equal to the bit wherever no path meets the object, so their
difference is the effect (and, where it is faint, the noise of that effect).
"""

import numpy as np

from pairbridge.datagen.imaging.colour import srgb_encode
from pairbridge.datagen.imaging.view import ViewTransform


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
