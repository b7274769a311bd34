"""Putting a rendered foreground over a background: premultiplied, in linear light, before the view transform.

So edges carry no trace of another lighting. Photographs are pasted in 8 bits, as their alpha was estimated:
`pairbridge.datagen.imaging.pasting`.
"""

import numpy as np


def over_linear(
    foreground_rgba: np.ndarray, background: np.ndarray, gain: np.ndarray | float = 1.0
) -> np.ndarray:
    """`gain * rgb + (1 - a) * background`: (H, W, 3) float32 linear.

    `foreground_rgba` is (H, W, 4), premultiplied; `gain` is a factor or one per channel, and applies to
    the light on the foreground alone.
    """
    alpha = np.clip(foreground_rgba[..., 3:], 0, 1)
    return foreground_rgba[..., :3] * np.asarray(gain, np.float32) + (1 - alpha) * background


def alpha_to_mask(alpha: np.ndarray) -> np.ndarray:
    """uint8 mask of a float alpha in [0, 1], rounded to nearest."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def pasted_over(plate: np.ndarray, cut_out: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A cut-out on black, as files hold it, laid over a plate as it is: uint8 (H, W, 3).

    plate, cut_out: uint8 (H, W, 3), sRGB, the latter 0 where mask, uint8 (H, W), is.
    """
    pasted = plate * (1 - mask[..., None] / 255) + cut_out
    return np.clip(np.rint(pasted), 0, 255).astype(np.uint8)
