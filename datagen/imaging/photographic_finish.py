"""What a camera adds to a picture: vignette, noise, white balance, tone curve, JPEG. Drawn once for a group
and applied alike to all of its pictures: the same gains, the same field of noise, the same quality.

In linear light after exposure (1 is white), before the view transform, in the order of the camera:

    vignette        x' = x / (1 + (r t)²)²,  r the distance from the middle, 1 in a corner: cos⁴ of an angle
                    whose tangent is r t; a corner keeps 1 - vignette of its light
    noise           x' = x + sqrt(x / N + (e / N)²) n,  N = 2e6 / ISO electrons at white, e of read noise
    white balance   x' = g x,  g = daylight of 6504 K over daylight of `kelvin`, green times 1 + tint; then
                    the least gain is 1, so that white that is burnt stays white, as cameras have it

After it, on sRGB values y in [0, 1]: the tone curve y' = y + c y (1 - y) (2 y - 1), which keeps 0, 1/2 and 1
and is monotone for |c| <= 1, and JPEG of the 8-bit picture. n is normal with variance 1 for each channel,
white noise smoothed as a bilinear demosaicing of a Bayer pattern smooths it (red and blue more than green).

N is that of a picture pixel: a sensor has more of them, each with fewer electrons. At ISO 100 grey (0.18)
has a signal-to-noise ratio of 60, at ISO 3200 of 11.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, RangeOf, log_uniform
from pairbridge.datagen.imaging.colour import XYZ_OF_RGB
from pairbridge.datagen.imaging.view import ViewTransform

# Electrons at white of ISO 1, and those of read noise.
_ELECTRONS, _READ = 2e6, 1.5
_NEUTRAL_K = 6504.0
# Where the pattern has a channel's own sample in one pixel of two (green) or of four.
_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32)
_RED_BLUE = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)


class FinishDraws(FrozenModel):
    """What a camera adds, each in a share of the groups; a share of 0 switches it off."""

    noise: Fraction = 0.7
    """Fraction of groups with sensor noise, shot and read, correlated as demosaicing leaves it."""
    iso: RangeOf[Annotated[float, Field(ge=25, le=25600)]] = (100.0, 1600.0)
    """ISO speed, log-uniform: 100 is hardly seen, 1600 is a room in the evening."""
    vignette: Fraction = 0.5
    """Fraction of groups whose corners are darker."""
    vignette_loss: RangeOf[Annotated[float, Field(ge=0, lt=1)]] = (0.1, 0.45)
    """Share of the light that a corner loses, in linear light; 0.45 is an open lens, uncorrected."""
    white_balance: Fraction = 0.5
    """Fraction of groups whose white balance is off."""
    kelvin: RangeOf[Annotated[float, Field(ge=4000, le=25000)]] = (5400.0, 8000.0)
    """Colour temperature of the daylight that the camera takes for white, uniform in 1/K; the picture's own
    white is 6504 K, a lower one makes it blue and a higher one yellow. What automatic balances miss by."""
    tint: RangeOf[Annotated[float, Field(gt=-0.5, lt=0.5)]] = (-0.02, 0.02)
    """Relative change of green beside it."""
    tone: Fraction = 0.5
    """Fraction of groups with a tone curve."""
    contrast: RangeOf[Annotated[float, Field(ge=-1, le=1)]] = (-0.2, 0.6)
    """Strength c of the tone curve: above 0 darks darker and brights brighter, the way most cameras ship."""
    jpeg: Fraction = 0.6
    """Fraction of groups that went through JPEG, with half the colour resolution."""
    jpeg_quality: RangeOf[Annotated[int, Field(ge=1, le=100)]] = (80, 97)
    """Quality of the JPEG, within [1, 100]; both ends are included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotographicFinish:
    """One draw of it; None is what this picture does without."""

    iso: float | None = None
    noise_seed: int = 0
    vignette: float | None = None
    kelvin: float | None = None
    tint: float = 0.0
    contrast: float | None = None
    jpeg_quality: int | None = None


def draw_finish(draw: np.random.Generator, config: FinishDraws) -> PhotographicFinish:
    """The finish of one group."""
    # Apart, so that one share moves no other's draws.
    of_noise, of_vignette, of_white, of_tone, of_jpeg = draw.spawn(5)
    white = of_white.random() < config.white_balance
    low, high = config.jpeg_quality
    return PhotographicFinish(
        iso=log_uniform(of_noise, config.iso) if of_noise.random() < config.noise else None,
        noise_seed=int(of_noise.integers(2**31)),
        vignette=_one(of_vignette, config.vignette, config.vignette_loss),
        kelvin=float(1 / of_white.uniform(1 / config.kelvin[1], 1 / config.kelvin[0])) if white else None,
        tint=float(of_white.uniform(*config.tint)) if white else 0.0,
        contrast=_one(of_tone, config.tone, config.contrast),
        jpeg_quality=int(of_jpeg.integers(low, high + 1)) if of_jpeg.random() < config.jpeg else None,
    )


@dataclass(frozen=True)
class Developed:
    """How the pictures of a group become 8 bits: a `finish` around a `view`, or the view alone."""

    view: ViewTransform
    finish: PhotographicFinish | None
    _fields: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def apply(self, linear: np.ndarray) -> np.ndarray:
        """uint8 sRGB of linear light (H, W, 3)."""
        if self.finish is None:
            return self.view.apply(linear)
        return self._processed(self.view.display(self._exposed(linear)))

    def apply_on_paper(self, foreground_rgba: np.ndarray, paper: float) -> np.ndarray:
        """As ViewTransform's: the paper is no light of the scene, so it has no noise, no vignette and no
        colour, and where nothing stands on it JPEG leaves no trace of what does.
        """
        plain = self.view.apply_on_paper(foreground_rgba, paper)
        if self.finish is None:
            return plain
        alpha = np.clip(foreground_rgba[..., 3:], 0, 1)
        straight = self._exposed(foreground_rgba[..., :3] / np.maximum(alpha, np.float32(1e-6)))
        shown = self.view.display_on_paper(np.concatenate([straight, alpha], axis=2), paper)
        return np.where(alpha > 0, self._processed(shown), plain)

    def _exposed(self, linear: np.ndarray) -> np.ndarray:
        """Linear light, unexposed again, as the sensor and its gains leave it."""
        finish, exposure = self.finish, np.float32(self.view.exposure)
        light = np.maximum(np.asarray(linear, np.float32) * exposure, 0)
        if finish.vignette is not None:
            light = light * vignette_gain(light.shape[:2], finish.vignette)[..., None]
        if finish.iso is not None:
            light = np.maximum(light + noise_deviation(light, finish.iso) * self._noise(light.shape[:2]), 0)
        if finish.kelvin is not None:
            light = light * white_balance_gains(finish.kelvin, finish.tint)
        return light / exposure

    def _processed(self, display: np.ndarray) -> np.ndarray:
        """uint8 of sRGB values in [0, 1], through the tone curve and JPEG."""
        finish = self.finish
        if finish.contrast is not None:
            display = toned(display, finish.contrast)
        image = np.rint(255 * display).astype(np.uint8)
        return image if finish.jpeg_quality is None else _through_jpeg(image, finish.jpeg_quality)

    def _noise(self, size_HW: tuple[int, int]) -> np.ndarray:
        # Kept: every picture of the group has the same.
        if size_HW not in self._fields:
            self._fields[size_HW] = noise_field(self.finish.noise_seed, size_HW)
        return self._fields[size_HW]


def noise_deviation(light: np.ndarray, iso: float) -> np.ndarray:
    """Standard deviation of the noise of linear `light` (1 is white), as float32."""
    electrons = np.float32(_ELECTRONS / iso)
    return np.sqrt(light / electrons + np.float32(_READ / electrons) ** 2)


def noise_field(seed: int, size_HW: tuple[int, int]) -> np.ndarray:
    """Normal noise (H, W, 3) float32 of variance 1, correlated between neighbours, not between channels."""
    height, width = size_HW
    # A border of its own, so that pixels at the frame's have neighbours too.
    white = np.random.default_rng(seed).standard_normal((height + 2, width + 2, 3), np.float32)
    smooth = [
        cv2.filter2D(np.ascontiguousarray(white[..., channel]), -1, kernel / np.sqrt((kernel**2).sum()))
        for channel, kernel in enumerate((_RED_BLUE, _GREEN, _RED_BLUE))
    ]
    return np.stack(smooth, axis=2)[1:-1, 1:-1]


def vignette_gain(size_HW: tuple[int, int], loss: float) -> np.ndarray:
    """(H, W) float32: 1 in the middle, 1 - loss in the outermost corner."""
    height, width = size_HW
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    # Squared distances in halves of the diagonal.
    from_middle = ((y[:, None] * height) ** 2 + (x[None, :] * width) ** 2) / (height**2 + width**2)
    return ((1 + from_middle * (1 / math.sqrt(1 - loss) - 1)) ** -2).astype(np.float32)


def white_balance_gains(kelvin: float, tint: float) -> np.ndarray:
    """Gains (3,) float32 of linear RGB for a camera that takes daylight of `kelvin` for white; the least is
    1."""
    gains = _daylight_rgb(_NEUTRAL_K) / _daylight_rgb(kelvin) * np.array([1, 1 + tint, 1])
    return (gains / gains.min()).astype(np.float32)


def toned(display: np.ndarray, contrast: float) -> np.ndarray:
    """sRGB values in [0, 1] through the tone curve."""
    return display + np.float32(contrast) * display * (1 - display) * (2 * display - 1)


def _daylight_rgb(kelvin: float) -> np.ndarray:
    """Linear Rec.709 of CIE daylight (CIE 15, 4000 to 25000 K) of the luminance 1."""
    at = 1e3 / kelvin
    if kelvin <= 7000:
        x = 0.244063 + 0.09911 * at + 2.9678 * at**2 - 4.6070 * at**3
    else:
        x = 0.237040 + 0.24748 * at + 1.9018 * at**2 - 2.0064 * at**3
    y = -3.0 * x**2 + 2.870 * x - 0.275
    return np.linalg.solve(XYZ_OF_RGB.astype(np.float64), np.array([x / y, 1, (1 - x - y) / y]))


def _one(draw: np.random.Generator, share: float, ends: tuple[float, float]) -> float | None:
    return float(draw.uniform(*ends)) if draw.random() < share else None


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
