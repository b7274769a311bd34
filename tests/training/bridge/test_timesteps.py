"""Which times are drawn, and which count as trained."""

import math

import pytest
import torch
from pydantic import ValidationError

from pairbridge.training.bridge.timesteps import (
    DiscreteTimesteps,
    LogitNormalTimesteps,
    LogUniformTimesteps,
    UniformTimesteps,
)


def draw(timesteps, n: int = 40_000, seed: int = 0) -> torch.Tensor:
    return timesteps.sample(n, torch.Generator().manual_seed(seed))


def test_uniform_fills_its_range_and_stays_below_the_cap() -> None:
    t = draw(UniformTimesteps(cap=0.9))
    assert float(t.min()) >= 0
    assert float(t.max()) < 0.9
    quantiles = torch.quantile(t, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.225, 0.45, 0.675]), atol=0.01, rtol=0)


def test_logit_normal_has_its_quantiles_and_its_atom_at_the_source() -> None:
    t = draw(LogitNormalTimesteps(mean=-0.5, std=0.8, at_source=0.3))
    at_source = t == 0
    assert float(at_source.float().mean()) == pytest.approx(0.3, abs=0.01)
    logits = torch.logit(t[~at_source])
    assert float(logits.median()) == pytest.approx(-0.5, abs=0.02)
    assert float(logits.std()) == pytest.approx(0.8, abs=0.02)


def test_discrete_draws_its_times_with_its_weights() -> None:
    times, weights = (0.0, 0.25, 0.5, 0.75), (0.7, 0.15, 0.1, 0.05)
    t = draw(DiscreteTimesteps(times=times, weights=weights))
    shares = [float((t == time).float().mean()) for time in times]
    assert shares == pytest.approx(weights, abs=0.01)


def test_log_uniform_gives_every_decade_the_same_share() -> None:
    t = draw(LogUniformTimesteps(low=1e-4, cap=0.1))
    assert float(t.min()) >= 1e-4
    assert float(t.max()) < 0.1
    quantiles = torch.quantile(t, torch.tensor([1 / 3, 2 / 3])).log10()
    torch.testing.assert_close(quantiles, torch.tensor([-3.0, -2.0]), atol=0.03, rtol=0)


def test_a_share_of_log_uniform_may_be_uniform() -> None:
    t = draw(LogUniformTimesteps(low=1e-4, cap=0.9, uniform_share=0.4))
    # Of the log-uniform part, 0.065 lie above a half; of the uniform one, four ninths.
    expected = 0.6 * math.log(0.9 / 0.5) / math.log(0.9 / 1e-4) + 0.4 * 0.4 / 0.8999
    assert float((t > 0.5).float().mean()) == pytest.approx(expected, abs=0.01)
    assert 1e-4 <= float(t.min()) < 2e-4


@pytest.mark.parametrize(
    "timesteps",
    [UniformTimesteps(), LogitNormalTimesteps(), LogUniformTimesteps(), DiscreteTimesteps()],
    ids=lambda t: t.kind,
)
def test_every_drawn_time_counts_as_trained_and_seeds_decide(timesteps) -> None:
    t = draw(timesteps, n=300, seed=1)
    # The logit-normal leaves out its outermost 0.2 %.
    assert sum(not timesteps.trained(float(value)) for value in t) <= 3
    assert torch.equal(t, draw(timesteps, n=300, seed=1))
    assert not torch.equal(t, draw(timesteps, n=300, seed=2))
    assert not timesteps.trained(0.999)


@pytest.mark.parametrize(
    "wrong",
    [
        {"times": (0.0, 0.5), "weights": (1.0,)},
        {"times": (), "weights": ()},
        {"times": (0.0, 1.0), "weights": (0.5, 0.5)},
        {"times": (0.0, 0.5), "weights": (0.7, 0.7)},
        {"times": (0.0, 0.5), "weights": (1.0, 0.0)},
    ],
)
def test_discrete_times_that_make_no_distribution_are_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        DiscreteTimesteps(**wrong)


def test_weights_that_sum_to_one_only_within_rounding_are_taken() -> None:
    DiscreteTimesteps(times=(0.0, 0.25, 0.5), weights=(0.7, 0.2, 0.1))
