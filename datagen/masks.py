"""Random masks for object removal: strokes and boxes with the training parameters of LaMa.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (arXiv 2109.07161); the
figures are those of its published training configuration, at 256 pixels, and are scaled by the image's
shorter side / 256. A mask is strokes or boxes, half and half:

- strokes: 1 to 5, each of 1 to 5 segments; a segment turns by a whole number of radians (0 to 3, mirrored on
  every other stroke), is 10 to 209 long and 5 to 104 wide;
- boxes: 1 to 4 with sides of 30 to 149, at least 10 from the frame.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, PositiveInt, model_validator

from datagen.errors import Rejected
from datagen.frozen import FrozenModel

# Lengths in pixels at this shorter side.
_REFERENCE_SIDE = 256
_MAX_STROKES, _MAX_SEGMENTS, _MAX_TURN_RAD = 5, 5, 4
_STROKE_LENGTH, _STROKE_WIDTH = (10, 210), (5, 105)
_MAX_BOXES, _BOX_SIDE, _BOX_MARGIN = 4, (30, 150), 10

# How far around the foreground an avoiding mask stays away, as a share of the shorter side: soft edges and
# contact shadows reach a little beyond an alpha.
_CLEARANCE = 0.02
# Alpha above which a pixel counts as foreground to be avoided.
_FOREGROUND = 0.25


class MaskConfig(FrozenModel):
    """What removal masks look like and where they may lie."""

    mode: Literal["any_place", "avoid_foreground"] = "any_place"
    strokes_share: float = Field(0.5, ge=0, le=1)  # of masks that are strokes; the rest are boxes
    coverage: tuple[float, float] = (0.02, 0.5)  # least and largest share of the image
    max_overlap: float = Field(0.02, ge=0, lt=1)  # avoid_foreground: share of the mask that may lie on it
    max_tries: PositiveInt = Field(40, le=1000)

    @model_validator(mode="after")
    def _bounds(self) -> "MaskConfig":
        low, high = self.coverage
        if not 0 < low < high <= 1:
            raise ValueError(f"coverage is [{low}, {high}]; it needs 0 < least < largest <= 1")
        return self


@dataclass(frozen=True, slots=True)
class RemovalMask:
    """`pixels` uint8 (H, W), 0 or 255 = remove, and how it came about, for the sample's record."""

    pixels: np.ndarray
    kind: Literal["strokes", "boxes"]
    area: float  # share of the image
    overlap: float  # share of the mask on the foreground, clearance included; 0 where none was given
    tries: int
    trimmed: bool  # the foreground was cut out of it, because no try kept clear of it


def draw_mask(
    draw: np.random.Generator,
    size_WH: tuple[int, int],
    config: MaskConfig,
    foreground: np.ndarray | None = None,
) -> RemovalMask:
    """A mask whose coverage lies within the config's bounds; never empty. A function of `draw`'s state.

    `foreground` is the subject's alpha, uint8 (H, W), and decides only in the mode `avoid_foreground`: masks
    are drawn until one keeps clear of it; failing that, the one that overlaps least is trimmed. Raises
    Rejected if no try fits the bounds.
    """
    width, height = size_WH
    blocked = _with_clearance(foreground, min(size_WH)) if foreground is not None else None
    avoiding = config.mode == "avoid_foreground" and blocked is not None
    best: RemovalMask | None = None
    for tries in range(1, config.max_tries + 1):
        kind: Literal["strokes", "boxes"] = "strokes" if draw.random() < config.strokes_share else "boxes"
        hole = (_strokes if kind == "strokes" else _boxes)(draw, width, height)
        area, overlap = float(hole.mean()), _overlap(hole, blocked)
        fits = config.coverage[0] <= area <= config.coverage[1]
        if fits and (not avoiding or overlap <= config.max_overlap):
            return RemovalMask(hole * np.uint8(255), kind, area, overlap, tries, trimmed=False)
        if avoiding and (best is None or overlap < best.overlap):
            trimmed = _trim(hole, blocked, config.coverage[0])
            area = float(trimmed.mean())
            if config.coverage[0] <= area <= config.coverage[1]:
                best = RemovalMask(trimmed * np.uint8(255), kind, area, overlap, tries, trimmed=True)
    if best is None:
        raise Rejected(
            f"none of {config.max_tries} masks fits: coverage {config.coverage}, mode {config.mode}",
            consequence="the pair is quarantined; the rest is made",
            remedy="widen the recipe's `mask.coverage`, raise `mask.max_tries`, or allow `any_place`",
        )
    return RemovalMask(best.pixels, best.kind, best.area, 0.0, config.max_tries, trimmed=True)


def _strokes(draw: np.random.Generator, width: int, height: int) -> np.ndarray:
    scale = min(width, height) / _REFERENCE_SIDE
    canvas = np.zeros((height, width), np.uint8)
    for stroke in range(int(draw.integers(1, _MAX_STROKES + 1))):
        x, y = int(draw.integers(width)), int(draw.integers(height))
        for _ in range(int(draw.integers(1, _MAX_SEGMENTS + 1))):
            angle = 0.01 + float(draw.integers(_MAX_TURN_RAD))
            if stroke % 2 == 0:
                angle = math.tau - angle
            length = scale * float(draw.integers(*_STROKE_LENGTH))
            thickness = max(1, round(scale * float(draw.integers(*_STROKE_WIDTH))))
            to_x = int(np.clip(x + length * math.sin(angle), 0, width - 1))
            to_y = int(np.clip(y + length * math.cos(angle), 0, height - 1))
            cv2.line(canvas, (x, y), (to_x, to_y), 1, thickness)
            x, y = to_x, to_y
    return canvas


def _boxes(draw: np.random.Generator, width: int, height: int) -> np.ndarray:
    scale = min(width, height) / _REFERENCE_SIDE
    margin = round(scale * _BOX_MARGIN)
    canvas = np.zeros((height, width), np.uint8)
    for _ in range(int(draw.integers(1, _MAX_BOXES + 1))):
        # Every side fits a frame of 256, so this matters only for rounding in very small images.
        box_w = min(max(1, round(scale * float(draw.integers(*_BOX_SIDE)))), width - 2 * margin)
        box_h = min(max(1, round(scale * float(draw.integers(*_BOX_SIDE)))), height - 2 * margin)
        x = int(draw.integers(margin, width - margin - box_w + 1))
        y = int(draw.integers(margin, height - margin - box_h + 1))
        canvas[y : y + box_h, x : x + box_w] = 1
    return canvas


def _with_clearance(foreground: np.ndarray, shorter_side: int) -> np.ndarray:
    reach = max(1, round(_CLEARANCE * shorter_side))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate((foreground > 255 * _FOREGROUND).astype(np.uint8), disc)


def _overlap(hole: np.ndarray, blocked: np.ndarray | None) -> float:
    return 0.0 if blocked is None else float((hole & blocked).sum() / max(int(hole.sum()), 1))


def _trim(hole: np.ndarray, blocked: np.ndarray, least: float) -> np.ndarray:
    """`hole` without `blocked`, and without what is left of it in slivers of under a quarter of `least`."""
    rest = hole & (1 - blocked)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    large = [part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= 0.25 * least * rest.size]
    return np.isin(labels, large).astype(np.uint8)
