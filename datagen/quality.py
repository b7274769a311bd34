"""Gates: a pair nobody could learn from is refused with reason and figure, and quarantined by name.

Each gate is a deterministic function of pixels. The limits are wide on purpose: they catch failures (an
empty frame, a black or burnt object, a missing texture), not taste.
"""

import numpy as np

from datagen.errors import Rejected

# Share of the frame the object covers. Below, it is a speck; above, there is no background to disagree with.
MIN_COVERAGE, MAX_COVERAGE = 0.02, 0.95
# Share of foreground pixels whose every channel is at most 4, or at least 250: one alone there is colour.
MAX_BLACK, MAX_BLOWN = 0.85, 0.6
# Mean 8-bit level of the foreground.
MIN_LEVEL, MAX_LEVEL = 6.0, 248.0
# Standard deviation of 8-bit foreground luminance: a silhouette filled with one value shows no shading.
MIN_CONTRAST = 1.5
# Blender paints pure magenta where a texture is missing.
MAX_MAGENTA = 0.02


def check_render(rgba: np.ndarray, albedo: np.ndarray) -> None:
    """Raise Rejected unless a rendered foreground is finite, well framed and fully textured.

    `rgba` (H, W, 4) float32 premultiplied linear, `albedo` (H, W, 3) float32.
    """
    if not np.isfinite(rgba).all():
        raise _refused("the render holds infinities or NaN", "a material or lighting divides by zero")
    coverage = float(np.clip(rgba[..., 3], 0, 1).mean())
    if not MIN_COVERAGE <= coverage <= MAX_COVERAGE:
        raise _refused(
            f"the object covers {coverage:.4f} of the frame, outside {MIN_COVERAGE} to {MAX_COVERAGE}",
            "check the object's size and origin, or the recipe's `fill`",
        )
    solid = rgba[..., 3] > 0.99
    magenta = (albedo[..., 0] > 0.95) & (albedo[..., 1] < 0.02) & (albedo[..., 2] > 0.95)
    share = float((magenta & solid).sum() / max(int(solid.sum()), 1))
    if share > MAX_MAGENTA:
        raise _refused(
            f"{share:.3f} of the object is pure magenta: a texture is missing",
            "put the textures where the object's file expects them",
        )


def check_foreground(image: np.ndarray, mask: np.ndarray, role: str) -> None:
    """Raise Rejected if the foreground of an 8-bit image is black, blown or without shading.

    `image` uint8 (H, W, 3), `mask` uint8 (H, W), `role` names the image in the reason ("source", "target").
    """
    foreground = image[mask > 127]
    if foreground.size == 0:
        raise _refused(f"the {role}'s mask is empty", "check the object or the matting")
    black = float((foreground.max(axis=1) <= 4).mean())
    blown = float((foreground.min(axis=1) >= 250).mean())
    level = float(foreground.mean())
    contrast = float(foreground.mean(axis=1).std())
    if black > MAX_BLACK or level < MIN_LEVEL:
        raise _refused(
            f"the {role}'s foreground is black: {black:.3f} of it, mean level {level:.1f}",
            "raise `view.exposure`, or the recipe's lowest `strength`",
        )
    if blown > MAX_BLOWN or level > MAX_LEVEL:
        raise _refused(
            f"the {role}'s foreground is blown: {blown:.3f} of it, mean level {level:.1f}",
            "lower `view.exposure`, or the recipe's highest `strength`",
        )
    if contrast < MIN_CONTRAST:
        raise _refused(
            f"the {role}'s foreground has no shading: standard deviation {contrast:.2f} of 255",
            "check the object's materials (pure emission has no shading)",
        )


def _refused(cause: str, remedy: str) -> Rejected:
    return Rejected(
        cause, consequence="the pair is quarantined; the rest of its group is kept", remedy=remedy
    )
