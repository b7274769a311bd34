"""GrabCut as a matting: the embedded stand-in for a learned one. It needs no weights and finds clear
subjects.

Rother, Kolmogorov, Blake, "GrabCut" (SIGGRAPH 2004), in OpenCV's implementation, started
from a saliency prior in place of a user's rectangle.
"""

from importlib import metadata
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, PositiveInt

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imaging.colour import colour_statistics
from pairbridge.datagen.imaging.filters import disc, grown
from pairbridge.datagen.models.matting.matting_model import no_foreground
from pairbridge.datagen.models.matting.saliency import foreground_prior

# Ranked by the prior: the top share is foreground for certain, the next probably, the lowest surely not.
_SURE, _PROBABLE, _SURELY_NOT = 0.12, 0.5, 0.1
# How far from a first cut's edge, as a share of the longer side, colours decide anew. A thin subject covers
# less than _SURE of its image, and what lies around it was then taken for certain: it kept a halo of sky.
_REVISED, _REVISIONS = 0.028, 3
# Parts below this share of the largest are dropped, holes below this share of the whole are filled.
_SMALLEST_PART, _LARGEST_HOLE = 0.1, 0.05
# CIELAB distance of the two sides' mean colours in units of their spread. Lawns, gravel, walls and noise,
# split in two by the place cue alone, have 0.00 to 0.16; photographs with a subject had 0.33 to 1.1.
_LEAST_SEPARATION = 0.22


class GrabCutConfig(FrozenModel):
    """Settings of the stand-in matting model."""

    kind: Literal["grabcut"] = "grabcut"
    """Selects this matting model."""
    working_side: PositiveInt = Field(320, ge=64, le=2048)
    """Length that the longer side is reduced to, in pixels within [64, 2048]."""
    iterations: PositiveInt = Field(6, le=50)
    """Iterations of GrabCut, at most 50."""
    softness: float = Field(1.2, ge=0, le=10)
    """Standard deviation of the edge's blur, in pixels at the working size, within [0, 10]."""


class GrabCut:
    """A `MattingModel`; see the module's docstring. Its edge is a softened binary one, not a true matte."""

    name = "grabcut"
    is_stand_in = True

    def __init__(self, config: GrabCutConfig) -> None:
        require("generate", only=("skimage",), by="GrabCut", consequence="no foreground can be cut out")
        self.config = config
        self.revision = f"opencv-{metadata.version('opencv-python')}"

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """See `MattingModel.alpha`. Found at the working size and brought to the image's size linearly."""
        height, width = image.shape[:2]
        scale = min(1.0, self.config.working_side / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = _clean(self._segment(small))
        if mask.any() and not mask.all():
            mask = _clean(_revised(small, mask))
        if mask.all() or not mask.any():
            raise no_foreground(self, "it took all or nothing")
        apart = _separation(small, mask)
        if apart < _LEAST_SEPARATION:
            raise no_foreground(self, f"the cut's two sides have one colour (separation {apart:.2f})")
        soft = self._soften(mask)
        return np.clip(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)

    def _segment(self, image: np.ndarray) -> np.ndarray:
        if image.std() < 1:
            raise no_foreground(self, "the image is one flat colour")
        prior, background = foreground_prior(image)
        labels = np.full(prior.shape, cv2.GC_PR_BGD, np.uint8)
        labels[prior > np.quantile(prior, 1 - _PROBABLE)] = cv2.GC_PR_FGD
        labels[prior > np.quantile(prior, 1 - _SURE)] = cv2.GC_FGD
        labels[background | (prior < np.quantile(prior, _SURELY_NOT))] = cv2.GC_BGD
        if not np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
            raise no_foreground(self, "everything joins the frame's sides smoothly")
        return _cut(image, labels, self.config.iterations)

    def _soften(self, mask: np.ndarray) -> np.ndarray:
        # Eroded first, so that the soft edge lies inside and carries little of the background's colour.
        inner = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=1).astype(np.float32)
        return cv2.GaussianBlur(inner, (0, 0), self.config.softness) if self.config.softness else inner


def _cut(image: np.ndarray, labels: np.ndarray, iterations: int) -> np.ndarray:
    # GrabCut's colour models start from k-means, whose start comes from OpenCV's global generator: without
    # this, a mask depends on every OpenCV call made before it.
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, labels, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _revised(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The cut made again with nothing for certain near its edge, and all else as it was."""
    reach = max(1, round(_REVISED * max(mask.shape)))
    labels = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(mask, disc(reach), borderValue=1) > 0] = cv2.GC_FGD
    labels[grown(mask, reach) == 0] = cv2.GC_BGD
    return _cut(image, labels, _REVISIONS)


def _separation(image: np.ndarray, mask: np.ndarray) -> float:
    inside, outside = (colour_statistics(image, side) for side in (mask > 0, mask == 0))
    spread = np.sqrt((inside.std**2 + outside.std**2).sum() / 2)
    return float(np.linalg.norm(inside.mean - outside.mean) / max(spread, 1.0))


def _clean(mask: np.ndarray) -> np.ndarray:
    """Without specks, threads and small holes; uint8 0 or 1."""
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc(2))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc(2))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    if count < 2:
        return opened
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(labels, 1 + np.flatnonzero(areas >= _SMALLEST_PART * areas.max())).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - kept, connectivity=4)
    holes = [
        index
        for index in range(1, count)
        if stats[index, cv2.CC_STAT_AREA] < _LARGEST_HOLE * kept.sum()
        and not _touches_border(stats[index], kept)
    ]
    return kept | np.isin(labels, holes).astype(np.uint8)


def _touches_border(stats: np.ndarray, mask: np.ndarray) -> bool:
    left, top, width, height, _ = stats
    return left == 0 or top == 0 or left + width == mask.shape[1] or top + height == mask.shape[0]
