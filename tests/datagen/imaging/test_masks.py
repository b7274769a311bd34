"""Removal masks: LaMa's distribution, its scaling, and masks that keep clear of a foreground."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.masks import MaskConfig, RemovalMask, draw_mask, place_silhouette


def many(count: int, size_WH: tuple[int, int], **config: object) -> list[RemovalMask]:
    return [draw_mask(rng(seed, "m"), size_WH, MaskConfig(**config)) for seed in range(count)]


def test_a_thousand_seeds_are_never_empty_and_lie_within_the_bounds() -> None:
    masks = many(1000, (128, 128))
    for mask in masks:
        assert set(np.unique(mask.pixels)) <= {0, 255}
        assert mask.pixels.dtype == np.uint8
        assert 0.02 <= (mask.pixels > 0).mean() <= 0.5
        assert mask.area == pytest.approx((mask.pixels > 0).mean())
    kinds = [mask.kind for mask in masks]
    # Strokes exceed half of the image more often than boxes, and are then drawn again as either kind.
    assert 0.35 < kinds.count("strokes") / 1000 < 0.55
    assert 0.2 < np.mean([mask.area for mask in masks]) < 0.33
    assert np.mean([mask.tries for mask in masks]) < 2


@given(
    seed=st.integers(0, 2**31),
    shorter=st.integers(32, 160),
    aspect=st.floats(0.25, 4),
    share=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_size_and_aspect_has_a_mask(seed: int, shorter: int, aspect: float, share: float) -> None:
    size = (shorter, round(shorter * aspect)) if aspect >= 1 else (round(shorter / aspect), shorter)
    mask = draw_mask(
        rng(seed, "m"), size, MaskConfig(shapes={"strokes": share, "boxes": 1 - share}, coverage=(0.005, 0.7))
    )
    assert mask.pixels.shape == size[::-1]
    assert mask.pixels.any()
    assert not mask.pixels.all()


@pytest.mark.parametrize("side", [64, 256, 700])
def test_boxes_have_lamas_sides_and_margin_at_every_size(side: int) -> None:
    scale = side / 256
    sides = []
    for mask in many(400, (side, side), shapes={"boxes": 1}, coverage=(0.001, 1)):
        rows, columns = np.flatnonzero(mask.pixels.any(1)), np.flatnonzero(mask.pixels.any(0))
        margin = round(10 * scale)
        assert margin <= rows[0]
        assert rows[-1] < side - margin
        assert margin <= columns[0]
        assert columns[-1] < side - margin
        x, y, width, height = cv2.boundingRect(mask.pixels)
        if (mask.pixels[y : y + height, x : x + width] > 0).all():
            sides += [width, height]  # a single box
    assert len(sides) > 100
    assert min(sides) >= round(30 * scale)
    # Nested and aligned boxes can merge into a larger rectangle; alone, sides stay below 150.
    assert np.quantile(sides, 0.99) <= round(149 * scale) + 1


def test_strokes_are_as_wide_as_lamas_and_scale_with_the_image() -> None:
    widest = {}
    for side in (128, 256):
        reach = [
            2 * cv2.distanceTransform(np.pad(mask.pixels, 1), cv2.DIST_L2, 5).max()
            for mask in many(150, (side, side), shapes={"strokes": 1}, coverage=(0.001, 1))
        ]
        widest[side] = np.median(reach)
    assert 40 < widest[256] < 104 * 1.5
    assert widest[128] == pytest.approx(widest[256] / 2, rel=0.15)


def test_a_mask_is_a_function_of_its_seed() -> None:
    first, again, other = (draw_mask(rng(seed, "m"), (96, 64), MaskConfig()) for seed in (5, 5, 6))
    assert (first.pixels == again.pixels).all()
    assert (first.pixels != other.pixels).any()


def disc(radius: int, side: int = 128) -> np.ndarray:
    return cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), radius, 255, -1)


@pytest.mark.parametrize("radius", [16, 40, 56])
def test_avoiding_masks_keep_clear_of_the_foreground(radius: int) -> None:
    foreground = disc(radius)
    config = MaskConfig(mode="avoid_foreground", max_tries=20)
    masks = [draw_mask(rng(seed, "avoid"), (128, 128), config, foreground) for seed in range(150)]
    for mask in masks:
        assert 0.02 <= (mask.pixels > 0).mean() <= 0.5
        on_it = ((mask.pixels > 0) & (foreground > 0)).sum() / (mask.pixels > 0).sum()
        assert on_it <= config.max_overlap
        assert on_it <= mask.overlap
        if mask.trimmed:
            assert on_it == 0
    trimmed = np.mean([mask.trimmed for mask in masks])
    assert trimmed < 0.2 if radius == 16 else trimmed > 0.3


def test_any_place_covers_the_foreground_too_and_says_how_much() -> None:
    foreground = disc(40)
    masks = [draw_mask(rng(seed, "any"), (128, 128), MaskConfig(), foreground) for seed in range(50)]
    assert np.mean([mask.overlap for mask in masks]) > 0.2
    for mask in masks:
        on_it = ((mask.pixels > 0) & (foreground > 0)).sum() / (mask.pixels > 0).sum()
        assert mask.overlap >= on_it


def arrow(side: int = 200) -> np.ndarray:
    """A shape without symmetry, off the middle of its own picture."""
    points = np.array([[20, 60], [110, 60], [110, 20], [170, 90], [60, 110], [20, 90]]) * side // 200
    return cv2.fillPoly(np.zeros((side, side), np.uint8), [points], 255)


def spread(mask: np.ndarray) -> float:
    """Hu's first moment: how far a shape spreads, whatever its place, size and turn (a disc has 0.159)."""
    return float(cv2.HuMoments(cv2.moments(mask, binaryImage=True))[0, 0])


@pytest.mark.parametrize("side", [50, 200, 900])
def test_a_silhouette_is_the_outline_moved_scaled_turned_and_grown(side: int) -> None:
    whole = 0
    for seed in range(60):
        hole = place_silhouette(rng(seed, "s"), (160, 120), arrow(side), (0.02, 0.2))
        assert set(np.unique(hole)) <= {0, 1}
        assert hole.any()
        if not (hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()):
            whole += 1
            # Grown by up to 3 % of the side, a small outline becomes a little rounder.
            assert 0.75 * spread(arrow()) < spread(hole) < 1.05 * spread(arrow())
            assert 0.017 < hole.mean() < 0.3
    assert whole > 20


def test_silhouettes_take_their_share_and_the_other_shapes_theirs() -> None:
    config = MaskConfig(shapes={"strokes": 1, "boxes": 1, "silhouettes": 2}, coverage=(0.01, 0.9))
    kinds = [draw_mask(rng(n, "m"), (96, 96), config, None, arrow).kind for n in range(400)]
    assert kinds.count("silhouettes") == pytest.approx(200, abs=40)
    assert kinds.count("strokes") == pytest.approx(100, abs=30)


def test_silhouettes_keep_clear_of_the_foreground_on_request() -> None:
    foreground = disc(24)
    config = MaskConfig(mode="avoid_foreground", shapes={"silhouettes": 1}, coverage=(0.02, 0.2))
    masks = [draw_mask(rng(n, "avoid"), (128, 128), config, foreground, arrow) for n in range(60)]
    for mask in masks:
        assert mask.kind == "silhouettes"
        on_it = ((mask.pixels > 0) & (foreground > 0)).sum() / (mask.pixels > 0).sum()
        assert on_it <= config.max_overlap
    assert np.mean([mask.trimmed for mask in masks]) < 0.2


def test_shapes_without_a_share_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least one positive weight"):
        MaskConfig(shapes={"boxes": 0})


def test_no_room_is_a_rejection() -> None:
    full = np.full((128, 128), 255, np.uint8)
    with pytest.raises(Rejected, match="none of 5 masks"):
        draw_mask(rng(0, "m"), (128, 128), MaskConfig(mode="avoid_foreground", max_tries=5), full)


def test_bounds_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="lower end first"):
        MaskConfig(coverage=(0.5, 0.2))
