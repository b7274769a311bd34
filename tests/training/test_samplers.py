"""The posterior sampler on exact Gaussian fields (notes/bridges.md 8, T3 to T5), and what it refuses."""

import gaussian_case as g2
import numpy as np
import pytest
import torch

from datagen.errors import ConfigError
from training.samplers import check_grid, sample_posterior, uniform_grid
from training.timesteps import DiscreteTimesteps, LogitNormalTimesteps, UniformTimesteps


def sample(x0: torch.Tensor, steps: int, *, conditional: bool = False, seed: int = 0) -> torch.Tensor:
    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return g2.exact_conditional_drift(x, t, x0) if conditional else g2.exact_drift(x, t)

    generator = torch.Generator().manual_seed(seed)
    return sample_posterior(field, x0, uniform_grid(steps), sigma=g2.SIGMA, generator=generator)


def source_gain(steps: int, *, conditional: bool = False) -> np.ndarray:
    """The matrix from x0 to the sample: exact, since the same seed draws the same noise."""
    zero, units = torch.zeros(2, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    return (
        (sample(units, steps, conditional=conditional) - sample(zero, steps, conditional=conditional))
        .numpy()
        .T
    )


KNOWN_W2 = {1: 1.6481, 2: 1.4019, 4: 0.5205, 20: 0.0325, 200: 0.0005}
KNOWN_CONDITIONAL_W2 = {1: 1.6481, 2: 0.9468, 4: 0.4245, 20: 0.0322, 200: 0.0005}


@pytest.mark.parametrize(
    ("steps", "known", "conditional"),
    [(n, w2, False) for n, w2 in KNOWN_W2.items()]
    + [(n, w2, True) for n, w2 in KNOWN_CONDITIONAL_W2.items()],
)
def test_distance_to_the_target_law(steps: int, known: float, conditional: bool) -> None:
    x0, _ = g2.draw_pairs(200_000, seed=5)
    x1 = sample(x0, steps, conditional=conditional).numpy()
    distance = g2.w2_squared(x1.mean(axis=0), np.cov(x1.T), g2.M1, g2.S1)
    # 200,000 samples place a mean within about .004 and a variance within .4 %.
    assert distance == pytest.approx(known, abs=0.02)


def test_one_step_is_the_conditional_mean() -> None:
    """T4: its covariance is C S0^-1 C^T, far below the target's."""
    gain = source_gain(1)
    np.testing.assert_allclose(gain, g2.C @ np.linalg.inv(g2.S0), atol=1e-9)
    assert np.trace(gain @ g2.S0 @ gain.T) == pytest.approx(0.5485, abs=5e-5)


def test_only_the_conditional_bridge_keeps_the_pairing() -> None:
    """T5: Cov(sample, x0) after 200 steps."""

    def error(conditional: bool) -> float:
        return float(np.abs(source_gain(200, conditional=conditional) @ g2.S0 - g2.C).max())

    assert error(conditional=False) == pytest.approx(1.98, abs=0.01)
    assert error(conditional=True) < 1e-6


def test_same_seed_same_sample_whatever_the_global_generator_does() -> None:
    x0, _ = g2.draw_pairs(4, seed=6)
    first = sample(x0, 4, seed=7)
    torch.manual_seed(123)
    torch.rand(10)
    assert torch.equal(sample(x0, 4, seed=7), first)
    assert not torch.equal(sample(x0, 4, seed=8), first)


def test_step_counts_off_the_trained_grid_are_refused_by_name() -> None:
    discrete = DiscreteTimesteps(times=(0, 0.25, 0.5, 0.75), weights=(0.25,) * 4)
    for steps in (1, 2, 4):
        check_grid(uniform_grid(steps), discrete)
    with pytest.raises(ConfigError, match=r"0\.3333.*\n.*\n.*\[1, 2, 4\]"):
        check_grid(uniform_grid(3), discrete)
    check_grid(uniform_grid(20), UniformTimesteps(cap=0.96))
    with pytest.raises(ConfigError, match="never trained"):
        check_grid(uniform_grid(100), UniformTimesteps(cap=0.96))
    check_grid(uniform_grid(2), LogitNormalTimesteps(at_source=0.1))
    with pytest.raises(ConfigError, match="never trained"):
        check_grid(uniform_grid(1), LogitNormalTimesteps(at_source=0))


def test_times_within_rounding_of_a_trained_one_are_taken() -> None:
    thirds = DiscreteTimesteps(times=(0, 0.3333, 0.6667), weights=(0.4, 0.3, 0.3))
    check_grid(uniform_grid(3), thirds)


@pytest.mark.parametrize("times", [[], [0.25, 0.5], [0.0, 0.5, 0.5], [0.0, 1.0], [0.0, 0.5, 0.25]])
def test_grids_that_do_not_rise_from_the_source_are_refused(times: list[float]) -> None:
    with pytest.raises(ConfigError, match="do not rise"):
        check_grid(times, UniformTimesteps(cap=0.99))
