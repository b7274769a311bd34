"""What a matting model is: something that finds a photograph's subject, and says so when there is none."""

from typing import Protocol

import numpy as np

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.models.provenance import Tool

# Mean alpha of a whole photograph. Below, nothing was found; above, there is no background left.
MIN_FOUND, MAX_FOUND = 0.01, 0.97


class MattingModel(Tool, Protocol):
    """Cuts the foreground out of photographs. `name` and `revision` go into every sample it had a part in."""

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """Alpha of the foreground, float32 (H, W) in 0..1, of a uint8 sRGB image (H, W, 3).

        A function of the image alone: neither of earlier calls nor of a global generator. Raises Rejected
        where the image has no foreground.
        """


def cut_out(matting: MattingModel, image: np.ndarray) -> np.ndarray:
    """`matting.alpha(image)` as uint8 (H, W), after checking it.

    Raises Rejected if the matting model found nothing or everything, or gave back infinities, NaN or another
    size: a model fails on single images, and a full mask would pass for a foreground.
    """
    alpha = matting.alpha(image)
    if alpha.shape != image.shape[:2]:
        raise no_foreground(matting, f"it gave a mask of {alpha.shape} for an image of {image.shape[:2]}")
    if not np.isfinite(alpha).all():
        raise no_foreground(matting, "its mask holds infinities or NaN")
    found = float(np.clip(alpha, 0, 1).mean())
    if not MIN_FOUND <= found <= MAX_FOUND:
        raise no_foreground(matting, f"its mask covers {found:.4f} of the image")
    return np.rint(255 * np.clip(alpha, 0, 1)).astype(np.uint8)


def no_foreground(matting: MattingModel, why: str) -> Rejected:
    """The refusal of an image in which `matting` finds no usable foreground."""
    return Rejected(
        f"{matting.name} found no foreground: {why}",
        consequence="nothing can be made from this photograph's foreground",
        remedy="leave the photograph out, or choose another matting",
        gate="no_foreground",
    )
