"""Contrast and texture against closed forms: scaled deviations, noise through a known transfer function."""

import math

import numpy as np
import pytest

from pairbridge.training.evaluation.metrics import bootstrap_interval, median_interval
from pairbridge.training.evaluation.ratios import appearance_ratios, ratio_summary

SIDE = 192


def grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(plane), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 25, (SIDE, SIDE))


def disc() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return np.where(np.hypot(y, x) < 0.45 * SIDE, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("scale", [0.25, 0.6, 1.4])
def test_a_scaled_deviation_scales_both(scale: float) -> None:
    """Haze: everything nearer to one grey; a shift of all levels changes neither."""
    target, output = grey(128 + noise()), grey(150 + scale * noise())
    found = appearance_ratios(output, target, disc())
    assert found["contrast"] == pytest.approx(scale, rel=0.01)
    assert found["texture"] == pytest.approx(scale, rel=0.01)
    assert appearance_ratios(target, target, disc()) == {"contrast": 1.0, "texture": 1.0}


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blurred_noise_keeps_the_share_that_the_transfer_functions_leave(sigma: float) -> None:
    """White noise has the same energy at all frequencies: a filter H leaves the mean of |H|^2 of it."""
    frequency = 2 * math.pi * np.fft.fftfreq(SIDE)
    u, v = np.meshgrid(frequency, frequency, indexing="ij")
    blur = np.exp(-(sigma**2) * (u**2 + v**2) / 2)
    band = 1 - (np.cos(u / 2) * np.cos(v / 2)) ** 4
    white = noise()
    blurred = np.fft.ifft2(np.fft.fft2(white) * blur).real
    # As much contrast as before the blur, which tells the two ratios apart.
    gain = 1 / math.sqrt((blur**2).mean())
    found = appearance_ratios(grey(128 + gain * blurred), grey(128 + white), disc())
    expected = gain * math.sqrt(((blur * band) ** 2).mean() / (band**2).mean())
    assert found["texture"] == pytest.approx(expected, rel=0.04)
    assert found["contrast"] == pytest.approx(1, rel=0.04)


def test_the_outline_and_what_is_outside_are_no_texture() -> None:
    mask = disc()
    inside = mask > 0
    fine = noise()
    target, output = (grey(np.where(inside, 120 + fine, level)) for level in (0, 255))
    assert appearance_ratios(output, target, mask) == {"contrast": 1.0, "texture": 1.0}
    # Smooth within: only its outline is sharp, and it is not counted.
    flat = grey(np.where(inside, 120, 0))
    assert appearance_ratios(flat, target, mask)["texture"] == 0


def test_contrast_is_that_of_luma_weighted_by_the_mask() -> None:
    draw = np.random.default_rng(1)
    output, target = (draw.integers(0, 256, (24, 24, 3), dtype=np.uint8) for _ in range(2))
    mask = draw.integers(0, 256, (24, 24), dtype=np.uint8)

    def deviation(image: np.ndarray) -> float:
        luma = 0.2126 * image[..., 0] + 0.7152 * image[..., 1] + 0.0722 * image[..., 2]
        mean = np.average(luma, weights=mask)
        return math.sqrt(np.average((luma - mean) ** 2, weights=mask))

    found = appearance_ratios(output, target, mask)["contrast"]
    assert found == pytest.approx(deviation(output) / deviation(target))


def test_what_a_target_does_not_have_is_not_compared() -> None:
    """Rounding alone has a variance of 1/12: a ratio to it would measure luck."""
    flat = np.full((SIDE, SIDE, 3), 90, np.uint8)
    step = flat + np.random.default_rng(0).integers(0, 2, (SIDE, SIDE, 1), dtype=np.uint8) * (
        np.arange(SIDE)[:, None, None] < 8
    ).astype(np.uint8)
    for target in (flat, step):
        assert all(math.isnan(value) for value in appearance_ratios(grey(noise()), target, disc()).values())
    thin = np.zeros((SIDE, SIDE), np.uint8)
    thin[90:94] = 255
    found = appearance_ratios(grey(128 + noise(1)), grey(128 + noise()), thin)
    assert math.isnan(found["texture"])
    assert found["contrast"] == pytest.approx(1, abs=0.1)


def test_a_summary_is_the_median_of_the_pairs_that_have_it() -> None:
    ratios = [{"contrast": value, "texture": math.nan} for value in (0.5, 0.7, 0.6, math.nan, 9.0)]
    found = ratio_summary(ratios, list("aabbc"), list("xyxyx"), seed=0)
    assert set(found) == {"contrast"}
    assert found["contrast"]["median"] == pytest.approx(0.65)
    assert found["contrast"]["pairs"] == 4
    assert 0.5 <= found["contrast"]["low"] <= 0.65 <= found["contrast"]["high"] <= 9


def test_the_interval_of_a_median_has_the_width_of_theory() -> None:
    """Its standard error is 1 / (2 f sqrt n) with f the density at the median: sqrt(pi / 2n) of a normal."""
    values = np.random.default_rng(3).normal(1, 0.2, 400).tolist()
    median, low, high = median_interval(values, [str(number) for number in range(400)], seed=0)
    assert median == pytest.approx(np.median(values))
    expected = 2 * 1.96 * 0.2 * math.sqrt(math.pi / 800)
    assert high - low == pytest.approx(expected, rel=0.25)


def test_the_interval_of_a_median_is_crossed_as_that_of_a_mean_is() -> None:
    """Where lightings alone decide, more objects do not narrow it."""
    of_lightings = np.random.default_rng(4).normal(size=9)
    ids = [(f"mug:{row}", f"sky-{column}") for row in range(30) for column in range(9)]
    values = np.tile(of_lightings, 30).tolist()
    objects, lightings = ([one[place] for one in ids] for place in (0, 1))
    over_objects, crossed = (median_interval(values, objects, lights, seed=0) for lights in ((), lightings))
    assert over_objects[1] == over_objects[2] == np.median(of_lightings)
    mean = bootstrap_interval(values, objects, lightings, seed=0)
    assert crossed[2] - crossed[1] > 0.7 * (mean.high - mean.low)
