"""Regions of an effect: what is dropped of a difference between two renders, and what never is."""

import cv2
import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.effect_masks import blended, effect_mask, effect_regions
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
    difference = np.where((shadow & ~gaps) | specks, 0.04, 0.0)
    found = effect_regions(difference, disc_at(150, 150, 20), 0.02)
    assert count(specks & ~shadow) > 300
    assert count(found) == 1
    assert (found & shadow).sum() / (found | shadow).sum() > 0.97


def test_apart_regions_and_large_holes_stay() -> None:
    ring = disc_at(150, 120, 80) & ~disc_at(150, 120, 40)
    reflection = disc_at(100, 330, 25)
    found = effect_regions(0.04 * (ring | reflection), np.zeros(SIZE_HW, bool), 0.02)
    assert count(found) == 2
    assert not found[150, 120]
    assert (found & (ring | reflection)).sum() / (found | ring | reflection).sum() > 0.97


def test_what_is_seen_of_the_object_stays_however_thin() -> None:
    wire = np.zeros(SIZE_HW, bool)
    wire[100, 50:200] = True
    wire[20, 20] = True
    assert effect_regions(np.zeros(SIZE_HW), wire, 0.02)[wire].all()


def test_the_thin_shadow_of_a_leg_stays_whole() -> None:
    """Dropped, a piece of it would be left in a picture that is to have no shadow."""
    leg = np.zeros(SIZE_HW, bool)
    leg[100, 50:90] = leg[110, 200:204] = True
    assert (effect_regions(0.2 * leg, np.zeros(SIZE_HW, bool), 0.02) == leg).all()


def test_pictures_fade_into_each_other_and_are_equal_beyond_the_reach() -> None:
    effect = disc_at(150, 200, 50)
    inside, outside = (np.full((*SIZE_HW, 3), level, np.uint8) for level in (100, 110))
    picture = blended(inside, outside, effect, 10)
    assert (picture[effect] == 100).all()
    assert (picture[~disc_at(150, 200, 61)] == 110).all()
    assert np.abs(np.diff(picture[150, :, 0].astype(int))).max() <= 2
    assert (blended(inside, outside, effect, 0)[~effect] == 110).all()


def test_a_difference_counts_as_it_is_seen() -> None:
    """The same step of light is an effect in the dark and none in the bright."""
    ground = np.array([[[0.01] * 3, [0.7] * 3]], np.float32)
    assert effect_mask(ground + 0.01, ground, view=ViewTransform(), threshold=0.02).tolist() == [
        [True, False]
    ]
