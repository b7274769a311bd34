"""The view transform: from linear light to the 8-bit image. One closed form, applied after compositing.

With y = exposure * x (linear RGB, each channel alone), `curve: shoulder` and the shoulder s:

    z = y                                   for y <= s
    z = s + (1 - s) (1 - exp(-(y - s) / (1 - s)))   for y > s

and with `curve: filmic` and the level w that is white, a toe and a long shoulder as film has them:

    z = h(y) / h(w)  for y < w,  1 above,   h(y) = y^p / (y^p + k),  p = 1.25

with k such that grey stays where it is: z(0.18) = 0.18. Then

    image = round(255 * OETF(z)),  OETF = sRGB, IEC 61966-2-1

Both curves are monotone and keep 0. The first and its slope are continuous at s, and z tends to 1, so
highlights roll off and never wrap; the second reaches 1 at w. No dither: an 8-bit value is a function of its
pixel's light alone.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imaging.colour import srgb_encode

# Of the filmic curve: its exponent, which makes the toe, and the level that it leaves alone.
_TOE, _GREY = 1.25, 0.18


class ViewTransform(FrozenModel):
    """From linear light to 8-bit sRGB; see the module's docstring."""

    exposure: PositiveFloat = 1.0
    """Factor on linear light."""
    curve: Literal["shoulder", "filmic"] = "shoulder"
    """`shoulder` leaves everything below it as it is. `filmic` has more contrast in the darks and more room
    in the highlights: what is as bright as white paper is light grey, and white what is `white` times as
    bright."""
    shoulder: float = Field(0.8, ge=0, lt=1)
    """Linear level, within [0, 1), above which highlights roll off instead of clipping; of `shoulder`."""
    white: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Linear level, within [1, 64], from which on everything is white (255); of `filmic`."""

    def apply(self, linear: np.ndarray) -> np.ndarray:
        """uint8 sRGB of the same shape as `linear` (float, >= 0, unbounded above)."""
        return _in_8_bits(self.display(linear))

    def apply_on_paper(self, foreground_rgba: np.ndarray, paper: float) -> np.ndarray:
        """uint8 sRGB (H, W, 3) of a premultiplied linear render (H, W, 4) on paper of the linear grey
        `paper` in
        [0, 1], which is no light of the scene: exposure and curve are the render's alone, so that 1 is
        255.
        """
        alpha = np.clip(foreground_rgba[..., 3:], 0, 1)
        # Premultiplied, an edge would roll off later than what it is the edge of.
        straight = foreground_rgba[..., :3] / np.maximum(alpha, np.float32(1e-6))
        return _in_8_bits(self.display_on_paper(np.concatenate([straight, alpha], axis=2), paper))

    def display(self, linear: np.ndarray) -> np.ndarray:
        """As `apply`, before it is rounded: sRGB values in [0, 1]."""
        return srgb_encode(self._curved(linear))

    def display_on_paper(self, straight_rgba: np.ndarray, paper: float) -> np.ndarray:
        """As `apply_on_paper` of colours that are not premultiplied, before it is rounded."""
        alpha = straight_rgba[..., 3:]
        return srgb_encode(alpha * self._curved(straight_rgba[..., :3]) + (1 - alpha) * np.float32(paper))

    def _curved(self, linear: np.ndarray) -> np.ndarray:
        exposed = np.asarray(linear, np.float32) * np.float32(self.exposure)
        if self.curve == "filmic":
            grey, white = _GREY**_TOE, self.white**_TOE
            bend = np.float32((1 - _GREY) * grey * white / (_GREY * white - grey))
            power = np.minimum(exposed, np.float32(self.white)) ** np.float32(_TOE)
            return np.minimum(power / (power + bend) * ((np.float32(white) + bend) / np.float32(white)), 1)
        room = np.float32(1.0 - self.shoulder)
        above = np.maximum(exposed - np.float32(self.shoulder), 0)
        return np.minimum(exposed, np.float32(self.shoulder)) + room * -np.expm1(-above / room)


def _in_8_bits(display: np.ndarray) -> np.ndarray:
    return np.rint(255 * display).astype(np.uint8)
