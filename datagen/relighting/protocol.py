"""What a relighter is: something that shows a foreground as another background would light it."""

from typing import Protocol

import numpy as np

from datagen.errors import Rejected


class Relighter(Protocol):
    """Relights foregrounds. `name` and `revision` go into every sample it had a part in."""

    name: str
    revision: str
    is_stand_in: bool  # True: takes the place of a learned model, and is named as such wherever it shows

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        """The image with its foreground lit for `background`, uint8 sRGB of the image's own size.

        image: uint8 sRGB (H, W, 3). alpha: float32 (H, W) in 0..1. background: uint8 sRGB (H', W', 3), of any
        size. What comes back outside the foreground is not used, so a relighter may paint its own background
        there; it must not move the foreground. A function of its arguments alone.
        """


def relit_image(
    relighter: Relighter, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int
) -> np.ndarray:
    """`relighter.relight(...)` for a uint8 alpha, after checking what comes back.

    Raises Rejected for another size or type: pasting it would need a resampling that nobody asked for.
    """
    relit = relighter.relight(image, alpha.astype(np.float32) / 255, background, seed)
    if relit.shape != image.shape or relit.dtype != np.uint8:
        raise Rejected(
            f"{relighter.name} gave {relit.dtype} {relit.shape} for an image of uint8 {image.shape}",
            consequence="the pair is quarantined; the rest is made",
            remedy="check the relighter's settings and weights",
        )
    return relit
