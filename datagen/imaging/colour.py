"""Colour: sRGB and linear light, CIELAB, and moving the colour statistics of one region to another's.

The last is after Reinhard, Ashikhmin, Gooch, Shirley, "Color Transfer between Images" (2001), in CIELAB,
whose channels are nearly decorrelated in photographs; the paper's l-alpha-beta takes logarithms, in which a
few near-black pixels decide mean and spread.
"""

from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]

# Spread ratios outside this range turn sensor noise into colour, or a foreground into a flat patch.
MIN_GAIN, MAX_GAIN = 0.4, 2.5

# IEC 61966-2-1 primaries and the D65 white point; CIE 1976 L*a*b* with its linear part below delta.
XYZ_OF_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ],
    np.float32,
)
_RGB_OF_XYZ = np.linalg.inv(XYZ_OF_RGB.astype(np.float64)).astype(np.float32)
WHITE_XYZ = XYZ_OF_RGB.sum(axis=1)
DELTA = 6 / 29

# A channel spread below this many CIELAB units is a constant region, whose gain is not defined.
FLAT_STD = 0.5


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """The sRGB transfer function on [0, 1]; values outside are clipped."""
    clipped = np.clip(linear, 0, 1)
    return np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values on [0, 1] (divide 8-bit values by 255 first)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def linear_colour(display: RGB) -> RGB:
    """Linear light of one sRGB colour. In Python's floats: plans hold the result, and the last bit of NumPy's
    power differs between processors.
    """
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in display
    )
    return red, green, blue


@dataclass(frozen=True, slots=True)
class ColourStatistics:
    """Weighted mean and standard deviation of each CIELAB channel (L 0..100, a and b about -128..127)."""

    mean: np.ndarray
    std: np.ndarray

    def gain_towards(self, other: "ColourStatistics") -> np.ndarray:
        """Spread ratio per channel, limited to [MIN_GAIN, MAX_GAIN]; 1 where either region is flat."""
        flat = (self.std < FLAT_STD) | (other.std < FLAT_STD)
        ratio = np.divide(other.std, self.std, out=np.ones(3, np.float32), where=~flat)
        return np.clip(ratio, MIN_GAIN, MAX_GAIN)


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3), uint8 or float 0..1, to float32 CIELAB (D65) of the same shape.

    Written out because OpenCV's conversion interpolates in a table, up to half a unit off.
    """
    values = rgb.astype(np.float32) / 255 if rgb.dtype == np.uint8 else rgb.astype(np.float32)
    relative = srgb_decode(values) @ XYZ_OF_RGB.T / WHITE_XYZ
    f = np.where(relative > DELTA**3, np.cbrt(relative), relative / (3 * DELTA**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Float32 CIELAB (..., 3) to float32 sRGB clipped to 0..1, same shape."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    relative = np.where(f > DELTA, f**3, 3 * DELTA**2 * (f - 4 / 29))
    return srgb_encode((relative * WHITE_XYZ) @ _RGB_OF_XYZ.T).astype(np.float32)


def unit_mask(mask: np.ndarray) -> np.ndarray:
    """A mask as float32 0..1: uint8 is read as 0..255, bool and float as they are."""
    return mask.astype(np.float32) / 255 if mask.dtype == np.uint8 else mask.astype(np.float32)


def colour_statistics(image: np.ndarray, weights: np.ndarray | None = None) -> ColourStatistics:
    """Statistics of sRGB pixels (..., 3), weighted by a mask of the same leading shape (uint8 or 0..1).

    Raises ValueError where no pixel has weight: an empty region has no colour.
    """
    lab = rgb_to_lab(image).reshape(-1, 3).astype(np.float64)
    weight = np.ones(len(lab)) if weights is None else unit_mask(weights).reshape(-1).astype(np.float64)
    total = weight.sum()
    if total <= 0:
        raise ValueError("colour statistics of an empty region are undefined; check the mask before the call")
    # Not dot products: BLAS splits those over as many threads as the worker has, and the last bits with it.
    mean = (weight[:, None] * lab).sum(axis=0) / total
    std = np.sqrt((weight[:, None] * (lab - mean) ** 2).sum(axis=0) / total)
    return ColourStatistics(mean.astype(np.float32), std.astype(np.float32))


def transfer_colour_statistics(
    image: np.ndarray,
    mask: np.ndarray,
    reference: np.ndarray,
    reference_mask: np.ndarray | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """`image` with the statistics of its masked region moved towards those of `reference`.

    image: uint8 sRGB (H, W, 3). mask: (H, W), uint8 0..255 or float 0..1; it weighs the statistics and blends
    the result in sRGB, so that pixels of mask 0 come back untouched. reference: uint8 sRGB (N, 3), or
    (H', W', 3) with an optional `reference_mask` (H', W'). strength 0 changes nothing, 1 moves mean and
    spread all the way (the spread within MIN_GAIN..MAX_GAIN). Raises ValueError where a mask is empty.
    """
    own = colour_statistics(image, mask)
    other = colour_statistics(reference, reference_mask)
    gain = 1 + strength * (own.gain_towards(other) - 1)
    shift = strength * (other.mean - own.mean)
    moved = lab_to_rgb((rgb_to_lab(image) - own.mean) * gain + own.mean + shift)
    alpha = unit_mask(mask)[..., None]
    blended = image.astype(np.float32) * (1 - alpha) + 255 * moved * alpha
    return np.where(alpha > 0, np.rint(blended), image).astype(np.uint8)
