"""Figures of masks, against shapes whose figures are known and a literal reading of LaMa's generator."""

import math

import cv2
import numpy as np
import pytest

from pairbridge.datagen.imaging.mask_statistics import edge_length, lama_statistics, mask_statistics
from pairbridge.datagen.imaging.masks import EVALUATION, TRAINING, LamaMasks


def disc(radius: int, side: int) -> np.ndarray:
    return cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), radius, 255, -1)


def test_a_discs_figures_are_those_of_a_circle_at_every_size() -> None:
    for side in (100, 400):
        found = mask_statistics([disc(side // 4, side)])
        assert found.coverage == pytest.approx(math.pi / 16, rel=0.05)
        assert found.edge == pytest.approx(math.pi / 2, rel=0.05)
        assert found.parts == 1


def test_the_frame_is_no_edge_and_regions_are_counted() -> None:
    left = np.zeros((60, 100), np.uint8)
    left[:, :40] = 255
    assert edge_length(left // 255) == pytest.approx(60 * math.pi / 4)
    left[20:30, 80:90] = 255
    found = mask_statistics([left])
    assert found.parts == 2
    assert found.coverage == pytest.approx(0.4 + 100 / 6000)


def test_coverage_is_told_by_its_percentiles() -> None:
    masks = []
    for rows in range(101):
        masks.append(np.zeros((100, 50), np.uint8))
        masks[-1][:rows] = 255
    found = mask_statistics(masks)
    assert (found.coverage_10, found.coverage_50, found.coverage_90) == pytest.approx((0.1, 0.5, 0.9))
    with pytest.raises(ValueError, match="no mask"):
        mask_statistics([])


def literal(draw: np.random.RandomState, settings: LamaMasks, box: dict, stroke: dict) -> np.ndarray:
    """The published procedure as its description has it, with a generator of the older kind."""
    side = settings.reference_side
    mask = np.zeros((side, side), np.float32)
    if draw.uniform() < settings.strokes_share:
        for number in range(draw.randint(stroke["min_times"], stroke["max_times"] + 1)):
            x, y = draw.randint(side), draw.randint(side)
            for _ in range(1 + draw.randint(5)):
                angle = 0.01 + draw.randint(4)
                if number % 2 == 0:
                    angle = 2 * 3.1415926 - angle
                length, width = 10 + draw.randint(stroke["max_len"]), 5 + draw.randint(stroke["max_width"])
                end_x = int(np.clip(int(x + length * np.sin(angle) + 0.5), 0, side))
                end_y = int(np.clip(int(y + length * np.cos(angle) + 0.5), 0, side))
                cv2.line(mask, (x, y), (end_x, end_y), 1.0, width)
                x, y = end_x, end_y
        return mask
    for _ in range(draw.randint(box["min_times"], box["max_times"] + 1)):
        width, height = (draw.randint(box["min_size"], box["max_size"]) for _ in range(2))
        x = draw.randint(box["margin"], side - box["margin"] - width + 1)
        y = draw.randint(box["margin"], side - box["margin"] - height + 1)
        mask[y : y + height, x : x + width] = 1
    return mask


@pytest.mark.parametrize(
    ("settings", "box", "stroke"),
    [
        (
            TRAINING,
            {"margin": 10, "min_size": 30, "max_size": 150, "min_times": 1, "max_times": 4},
            {"max_len": 200, "max_width": 100, "min_times": 1, "max_times": 5},
        ),
        (
            EVALUATION[0],
            {"margin": 10, "min_size": 30, "max_size": 300, "min_times": 1, "max_times": 4},
            {"max_len": 450, "max_width": 250, "min_times": 1, "max_times": 5},
        ),
        (
            EVALUATION[1],
            {"margin": 0, "min_size": 30, "max_size": 150, "min_times": 1, "max_times": 5},
            {"max_len": 200, "max_width": 100, "min_times": 4, "max_times": 10},
        ),
        (EVALUATION[2], {}, {"max_len": 100, "max_width": 20, "min_times": 4, "max_times": 70}),
    ],
    ids=lambda value: value.name if isinstance(value, LamaMasks) else "",
)
def test_our_reading_of_lama_has_the_figures_of_a_literal_one(settings, box: dict, stroke: dict) -> None:
    draw = np.random.RandomState(0)
    masks = [literal(draw, settings, box, stroke) for _ in range(500)]
    kept = [255 * mask.astype(np.uint8) for mask in masks if mask.mean() <= settings.max_coverage]
    expected, found = mask_statistics(kept), lama_statistics(settings, 400)
    # About three standard errors of the means of a few hundred masks.
    assert found.coverage == pytest.approx(expected.coverage, abs=0.045)
    assert found.coverage_50 == pytest.approx(expected.coverage_50, abs=0.06)
    assert found.edge == pytest.approx(expected.edge, rel=0.12)
    assert found.parts == pytest.approx(expected.parts, rel=0.15)
