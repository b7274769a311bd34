"""Putting a relit foreground back on its own photograph, in the space in which its alpha was estimated.

A photograph x, its alpha a, and its foreground colour F satisfy x = a F + (1 - a) B for some background B.
With a relit foreground R in place of F, and the same B,

    y = a R + (1 - a) B = x + a (R - F)

so B need not be estimated: where nothing was relit (R = F) the photograph comes back byte for byte, rim
included. Everything is 8-bit sRGB with straight alpha, because alpha was estimated on such values; in linear
light x would no longer re-compose to itself.
"""

import numpy as np

from datagen.foreground_colour import ForegroundMethod, estimate_foreground


def paste_relit(
    photo: np.ndarray, relit: np.ndarray, alpha: np.ndarray, method: ForegroundMethod = "blur_fusion"
) -> np.ndarray:
    """`photo` with its foreground taken from `relit`: uint8 (H, W, 3).

    photo, relit: uint8 sRGB (H, W, 3) of the same scene; alpha: uint8 (H, W). Where alpha is 0 the result is
    the photograph byte for byte, where it is 255 the relit image. `method` estimates both foregrounds.
    Computed in float32, rounded once.
    """
    weight = alpha.astype(np.float32)[..., None] / 255
    change = estimate_foreground(relit, alpha, method) - estimate_foreground(photo, alpha, method)
    mixed = np.rint(np.clip(photo + weight * change, 0, 255)).astype(np.uint8)
    mixed = np.where(alpha[..., None] == 255, relit, mixed)
    return np.where(alpha[..., None] == 0, photo, mixed)
