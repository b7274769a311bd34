"""The baselines on pairs whose answer is known."""

import numpy as np
import pytest

from pairbridge.training.evaluation.baselines import colour_transfer, fit_colour_shift_ridge
from pairbridge.training.evaluation.linear_baselines import FittingPair
from pairbridge.training.evaluation.metrics import foreground_mse


def disc(size: int = 24) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(np.hypot(x, y) < size / 3, 255, 0).astype(np.uint8)


def shift_pairs(n: int, seed: int) -> list[FittingPair]:
    """Pairs in which the foreground's shift is a linear function of the background's mean colour."""
    draw = np.random.default_rng(seed)
    mask = disc()
    inside = mask[..., None] > 0
    pairs = []
    for _ in range(n):
        back = draw.uniform(60, 200, 3)
        scene = back + draw.normal(0, 5, (24, 24, 3))
        front = draw.uniform(100, 150, 3) + draw.normal(0, 5, (24, 24, 3))
        shift = 0.3 * (back - 130)
        source = np.clip(np.where(inside, front, scene), 0, 255).astype(np.uint8)
        target = np.clip(np.where(inside, source + shift, source), 0, 255).astype(np.uint8)
        pairs.append(FittingPair(source, target, mask, {}, mask >= 0))
    return pairs


def mean_error(pairs, predict) -> float:
    return float(np.mean([foreground_mse(predict(p.source, p.mask, {}), p.target, p.mask) for p in pairs]))


def test_ridge_finds_a_shift_that_is_linear_in_its_features() -> None:
    ridge = fit_colour_shift_ridge(shift_pairs(200, 0), shift_pairs(40, 1))
    test = shift_pairs(40, 2)
    assert mean_error(test, lambda s, m, c: s) > 50
    # What remains is rounding to 8 bits, twice.
    assert mean_error(test, ridge) < 0.6


def test_ridge_leaves_the_background_alone() -> None:
    ridge = fit_colour_shift_ridge(shift_pairs(30, 0), shift_pairs(10, 1))
    source, _, mask, *_ = shift_pairs(1, 3)[0]
    output = ridge(source, mask, {})
    assert np.array_equal(output[mask == 0], source[mask == 0])
    assert output.dtype == np.uint8


def test_ridge_penalty_is_chosen_on_the_validation_side() -> None:
    """Validation pairs without any relation to the features want the largest penalty: the mean shift."""
    train, validation = shift_pairs(40, 0), shift_pairs(40, 1)
    shuffled = [
        one._replace(target=np.where(one.mask[..., None] > 0, one.source, one.target)) for one in validation
    ]

    def spread(of: list[FittingPair]) -> float:
        ridge = fit_colour_shift_ridge(train, of)
        shifts = [ridge(p.source, p.mask, {})[12, 12].astype(int) - p.source[12, 12] for p in validation]
        return float(np.std(shifts, axis=0).mean())

    assert spread(shuffled) < 0.2 * spread(validation)
    with pytest.raises(ValueError, match="at least one pair"):
        fit_colour_shift_ridge([], validation)


def test_colour_transfer_moves_the_foreground_to_the_background_mean() -> None:
    source, _, mask, *_ = shift_pairs(1, 4)[0]
    output = colour_transfer(source, mask)
    inside = mask > 0
    assert np.array_equal(output[~inside], source[~inside])
    before = np.abs(source[inside].mean(0) - source[~inside].mean(0)).max()
    after = np.abs(output[inside].mean(0) - source[~inside].mean(0)).max()
    assert after < 3 < before


def test_colour_transfer_without_a_background_changes_nothing() -> None:
    source, _, mask, *_ = shift_pairs(1, 5)[0]
    assert np.array_equal(colour_transfer(source, np.full_like(mask, 255)), source)
    assert np.array_equal(colour_transfer(source, np.zeros_like(mask)), source)
