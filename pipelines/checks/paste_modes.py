"""Ways to paste a relit foreground back: the one that recipes use, and those it is judged against.

Each takes the photograph, the relit image (uint8 sRGB (H, W, 3)) and alpha (uint8 (H, W)), as
`pairbridge.datagen.imaging.pasting.paste_relit` does.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from pairbridge.datagen.imaging.pasting import estimate_foreground, has_multilevel, paste_relit

DEFAULT_MODE = "estimated foreground, sRGB (default)"


def paste_over(photo: np.ndarray, relit: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The relit image over the photograph: at the rim both bring their own background along."""
    weight = alpha.astype(np.float32)[..., None] / 255
    return np.rint(weight * relit + (1 - weight) * photo).astype(np.uint8)


def paste_in_linear_light(photo: np.ndarray, relit: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`paste_relit` with estimation and sum in linear light. There the same alpha weighs bright backgrounds
    more, and so does each error of the estimated colours.
    """
    weight = alpha.astype(np.float32)[..., None] / 255
    before, after = (255 * srgb_decode(image.astype(np.float32) / 255) for image in (photo, relit))
    change = estimate_foreground(after, alpha) - estimate_foreground(before, alpha)
    return np.rint(255 * srgb_encode((before + weight * change) / 255)).astype(np.uint8)


PASTE_MODES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    DEFAULT_MODE: paste_relit,
    "alpha-over, sRGB": paste_over,
    "estimated foreground, linear light": paste_in_linear_light,
}
if has_multilevel():
    PASTE_MODES["foreground estimated by pymatting, sRGB"] = partial(paste_relit, method="multilevel")


def rim_error(pasted: np.ndarray, truth: np.ndarray, alpha: np.ndarray) -> float | None:
    """Root mean square difference (0..255) where the true alpha is between 5 and 95 %; None if nowhere."""
    rim = (alpha > 12) & (alpha < 243)
    if not rim.any():
        return None
    return float(np.sqrt(np.square(pasted[rim].astype(np.float64) - truth[rim]).mean()))
