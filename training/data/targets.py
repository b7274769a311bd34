"""How a field of each kind is framed, and what of it a network sees or makes: channels in [-1, 1].

| kind | size changes by | values |
|---|---|---|
| image, mask | averaging areas; bilinear when enlarged | as stored, whole numbers that span [-1, 1] |
| label | the nearest pixel | as stored: numbers that are names |
| depth | the nearest pixel | from -1 at d2 to 1 at d98, clipped; three equal channels |
| normal | the nearest pixel | the unit vector's components |
| light map | as a whole, never cropped | as stored |
| environment map | as a whole, in linear light | `light_planes`: a low range, and the logarithm |

d2 and d98 are the 2nd and 98th percentile of the crop's valid depths (affine-invariant depth, arXiv
2312.02145). Depth is valid where it is finite and above 0, a normal where it is no zero vector. An average
of near and far lies on no surface, one of two unit vectors is none.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from pairbridge.datagen.shards.fields import FieldKind, FieldSpec
from pairbridge.training.data.framing import Frame, crop_and_resize

NEAR_PERCENTILE, FAR_PERCENTILE = 2, 98
# The largest number of 16-bit floats, in which environment maps are stored.
BRIGHTEST = 65504.0
# What a level of 1 stands for in the second range of an environment map: log(1 + L) of that.
LOG_BRIGHTEST = float(np.log1p(BRIGHTEST))


class PairKinds(NamedTuple):
    """What source and target of a pair show."""

    source: FieldKind = FieldKind.IMAGE
    target: FieldKind = FieldKind.IMAGE


PICTURES = PairKinds()


class Form(NamedTuple):
    """How a field travels to the network; what is in one batch is of one form."""

    kind: FieldKind
    channels: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.channels} channels, {self.dtype}"


@dataclass(frozen=True, slots=True)
class SeenField:
    """A framed field: uint8, uint16 or float32 in [-1, 1], (H, W, C) or (H, W); and where it holds, uint8 (H,
    W), 255 = valid, of kinds that may have gaps. depth: float32 (H, W), in its unit.
    """

    image: np.ndarray
    valid: np.ndarray | None = None
    depth: np.ndarray | None = None


def form_of(spec: FieldSpec) -> Form:
    """The form of `seen` values of a field."""
    if spec.kind.has_gaps:
        return Form(spec.kind, 3, "float32")
    if spec.encoding == "radiance":
        return Form(spec.kind, 2 * spec.channels, "float32")
    return Form(spec.kind, spec.channels, spec.dtype)


def seen(spec: FieldSpec, value: np.ndarray, frame: Frame | None) -> SeenField:
    """What a network is given of a decoded field. Raises ValueError for a value that is not as stated."""
    if problem := spec.problem(value):
        raise ValueError(problem)
    if spec.kind is FieldKind.DEPTH:
        depth = framed_depth(value, frame)
        return SeenField(*depth_target(depth), depth)
    if spec.kind is FieldKind.NORMAL:
        return SeenField(*normal_target(value, frame))
    if spec.kind is FieldKind.LIGHT:
        whole = value if frame is None else resized_whole(value, frame.size_WH)
        return SeenField(light_planes(whole) if spec.encoding == "radiance" else whole)
    if spec.kind is FieldKind.LABEL:
        return SeenField(_framed(value, frame))
    return SeenField(value if frame is None else crop_and_resize(value, frame))


def as_picture(image: np.ndarray) -> np.ndarray:
    """Three channels of what `seen` gives: grey is repeated; of light's two ranges it is the logarithm."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return image[..., 3:] if image.shape[2] == 6 else image


def resized_whole(image: np.ndarray, size_WH: tuple[int, int]) -> np.ndarray:
    """What is no picture of the scene, at another size; 16-bit floats come back as float32."""
    wide = image.astype(np.float32) if image.dtype == np.float16 else image
    height, width = image.shape[:2]
    if (width, height) == size_WH:
        return wide
    shrinks = size_WH[0] <= width and size_WH[1] <= height
    return cv2.resize(wide, size_WH, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def light_planes(radiance: np.ndarray) -> np.ndarray:
    """Linear radiance (H, W, 3) >= 0 -> float32 (H, W, 6) in [-1, 1]: what a display shows of it, and the
    logarithm.

    The first three hold L up to 1, as sRGB's exponent spreads it, in which surroundings differ; the last
    three log(1 + L) up to the largest 16-bit float, in which a sun and a lamp do. (Two ranges after Neural
    Gaffer, arXiv 2406.07520, and DiffusionRenderer, arXiv 2501.18590.)
    """
    light = np.clip(radiance.astype(np.float32), 0, BRIGHTEST)
    low = np.minimum(light, 1) ** np.float32(1 / 2.2)
    high = np.log1p(light) / np.float32(LOG_BRIGHTEST)
    return np.concatenate([low, high], axis=2) * 2 - 1


def framed_depth(depth: np.ndarray, frame: Frame | None) -> np.ndarray:
    """Depth (H, W) -> float32 (h, w), still in its unit."""
    return _framed(np.asarray(depth, np.float32), frame)


def depth_target(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W), any unit -> float32 (H, W, 3) in [-1, 1], and where it holds: uint8 (H, W), 0 or 255."""
    valid = np.isfinite(depth) & (depth > 0)
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.float32), _as_mask(valid)
    near, far = np.percentile(depth[valid], [NEAR_PERCENTILE, FAR_PERCENTILE])
    # A wall seen straight on has no span; half a thousandth keeps the quotient finite.
    scaled = (np.where(valid, depth, near) - near) / max(far - near, 5e-4) * 2 - 1
    scaled = np.clip(scaled, -1, 1).astype(np.float32)
    return np.repeat(np.where(valid, scaled, 0)[..., None], 3, axis=2), _as_mask(valid)


def normal_target(normals: np.ndarray, frame: Frame | None) -> tuple[np.ndarray, np.ndarray]:
    """Normals (H, W, 3), uint8 or components -> float32 (h, w, 3) unit vectors, and where they hold, as
    above.
    """
    if normals.ndim != 3 or normals.shape[2] != 3:
        raise ValueError(f"normals have shape {normals.shape}, not (H, W, 3)")
    if normals.dtype == np.uint8:
        # Black stands for "no surface", and rounding moves a unit vector by at most 0.7 %.
        vectors = np.where(normals.any(axis=2, keepdims=True), normals.astype(np.float32) / 127.5 - 1, 0)
    else:
        vectors = np.nan_to_num(normals.astype(np.float32))
    vectors = _framed(vectors, frame)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    valid = length[..., 0] > 0.5
    unit = np.where(valid[..., None], vectors / np.maximum(length, 1e-6), 0).astype(np.float32)
    return unit, _as_mask(valid)


def to_picture(target: np.ndarray) -> np.ndarray:
    """Targets or outputs as uint8 of their shape: images as they are, [-1, 1], clipped, as 0..255."""
    if target.dtype == np.uint8:
        return target
    return np.rint((target.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def _framed(array: np.ndarray, frame: Frame | None) -> np.ndarray:
    return array if frame is None else crop_and_resize(array, frame, interpolation=cv2.INTER_NEAREST_EXACT)


def _as_mask(valid: np.ndarray) -> np.ndarray:
    return valid.astype(np.uint8) * 255
