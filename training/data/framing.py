"""One size for pairs of any size: a crop of the wanted aspect, then a resize, the same for every image of a
pair.
"""

from typing import NamedTuple

import cv2
import numpy as np


class Frame(NamedTuple):
    """What is cut out: size in pixels after resizing; where the crop lies and how large it is.

    scale: side of the crop as a share of the largest one of this aspect that fits, in (0, 1]. place_xy:
    position in the room that is left, (0, 0) = left and top, (0.5, 0.5) = centred.
    """

    size_WH: tuple[int, int]
    scale: float = 1.0
    place_xy: tuple[float, float] = (0.5, 0.5)


def random_frame(size_WH: tuple[int, int], smallest: float, generator: np.random.Generator) -> Frame:
    """A frame at a random place, its scale uniform in [smallest, 1]."""
    scale, x, y = generator.random(3).tolist()
    return Frame(size_WH, smallest + (1 - smallest) * scale, (x, y))


def crop_and_resize(image: np.ndarray, frame: Frame, *, interpolation: int | None = None) -> np.ndarray:
    """(H, W) or (H, W, 3), uint8 or float32 -> the same kind at `frame.size_WH`.

    The crop is rounded to whole pixels. Shrinking averages areas, enlarging is bilinear, unless OpenCV's
    `interpolation` says otherwise; an image that already has the size is returned as it is.
    """
    height, width = image.shape[:2]
    wanted_w, wanted_h = frame.size_WH
    largest = min(width / wanted_w, height / wanted_h) * frame.scale
    crop_w = min(width, max(1, round(wanted_w * largest)))
    crop_h = min(height, max(1, round(wanted_h * largest)))
    x = round((width - crop_w) * frame.place_xy[0])
    y = round((height - crop_h) * frame.place_xy[1])
    crop = image[y : y + crop_h, x : x + crop_w]
    if (crop_w, crop_h) == frame.size_WH:
        return np.ascontiguousarray(crop)
    if interpolation is None:
        shrinks = wanted_w <= crop_w and wanted_h <= crop_h
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(crop, frame.size_WH, interpolation=interpolation)
