"""Random masks for object removal: LaMa's strokes and boxes, and silhouettes of other photographs' subjects.

Strokes and boxes have the parameters of LaMa's training (`pairbridge.datagen.imaging.masks`). A silhouette
is a subject's
outline, mirrored, turned, scaled, grown a little and put anywhere: the kind of mask that a person's object
has, on a place where there is none, so that what belongs there is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from pydantic import Field, PositiveInt

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Coverage, Range, Weights, log_uniform, weighted, whole_number
from pairbridge.datagen.imaging.filters import grown

Shape = Literal["strokes", "boxes", "silhouettes"]

# How far around the foreground an avoiding mask stays away, as a share of the shorter side: soft edges and
# contact shadows reach a little beyond an alpha.
_CLEARANCE = 0.02
# Alpha above which a pixel counts as foreground to be avoided.
_FOREGROUND = 0.25
# A silhouette is turned by up to this, and grown by up to this share of the shorter side: people mark more
# than the object, its soft edge and the start of its shadow.
_MAX_TILT_DEG, _MAX_GROWTH = 20.0, 0.03


class MaskConfig(FrozenModel):
    """What removal masks look like and where they may lie."""

    mode: Literal["any_place", "avoid_foreground"] = "any_place"
    """Where masks lie: anywhere, or clear of the photograph's foreground."""
    shapes: Weights[Shape] = Field(default_factory=lambda: {"strokes": 0.5, "boxes": 0.5})
    """Relative weights of shapes: LaMa's strokes and boxes, and silhouettes of other photographs'
    foregrounds, which need two photographs in a split."""
    coverage: Coverage = (0.02, 0.5)
    """Least and largest fraction of the image that a mask covers, within (0, 1]."""
    max_overlap: float = Field(0.02, ge=0, lt=1)
    """Largest fraction of the mask that may lie on the foreground, with `avoid_foreground`."""
    max_tries: PositiveInt = Field(40, le=1000)
    """Number of masks that are tried, at most 1000, before the pair is refused or the mask trimmed."""

    @property
    def has_silhouettes(self) -> bool:
        return self.shapes.get("silhouettes", 0) > 0


@dataclass(frozen=True, slots=True)
class RemovalMask:
    """`pixels` uint8 (H, W), 0 or 255 = remove, and how it came about, for the sample's record."""

    pixels: np.ndarray
    kind: Shape
    area: float  # share of the image
    overlap: float  # share of the mask on the foreground, clearance included; 0 where none was given
    tries: int
    trimmed: bool  # the foreground was cut out of it, because no try kept clear of it


def draw_mask(
    draw: np.random.Generator,
    size_WH: tuple[int, int],
    config: MaskConfig,
    foreground: np.ndarray | None = None,
    silhouette: Callable[[], np.ndarray] | None = None,
) -> RemovalMask:
    """A mask whose coverage lies within the config's bounds; never empty. A function of `draw`'s state.

    `foreground` is the subject's alpha, uint8 (H, W), and decides only in the mode `avoid_foreground`: masks
    are drawn until one keeps clear of it; failing that, the one that overlaps least is trimmed. `silhouette`
    gives another subject's alpha, uint8 and not empty, of any size; it is needed, and asked, only where
    silhouettes are drawn. Raises Rejected if no try fits the bounds, and whatever `silhouette` raises.
    """
    blocked = _with_clearance(foreground, min(size_WH)) if foreground is not None else None
    avoiding = config.mode == "avoid_foreground" and blocked is not None
    best: RemovalMask | None = None
    shapes = {shape: config.shapes[shape] for shape in get_args(Shape) if config.shapes.get(shape, 0) > 0}
    for tries in range(1, config.max_tries + 1):
        kind = weighted(draw, shapes)
        if kind == "silhouettes":
            hole = place_silhouette(draw, size_WH, silhouette(), config.coverage)
        else:
            hole = draw_hole(draw, size_WH, kind, TRAINING)
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
            remedy="widen the recipe's `mask.coverage`, raise `mask.max_tries`, or allow `any_place`",
            gate="no_room_for_mask",
        )
    return RemovalMask(best.pixels, best.kind, best.area, 0.0, config.max_tries, trimmed=True)


def place_silhouette(
    draw: np.random.Generator, size_WH: tuple[int, int], alpha: np.ndarray, coverage: Range
) -> np.ndarray:
    """uint8 (H, W) of 0 and 1: the outline of `alpha` (uint8, any size) somewhere in the image.

    Its whole area is a share of the image within `coverage`, log-uniform; its centre lies in the image, so
    what is seen of it may be less.
    """
    width, height = size_WH
    x, y, box_w, box_h = cv2.boundingRect((alpha > 127).astype(np.uint8))
    solid = alpha[y : y + box_h, x : x + box_w]
    share = log_uniform(draw, coverage)
    scale = math.sqrt(share * width * height / int((solid > 127).sum()))
    mirror = -1.0 if draw.random() < 0.5 else 1.0
    tilt = math.radians(draw.uniform(-_MAX_TILT_DEG, _MAX_TILT_DEG))
    centre = np.array([draw.uniform(0, width), draw.uniform(0, height)])
    turn = scale * np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    turn[:, 0] *= mirror
    to_image = np.column_stack([turn, centre - turn @ (np.array([box_w, box_h]) / 2)])
    # Reduced by averaging first: sampling a large outline at few points would fray it.
    shrunk = min(1.0, max(scale, 1 / max(1, min(box_w, box_h))))
    if shrunk < 1:
        small = (max(1, round(box_w * shrunk)), max(1, round(box_h * shrunk)))
        solid = cv2.resize(solid, small, interpolation=cv2.INTER_AREA)
        to_image[:, :2] *= np.array([box_w / small[0], box_h / small[1]])
    placed = cv2.warpAffine(solid, to_image, size_WH, flags=cv2.INTER_LINEAR, borderValue=0)
    reach = round(draw.uniform(0, _MAX_GROWTH) * min(size_WH))
    return grown(placed > 127, reach)


def _with_clearance(foreground: np.ndarray, shorter_side: int) -> np.ndarray:
    reach = max(1, round(_CLEARANCE * shorter_side))
    return grown(foreground > 255 * _FOREGROUND, reach)


def _overlap(hole: np.ndarray, blocked: np.ndarray | None) -> float:
    return 0.0 if blocked is None else float((hole & blocked).sum() / max(int(hole.sum()), 1))


def _trim(hole: np.ndarray, blocked: np.ndarray, least: float) -> np.ndarray:
    """`hole` without `blocked`, and without what is left of it in slivers of under a quarter of `least`."""
    rest = hole & (1 - blocked)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    large = [part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= 0.25 * least * rest.size]
    return np.isin(labels, large).astype(np.uint8)


# LaMa's generator of random masks: strokes and boxes, with its published parameters.


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
    for stroke in range(whole_number(draw, shape.times)):
        x, y = int(draw.integers(width)), int(draw.integers(height))
        for _ in range(whole_number(draw, (1, _MAX_SEGMENTS))):
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
    for _ in range(whole_number(draw, shape.times)):
        # Every side fits the reference frame, so this matters only for rounding in very small images.
        box_w = min(max(1, round(scale * float(draw.integers(*shape.side)))), width - 2 * margin)
        box_h = min(max(1, round(scale * float(draw.integers(*shape.side)))), height - 2 * margin)
        x = whole_number(draw, (margin, width - margin - box_w))
        y = whole_number(draw, (margin, height - margin - box_h))
        canvas[y : y + box_h, x : x + box_w] = 1
    return canvas
