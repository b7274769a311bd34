"""Imperfect masks: what each kind marks, against areas and outlines of closed form."""

import math
from typing import get_args

import cv2
import numpy as np
import pytest

from pairbridge.datagen.imaging.mask_variants import MaskKind, draw_variant, mask_variant

KINDS = get_args(MaskKind)


def disc(centre: tuple[int, int], radius: int, size: int = 160) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2).astype(np.uint8) * 255


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


DISC = disc((80, 70), 40)
AREA = int((DISC > 0).sum())


@pytest.mark.parametrize(("kind", "amount", "radius"), [("grown", 0.44, 48), ("shrunk", 0.36, 32)])
def test_a_disc_becomes_the_disc_of_the_area_asked(kind: MaskKind, amount: float, radius: int) -> None:
    varied = mask_variant(DISC, kind, rng(), amount=amount)
    assert (varied > 0).sum() == pytest.approx(math.pi * radius**2, rel=0.02)
    assert ((varied > 0) ^ (disc((80, 70), radius) > 0)).sum() < 0.03 * AREA


@pytest.mark.parametrize("radius", [2, 5])
def test_a_small_region_gives_up_as_much_as_a_large_one(radius: int) -> None:
    """By depth alone it would keep its whole rim or lose it."""
    small = disc((40, 40), radius)
    area = (small > 0).sum()
    for seed in range(5):
        for kind, share in (("shrunk", 0.8), ("grown", 1.2)):
            varied = mask_variant(small, kind, rng(seed), amount=0.2)
            assert (varied > 0).sum() == pytest.approx(share * area, abs=0.5)
            assert cv2.connectedComponents(varied, connectivity=8)[0] == 2


def test_a_shift_is_as_far_as_asked_and_lost_beyond_the_frame() -> None:
    for seed in range(20):
        moved = mask_variant(DISC, "shifted", rng(seed), amount=0.2)
        assert (moved > 0).sum() == AREA
        y, x = np.nonzero(moved)
        assert math.hypot(x.mean() - 80, y.mean() - 70) == pytest.approx(0.2 * math.sqrt(AREA), abs=0.8)
    beside = mask_variant(disc((4, 70), 30), "shifted", rng(3), amount=1.0)
    assert beside.any()


def test_each_part_has_its_box_and_none_is_lost() -> None:
    two = np.maximum(disc((40, 40), 20), disc((120, 120), 5))
    boxes = mask_variant(two, "box", rng())
    expected = np.zeros_like(two)
    expected[20:61, 20:61] = 255
    expected[115:126, 115:126] = 255
    assert (boxes == expected).all()
    for kind in ("grown", "shrunk", "scribble"):
        varied = mask_variant(two, kind, rng(), amount=0.4)
        assert varied[115:126, 115:126].any()
        assert varied[20:61, 20:61].any()


def test_a_scribble_lies_in_a_convex_region_up_to_its_own_width() -> None:
    for seed in range(20):
        drawn = mask_variant(DISC, "scribble", rng(seed))
        assert 0.02 < (drawn > 0).sum() / AREA < 0.95
        reach = math.ceil(0.25 * math.sqrt(AREA) / 2) + 2
        allowed = cv2.dilate(DISC, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
        assert allowed[drawn > 0].all()


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_binary_seeded_and_never_lost(kind: MaskKind) -> None:
    dot = np.zeros((64, 48), np.uint8)
    dot[10, 47] = 255
    for mask in (DISC, dot, np.full((64, 48), 255, np.uint8), np.zeros((64, 48), np.uint8)):
        first, second = (mask_variant(mask, kind, rng(7), amount=0.3) for _ in range(2))
        assert first.shape == mask.shape
        assert first.dtype == np.uint8
        assert set(np.unique(first)) <= {0, 255}
        assert (first == second).all()
        assert first.any() == mask.any()


def test_kinds_come_by_their_shares() -> None:
    draw = rng(5)
    kinds = [draw_variant(draw, DISC, {"exact": 0.5, "box": 0.3, "shifted": 0.2})[1] for _ in range(1000)]
    for kind, share in (("exact", 0.5), ("box", 0.3), ("shifted", 0.2)):
        assert kinds.count(kind) / 1000 == pytest.approx(share, abs=0.05)


def test_amounts_of_the_callers_take_the_place_of_the_usual_ones() -> None:
    draw = rng(2)
    fixed = {"shrunk": (0.2, 0.2), "grown": (0.3, 0.3)}
    for kind, area in (("shrunk", 0.8), ("grown", 1.3)):
        areas = [(draw_variant(draw, DISC, {kind: 1.0}, fixed)[0] > 0).sum() / AREA for _ in range(5)]
        assert areas == pytest.approx([area] * 5, rel=0.02)
    usual = [(draw_variant(draw, DISC, {"shrunk": 1.0})[0] > 0).sum() / AREA for _ in range(5)]
    assert np.ptp(usual) > 0.05
