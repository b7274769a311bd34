"""Masks of other people's making as uint8 (H, W), 255 = white, or a named refusal of what is no mask.

A mask of two levels is one whatever the levels are: 0 and 1, 3 and 254, two colours of a palette. Where the
picture carries it in its alpha channel, that is taken. Soft masks keep their rims, levels near the ends of
the scale (a JPEG's noise) are the ends. Photographs, depth maps and label maps are refused by name.
"""

import cv2
import numpy as np
from PIL import Image

from pairbridge.datagen.assets.photographs import PhotographError, load_still, refusing_damage

# How far JPEG moves the flat parts of a mask, and the share of pixels that must lie there: of masks at
# JPEG quality 20 to 95 it is 0.91 or more, of one blurred by a tenth of its radius 0.85, of photographs
# with black and white in them at most 0.62.
_NEAR = 16
_LEAST_FLAT = 0.65
# The ends that a mask of more than two levels must have.
_DARK, _BRIGHT = 64, 192
# More levels than a map of labels is drawn with.
_MOST_LABELS = 32
# Share of an image whose inner pixels hold a level between the ends: a third kind of region, no rim.
_LEAST_REGION = 0.01


def decode_mask(data: bytes, name: str, *, threshold: int | None = None) -> np.ndarray:
    """uint8 (H, W). Without `threshold` levels between black and white are partial coverage; with it, 255
    from it on. One level everywhere is black or white, if it is near either. Raises PhotographError.
    """
    image = load_still(data, name)
    with refusing_damage(name):
        levels = _plane(image, name)
    found = np.unique(levels)
    if len(found) == 2:
        return (levels == found[1]).astype(np.uint8) * 255
    labels = len(found) <= _MOST_LABELS
    if threshold is not None and labels:
        return (levels >= threshold).astype(np.uint8) * 255
    if levels.dtype == np.uint16:
        levels, found = (levels >> 8).astype(np.uint8), found >> 8
    if len(found) == 1 and _NEAR < found[0] < 255 - _NEAR:
        raise _no_mask(name, f"every pixel of it is {found[0]}")
    dark, bright = _ends(levels)
    near = (levels <= dark + _NEAR) | (levels >= bright - _NEAR)
    few = labels and len(found) > 1 and (levels.max() < _BRIGHT or levels.min() > _DARK)
    if few or near.mean() < _LEAST_FLAT:
        if labels:
            raise _no_mask(name, f"{_listed(found)} are labels; `threshold: 1` takes all but 0")
        raise _no_mask(name, f"{len(found)} grey levels, {near.mean():.0%} of the pixels black or white")
    if threshold is not None or _is_lossy(image, data):
        return (levels >= (threshold or (dark + bright) // 2)).astype(np.uint8) * 255
    regions = (cv2.dilate(levels, np.ones((3, 3))) == cv2.erode(levels, np.ones((3, 3)))) & ~near
    if regions.mean() > _LEAST_REGION:
        inside = np.unique(levels[regions])
        raise _no_mask(name, f"it has regions of {_listed(inside)}; a `threshold` says which of them count")
    stretched = (levels.astype(np.float32) - dark) / max(bright - dark, 1)
    stretched = np.where(levels <= dark + _NEAR, 0, np.where(levels >= bright - _NEAR, 1, stretched))
    return np.rint(255 * np.clip(stretched, 0, 1)).astype(np.uint8)


def _ends(levels: np.ndarray) -> tuple[int, int]:
    """The most frequent of the dark and of the bright levels; the end of the scale where there are none."""
    counts = np.bincount(levels.ravel(), minlength=256)
    dark, bright = counts[: _DARK + 1], counts[_BRIGHT:]
    return int(dark.argmax()), _BRIGHT + int(bright.argmax()) if bright.any() else 255


def _plane(image: Image.Image, name: str) -> np.ndarray:
    """uint8 or uint16 (H, W): the one channel that the mask is in."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
        raise _no_mask(name, f"it is in the mode that Pillow calls {image.mode}")
    pixels = np.asarray(image.convert("RGBA"))
    colours, alpha = pixels[..., :3], pixels[..., 3]
    grey = _one_channel(colours)
    if alpha.min() == alpha.max():
        if grey is None:
            raise _no_mask(name, "it is in colour, so it is not clear which channel is the mask")
        return grey
    if grey is None or grey.min() == grey.max() or len(np.unique(grey)) > 2:
        return alpha
    if ((grey > grey.min()) != (alpha > 127)).any():
        raise _no_mask(name, "its alpha channel and its colours are two different masks")
    return grey


def _one_channel(colours: np.ndarray) -> np.ndarray | None:
    """The channel of equal ones; of two colours the brighter one as 1; None of a picture in colour."""
    if np.ptp(colours, axis=-1).max() <= _NEAR:
        return np.ascontiguousarray(colours[..., 1])
    found = np.unique(colours.reshape(-1, 3), axis=0)
    if len(found) != 2:
        return None
    brightness = found.astype(int) @ (299, 587, 114)
    if brightness[0] == brightness[1]:
        return None
    return (colours == found[brightness.argmax()]).all(axis=-1).astype(np.uint8)


def _is_lossy(image: Image.Image, data: bytes) -> bool:
    return image.format in ("JPEG", "MPO") or (image.format == "WEBP" and data[12:16] == b"VP8 ")


def _listed(levels: np.ndarray) -> str:
    if len(levels) == 1:
        return f"level {levels[0]}"
    shown = ", ".join(map(str, levels[:6].tolist()))
    return f"the levels {shown}{', ...' if len(levels) > 6 else ''}"


def _no_mask(name: str, why: str) -> PhotographError:
    return PhotographError(
        f"{name} is no mask: {why}",
        remedy="give a mask of two levels, white on what it marks, in a JPEG, PNG or WebP",
        fault="no_mask",
    )
