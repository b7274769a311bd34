"""The view transform: from linear light to the 8-bit image. One closed form, applied after compositing.

With y = exposure * x (linear RGB, each channel alone) and shoulder s:

    z = y                                   for y <= s
    z = s + (1 - s) (1 - exp(-(y - s) / (1 - s)))   for y > s
    image = round(255 * OETF(z)),  OETF = sRGB, IEC 61966-2-1

The curve and its slope are continuous at s, and z tends to 1, so highlights roll off and never wrap. No
dither: an 8-bit value is a function of its pixel's light alone.
"""

import numpy as np
from pydantic import Field, PositiveFloat

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imaging.colour import srgb_encode


class ViewTransform(FrozenModel):
    """From linear light to 8-bit sRGB; see the module's docstring."""

    exposure: PositiveFloat = 1.0
    """Factor on linear light."""
    shoulder: float = Field(0.8, ge=0, lt=1)
    """Linear level, within [0, 1), above which highlights roll off instead of clipping."""

    def apply(self, linear: np.ndarray) -> np.ndarray:
        """uint8 sRGB of the same shape as `linear` (float, >= 0, unbounded above)."""
        return _encoded(self._rolled(linear))

    def apply_on_paper(self, foreground_rgba: np.ndarray, paper: float) -> np.ndarray:
        """uint8 sRGB (H, W, 3) of a premultiplied linear render (H, W, 4) on paper of the linear grey
        `paper` in
        [0, 1], which is no light of the scene: exposure and shoulder are the render's alone, so that 1 is
        255.
        """
        alpha = np.clip(foreground_rgba[..., 3:], 0, 1)
        # Premultiplied, an edge would roll off later than what it is the edge of.
        straight = foreground_rgba[..., :3] / np.maximum(alpha, np.float32(1e-6))
        return _encoded(alpha * self._rolled(straight) + (1 - alpha) * np.float32(paper))

    def _rolled(self, linear: np.ndarray) -> np.ndarray:
        exposed = np.asarray(linear, np.float32) * np.float32(self.exposure)
        room = np.float32(1.0 - self.shoulder)
        above = np.maximum(exposed - np.float32(self.shoulder), 0)
        return np.minimum(exposed, np.float32(self.shoulder)) + room * -np.expm1(-above / room)


def _encoded(linear: np.ndarray) -> np.ndarray:
    return np.rint(255 * srgb_encode(linear)).astype(np.uint8)
