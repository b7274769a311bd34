"""Putting a rendered foreground over a background: premultiplied, in linear light, before the view transform.

So edges carry no trace of another lighting. Photographs are pasted in 8 bits, as their alpha was estimated:
`pairbridge.datagen.imaging.pasting`.
"""

import numpy as np

from pairbridge.datagen.imaging.filters import spread

# A pixel of more than this share of something shows nothing else worth speaking of.
_FULL = 0.98


def over_linear(
    foreground_rgba: np.ndarray, background: np.ndarray, gain: np.ndarray | float = 1.0
) -> np.ndarray:
    """`gain * rgb + (1 - a) * background`: (H, W, 3) float32 linear.

    `foreground_rgba` is (H, W, 4), premultiplied; `gain` is a factor or one per channel, and applies to
    the light on the foreground alone.
    """
    alpha = np.clip(foreground_rgba[..., 3:], 0, 1)
    return foreground_rgba[..., :3] * np.asarray(gain, np.float32) + (1 - alpha) * background


def own_part(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What objects of `alpha` (H, W) contribute to a linear `picture` (H, W, 3): premultiplied, between 0 and
    the picture, all of it where they fill the pixel.

    At their edges it is estimated: object and surroundings have the colours of the nearest pixels that show
    one of them alone, corrected by what their mix lacks, in proportion to how much each shows of itself.
    """
    share = np.clip(alpha, 0, 1)[..., None]
    inside, outside = (
        spread(picture, full.astype(np.float32), picture) for full in (alpha >= _FULL, alpha <= 1 - _FULL)
    )
    lacks = picture - share * inside - (1 - share) * outside
    objects = share * (inside + lacks * share / (share**2 + (1 - share) ** 2))
    return np.where(share >= 1, picture, np.clip(objects, 0, picture) * (share > 0))


def alpha_to_mask(alpha: np.ndarray) -> np.ndarray:
    """uint8 mask of a float alpha in [0, 1], rounded to nearest."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def pasted_over(plate: np.ndarray, cut_out: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A cut-out on black, as files hold it, laid over a plate as it is: uint8 (H, W, 3).

    plate, cut_out: uint8 (H, W, 3), sRGB, the latter 0 where mask, uint8 (H, W), is.
    """
    pasted = plate * (1 - mask[..., None] / 255) + cut_out
    return np.clip(np.rint(pasted), 0, 255).astype(np.uint8)
