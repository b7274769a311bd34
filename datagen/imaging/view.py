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
        exposed = np.asarray(linear, np.float32) * np.float32(self.exposure)
        room = np.float32(1.0 - self.shoulder)
        above = np.maximum(exposed - np.float32(self.shoulder), 0)
        rolled = np.minimum(exposed, np.float32(self.shoulder)) + room * -np.expm1(-above / room)
        return np.rint(255 * srgb_encode(rolled)).astype(np.uint8)
