"""What an object does to a picture beyond hiding what is behind it: shadow, reflection, bounced light.

Two renders with one seed, before denoising, are equal to the bit wherever no path meets the object, so their
difference is the effect and, where it is faint, the noise of that effect: specks, by the hundred. The
denoised
renders differ smoothly, and `effect_regions` makes of what is left regions that a model can be trained on.
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.colour import srgb_encode
from pairbridge.datagen.imaging.view import ViewTransform

# Area of the smallest faint region and of the smallest hole, as a fraction of the frame.
_SMALLEST = 0.001
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
# A region that anywhere differs by this many thresholds is seen, however small: the tip of a thin shadow.
_PLAIN = 3


def seen_difference(with_object: np.ndarray, without: np.ndarray, view: ViewTransform) -> np.ndarray:
    """Float (H, W): the largest difference of a channel of two linear images (H, W, 3) as it is seen, that is
    after exposure, clipped at white and sRGB-encoded to [0, 1].

    In linear light one threshold would pass plain shadows on dark ground and catch noise on bright.
    """
    return np.abs(as_seen(with_object, view) - as_seen(without, view)).max(axis=-1)


def effect_mask(
    with_object: np.ndarray, without: np.ndarray, *, view: ViewTransform, threshold: float
) -> np.ndarray:
    """Bool (H, W): where the `seen_difference` of two linear images (H, W, 3) is above `threshold`."""
    return seen_difference(with_object, without, view) > threshold


def effects_by_sign(
    with_object: np.ndarray, without: np.ndarray, beside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bool (H, W) twice: where of `beside`, an effect without the object itself, two linear images (H, W, 3)
    are darker with the object, and where brighter, in luminance. A reflection is either, as what it shows and
    what it hides.
    """
    change = (with_object - without) @ _LUMINANCE
    return beside & (change < 0), beside & (change > 0)


def effect_regions(difference: np.ndarray, seen: np.ndarray, threshold: float) -> np.ndarray:
    """Bool (H, W): where a `seen_difference` is above `threshold` or the object is `seen`, as few whole
    regions.

    Single pixels are taken out by a median, small faint regions and small holes dropped. What is seen of the
    object always stays, and so does what differs plainly.
    """
    plain = (difference > _PLAIN * threshold) | seen
    changed = (cv2.medianBlur(difference.astype(np.float32), 3) > threshold) | plain
    labels, small = _regions(changed, connectivity=8)
    small[np.unique(labels[plain])] = False
    kept = changed & ~small[labels]
    labels, small = _regions(~kept, connectivity=4)
    return kept | small[labels]


def blended(inside: np.ndarray, outside: np.ndarray, effect: np.ndarray, reach_px: int) -> np.ndarray:
    """uint8 (H, W, 3): `inside` where the effect is, `outside` from `reach_px` off, one fading into the other
    between. A step of what the threshold let pass would be a contour on smooth ground.
    """
    away = cv2.distanceTransform((~effect).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    weight = np.clip(1 - away / max(reach_px, 1), 0, 1)[..., None]
    return np.rint(outside + weight * (inside.astype(np.float32) - outside)).astype(np.uint8)


def _regions(mask: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels (H, W) of the components of `mask`, and for each label whether it is below `_SMALLEST`."""
    parts = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    _, labels, statistics, _ = parts
    small = statistics[:, cv2.CC_STAT_AREA] < _SMALLEST * mask.size
    small[0] = False
    return labels, small


def as_seen(linear: np.ndarray, view: ViewTransform) -> np.ndarray:
    """Float sRGB in [0, 1] of linear light, without the highlights' shoulder."""
    return srgb_encode(linear * np.float32(view.exposure))
