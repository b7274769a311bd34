"""LaMa's generator of random masks: strokes and boxes, with its published parameters.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (arXiv 2109.07161). A mask
is strokes or boxes, never both. A stroke has 1 to 5 segments; each turns by a whole number of radians (0 to
3, mirrored on every other stroke). Lengths are pixels at the reference side, and scale with the image's
shorter side.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

LamaKind = Literal["strokes", "boxes"]

_MAX_SEGMENTS, _MAX_TURN_RAD = 5, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Strokes:
    """Ends of `times` are both included; of `length` and `width`, as published, the upper one is not."""

    times: tuple[int, int]
    length: tuple[int, int]
    width: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """Ends of `times` are both included, the upper end of `side` is not; `margin` is kept to the frame."""

    times: tuple[int, int]
    side: tuple[int, int]
    margin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LamaMasks:
    """One published setting; `strokes_share` of its masks are strokes, the rest boxes."""

    name: str
    reference_side: int
    strokes: Strokes
    boxes: Boxes
    strokes_share: float = 1.0
    max_coverage: float = 1.0  # masks that cover more were thrown away


TRAINING = LamaMasks(
    name="LaMa training",
    reference_side=256,
    strokes=Strokes(times=(1, 5), length=(10, 210), width=(5, 105)),
    boxes=Boxes(times=(1, 4), side=(30, 150), margin=10),
    strokes_share=0.5,
)
_NO_BOXES = Boxes(times=(0, 0), side=(1, 2), margin=0)
# The three test sets of its paper.
EVALUATION = (
    LamaMasks(
        name="LaMa test, thick",
        reference_side=512,
        strokes=Strokes(times=(1, 5), length=(10, 460), width=(5, 255)),
        boxes=Boxes(times=(1, 4), side=(30, 300), margin=10),
        strokes_share=1 / 1.3,
        max_coverage=0.5,
    ),
    LamaMasks(
        name="LaMa test, medium",
        reference_side=512,
        strokes=Strokes(times=(4, 10), length=(10, 210), width=(5, 105)),
        boxes=Boxes(times=(1, 5), side=(30, 150), margin=0),
        strokes_share=1 / 1.3,
        max_coverage=0.5,
    ),
    LamaMasks(
        name="LaMa test, thin",
        reference_side=512,
        strokes=Strokes(times=(4, 70), length=(10, 110), width=(5, 25)),
        boxes=_NO_BOXES,
        max_coverage=0.5,
    ),
)


def draw_kind(draw: np.random.Generator, settings: LamaMasks) -> LamaKind:
    """Strokes or boxes, by their shares."""
    return "strokes" if draw.random() < settings.strokes_share else "boxes"


def draw_hole(
    draw: np.random.Generator, size_WH: tuple[int, int], kind: LamaKind, settings: LamaMasks
) -> np.ndarray:
    """One mask of a kind, uint8 (H, W) of 0 and 1 = hole. A function of `draw`'s state."""
    scale = min(size_WH) / settings.reference_side
    if kind == "strokes":
        return _strokes(draw, *size_WH, settings.strokes, scale)
    return _boxes(draw, *size_WH, settings.boxes, scale)


def _strokes(draw: np.random.Generator, width: int, height: int, shape: Strokes, scale: float) -> np.ndarray:
    canvas = np.zeros((height, width), np.uint8)
    for stroke in range(int(draw.integers(shape.times[0], shape.times[1] + 1))):
        x, y = int(draw.integers(width)), int(draw.integers(height))
        for _ in range(int(draw.integers(1, _MAX_SEGMENTS + 1))):
            angle = 0.01 + float(draw.integers(_MAX_TURN_RAD))
            if stroke % 2 == 0:
                angle = math.tau - angle
            length = scale * float(draw.integers(*shape.length))
            thickness = max(1, round(scale * float(draw.integers(*shape.width))))
            to_x = int(np.clip(x + length * math.sin(angle), 0, width - 1))
            to_y = int(np.clip(y + length * math.cos(angle), 0, height - 1))
            cv2.line(canvas, (x, y), (to_x, to_y), 1, thickness)
            x, y = to_x, to_y
    return canvas


def _boxes(draw: np.random.Generator, width: int, height: int, shape: Boxes, scale: float) -> np.ndarray:
    margin = round(scale * shape.margin)
    canvas = np.zeros((height, width), np.uint8)
    for _ in range(int(draw.integers(shape.times[0], shape.times[1] + 1))):
        # Every side fits the reference frame, so this matters only for rounding in very small images.
        box_w = min(max(1, round(scale * float(draw.integers(*shape.side)))), width - 2 * margin)
        box_h = min(max(1, round(scale * float(draw.integers(*shape.side)))), height - 2 * margin)
        x = int(draw.integers(margin, width - margin - box_w + 1))
        y = int(draw.integers(margin, height - margin - box_h + 1))
        canvas[y : y + box_h, x : x + box_w] = 1
    return canvas
