"""Regions of an effect: what is dropped of a difference between two renders, and what never is."""

import cv2
import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.effect_masks import effect_mask, effect_regions
from pairbridge.datagen.imaging.view import ViewTransform

SIZE_HW = (300, 400)


def disc_at(row: int, column: int, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return np.hypot(rows - row, columns - column) < radius


def count(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8))[0] - 1


def test_specks_go_and_holes_close() -> None:
    draw = rng(0, "specks")
    shadow = disc_at(200, 150, 60)
    specks = draw.random(SIZE_HW) < 0.004
    gaps = draw.random(SIZE_HW) < 0.01
    found = effect_regions((shadow & ~gaps) | specks, disc_at(150, 150, 20))
    assert count(specks & ~shadow) > 300
    assert count(found) == 1
    assert (found & shadow).sum() / (found | shadow).sum() > 0.97


def test_apart_regions_and_large_holes_stay() -> None:
    ring = disc_at(150, 120, 80) & ~disc_at(150, 120, 40)
    reflection = disc_at(100, 330, 25)
    found = effect_regions(ring | reflection, np.zeros(SIZE_HW, bool))
    assert count(found) == 2
    assert not found[150, 120]
    assert (found & (ring | reflection)).sum() / (found | ring | reflection).sum() > 0.97


def test_what_is_seen_of_the_object_stays_however_thin() -> None:
    wire = np.zeros(SIZE_HW, bool)
    wire[100, 50:200] = True
    wire[20, 20] = True
    assert effect_regions(np.zeros(SIZE_HW, bool), wire)[wire].all()


def test_a_difference_counts_as_it_is_seen() -> None:
    """The same step of light is an effect in the dark and none in the bright."""
    ground = np.array([[[0.01] * 3, [0.7] * 3]], np.float32)
    assert effect_mask(ground + 0.01, ground, view=ViewTransform(), threshold=0.02).tolist() == [
        [True, False]
    ]
