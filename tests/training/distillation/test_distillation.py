"""Distillation of a Gaussian bridge: objective and optimum in closed form (notes/bridges.md 8, T9 and T10).

x0 ~ N(0.5, 1), x1 | x0 ~ N(-1 + 0.8 x0, 0.36), sigma 0.5; student a + b x0 + rho z. For it the best critic is
affine as well, so nothing but the student has to be fitted.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.equations import BridgeField
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import EvenSampler, PosteriorSampler, Step
from pairbridge.training.distillation.distillation_equations import (
    Multistep,
    draw_student,
    matching_error,
    student_loss,
    student_sample,
)

BRIDGE = BrownianBridge(sigma=0.5)
M0, S0 = 0.5, 1.0
TEACHER = (-1.0, 0.8, 0.6)
GRID = torch.linspace(0.002, 0.998, 500, dtype=torch.float64)
ONE_STEP = (0.0,)


def moments(law, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and variance of x_t, slope and intercept of E[x1 | x_t], for x1 = a + b x0 + rho z."""
    a, b, rho = law
    mean = (1 - t) * M0 + t * (a + b * M0)
    variance = (1 - t + t * b) ** 2 * S0 + t**2 * rho**2 + BRIDGE.sigma**2 * t * (1 - t)
    slope = ((1 - t) * b * S0 + t * (b**2 * S0 + rho**2)) / variance
    return mean, variance, slope, a + b * M0 - slope * mean


def field_of(law) -> Callable[[Tensor, Tensor], Tensor]:
    """The exact drift of the bridge matched to (x0, a + b x0 + rho z)."""

    def field(x: Tensor, t: Tensor) -> Tensor:
        _, _, slope, intercept = moments(law, t)
        return (slope[:, None] * x + intercept[:, None] - x) / (1 - t)[:, None]

    return field


def objective(law) -> float:
    """The mean over the grid of E |x1* - x1_phi|^2 on the student's own bridge."""
    mean, variance, slope, intercept = moments(law, GRID)
    _, _, of_teacher, at_teacher = moments(TEACHER, GRID)
    difference = slope - of_teacher
    return float((difference**2 * variance + (difference * mean + intercept - at_teacher) ** 2).mean())


class Affine(nn.Module):
    """G(x0, z) = a + b x0 + rho z, as the field of one step from t = 0."""

    def __init__(self, a: float, b: float, rho: float) -> None:
        super().__init__()
        self.law = nn.Parameter(torch.tensor([a, b, rho], dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        a, b, rho = self.law
        return a + b * x + rho * z - x


def draws_for(batch: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    x0 = M0 + S0**0.5 * torch.randn(batch, 1, generator=generator, dtype=torch.float64)
    # Every time of the grid in turn: the mean over a batch is that of the closed form.
    t = GRID.repeat(-(-batch // len(GRID)))[:batch]
    return x0, draw_student(x0.shape, t, 1, generator, dtype=torch.float64)


def loss_of(student: Affine, x0: Tensor, draws) -> Tensor:
    x1 = student_sample(student, x0, ONE_STEP, draws, BRIDGE, Multistep.CHAIN)
    critic = field_of(student.law.detach())
    return student_loss(field_of(TEACHER), critic, x0, x1, draws, BRIDGE).per_sample.mean()


def fit(student: Affine, *, keep: int | None = None, steps: int = 700) -> list[float]:
    """`keep`: the parameter that stays as it is."""
    optimiser = torch.optim.Adam(student.parameters(), lr=2e-2)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        optimiser.zero_grad()
        loss_of(student, *draws_for(1000, step)).backward()
        if keep is not None:
            student.law.grad[keep] = 0
        optimiser.step()
        decay.step()
    return student.law.detach().tolist()


def test_the_tractable_objective_is_the_distance_of_both_bridges() -> None:
    law = (0.2, 0.3, 0.9)
    assert objective(law) == pytest.approx(0.36737, abs=1e-5)
    with torch.no_grad():
        found = float(loss_of(Affine(*law), *draws_for(1_000_000, 0)))
    assert found == pytest.approx(objective(law), abs=1.5e-3)


def test_the_student_reaches_the_teachers_law() -> None:
    assert fit(Affine(0.0, 0.0, 0.05)) == pytest.approx(TEACHER, abs=1e-2)


def test_without_noise_the_optimum_is_not_zero_and_not_the_conditional_mean() -> None:
    a, b, rho = fit(Affine(0.0, 0.0, 0.0), keep=2)
    assert (a, b, rho) == pytest.approx((-1.0499, 0.8998, 0.0), abs=1e-2)
    assert objective((a, b, 0.0)) == pytest.approx(0.00206, abs=5e-5)
    assert objective((-1.0, 0.8, 0.0)) == pytest.approx(0.00566, abs=5e-5)


@pytest.mark.parametrize("multistep", list(Multistep))
def test_the_student_walks_the_bridge_as_the_posterior_sampler_does(multistep: Multistep) -> None:
    times = (0.0, 1 / 3, 2 / 3)
    x0, _ = draws_for(64, 0)
    draws = draw_student(x0.shape, GRID[:64], 3, torch.Generator().manual_seed(4), dtype=torch.float64)
    draws = replace(draws, place=2)
    field = field_of(TEACHER)
    walked = student_sample(lambda x, t, z: field(x, t), x0, times, draws, BRIDGE, multistep)
    sampler = Replayed(draws.steps)
    expected = sample(sampler, field, x0, times, bridge=BRIDGE, generator=torch.Generator())
    torch.testing.assert_close(walked, expected)


def test_a_chain_has_the_gradient_of_all_its_steps_and_a_timestep_of_one() -> None:
    x0, _ = draws_for(8, 0)
    draws = replace(draw_student(x0.shape, GRID[:8], 2, torch.Generator(), dtype=torch.float64), place=1)
    seen: dict[Multistep, list[bool]] = {}
    for multistep in Multistep:
        student, graphs = Affine(0.0, 0.5, 0.5), []

        def watched(x: Tensor, t: Tensor, z: Tensor, student=student, graphs=graphs) -> Tensor:
            v = student(x, t, z)
            graphs.append(v.requires_grad)
            return v

        student_sample(watched, x0, (0.0, 0.5), draws, BRIDGE, multistep)
        seen[multistep] = graphs
    assert seen == {Multistep.CHAIN: [True, True], Multistep.TIMESTEP: [False, True]}


def test_the_gradient_goes_through_the_sample_and_through_the_inputs_of_both_networks() -> None:
    """For affine fields x1_hat = k x_t + c it is 2 e* (k* t - 1) - 2 e_phi (k_phi t - 1)."""
    x0, draws = draws_for(500, 1)
    x1 = (0.3 * x0).requires_grad_()
    critic_law = (0.1, 0.5, 0.4)
    student_loss(field_of(TEACHER), field_of(critic_law), x0, x1, draws, BRIDGE).per_sample.sum().backward()
    t = draws.t[:, None]
    x_t = (1 - t) * x0 + t * x1 + BRIDGE.sigma * torch.sqrt(t * (1 - t)) * draws.eps
    gradient = torch.zeros_like(x1)
    for sign, law in ((1, TEACHER), (-1, critic_law)):
        _, _, slope, intercept = moments(law, draws.t)
        error = slope[:, None] * x_t + intercept[:, None] - x1
        gradient += sign * 2 * error * (slope[:, None] * t - 1)
    torch.testing.assert_close(x1.grad, gradient)


def test_a_velocity_is_matched_without_its_bridge_noise() -> None:
    """The field x1 - x0 itself has no error; a drift's formula would see its noise."""
    x0, draws = draws_for(500, 2)
    x1 = 2 * x0 + 1
    bridge = BrownianBridge(sigma=0.5, field=BridgeField.VELOCITY)
    error = matching_error(lambda x, t: x1 - x0, x0, x1, draws.t, draws.eps, bridge)
    assert float(error.abs().max()) < 1e-12


class Replayed(EvenSampler):
    """The posterior sampler on noise that was drawn before."""

    def __init__(self, steps: tuple[Tensor, ...]) -> None:
        self._left = list(steps)

    def advance(self, step: Step) -> Tensor:
        return PosteriorSampler().advance(replace(step, noise=lambda: self._left.pop(0)))
