"""Putting a foreground over a background, in the space where its alpha was made.

Renders come premultiplied in linear light and are composited there, before the view transform, so that
their edges carry no trace of another lighting. A photograph's alpha was estimated on its 8-bit values, so
photographs are pasted in that space.
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


def paste_srgb(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`alpha / 255` of `foreground` over `background`, all uint8, rounded to nearest.

    Images are (H, W, 3), alpha (H, W). Where alpha is 0 the background's bytes are kept exactly, where it
    is 255 the foreground's.
    """
    weight = alpha.astype(np.int32)[..., None]
    # Integers, so that rounding depends on no float library; 127 makes the division round to nearest.
    mixed = foreground.astype(np.int32) * weight + background.astype(np.int32) * (255 - weight)
    return ((mixed + 127) // 255).astype(np.uint8)


def alpha_to_mask(alpha: np.ndarray) -> np.ndarray:
    """uint8 mask of a float alpha in [0, 1], rounded to nearest."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
