"""Inverse bridge matching distillation: a one- or few-step student of a bridge, equation by equation.

IBMD (arXiv 2502.01362). A bridge trained by regression gives in one step the mean of all targets; the
student G(x0, z), z ~ N(0, I), gives a sample. It is fitted so that the bridge matched to its own pairs (x0,
G) is the teacher's, which needs sources alone:

    min_G max_phi  E_t,eps  |x1*(x_t, t) - x1|^2 - |x1_phi(x_t, t) - x1|^2,      x1 = G(x0, z)    Prop. 3.3

with x_t the bridge between x0 and x1, x1* the teacher's estimate of the target and x1_phi the critic's: a
bridge that is trained on the student's pairs in turn. With the best critic this is E |x1* - x1_phi|^2, zero
where both bridges agree. Teacher and critic see the same x_t, and the gradient of the student goes through
x1, through x_t and through the inputs of both networks. Where the teacher knows the source, so does the
critic, and the optimum is the teacher's p(x1 | x0) (Theorem 3.4).

A student of several steps is evaluated at times 0 = tau_0 < tau_1 < ... with the posterior bridge between.
Everything here is on (B, ...) tensors of any rank; random numbers come as arguments.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from pairbridge.training.bridge.bridges import BridgeProcess
from pairbridge.training.bridge.equations import estimate_target
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.engine.torch_devices import to_device

# (x, t, z) -> v: the student's field at x, of which it makes its sample by `estimate_target`.
StudentFn = Callable[[Tensor, Tensor, Tensor], Tensor]


class Multistep(StrEnum):
    """What a student of several timesteps is fitted on.

    chain: the end of the whole chain, with the gradient through all of its steps. timestep: the estimate at
    one timestep, drawn for each step, that the chain up to it leads to; the gradient is that of this
    evaluation.
    """

    CHAIN = "chain"
    TIMESTEP = "timestep"


@dataclass(frozen=True, slots=True)
class StudentDraws:
    """All that is random in one step.

    t: (B,) times of the matching; eps: like x0, noise of the bridge there. z: one input noise a timestep,
    like x0; steps: posterior noise between timesteps, one fewer. place: of the timestep that
    `Multistep.TIMESTEP` fits.
    """

    t: Tensor
    eps: Tensor
    z: tuple[Tensor, ...]
    steps: tuple[Tensor, ...]
    place: int

    def rows(self, rows: slice) -> "StudentDraws":
        return self._with(lambda tensor: tensor[rows])

    def to(self, device: torch.device) -> "StudentDraws":
        return self._with(lambda tensor: to_device(tensor, device))

    def _with(self, change: Callable[[Tensor], Tensor]) -> "StudentDraws":
        z, steps = (tuple(map(change, noise)) for noise in (self.z, self.steps))
        return StudentDraws(change(self.t), change(self.eps), z, steps, self.place)


def draw_student(
    shape: Sequence[int],
    t: Tensor,
    timesteps: int,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
) -> StudentDraws:
    """Draws for x0 of `shape` on the generator's device; `t` as `Timesteps.sample` gives it."""

    def noise() -> Tensor:
        return torch.randn(tuple(shape), generator=generator, dtype=dtype, device=generator.device)

    return StudentDraws(
        t=t.to(dtype),
        eps=noise(),
        z=tuple(noise() for _ in range(timesteps)),
        steps=tuple(noise() for _ in range(timesteps - 1)),
        place=int(torch.randint(timesteps, (), generator=generator, device=generator.device)),
    )


def student_sample(
    student: StudentFn,
    x0: Tensor,
    timesteps: Sequence[float],
    draws: StudentDraws,
    bridge: BridgeProcess,
    multistep: Multistep,
) -> Tensor:
    """x1 = G(x0, z), with its graph."""
    last = draws.place if multistep is Multistep.TIMESTEP else len(timesteps) - 1
    with torch.set_grad_enabled(torch.is_grad_enabled() and multistep is Multistep.CHAIN):
        x = x0
        for place, (a, b) in enumerate(itertools.pairwise(timesteps[: last + 1])):
            x1 = _estimate(student, x, a, draws.z[place])
            x = bridge.posterior_step(x, x1, a, b, draws.steps[place])
    return _estimate(student, x, timesteps[last], draws.z[last])


def matching_error(
    field: FieldFn, x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor, bridge: BridgeProcess
) -> Tensor:
    """|x1_hat - x1|^2 of `field` on the bridge between x0 and x1, mean over elements: (B,).

    For a drift; of a velocity's estimate its bridge noise is left out, as it is in its regression.
    """
    x_t = bridge.interpolate(x0, x1, t, eps)
    error = field(x_t, t) - bridge.regression_target(x0, x1, x_t, t)
    return (1 - t) ** 2 * error.square().flatten(1).mean(dim=1)


@dataclass(frozen=True, slots=True)
class StudentLoss:
    """`per_sample` = `teacher` - `critic`, (B,) each. With a critic that keeps up its mean is >= 0."""

    per_sample: Tensor
    teacher: Tensor
    critic: Tensor


def student_loss(
    teacher: FieldFn, critic: FieldFn, x0: Tensor, x1: Tensor, draws: StudentDraws, bridge: BridgeProcess
) -> StudentLoss:
    """What the student descends; `x1` with its graph, both fields differentiable in their input."""
    wrong = matching_error(teacher, x0, x1, draws.t, draws.eps, bridge)
    least = matching_error(critic, x0, x1, draws.t, draws.eps, bridge)
    return StudentLoss(wrong - least, wrong.detach(), least.detach())


def _estimate(student: StudentFn, x: Tensor, t: float, z: Tensor) -> Tensor:
    times = torch.full((len(x),), t, dtype=x.dtype, device=x.device)
    return estimate_target(x, student(x, times, z), times)
