"""Bridges and flows of diffusions: schedules, conversions and laws against closed forms."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.bridges import BrownianBridge, DiffusionBridge
from pairbridge.training.bridge.diffusion_equations import (
    bridge_coefficients,
    data_of_noise,
    data_of_score,
    data_of_velocity,
    noise_of,
    score_of,
    velocity_of,
)
from pairbridge.training.bridge.noise_schedules import I2sbSchedule, NoiseSchedule, VpSchedule
from pairbridge.training.bridge.sample_loop import check_sampler, sample
from pairbridge.training.bridge.samplers import (
    Dopri5Sampler,
    EulerMaruyamaSampler,
    EulerSampler,
    HeunSampler,
    PosteriorSampler,
    Sampler,
)
from pairbridge.training.bridge.timesteps import UniformTimesteps
from tests.training.bridge import gaussian_case as g2

SCHEDULES = [VpSchedule(), VpSchedule(beta_max=2.1), I2sbSchedule(), I2sbSchedule(beta_max=1.0)]
BRIDGES = [DiffusionBridge(schedule=VpSchedule(beta_max=2.1)), DiffusionBridge(schedule=I2sbSchedule())]


def names(one: object) -> str:
    return str(one)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
def test_rates_are_the_derivatives_of_a_schedule(schedule: NoiseSchedule) -> None:
    s = torch.tensor([0.02, 0.3, 0.49, 0.51, 0.8, 1.0], dtype=torch.float64, requires_grad=True)
    (of_mean,) = torch.autograd.grad(schedule.alpha(s).log().sum() + 0 * s.sum(), s)
    (of_variance,) = torch.autograd.grad(schedule.variance(s).sum(), s)
    decay = schedule.decay(s)
    torch.testing.assert_close(decay, -of_mean)
    torch.testing.assert_close(schedule.noise_rate(s), of_variance + 2 * decay * schedule.variance(s))


def test_i2sb_s_rates_are_those_that_its_discrete_steps_add_up_to() -> None:
    # A thousand steps of beta, square roots evenly spaced, mirrored in the middle: the recipe of the paper.
    rising = np.linspace(1e-4**0.5, (0.3 / 1000) ** 0.5, 1000)[:500] ** 2
    added = np.cumsum(np.r_[rising, rising[::-1]])
    s = torch.arange(1, 1001, dtype=torch.float64) / 1000
    np.testing.assert_allclose(I2sbSchedule().variance(s).numpy(), added, rtol=2e-3)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
def test_predictions_of_data_noise_score_and_velocity_are_one(schedule: NoiseSchedule) -> None:
    generator = torch.Generator().manual_seed(0)
    x, x1 = (torch.randn(64, dtype=torch.float64, generator=generator) for _ in range(2))
    s = torch.linspace(0.02, 1, 64, dtype=torch.float64)
    eps, velocity = noise_of(schedule, x, x1, s), velocity_of(schedule, x, x1, s)
    torch.testing.assert_close(data_of_noise(schedule, x, eps, s), x1)
    torch.testing.assert_close(data_of_score(schedule, x, score_of(schedule, x, x1, s), s), x1)
    torch.testing.assert_close(data_of_velocity(schedule, x, velocity, s), x1)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
def test_score_and_velocity_are_those_of_gaussian_data(schedule: NoiseSchedule) -> None:
    # Data N(0.7, 0.4^2): at s a Gaussian, whose score is known, and whose quantiles the ODE moves along.
    mean, spread = 0.7, 0.4
    s = torch.linspace(0.1, 0.95, 40, dtype=torch.float64, requires_grad=True)
    alpha, variance = schedule.alpha(s), schedule.variance(s)
    total = alpha**2 * spread**2 + variance
    x = alpha * mean + 1.3 * total.sqrt()
    x1 = mean + alpha * spread**2 / total * (x - alpha * mean)
    torch.testing.assert_close(score_of(schedule, x, x1, s), -(x - alpha * mean) / total)
    (along,) = torch.autograd.grad(x.sum(), s)
    torch.testing.assert_close(velocity_of(schedule, x, x1, s), along)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
def test_two_steps_of_the_pinned_process_are_one(schedule: NoiseSchedule) -> None:
    times = [torch.tensor(value, dtype=torch.float64) for value in (1.0, 0.6, 0.25)]
    of_first, to_first, spread_first = bridge_coefficients(schedule, times[0], times[1])
    of_second, to_second, spread_second = bridge_coefficients(schedule, times[1], times[2])
    of_both, to_both, spread_both = bridge_coefficients(schedule, times[0], times[2])
    torch.testing.assert_close(of_second * of_first, of_both)
    torch.testing.assert_close(of_second * to_first + to_second, to_both)
    torch.testing.assert_close((of_second * spread_first).hypot(spread_second), spread_both)
    end = bridge_coefficients(schedule, times[0], torch.tensor(0.0, dtype=torch.float64))
    torch.testing.assert_close(torch.stack(end), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


def test_at_a_constant_rate_i2sb_is_the_brownian_bridge() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, x1, eps = (torch.randn(8, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    t = torch.linspace(0, 0.97, 8, dtype=torch.float64)
    constant = DiffusionBridge(schedule=I2sbSchedule(beta_min=0.25, beta_max=0.25 * (1 + 1e-7)))
    brownian = BrownianBridge(sigma=0.5)
    for bridge in (constant, brownian):
        assert not bridge.is_flow
    close = {"atol": 1e-6, "rtol": 1e-6}
    torch.testing.assert_close(
        constant.interpolate(x0, x1, t, eps), brownian.interpolate(x0, x1, t, eps), **close
    )
    for a, b in ((0.0, 0.3), (0.3, 0.9), (0.9, 1.0)):
        step, known = (one.posterior_step(x0, x1, a, b, eps) for one in (constant, brownian))
        torch.testing.assert_close(step, known, **close)


def exact_slope(bridge: DiffusionBridge, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Case G2 of `gaussian_case`: (E[x1 | x_t] - x_t) / (1 - t) on (B, 2) at one time."""
    s = 1 - t[0]
    a, b, c = (float(value) for value in bridge_coefficients(bridge.schedule, torch.ones_like(s), s))
    covariance = a**2 * g2.S0 + b**2 * g2.S1 + a * b * (g2.C + g2.C.T) + c**2 * g2.IDENTITY
    gain = torch.from_numpy((a * g2.C + b * g2.S1) @ np.linalg.inv(covariance))
    mean = torch.from_numpy(g2.M1) + (x - torch.from_numpy(a * g2.M0 + b * g2.M1)) @ gain.T
    return (mean - x) / s


@pytest.mark.parametrize("bridge", BRIDGES, ids=names)
def test_exact_bridges_reach_the_target_s_law(bridge: DiffusionBridge) -> None:
    x0, _ = g2.draw_pairs(40_000, seed=5)
    found = []
    for steps in (2, 20, 200):
        x1 = sample(
            PosteriorSampler(),
            lambda x, t: exact_slope(bridge, x, t),
            x0,
            PosteriorSampler().times(steps),
            bridge=bridge,
            generator=torch.Generator().manual_seed(0),
        ).numpy()
        found.append(g2.w2_squared(x1.mean(axis=0), np.cov(x1.T), g2.M1, g2.S1))
    assert found[2] < 0.02 < found[1] < found[0]


MEAN, SPREAD = 1.5, 0.3
FROM_NOISE = DiffusionBridge(schedule=VpSchedule(), start="noise")


def slope_from_noise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The exact one where the data are N(MEAN, SPREAD^2)."""
    s = (1 - t)[:, None]
    alpha, variance = FROM_NOISE.schedule.alpha(s), FROM_NOISE.schedule.variance(s)
    x1 = MEAN + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + variance) * (x - alpha * MEAN)
    return (x1 - x) / s


def generated(sampler: Sampler, steps: int, noise: torch.Tensor) -> torch.Tensor:
    return sample(
        sampler,
        slope_from_noise,
        noise,
        sampler.times(steps),
        bridge=FROM_NOISE,
        generator=torch.Generator().manual_seed(1),
    )


def test_the_flow_along_the_variance_preserving_path_moves_noise_to_data() -> None:
    noise = torch.randn(4096, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # Where a point ends: at its own quantile, but for the data that the path still has at its start.
    begin = FROM_NOISE.schedule.alpha(torch.tensor(1.0, dtype=torch.float64))
    at_start = math.sqrt(float(begin**2 * SPREAD**2 + 1 - begin**2))
    known = MEAN + SPREAD * (noise - begin * MEAN) / at_start
    exact = generated(Dopri5Sampler(rtol=1e-9, atol=1e-9, end=0.9999), 1, noise)
    torch.testing.assert_close(exact, known, atol=1e-3, rtol=0)
    errors = {
        kind: [float((generated(kind(), steps, noise) - known).abs().max()) for steps in (100, 200)]
        for kind in (EulerSampler, HeunSampler)
    }
    euler, heun = errors[EulerSampler], errors[HeunSampler]
    assert euler[0] / euler[1] == pytest.approx(2, abs=0.3)
    assert heun[0] < euler[0] / 4
    drawn = generated(PosteriorSampler(), 400, noise)
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(SPREAD, rel=0.05)


def test_what_such_a_bridge_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"schedule \{kind: vp\}"):
        DiffusionBridge(start="noise")
    with pytest.raises(ValidationError, match="below beta_min"):
        VpSchedule(beta_min=3, beta_max=2)
    with pytest.raises(ValidationError, match="not above beta_min"):
        I2sbSchedule(beta_min=0.3, beta_max=0.3)
    for sampler in (EulerSampler(), EulerMaruyamaSampler()):
        with pytest.raises(ConfigError, match="use the posterior sampler"):
            check_sampler(sampler, 4, UniformTimesteps(), bridge=BRIDGES[0], sees_source=True)
    assert check_sampler(HeunSampler(), 4, UniformTimesteps(), bridge=FROM_NOISE, sees_source=False)
