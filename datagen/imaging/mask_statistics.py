"""What a set of removal masks looks like in figures that do not depend on the images' size.

coverage   share of the image
edge       length of the hole's edge, in shorter sides of the image: thin and ragged masks have much of it
parts      regions that do not touch
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.masks import LamaMasks, draw_hole, draw_kind


@dataclass(frozen=True, slots=True)
class MaskStatistics:
    """Over `masks` masks: mean coverage with its 10th, 50th and 90th percentile, mean edge and parts."""

    masks: int
    coverage: float
    coverage_10: float
    coverage_50: float
    coverage_90: float
    edge: float
    parts: float


def mask_statistics(masks: Iterable[np.ndarray]) -> MaskStatistics:
    """Of masks uint8 (H, W), above 127 = remove, of any sizes. Raises ValueError if there are none."""
    figures = []
    for mask in masks:
        hole = (mask > 127).astype(np.uint8)
        regions, _ = cv2.connectedComponents(hole, connectivity=8)
        figures.append((float(hole.mean()), edge_length(hole) / min(hole.shape), regions - 1))
    if not figures:
        raise ValueError("there is no mask to look at")
    coverage, edge, parts = np.array(figures, np.float64).T
    low, middle, high = np.quantile(coverage, (0.1, 0.5, 0.9)).tolist()
    return MaskStatistics(
        len(figures), float(coverage.mean()), low, middle, high, float(edge.mean()), float(parts.mean())
    )


def edge_length(hole: np.ndarray) -> float:
    """Length in pixels of the edge of a uint8 (H, W) mask of 0 and 1; the image's frame is no edge.

    Sides of pixels that part hole from image, times pi / 4: over all directions that is a line's length on
    average (Cauchy-Crofton). An upright edge is thus found 21 % short, a diagonal one 11 % long.
    """
    sides = (hole[1:] != hole[:-1]).sum() + (hole[:, 1:] != hole[:, :-1]).sum()
    return float(sides) * np.pi / 4


def lama_statistics(settings: LamaMasks, masks: int) -> MaskStatistics:
    """Of so many masks of LaMa's generator at its own reference size, redrawn where it throws them away."""
    side = settings.reference_side
    kept: list[np.ndarray] = []
    number = 0
    while len(kept) < masks:
        draw = rng(0, settings.name, number)
        hole = draw_hole(draw, (side, side), draw_kind(draw, settings), settings)
        number += 1
        if hole.mean() <= settings.max_coverage:
            kept.append(hole * np.uint8(255))
    return mask_statistics(kept)
