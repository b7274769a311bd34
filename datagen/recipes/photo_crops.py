"""What the recipes on photographs share: which crop of a photograph becomes a pair, and at what size.

A crop is planned without looking at the photograph, as shares; it becomes a box of pixels when the
photograph's size, and where its subject stands, are known.
"""

import math
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf
from pairbridge.datagen.recipes.base import RecipeConfig

# Share of the subject's width and height that a crop at least has room for.
_SHOWN = 0.75
# Share of a crop smaller than its subject that may lie beyond the subject's end.
_PAST_THE_END = 0.3

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


class PhotoRecipeConfig(RecipeConfig):
    """The keys of every recipe that crops photographs."""

    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Width and height of every image, in pixels."""
    crop: RangeOf[Annotated[float, Field(gt=0, le=1)]] = (0.6, 1.0)
    """Side of the crop as a fraction, within (0, 1], of the largest crop of this aspect in the photograph."""
    flip: Fraction = 0.5
    """Fraction of pairs that are mirrored left to right."""
    max_enlargement: PositiveFloat = 2.0
    """Largest factor by which a crop is enlarged; a photograph too small for that is refused."""


def plan_crop(draw: np.random.Generator, crop: Range) -> dict[str, float]:
    """Scale and place of a crop, as shares: see `crop_box`."""
    return {"scale": float(draw.uniform(*crop)), "x": float(draw.random()), "y": float(draw.random())}


def crop_box(
    crop: dict[str, float],
    photo_WH: tuple[int, int],
    size_WH: tuple[int, int],
    *,
    max_enlargement: float = math.inf,
    subject: Box | None = None,
) -> Box:
    """The crop in pixels of a photograph, with the aspect of `size_WH`.

    Where `subject` is given, the crop grows until at least _SHOWN of it fits either way (as far as the
    photograph goes), and lies around it or within it; `x` and `y` choose among such places. Raises Rejected
    for a photograph that is too small.
    """
    width, height = size_WH
    largest = min(photo_WH[0] / width, photo_WH[1] / height)
    least = 1 / max_enlargement
    if largest < least:
        raise Rejected(
            f"the photograph has {photo_WH[0]}x{photo_WH[1]} pixels: a crop of it would be enlarged "
            f"{1 / largest:.2f} times to {width}x{height}",
            remedy="use larger photographs, a smaller `size_WH`, or a larger `max_enlargement`",
            gate="too_few_pixels",
        )
    fits = _SHOWN * max(subject[2] / width, subject[3] / height) if subject else 0.0
    scale = max(crop["scale"] * largest, least, min(fits, largest))
    size = tuple(
        min(max(1, round(scale * side)), limit) for side, limit in zip(size_WH, photo_WH, strict=True)
    )
    x, y = (
        _place(
            crop[axis],
            size[index],
            photo_WH[index],
            (subject[index], subject[index + 2]) if subject else None,
        )
        for index, axis in enumerate("xy")
    )
    return x, y, size[0], size[1]


def take_crop(
    image: np.ndarray, box: Box, size_WH: tuple[int, int], flip: bool, *, enlarge: int = cv2.INTER_CUBIC
) -> np.ndarray:
    """The box of an image (H, W) or (H, W, 3), resampled to `size_WH` and mirrored if `flip`."""
    x, y, width, height = box
    shrinks = width >= size_WH[0] and height >= size_WH[1]
    cut = image[y : y + height, x : x + width]
    resized = cv2.resize(cut, size_WH, interpolation=cv2.INTER_AREA if shrinks else enlarge)
    return np.ascontiguousarray(resized[:, ::-1]) if flip else resized


def take_alpha(alpha: np.ndarray, box: Box, size_WH: tuple[int, int], flip: bool) -> np.ndarray:
    """`take_crop` of an alpha: enlarged linearly, because cubic overshoots and would ring at the edge."""
    return take_crop(alpha, box, size_WH, flip, enlarge=cv2.INTER_LINEAR)


def subject_box(alpha: np.ndarray) -> Box:
    """The bounding box of alpha > 127, which must not be empty."""
    return tuple(int(value) for value in cv2.boundingRect((alpha > 127).astype(np.uint8)))


def _place(share: float, size: int, limit: int, subject: tuple[int, int] | None) -> int:
    low, high = 0, limit - size
    if subject:
        start, length = subject
        # A crop that spans the subject may lie anywhere around it; a smaller one may reach past its ends, so
        # that some background is seen.
        beyond = _PAST_THE_END * size if size < length else 0
        ends = sorted((start, start + length - size))
        ends = [ends[0] - beyond, ends[1] + beyond]
        low, high = (int(np.clip(end, low, high)) for end in ends)
    return low + round(share * (high - low))
