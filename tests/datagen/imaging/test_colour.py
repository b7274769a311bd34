"""Colour statistics and their transfer, against scikit-image and the closed form."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.colour import (
    MAX_GAIN,
    colour_statistics,
    lab_to_rgb,
    rgb_to_lab,
    transfer_colour_statistics,
)


def patch(key: str, mean: tuple[int, int, int], spread: float, size: int = 64) -> np.ndarray:
    noise = rng(0, "colour", key).normal(0, spread, (size, size, 3))
    return np.clip(np.array(mean) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def image() -> np.ndarray:
    return patch("image", (120, 100, 90), 14)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 8:40] = 255
    return mask


def test_lab_agrees_with_scikit_image_and_inverts(image: np.ndarray) -> None:
    assert np.abs(rgb_to_lab(image) - rgb2lab(image)).max() < 0.2
    assert np.abs(lab_to_rgb(rgb_to_lab(image)) * 255 - image).max() < 0.75


def test_statistics_are_those_of_the_masked_pixels(image: np.ndarray, mask: np.ndarray) -> None:
    lab = rgb2lab(image)[mask > 0]
    found = colour_statistics(image, mask)
    assert found.mean == pytest.approx(lab.mean(0), abs=0.1)
    assert found.std == pytest.approx(lab.std(0), rel=0.02)


def test_half_weights_count_half() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 255
    weights = np.array([[1.0, 0.5]], np.float32)
    assert colour_statistics(image, weights).mean[0] == pytest.approx(100 / 3, abs=0.05)


def test_full_strength_reaches_the_reference_inside_the_mask(image: np.ndarray, mask: np.ndarray) -> None:
    reference = patch("reference", (90, 110, 150), 22)
    moved = transfer_colour_statistics(image, mask, reference)
    found, wanted = colour_statistics(moved, mask), colour_statistics(reference)
    assert found.mean == pytest.approx(wanted.mean, abs=0.5)
    assert found.std == pytest.approx(wanted.std, rel=0.05)
    assert (moved[mask == 0] == image[mask == 0]).all()


def test_half_strength_goes_half_the_way(image: np.ndarray, mask: np.ndarray) -> None:
    reference = patch("reference", (90, 110, 150), 14)
    own, wanted = colour_statistics(image, mask), colour_statistics(reference)
    half = colour_statistics(transfer_colour_statistics(image, mask, reference, strength=0.5), mask)
    assert half.mean == pytest.approx((own.mean + wanted.mean) / 2, abs=0.5)


def test_no_strength_changes_nothing_beyond_rounding(image: np.ndarray, mask: np.ndarray) -> None:
    same = transfer_colour_statistics(image, mask, patch("reference", (30, 200, 30), 30), strength=0)
    assert np.abs(same.astype(int) - image).max() <= 1


def test_a_list_of_pixels_and_a_masked_image_are_the_same_reference(
    image: np.ndarray, mask: np.ndarray
) -> None:
    reference = patch("reference", (90, 110, 150), 22)
    listed = transfer_colour_statistics(image, mask, reference[mask > 0])
    masked = transfer_colour_statistics(image, mask, reference, reference_mask=mask)
    assert (listed == masked).all()


def test_the_spread_grows_within_its_limit_and_a_flat_region_keeps_its_own(mask: np.ndarray) -> None:
    calm, wild = patch("calm", (120, 120, 120), 4), patch("wild", (120, 120, 120), 45)
    before, after = (
        colour_statistics(calm, mask),
        colour_statistics(transfer_colour_statistics(calm, mask, wild), mask),
    )
    assert (after.std <= before.std * MAX_GAIN * 1.1).all()
    assert after.std[0] > 2 * before.std[0]
    flat = np.full((64, 64, 3), 99, np.uint8)
    assert np.ptp(transfer_colour_statistics(flat, mask, wild)[mask > 0], axis=0).max() == 0


def test_an_empty_region_is_an_error(image: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="empty region"):
        transfer_colour_statistics(image, np.zeros_like(mask), image)
