"""Flows against closed forms: solvers and their orders, both guidances, and a field that was learned."""

import functools

import numpy as np
import pytest
import scipy.integrate
import torch
from torch import Tensor

from benchmarks.plane_laws import PlaneNetwork
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.bridges import BrownianBridge, DiffusionBridge
from pairbridge.training.bridge.equations import interpolate, velocity
from pairbridge.training.bridge.flow import (
    along,
    classifier_free,
    classifier_guided,
    from_noise,
    of_bridge,
    score,
)
from pairbridge.training.bridge.noise_schedules import VpSchedule
from pairbridge.training.bridge.sample_loop import check_sampler, sample
from pairbridge.training.bridge.samplers import (
    Dopri5Sampler,
    EulerSampler,
    HeunSampler,
    PosteriorSampler,
    Sampler,
)
from pairbridge.training.bridge.timesteps import DiscreteTimesteps, UniformTimesteps
from tests.support.counted_field import CountedField
from tests.training.bridge import gaussian_flow as flow

TIMES = [0.05, 0.3, 0.6, 0.9]
VELOCITIES = [functools.partial(flow.class_velocity, label=label) for label in range(2)]
POSTERIORS = [functools.partial(flow.log_posterior, label=label) for label in range(2)]


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def solve(sampler: Sampler, field, x0: Tensor, steps: int = 1) -> tuple[Tensor, int]:
    """The end of the flow from x0, and the evaluations it took."""
    counted = CountedField(field)
    x1 = sample(
        sampler,
        counted,
        x0,
        sampler.times(steps),
        bridge=BrownianBridge(sigma=0),
        generator=torch.Generator(),
    )
    return x1, counted.evaluations


def test_a_flow_takes_noise_to_the_law_of_its_class() -> None:
    """The path of one class is affine: x0 = z ends at m + s z, point by point."""
    z = noise(50)
    for label in range(2):
        arrived, _ = solve(HeunSampler(), VELOCITIES[label], z, 400)
        torch.testing.assert_close(arrived, flow.MEANS[label] + flow.STDS[label] * z, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("sampler", "order"), [(EulerSampler(), 1), (HeunSampler(), 2)], ids=["euler", "heun"]
)
def test_the_order_of_convergence(sampler: Sampler, order: int) -> None:
    """Half the step, 2^order times less error, on the mixture's curved paths."""
    z = noise(200, seed=1)
    exact, _ = solve(Dopri5Sampler(rtol=1e-10, atol=1e-10, end=0.9999), flow.mixed_velocity, z)
    errors = [
        float((solve(sampler, flow.mixed_velocity, z, steps)[0] - exact).square().mean().sqrt())
        for steps in (64, 128, 256)
    ]
    found = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(found, order, atol=0.15)


def test_evaluations_are_counted() -> None:
    z = noise(20)
    assert solve(EulerSampler(), flow.mixed_velocity, z, 7)[1] == 7
    assert solve(HeunSampler(), flow.mixed_velocity, z, 7)[1] == 13
    rough = solve(Dopri5Sampler(rtol=1e-2, atol=1e-2), flow.mixed_velocity, z)
    fine = solve(Dopri5Sampler(rtol=1e-6, atol=1e-6), flow.mixed_velocity, z)
    assert 8 <= rough[1] < fine[1] < 300
    both = CountedField(flow.mixed_velocity)
    solve(EulerSampler(), classifier_free(VELOCITIES[0], both, 2.0), z, 7)
    assert both.evaluations == 7


def test_adaptive_steps_keep_the_error_that_was_asked_for() -> None:
    """One class has an affine path; only what is left of it beyond `end` is not integrated."""
    z, end = noise(50), 0.999
    arrived, _ = solve(Dopri5Sampler(rtol=1e-7, atol=1e-7, end=end), VELOCITIES[0], z)
    t = torch.full((50,), end, dtype=torch.float64)
    at_end = end * flow.MEANS[0] + flow.spread(t, 0)[:, None] * z
    torch.testing.assert_close(arrived, at_end + (1 - end) * VELOCITIES[0](at_end, t), atol=1e-5, rtol=0)


def test_euler_is_the_posterior_step_without_noise() -> None:
    z = noise(10)
    euler, posterior = (
        solve(one, flow.mixed_velocity, z, 5)[0] for one in (EulerSampler(), PosteriorSampler())
    )
    torch.testing.assert_close(euler, posterior, atol=1e-12, rtol=0)


@pytest.mark.parametrize("t", TIMES)
def test_the_velocity_holds_the_score(t: float) -> None:
    x, times = flow.points(50, t, seed=2)
    point = x.requires_grad_(True)
    (exact,) = torch.autograd.grad(torch.logsumexp(flow.log_densities(point, times), dim=1).sum(), point)
    found = score(x, flow.mixed_velocity(x, times), times)
    torch.testing.assert_close(found.detach(), exact, atol=1e-10, rtol=0)


@pytest.mark.parametrize("t", TIMES)
def test_a_classifier_of_strength_one_makes_the_classes_own_velocity(t: float) -> None:
    x, times = flow.points(50, t, seed=3)
    for label in range(2):
        bent = classifier_guided(flow.mixed_velocity, POSTERIORS[label], 1.0, from_noise)
        torch.testing.assert_close(bent(x, times), VELOCITIES[label](x, times), atol=1e-10, rtol=0)


@pytest.mark.parametrize("t", TIMES)
def test_a_classifier_bends_the_slope_along_a_diffusions_path_too(t: float) -> None:
    """x_t = a x1 + b x0 given a class is N(a m, a^2 s^2 + b^2), and the slope points to E[x1 given x_t]."""
    bridge = DiffusionBridge(schedule=VpSchedule(), start="noise")
    times = torch.full((50,), t, dtype=torch.float64)
    a, variance = bridge.schedule.alpha(1 - times)[:, None], bridge.schedule.variance(1 - times)[:, None]

    def slope(x: Tensor, label: int) -> Tensor:
        own = flow.STDS[label] ** 2
        mean = flow.MEANS[label] + a * own / (a**2 * own + variance) * (x - a * flow.MEANS[label])
        return (mean - x) / (1 - t)

    def joint(x: Tensor) -> Tensor:
        columns = []
        for label in range(2):
            of_class = (a * flow.STDS[label]) ** 2 + variance
            away = (x - a * flow.MEANS[label]).square().sum(dim=1, keepdim=True)
            columns.append(flow.SHARES[label].log() - of_class.log() - away / (2 * of_class))
        return torch.cat(columns, dim=1)

    def mixed(x: Tensor, s: Tensor) -> Tensor:
        weight = torch.softmax(joint(x), dim=1)
        return sum(weight[:, k, None] * slope(x, k) for k in range(2))

    x = noise(50, seed=9)
    for label in range(2):
        bent = classifier_guided(
            mixed, lambda x, s, k=label: torch.log_softmax(joint(x), dim=1)[:, k], 1.0, along(bridge)
        )
        torch.testing.assert_close(bent(x, times), slope(x, label), atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_both_guidances_are_one_field_where_both_are_exact(scale: float) -> None:
    x, times = flow.points(50, 0.4, seed=4)
    free = classifier_free(VELOCITIES[1], flow.mixed_velocity, scale)
    bent = classifier_guided(flow.mixed_velocity, POSTERIORS[1], scale, from_noise)
    torch.testing.assert_close(free(x, times), bent(x, times), atol=1e-10, rtol=0)


def test_the_classifier_guides_from_the_first_moment() -> None:
    """At t = 0 the weight has no value, but weight times gradient does: E[x1 | y] - E[x1]."""
    x, start = noise(20), torch.zeros(20, dtype=torch.float64)
    bent = classifier_guided(flow.mixed_velocity, POSTERIORS[0], 1.0, from_noise, earliest=1e-3)(x, start)
    torch.testing.assert_close(bent, VELOCITIES[0](x, start), atol=0.01, rtol=0)


@pytest.mark.parametrize("t", TIMES)
def test_a_classifier_turns_a_bridges_drift_into_that_of_a_class(t: float) -> None:
    """The h-transform, from x0 = 0: x_t given a class is N(t m, t^2 s^2 + sigma^2 t (1 - t))."""
    sigma = 0.7

    def variance(label: int, s: Tensor) -> Tensor:
        return (s * flow.STDS[label]) ** 2 + sigma**2 * s * (1 - s)

    def drift(x: Tensor, s: Tensor, label: int) -> Tensor:
        s = s[:, None]
        gain = s * flow.STDS[label] ** 2 / variance(label, s)
        return (flow.MEANS[label] + gain * (x - s * flow.MEANS[label]) - x) / (1 - s)

    def joint(x: Tensor, s: Tensor) -> Tensor:
        columns = []
        for label in range(2):
            away = (x - s[:, None] * flow.MEANS[label]).square().sum(dim=1)
            log_spread = variance(label, s).log()
            columns.append(flow.SHARES[label].log() - log_spread - away / (2 * variance(label, s)))
        return torch.stack(columns, dim=1)

    def mixed(x: Tensor, s: Tensor) -> Tensor:
        weight = torch.softmax(joint(x, s), dim=1)
        return sum(weight[:, k, None] * drift(x, s, k) for k in range(2))

    x, times = noise(50, seed=5), torch.full((50,), t, dtype=torch.float64)
    for label in range(2):
        bent = classifier_guided(
            mixed, lambda x, s, k=label: torch.log_softmax(joint(x, s), dim=1)[:, k], 1.0, of_bridge(sigma)
        )
        torch.testing.assert_close(bent(x, times), drift(x, times, label), atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0, 4.0])
def test_guided_samples_between_gaussians_have_the_known_mean_and_spread(scale: float) -> None:
    """Affine fields: log spread is the integral of the guided gain, s log s_y + (1 - s) log s_0."""
    z = noise(2000, seed=6)
    guided = classifier_free(VELOCITIES[0], VELOCITIES[1], scale)
    arrived, _ = solve(HeunSampler(), guided, z, 200)
    spread = flow.STDS[0] ** scale * flow.STDS[1] ** (1 - scale)
    # x1 is affine in z, so the ratio is exact for any sample.
    slope = float((arrived[1] - arrived[0])[0] / (z[1] - z[0])[0])
    assert slope == pytest.approx(float(spread), rel=2e-3)

    def growth(t: float) -> float:
        """The spread at t under the guided field, from 1."""
        time = torch.tensor(t, dtype=torch.float64)
        return float(flow.spread(time, 0) ** scale * flow.spread(time, 1) ** (1 - scale))

    def push(t: float, axis: int) -> float:
        """The guided field at the origin, scaled to the end."""
        origin, time = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([t], dtype=torch.float64)
        return float(guided(origin, time)[0, axis]) * growth(1) / growth(t)

    mean = [scipy.integrate.quad(push, 0, 1, args=(axis,))[0] for axis in range(2)]
    np.testing.assert_allclose((arrived - slope * z)[:5], np.tile(mean, (5, 1)), atol=5e-3)


def test_a_learned_field_is_the_closed_form_with_and_without_its_class() -> None:
    """One network, its class withheld from three samples in ten: velocity of each class, of both, and the
    guided one.
    """
    torch.set_num_threads(1)
    network, generator = PlaneNetwork(seed=0, width=64, beside=2), torch.Generator().manual_seed(1)
    steps, batch = 1200, 1024
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    timesteps = UniformTimesteps(cap=0.95)
    codes = torch.eye(2)
    for _ in range(steps):
        label = (torch.rand(batch, generator=generator) >= flow.SHARES[0]).long()
        x0 = torch.randn(batch, 2, generator=generator)
        x1 = flow.MEANS[label].float() + flow.STDS[label, None].float() * torch.randn(
            batch, 2, generator=generator
        )
        code = codes[label] * (torch.rand(batch, 1, generator=generator) < 0.7)
        t = timesteps.sample(batch, generator)
        x_t = interpolate(x0, x1, t, torch.zeros_like(x0), 0.0)
        loss = (network(x_t, t, code) - velocity(x0, x1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    network.requires_grad_(False)

    def learned(code: Tensor):
        return lambda x, t: network(x.float(), t.float(), code.expand(len(x), 2)).double()

    conditional, unconditional = learned(codes[0]), learned(torch.zeros(2))
    guided = classifier_free(conditional, unconditional, 2.0)
    exact_guided = classifier_free(VELOCITIES[0], flow.mixed_velocity, 2.0)
    for t in (0.1, 0.5, 0.9):
        # Each field where it is used: on points of its own law.
        x, times = flow.points(4000, t, seed=7)
        of_class = [flow.points(4000, t, seed=8, label=label)[0] for label in range(2)]
        for found, exact, points in (
            (conditional, VELOCITIES[0], of_class[0]),
            (learned(codes[1]), VELOCITIES[1], of_class[1]),
            (unconditional, flow.mixed_velocity, x),
            (guided, exact_guided, of_class[0]),
        ):
            wanted = exact(points, times)
            missed = (found(points, times) - wanted).square().sum() / wanted.square().sum()
            assert float(missed) < 0.02, t


def test_solvers_of_an_ode_are_refused_on_a_bridge_with_noise() -> None:
    uniform = UniformTimesteps(cap=0.98)
    for sampler in (EulerSampler(), HeunSampler(), Dopri5Sampler()):
        with pytest.raises(ConfigError, match="this model is a bridge with noise"):
            check_sampler(sampler, 4, uniform, bridge=BrownianBridge(sigma=0.1), sees_source=True)
        check_sampler(sampler, 4, uniform, bridge=BrownianBridge(sigma=0), sees_source=False)


def test_adaptive_steps_are_refused_where_times_were_left_out_of_training() -> None:
    for timesteps in (UniformTimesteps(cap=0.9), DiscreteTimesteps(times=(0.0, 0.98), weights=(0.5, 0.5))):
        with pytest.raises(ConfigError, match="was not trained at all of them"):
            check_sampler(Dopri5Sampler(), 1, timesteps, bridge=BrownianBridge(sigma=0), sees_source=False)
