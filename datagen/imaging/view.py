"""The view transform: from linear light to the 8-bit image. One closed form, applied after compositing.

With y = exposure * x (linear RGB, each channel alone) and shoulder s:

    z = y                                   for y <= s
    z = s + (1 - s) (1 - exp(-(y - s) / (1 - s)))   for y > s
    image = round(255 * OETF(z)),  OETF = sRGB, IEC 61966-2-1

The curve and its slope are continuous at s, and z tends to 1, so highlights roll off and never wrap. No
dither: an 8-bit value is a function of its pixel's light alone.
"""

import numpy as np
from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel


class ViewTransform(FrozenModel):
    """`exposure` is a factor on linear light; `shoulder` is where highlights begin to roll off, in [0, 1)."""

    exposure: float = Field(1.0, gt=0)
    shoulder: float = Field(0.8, ge=0, lt=1)

    def apply(self, linear: np.ndarray) -> np.ndarray:
        """uint8 sRGB of the same shape as `linear` (float, >= 0, unbounded above)."""
        exposed = np.asarray(linear, np.float32) * np.float32(self.exposure)
        room = np.float32(1.0 - self.shoulder)
        above = np.maximum(exposed - np.float32(self.shoulder), 0)
        rolled = np.minimum(exposed, np.float32(self.shoulder)) + room * -np.expm1(-above / room)
        return np.rint(255 * srgb_encode(rolled)).astype(np.uint8)


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """The sRGB transfer function on [0, 1]; values outside are clipped."""
    clipped = np.clip(linear, 0, 1)
    return np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values on [0, 1] (divide 8-bit values by 255 first)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
