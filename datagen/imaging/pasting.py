"""Putting a relit foreground back on its own photograph, in the space in which its alpha was estimated.

A photograph x, its alpha a, and its foreground colour F satisfy x = a F + (1 - a) B for some background B.
With a relit foreground R in place of F, and the same B,

    y = a R + (1 - a) B = x + a (R - F)

so B need not be estimated: where nothing was relit (R = F) the photograph comes back byte for byte, rim
included. Everything is 8-bit sRGB with straight alpha, because alpha was estimated on such values; in linear
light x would no longer re-compose to itself.
"""

from importlib import metadata
from typing import Literal, get_args

import numpy as np

from pairbridge.datagen.core.extras import lacking, require
from pairbridge.datagen.imaging.filters import box_blur, masked_mean

# The foreground's own colour at soft edges, by either of two published estimators behind one function.


# blur_fusion: here, in 20 ms for half a megapixel. multilevel: pymatting's, an extra; several times nearer to
# the truth at soft edges, in half a second, and its first use on a machine compiles for a minute.
ForegroundMethod = Literal["blur_fusion", "multilevel"]
METHODS: tuple[ForegroundMethod, ...] = get_args(ForegroundMethod)

# Radii of the two passes of blur-fusion, as shares of the image's longer side. Public code has 90 and 6
# pixels whatever the size; on drawn discs (edges of 2, 8 and 24 pixels at 512) a wider second pass did
# better: rim error 1.2, 2.5, 6.7 of 255 against 1.5, 3.2, 7.0, and 20 for the image's own colours.
_WIDE, _NARROW = 90 / 1024, 16 / 1024


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


def estimate_foreground(
    image: np.ndarray, alpha: np.ndarray, method: ForegroundMethod = "blur_fusion"
) -> np.ndarray:
    """The foreground's own colour at every pixel, its background removed: float32 (H, W, 3) in 0..255.

    It is the image's where alpha is 255. image: (H, W, 3) in 0..255; alpha: uint8 (H, W). Raises ConfigError
    for `multilevel` where pymatting is not installed.
    """
    pixels = image.astype(np.float32)
    estimated = _multilevel(pixels, alpha) if method == "multilevel" else _blur_fusion(pixels, alpha)
    return np.where(alpha[..., None] == 255, pixels, estimated)


def method_record(method: ForegroundMethod) -> dict[str, str]:
    """Which estimator had a part in a sample, and of which version where it is not ours."""
    library = f"pymatting-{metadata.version('pymatting')}" if method == "multilevel" else "pairbridge"
    return {"method": method, "library": library}


def has_multilevel() -> bool:
    """Whether pymatting is installed."""
    return not lacking("matting")


def _multilevel(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Germer et al., "Fast Multi-Level Foreground Estimation" (arXiv 2006.14970), with its own settings."""
    require(
        "matting",
        by="`foreground_colour: multilevel`",
        consequence="no relit foreground can be pasted back",
        otherwise="set it to blur_fusion",
    )
    # Here: importing it loads a compiler.
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    weight = np.float32(1 / 255)
    found = estimate_foreground_ml(pixels * weight, alpha.astype(np.float32) * weight)
    return np.clip(255 * found, 0, 255).astype(np.float32)


def _blur_fusion(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Two passes of blur-fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): with the
    image I, blurred foreground F^ and background B^ (each weighted by its own coverage),

        F = F^ + a (I - a F^ - (1 - a) B^)
    """
    weight = alpha.astype(np.float32)[..., None] / 255
    longer = max(alpha.shape)
    foreground, background = _fuse(pixels, pixels, pixels, weight, max(3, round(_WIDE * longer)))
    foreground, _ = _fuse(pixels, foreground, background, weight, max(2, round(_NARROW * longer)))
    return foreground


def _fuse(
    image: np.ndarray, foreground: np.ndarray, background: np.ndarray, weight: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    near_foreground = masked_mean(foreground, weight, box_blur, radius)
    near_background = masked_mean(background, 1 - weight, box_blur, radius)
    fused = near_foreground + weight * (image - weight * near_foreground - (1 - weight) * near_background)
    return np.clip(fused, 0, 255), near_background
