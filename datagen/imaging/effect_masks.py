"""What an object does to a picture beyond hiding what is behind it: shadow, reflection, bounced light.

Two renders with one seed, before denoising, are equal to the bit wherever no path meets the object, so their
difference is the effect and, where it is faint, the noise of that effect: specks, by the hundred. The
denoised
renders differ smoothly, and `effect_regions` makes of what is left regions that a model can be trained on.
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.colour import srgb_encode
from pairbridge.datagen.imaging.filters import disc
from pairbridge.datagen.imaging.view import ViewTransform

# Radius of what is closed and opened, as a fraction of the shorter side.
_GRAIN = 0.006
# Area of the smallest region and of the smallest hole, as a fraction of the frame.
_SMALLEST = 0.001


def effect_mask(
    with_object: np.ndarray, without: np.ndarray, *, view: ViewTransform, threshold: float
) -> np.ndarray:
    """Bool (H, W): some channel of the two linear images (H, W, 3) differs by more than
    `threshold` as it is seen, that is after exposure, clipped at white and sRGB-encoded to [0, 1].

    In linear light one threshold would pass plain shadows on dark ground and catch noise on bright.
    """
    return np.abs(as_seen(with_object, view) - as_seen(without, view)).max(axis=-1) > threshold


def effect_regions(changed: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Bool (H, W): `changed` (an `effect_mask`) and where the object is `seen`, as few whole regions.

    Gaps are closed and threads cut at `_GRAIN`, then components and holes below `_SMALLEST` are dropped.
    What is seen of the object always stays.
    """
    grain = disc(max(1, round(_GRAIN * min(changed.shape))))
    closed = cv2.morphologyEx((changed | seen).astype(np.uint8), cv2.MORPH_CLOSE, grain)
    solid = cv2.morphologyEx(closed, cv2.MORPH_OPEN, grain) > 0
    kept = ~_small(solid | seen, connectivity=8) & solid | seen
    return kept | _small(~kept, connectivity=4)


def _small(mask: np.ndarray, connectivity: int) -> np.ndarray:
    """Bool (H, W): the components of `mask` that cover less than `_SMALLEST` of the frame."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    small = statistics[:, cv2.CC_STAT_AREA] < _SMALLEST * mask.size
    small[0] = False
    return small[labels]


def as_seen(linear: np.ndarray, view: ViewTransform) -> np.ndarray:
    """Float sRGB in [0, 1] of linear light, without the highlights' shoulder."""
    return srgb_encode(linear * np.float32(view.exposure))
