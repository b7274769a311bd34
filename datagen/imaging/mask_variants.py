"""Imperfect masks of exact ones: what people, detectors and other networks mark in place of an object.

All sizes are relative to the region itself, so that a mug and a wall are marked as carelessly. Each connected
part is varied by itself, so that no small object is lost beside a large one. Where several pixels are as near
or as deep, those on one side are taken.

| kind | what is marked, for a region of area A |
|---|---|
| exact | the region |
| grown | the nearest pixels around it, so many that the area is (1 + amount) A |
| shrunk | the deepest pixels of it, (1 - amount) A |
| shifted | it, moved by amount x sqrt(A) in a random direction; what leaves the frame is lost |
| box | its bounding box |
| scribble | a crooked line between points of it, as wide as a tenth to a quarter of sqrt(A) |
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from pairbridge.datagen.core.random_draws import RangeOf, Weights, weighted, whole_number

MaskKind = Literal["exact", "grown", "shrunk", "shifted", "box", "scribble"]
# Ranges of amounts, of the kinds that have one.
MaskAmounts = dict[Literal["grown", "shrunk", "shifted"], RangeOf[Annotated[float, Field(ge=0, lt=1)]]]

# Amounts are drawn from these ranges: a tenth is hardly seen, half is another shape.
AMOUNTS = MappingProxyType({"grown": (0.1, 0.5), "shrunk": (0.1, 0.4), "shifted": (0.05, 0.2)})
# Points that a scribble connects, and its width as a share of sqrt(A).
_POINTS = (3, 6)
_WIDTHS = (0.1, 0.25)


def draw_variant(
    draw: np.random.Generator,
    mask: np.ndarray,
    shares: Weights[MaskKind],
    amounts: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> tuple[np.ndarray, MaskKind]:
    """A mask of a kind drawn by `shares`, and the kind; `amounts` has ranges in place of AMOUNTS. A function
    of `draw`'s state.
    """
    kind = weighted(draw, shares)
    amount = float(draw.uniform(*{**AMOUNTS, **amounts}[kind])) if kind in AMOUNTS else 0.0
    return mask_variant(mask, kind, draw, amount=amount), kind


def mask_variant(
    mask: np.ndarray, kind: MaskKind, draw: np.random.Generator, *, amount: float = 0.0
) -> np.ndarray:
    """uint8 (H, W), 0 or 255, of a `mask` (H, W) in which what is above 0 is marked; only `exact` gives a
    mask back as it is. A part that would vanish stays as it was, and an empty mask stays empty.
    """
    if kind == "exact":
        return mask
    vary = _VARY[kind]
    count, labels = cv2.connectedComponents((mask > 0).astype(np.uint8), connectivity=8)
    marked = np.zeros(mask.shape, bool)
    for number in range(1, count):
        part = labels == number
        varied = vary(part, draw, amount)
        marked |= varied if varied.any() else part
    return marked.astype(np.uint8) * np.uint8(255)


def _grown(part: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    return _lowest(_distance(~part), round((1 + amount) * part.sum()), draw)


def _shrunk(part: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    # The frame's edge cuts off a region, it does not end it.
    return _lowest(-_distance(part), round((1 - amount) * part.sum()), draw)


def _shifted(part: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    angle, reach = draw.uniform(0, math.tau), amount * math.sqrt(part.sum())
    across, down = round(reach * math.cos(angle)), round(reach * math.sin(angle))
    height, width = part.shape
    moved = np.zeros_like(part)
    moved[max(down, 0) : height + down, max(across, 0) : width + across] = part[
        max(-down, 0) : height - down, max(-across, 0) : width - across
    ]
    return moved


def _box(part: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    left, top, width, height = cv2.boundingRect(part.astype(np.uint8))
    box = np.zeros_like(part)
    box[top : top + height, left : left + width] = True
    return box


def _scribble(part: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    rows, columns = np.nonzero(part)
    chosen = draw.integers(len(rows), size=whole_number(draw, _POINTS))
    points = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.int32)
    width = max(1, round(draw.uniform(*_WIDTHS) * math.sqrt(len(rows))))
    canvas = np.zeros(part.shape, np.uint8)
    cv2.polylines(canvas, [points], isClosed=False, color=1, thickness=width)
    return canvas > 0


_VARY: dict[str, Callable[[np.ndarray, np.random.Generator, float], np.ndarray]] = {
    "grown": _grown,
    "shrunk": _shrunk,
    "shifted": _shifted,
    "box": _box,
    "scribble": _scribble,
}


def _distance(inside: np.ndarray) -> np.ndarray:
    """Of each pixel of `inside` from the nearest that is not; 0 elsewhere, and all the same where none is."""
    if inside.all():
        # OpenCV 5 gives other numbers each time.
        return np.ones(inside.shape, np.float32)
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _lowest(values: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
    """Bool (H, W): so many of the pixels, 1 at least, those of the lowest values. Of equal ones those on one
    side, drawn: of a small region most pixels are at its rim, as deep as one another.
    """
    angle = draw.uniform(0, math.tau)
    rows, columns = np.indices(values.shape)
    side = math.cos(angle) * columns + math.sin(angle) * rows
    lowest = np.zeros(values.size, bool)
    lowest[np.lexsort((side.ravel(), values.ravel()))[: max(count, 1)]] = True
    return lowest.reshape(values.shape)
