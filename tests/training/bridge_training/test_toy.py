"""The plane's laws against their known moments, and the distance against closed forms."""

import math

import pytest
import torch

from benchmarks.plane_laws import (
    EIGHT_RADIUS,
    EIGHT_STD,
    MODE_STD,
    PlaneNetwork,
    eight_gaussians,
    moons,
    two_modes,
    wasserstein2,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_eight_gaussians_have_their_radius_and_width() -> None:
    points = eight_gaussians(40_000, seeded(0))
    # Uniform on a circle: half the squared radius along each axis.
    covariance = torch.eye(2) * (EIGHT_RADIUS**2 / 2 + EIGHT_STD**2)
    torch.testing.assert_close(points.T.cov(), covariance, atol=0.2, rtol=0)
    assert float(points.mean(dim=0).abs().max()) < 0.06


def test_moons_have_the_moments_of_make_moons() -> None:
    """E[x], E[y] of both half circles together are 1/2 and 1/4; Var[x] = 1/2 + 1/4, Var[y] = 1/2 - 4/pi^2
    + (2/pi - 1/4)^2.
    """
    points = (moons(40_000, seeded(1)) + 1) / 3
    torch.testing.assert_close(points.mean(dim=0), torch.tensor([0.5, 0.25]), atol=0.015, rtol=0)
    variance = torch.tensor([0.75, 0.5 - 4 / math.pi**2 + (2 / math.pi - 0.25) ** 2]) + 0.2**2
    torch.testing.assert_close(points.var(dim=0), variance, atol=0.015, rtol=0)


def test_two_modes_are_equally_likely_and_their_mean_is_the_source() -> None:
    x0, x1 = two_modes(40_000, seeded(2))
    moved = x1 - x0
    assert float((moved[:, 0] > 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float(moved.mean(dim=0).abs().max()) < 0.03
    assert float((moved[:, 0].abs() - 1.5).std()) == pytest.approx(MODE_STD, rel=0.02)


def test_the_distance_of_a_moved_sample_is_how_far_it_moved() -> None:
    points = torch.randn(300, 2, generator=seeded(3))
    shuffled = points[torch.randperm(300, generator=seeded(4))]
    assert wasserstein2(points, shuffled) == pytest.approx(0, abs=1e-9)
    assert wasserstein2(points, shuffled + torch.tensor([3.0, 4.0])) == pytest.approx(5, abs=1e-6)


def test_the_distance_on_a_line_is_that_of_sorted_samples() -> None:
    a, b = torch.randn(200, 1, generator=seeded(5)), 2 * torch.randn(200, 1, generator=seeded(6)) + 1
    known = (a.double().sort(dim=0).values - b.double().sort(dim=0).values).square().mean().sqrt()
    assert wasserstein2(a, b) == pytest.approx(float(known), rel=1e-9)


def test_a_networks_weights_are_those_of_its_seed() -> None:
    torch.manual_seed(7)
    first = PlaneNetwork(seed=1, beside=2)
    torch.manual_seed(8)
    x, t, beside = torch.ones(3, 2), torch.zeros(3), torch.ones(3, 2)
    assert torch.equal(first(x, t, beside), PlaneNetwork(seed=1, beside=2)(x, t, beside))
    assert not torch.equal(first(x, t, beside), PlaneNetwork(seed=2, beside=2)(x, t, beside))
