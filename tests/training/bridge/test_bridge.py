"""The bridge's equations against closed forms on jointly Gaussian ends (notes/bridges.md 8, T1, T2).

Every function of pairbridge.training.bridge.equations is linear in (x0, x1, eps), so feeding it unit vectors
yields its matrix,
and moments follow exactly from the joint covariance: no sampling noise, hence tolerances of 1e-9.
"""

import numpy as np
import pytest
import torch

from pairbridge.training.bridge.equations import (
    BridgeField,
    drift,
    estimate_target,
    interpolate,
    posterior_step,
    regression_target,
    velocity,
)
from tests.training.bridge import gaussian_case as g2

TIMES = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9]


def units(num_blocks: int) -> list[torch.Tensor]:
    """Blocks of two columns of the identity: one unit input of `num_blocks` plane vectors per row."""
    return list(torch.eye(2 * num_blocks, dtype=torch.float64).split(2, dim=1))


def times(t: float, like: torch.Tensor) -> torch.Tensor:
    return torch.full((like.shape[0],), t, dtype=torch.float64)


def covariance(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Cov(a, b) of two linear maps of (x0, x1, eps, ...), given as rows of images of unit vectors."""
    joint = np.eye(len(a))
    joint[:4, :4] = g2.JOINT
    return a.numpy().T @ joint @ b.numpy()


def gain(target: torch.Tensor, x_t: torch.Tensor) -> np.ndarray:
    """Of the best regression of `target` on x_t."""
    return covariance(target, x_t) @ np.linalg.inv(covariance(x_t, x_t))


@pytest.mark.parametrize("t", TIMES)
def test_interpolant_has_the_closed_form_moments(t: float) -> None:
    x0, x1, eps = units(3)
    x_t = interpolate(x0, x1, times(t, x0), eps, g2.SIGMA)
    np.testing.assert_allclose(covariance(x_t, x_t), g2.covariance_at(t), atol=1e-12)
    ends = torch.from_numpy(np.stack([g2.M0, g2.M1]))[:, None]
    mean = interpolate(ends[0], ends[1], times(t, ends[0]), torch.zeros(1, 2), g2.SIGMA)
    np.testing.assert_allclose(mean[0], g2.mean_at(t), atol=1e-12)


def test_interpolant_starts_at_the_source_and_ends_at_the_target() -> None:
    x0, x1 = g2.draw_pairs(8, seed=1)
    eps = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.equal(interpolate(x0, x1, times(0, x0), eps, 3.0), x0)
    assert torch.equal(interpolate(x0, x1, times(1, x0), eps, 3.0), x1)


@pytest.mark.parametrize("t", TIMES)
def test_regressing_the_drift_gives_the_conditional_mean(t: float) -> None:
    x0, x1, eps = units(3)
    x_t = interpolate(x0, x1, times(t, x0), eps, g2.SIGMA)
    field = gain(drift(x_t, x1, times(t, x0)), x_t)
    np.testing.assert_allclose(np.eye(2) + (1 - t) * field, g2.estimate_gain(t), atol=1e-9)


@pytest.mark.parametrize("t", TIMES[1:])
def test_drift_transports_the_marginals_and_velocity_does_not(t: float) -> None:
    """d Sig/dt = U Sig + Sig U^T + sigma^2 I for the drift of the stochastic bridge."""
    x0, x1, eps = units(3)
    x_t = interpolate(x0, x1, times(t, x0), eps, g2.SIGMA)
    h = 1e-5
    derivative = (g2.covariance_at(t + h) - g2.covariance_at(t - h)) / (2 * h)
    now = g2.covariance_at(t)

    def residual(field: BridgeField, noise: float) -> float:
        u = gain(regression_target(field, x0, x1, x_t, times(t, x0)), x_t)
        return float(np.abs(u @ now + now @ u.T + noise * np.eye(2) - derivative).max())

    assert residual(BridgeField.DRIFT, g2.SIGMA**2) < 1e-8
    # The velocity is the flow of neither the SDE nor, away from t = 1/2, the ODE with these marginals.
    assert residual(BridgeField.VELOCITY, g2.SIGMA**2) > 0.05
    if t != 0.5:
        assert residual(BridgeField.VELOCITY, 0.0) > 0.05


@pytest.mark.parametrize("t", TIMES)
def test_target_estimate_inverts_the_drift_and_keeps_noise_with_the_velocity(t: float) -> None:
    x0, x1, eps = units(3)
    time = times(t, x0)
    x_t = interpolate(x0, x1, time, eps, g2.SIGMA)
    np.testing.assert_allclose(estimate_target(x_t, drift(x_t, x1, time), time), x1, atol=1e-12)
    residual = estimate_target(x_t, velocity(x0, x1), time) - x1
    np.testing.assert_allclose(residual, g2.SIGMA * (t * (1 - t)) ** 0.5 * eps, atol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.3), (0.25, 0.5), (0.5, 0.9), (0.9, 1.0), (0.0, 1.0)])
def test_posterior_step_keeps_the_joint_law_of_the_bridge(a: float, b: float) -> None:
    """x_b made from x_a and x1 has the covariances of x_b made from both ends, with either end."""
    x0, x1, eps_a, eps_b = units(4)
    x_a = interpolate(x0, x1, times(a, x0), eps_a, g2.SIGMA)
    stepped = posterior_step(x_a, x1, a, b, eps_b, g2.SIGMA)
    direct = interpolate(x0, x1, times(b, x0), eps_b, g2.SIGMA)
    for other in (x0, x1):
        np.testing.assert_allclose(covariance(stepped, other), covariance(direct, other), atol=1e-12)
    np.testing.assert_allclose(covariance(stepped, stepped), covariance(direct, direct), atol=1e-12)


@pytest.mark.parametrize(("t", "known"), [(0.25, 3.6492), (0.5, 1.7749), (0.75, 0.4485)])
def test_smallest_possible_estimate_loss(t: float, known: float) -> None:
    """T2: E |x1 - E[x1 | x_t]|^2, here through the drift that a perfect network would predict."""
    x0, x1, eps = units(3)
    time = times(t, x0)
    x_t = interpolate(x0, x1, time, eps, g2.SIGMA)
    v = x_t @ torch.from_numpy(gain(drift(x_t, x1, time), x_t).T)
    error = estimate_target(x_t, v, time) - x1
    assert np.trace(covariance(error, error)) == pytest.approx(known, abs=6e-5)


def test_fields_agree_at_the_source_and_without_noise() -> None:
    x0, x1 = g2.draw_pairs(8, seed=3)
    eps = torch.randn(8, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for t, sigma in ((0.0, 0.7), (0.6, 0.0)):
        x_t = interpolate(x0, x1, times(t, x0), eps, sigma)
        targets = [regression_target(field, x0, x1, x_t, times(t, x0)) for field in BridgeField]
        torch.testing.assert_close(*targets, atol=1e-12, rtol=0)
