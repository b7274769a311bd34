"""Samplers on exact Gaussian fields (notes/bridges.md 8, T3 to T8), and what the sampling grid refuses."""

import itertools
import math

import numpy as np
import pytest
import torch

from benchmarks.plane_laws import two_modes, wasserstein2
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.sample_loop import check_grid, sample
from pairbridge.training.bridge.samplers import (
    SAMPLERS,
    DbimSampler,
    EulerMaruyamaSampler,
    PosteriorSampler,
    ReferenceSampler,
    Sampler,
    cosine_grid,
    uniform_grid,
)
from pairbridge.training.bridge.timesteps import DiscreteTimesteps, LogitNormalTimesteps, UniformTimesteps
from tests.support.two_modes import teacher
from tests.training.bridge import gaussian_case as g2


def run(
    sampler: Sampler, x0: torch.Tensor, steps: int, *, field: str = "drift", seed: int = 0
) -> torch.Tensor:
    """`steps` of a sampler on a field of case G2: drift, conditional (on x0) or velocity."""
    fields = {
        "drift": g2.exact_drift,
        "velocity": g2.exact_velocity,
        "conditional": lambda x, t: g2.exact_conditional_drift(x, t, x0),
    }
    generator = torch.Generator().manual_seed(seed)
    return sample(
        sampler,
        fields[field],
        x0,
        sampler.times(steps),
        bridge=BrownianBridge(sigma=g2.SIGMA),
        generator=generator,
    )


def source_gain(sampler: Sampler, steps: int, *, field: str = "drift") -> np.ndarray:
    """The matrix from x0 to the sample: exact, since the same seed draws the same noise."""
    zero, units = torch.zeros(2, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    return (run(sampler, units, steps, field=field) - run(sampler, zero, steps, field=field)).numpy().T


# W2^2 to the target law, by number of steps. The last of each row but the reference's is the law reached.
POSTERIOR = {1: 1.6481, 2: 1.4019, 4: 0.5205, 20: 0.0325, 200: 0.0005}
EULER = {1: 0.6875, 2: 0.7015, 4: 0.2866, 20: 0.0160, 200: 0.0002}
CONDITIONAL = {1: 1.6481, 2: 0.9468, 4: 0.4245, 20: 0.0322, 200: 0.0005}
# The released code: its own field, its own sampler. Best near four steps, and worse and worse beyond.
REFERENCE = {1: 1.6481, 2: 1.1868, 4: 0.2360, 20: 1.983, 200: 55.79}


@pytest.mark.parametrize(
    ("sampler", "field", "known"),
    [
        (PosteriorSampler(), "drift", POSTERIOR),
        (PosteriorSampler(), "conditional", CONDITIONAL),
        (EulerMaruyamaSampler(), "drift", EULER),
        (ReferenceSampler(), "velocity", REFERENCE),
    ],
    ids=["posterior", "conditional-posterior", "euler-maruyama", "reference-is-biased"],
)
def test_distance_to_the_target_law(sampler: Sampler, field: str, known: dict[int, float]) -> None:
    x0, _ = g2.draw_pairs(40_000, seed=5)
    for steps, distance in known.items():
        x1 = run(sampler, x0, steps, field=field).numpy()
        found = g2.w2_squared(x1.mean(axis=0), np.cov(x1.T), g2.M1, g2.S1)
        # 40,000 samples place a mean within about .01 and a variance within .7 %.
        assert found == pytest.approx(distance, abs=0.03, rel=0.02), steps


def test_dbim_without_noise_reaches_the_target_law_too() -> None:
    x0, _ = g2.draw_pairs(40_000, seed=5)
    for sampler, steps in ((DbimSampler(), 200), (DbimSampler(order=2, grid="cosine"), 20)):
        x1 = run(sampler, x0, steps, field="conditional").numpy()
        assert g2.w2_squared(x1.mean(axis=0), np.cov(x1.T), g2.M1, g2.S1) < 0.02


# T7: x0 = 0, x1 ~ N(-1, .36), sigma .5, the exact conditional field. Variance reached, by number of steps.
DBIM_VARIANCE = {
    DbimSampler(): {1: 0, 2: 0.0871, 4: 0.1725, 10: 0.2583, 50: 0.3315, 500: 0.3562},
    DbimSampler(eta=0.5): {1: 0, 2: 0.0871, 4: 0.1758, 10: 0.2637, 50: 0.3348, 500: 0.3569},
    DbimSampler(eta=1): {1: 0, 2: 0.0871, 4: 0.1736, 10: 0.2592, 50: 0.3311, 500: 0.3559},
    DbimSampler(order=2): {10: 0.2850, 20: 0.3209, 50: 0.3438, 500: 0.3583},
    DbimSampler(order=2, grid="cosine"): {10: 0.3455, 20: 0.3574, 50: 0.3597},
}


@pytest.mark.parametrize("sampler", DBIM_VARIANCE, ids=lambda s: f"eta-{s.eta}-order-{s.order}-{s.grid}")
def test_dbim_reaches_the_known_variance(sampler: DbimSampler) -> None:
    sigma, mean, variance = 0.5, -1.0, 0.36

    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = float(t[0])
        gain = a * variance / (a**2 * variance + sigma**2 * a * (1 - a)) if a else 0.0
        return (mean + gain * (x - a * mean) - x) / (1 - a)

    zeros = torch.zeros(40_000, 1, dtype=torch.float64)
    for steps, known in DBIM_VARIANCE[sampler].items():
        generator = torch.Generator().manual_seed(1)
        x1 = sample(
            sampler,
            field,
            zeros,
            sampler.times(steps),
            bridge=BrownianBridge(sigma=sigma),
            generator=generator,
        )
        assert float(x1.mean()) == pytest.approx(mean, abs=0.01), steps
        # A variance of 40,000 samples has a spread of .7 %; the notes give the closed form.
        assert float(x1.var()) == pytest.approx(known, rel=0.025, abs=1e-6), steps


def posterior_variance(times: tuple[float, ...], sigma: float, variance: float) -> float:
    """What the posterior sampler reaches from x0 = 0 with x1 ~ N(., variance): each step scales what is there
    and adds noise of its own.
    """
    reached = 0.0
    for a, b in itertools.pairwise((*times, 1.0)):
        r = (b - a) / (1 - a)
        gain = a * variance / (a**2 * variance + sigma**2 * a * (1 - a)) if a else 0.0
        reached = (1 - r + r * gain) ** 2 * reached + sigma**2 * (b - a) * (1 - b) / (1 - a)
    return reached


@pytest.mark.parametrize(("sigma", "even", "cosine"), [(0.05, 0.0627, 0.1796), (0.01, 0.0030, 0.0197)])
def test_short_steps_at_both_ends_reach_the_variance_sooner(sigma: float, even: float, cosine: float) -> None:
    """Of 0.36, in 20 steps."""
    variance, zeros = 0.36, torch.zeros(40_000, 1, dtype=torch.float64)

    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = float(t[0])
        gain = a * variance / (a**2 * variance + sigma**2 * a * (1 - a)) if a else 0.0
        return (gain - 1) * x / (1 - a)

    for grid, known in (("uniform", even), ("cosine", cosine)):
        sampler = PosteriorSampler(grid=grid)
        times = sampler.times(20)
        bridge, generator = BrownianBridge(sigma=sigma), torch.Generator().manual_seed(1)
        x1 = sample(sampler, field, zeros, times, bridge=bridge, generator=generator)
        assert posterior_variance(times, sigma, variance) == pytest.approx(known, abs=5e-5)
        assert float(x1.var()) == pytest.approx(known, rel=0.025)
    short = [
        variance - posterior_variance(grid(500), sigma, variance) for grid in (uniform_grid, cosine_grid)
    ]
    assert 0 < 4 * short[1] < short[0]


def test_a_well_sampled_teacher_of_two_modes_has_their_law() -> None:
    """At sigma 0.05 modes part at t of about 3e-4, for which 20 even steps are too few."""
    n, sigma = 1000, 0.05
    draws = torch.Generator().manual_seed(99)
    x0, _ = two_modes(n, draws)
    true, others = (torch.cat(two_modes(n, draws), dim=1) for _ in range(2))

    def reached(sampler: Sampler, steps: int) -> float:
        generator, bridge = torch.Generator().manual_seed(1), BrownianBridge(sigma=sigma)
        x1 = sample(sampler, teacher(x0, sigma), x0, sampler.times(steps), bridge=bridge, generator=generator)
        return wasserstein2(torch.cat([x0, x1], dim=1), true)

    floor = wasserstein2(others, true)
    assert reached(PosteriorSampler(), 20) > 1.5 * floor
    assert reached(PosteriorSampler(), 500) < 1.1 * floor
    assert reached(PosteriorSampler(grid="cosine"), 20) < 1.1 * floor
    assert reached(DbimSampler(order=2, grid="cosine"), 50) < 1.1 * floor


def test_dbim_with_all_the_noise_is_the_posterior_sampler() -> None:
    """T8: sqrt(c_b^2 - rho^2) / c_a = (1 - b) / (1 - a) at eta 1; beyond the first step, draw by draw."""
    x0, _ = g2.draw_pairs(50, seed=2)
    for steps in (2, 5):
        posterior = run(PosteriorSampler(), x0, steps, field="conditional", seed=9)
        torch.testing.assert_close(run(DbimSampler(eta=1), x0, steps, field="conditional", seed=9), posterior)


def test_the_reference_sampler_adds_the_noise_that_theory_says() -> None:
    """T8: sigma^2 (N^2 - 1) / (6 N) of extra variance in a field without any."""
    sigma, zeros = 0.5, torch.zeros(100_000, 1, dtype=torch.float64)
    for steps, ratio in {4: 0.625, 20: 3.325, 100: 16.665}.items():
        x1 = sample(
            ReferenceSampler(),
            lambda x, t: torch.zeros_like(x),
            zeros,
            uniform_grid(steps),
            bridge=BrownianBridge(sigma=sigma),
            generator=torch.Generator().manual_seed(3),
        )
        assert float(x1.var()) / sigma**2 == pytest.approx(ratio, rel=0.02)


def test_one_step_is_the_conditional_mean() -> None:
    """T4: its covariance is C S0^-1 C^T, far below the target's."""
    for sampler in (PosteriorSampler(), DbimSampler(), ReferenceSampler()):
        gain = source_gain(sampler, 1)
        np.testing.assert_allclose(gain, g2.C @ np.linalg.inv(g2.S0), atol=1e-9)
        assert np.trace(gain @ g2.S0 @ gain.T) == pytest.approx(0.5485, abs=5e-5)


def test_only_the_conditional_bridge_keeps_the_pairing() -> None:
    """T5: Cov(sample, x0) after 200 steps."""

    def error(field: str) -> float:
        return float(np.abs(source_gain(PosteriorSampler(), 200, field=field) @ g2.S0 - g2.C).max())

    assert error("drift") == pytest.approx(1.98, abs=0.01)
    assert error("conditional") < 1e-6


@pytest.mark.parametrize("kind", [kind for kind, sampler in SAMPLERS.items() if sampler.bridges != "flow"])
def test_same_seed_same_sample_whatever_the_global_generator_does(kind: str) -> None:
    sampler = SAMPLERS[kind]()
    x0, _ = g2.draw_pairs(4, seed=6)
    first = run(sampler, x0, 4, field="conditional", seed=7)
    torch.manual_seed(123)
    torch.rand(10)
    assert torch.equal(run(sampler, x0, 4, field="conditional", seed=7), first)
    assert not torch.equal(run(sampler, x0, 4, field="conditional", seed=8), first)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_without_bridge_noise_all_samplers_follow_the_flow(kind: str) -> None:
    """sigma 0 is flow matching: on a straight path every sampler arrives at its end, and draws nothing."""
    x0, x1 = torch.tensor([[1.0, 2.0]]), torch.tensor([[-3.0, 5.0]])

    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return (x1 - x) / (1 - t[:, None])

    sampler = SAMPLERS[kind]()
    arrived = sample(
        sampler, field, x0, sampler.times(5), bridge=BrownianBridge(sigma=0), generator=torch.Generator()
    )
    torch.testing.assert_close(arrived, x1)


def test_grids() -> None:
    assert uniform_grid(4) == (0, 0.25, 0.5, 0.75)
    assert cosine_grid(4) == pytest.approx((0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2))
    with pytest.raises(ValueError, match="order 2 is for eta 0"):
        DbimSampler(order=2, eta=0.5)


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
