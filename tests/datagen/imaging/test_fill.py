"""The noise in removal holes."""

import numpy as np
import pytest

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.fill import fill_noise

IMAGE = rng(0, "fill-image").integers(0, 256, (96, 128, 3), np.uint8)


def hole(top: int = 20, bottom: int = 80) -> np.ndarray:
    mask = np.zeros((96, 128), np.uint8)
    mask[top:bottom, 10:110] = 255
    return mask


def test_bytes_outside_the_hole_are_kept() -> None:
    filled = fill_noise(IMAGE, hole(), 3)
    assert (filled[hole() == 0] == IMAGE[hole() == 0]).all()
    assert (filled[hole() > 0] != IMAGE[hole() > 0]).mean() > 0.99


def test_noise_is_uniform_and_each_channel_has_its_own() -> None:
    noise = fill_noise(np.zeros((256, 256, 3), np.uint8), np.full((256, 256), 255, np.uint8), 5)
    values = noise.reshape(-1, 3).astype(float)
    assert values.min() == 0
    assert values.max() == 255
    counts = np.bincount(noise.ravel(), minlength=256)
    expected = noise.size / 256
    # Chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6.
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 5 * 22.6
    correlation = np.corrcoef(values.T)
    assert np.abs(correlation - np.eye(3)).max() < 0.02


def test_the_same_seed_gives_the_same_noise_whatever_the_mask() -> None:
    small, large = fill_noise(IMAGE, hole(30, 60), 9), fill_noise(IMAGE, hole(), 9)
    both = hole(30, 60) > 0
    assert (small[both] == large[both]).all()
    assert (fill_noise(IMAGE, hole(), 10)[both] != large[both]).mean() > 0.99
    # Filling twice, as a reader of a stored source does, changes nothing.
    assert (fill_noise(large, hole(), 9) == large).all()


def test_a_half_covered_pixel_is_hole() -> None:
    mask = np.zeros((96, 128), np.uint8)
    mask[5, 7] = 1
    changed = (fill_noise(IMAGE, mask, 1) != IMAGE).any(axis=2)
    assert changed.sum() == 1
    assert changed[5, 7]


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ"):
        fill_noise(IMAGE, np.zeros((96, 127), np.uint8), 1)
