"""Which times a bridge is trained at: t = 0 is the source, t = 1 the target.

One step at t = 0 is all that fast translation needs, and several steps need the times of their grid. A
sampler asks `trained(t)` before it evaluates the network there: at a time it never saw its output means
nothing.
"""

import math
from typing import Annotated, Literal, Protocol, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pairbridge.datagen.core.frozen import FrozenModel

# Times are compared with this tolerance, never for equality: 1/3 in a configuration is not 1/3 in binary.
TIME_TOLERANCE = 1e-3


class Timesteps(Protocol):
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n times, float32 (n,), on the CPU; drawn from `generator` alone."""

    def trained(self, t: float) -> bool:
        """Whether a network fitted with this distribution may be evaluated at t."""


class UniformTimesteps(FrozenModel):
    """t ~ U[0, cap). The drift's weight 1/(1-t)^2 grows without bound at the target, hence a cap below 1."""

    kind: Literal["uniform"] = "uniform"
    """Selects this variant."""
    cap: float = Field(default=0.98, gt=0, lt=1)
    """Latest time that is drawn, in (0, 1). At 1, the target, the drift has no bound."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, generator=generator) * self.cap

    def trained(self, t: float) -> bool:
        return 0.0 <= t <= self.cap + TIME_TOLERANCE


class LogitNormalTimesteps(FrozenModel):
    """t = sigmoid(N(mean, std)) below `cap`, or exactly 0 with probability `at_source`.

    The density vanishes at t = 0, the one time that one-step translation uses; `at_source` puts it back.
    """

    kind: Literal["logit_normal"] = "logit_normal"
    """Selects this variant."""
    mean: float = 0.0
    """Mean of the normal distribution, before the sigmoid. 0 centres times at 1/2."""
    std: float = Field(default=1.0, gt=0)
    """Standard deviation of the normal distribution, before the sigmoid."""
    at_source: float = Field(default=0.25, ge=0, lt=1)
    """Probability in [0, 1) of the time 0, which one-step translation uses."""
    cap: float = Field(default=0.98, gt=0, lt=1)
    """Latest time that is drawn, in (0, 1). At 1, the target, the drift has no bound."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        t = torch.sigmoid(torch.randn(n, generator=generator) * self.std + self.mean).clamp(max=self.cap)
        return torch.where(torch.rand(n, generator=generator) < self.at_source, 0.0, t)

    def trained(self, t: float) -> bool:
        if abs(t) <= TIME_TOLERANCE:
            return self.at_source > 0
        # Outside the central 99.8 % the network saw too few samples to be asked.
        low, high = (_sigmoid(self.mean + z * self.std) for z in (-3.09, 3.09))
        return low <= t <= min(high, self.cap)


class DiscreteTimesteps(FrozenModel):
    """t is `times[i]` with probability `weights[i]`; LBM relights with 0, 1/4, 1/2, 3/4 at 1/4 each."""

    kind: Literal["discrete"] = "discrete"
    """Selects this variant."""
    times: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    """Times that are drawn, in [0, 1). A sampler can evaluate the network at these alone."""
    weights: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    """Probability of each of `times`. They sum to 1."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.times) != len(self.weights) or not self.times:
            raise ValueError(f"{len(self.times)} times need as many weights, got {len(self.weights)}")
        if not all(0 <= t < 1 for t in self.times):
            raise ValueError(f"times must lie in [0, 1), got {self.times}: the drift is undefined at t = 1")
        if min(self.weights) <= 0 or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights must be positive and sum to 1, got {self.weights}")
        return self

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        picked = torch.multinomial(torch.tensor(self.weights), n, replacement=True, generator=generator)
        return torch.tensor(self.times)[picked]

    def trained(self, t: float) -> bool:
        return any(abs(t - time) <= TIME_TOLERANCE for time in self.times)


class LogUniformTimesteps(FrozenModel):
    """log t ~ U[log low, log cap), or t ~ U[low, cap) with probability `uniform_share`.

    At small sigma a path shows which target it goes to within t ~ (sigma / distance of the targets)^2, times
    that a uniform draw hardly ever takes; what the targets are like shows late, where a log-uniform draw
    seldom comes. For distillation (pairbridge.training.distillation.distillation_config), which needs both.
    """

    kind: Literal["log_uniform"] = "log_uniform"
    """Selects this variant."""
    low: float = Field(default=1e-5, gt=0, lt=1)
    """Earliest time that is drawn, in (0, 1), below `cap`."""
    cap: float = Field(default=0.98, gt=0, lt=1)
    """Latest time that is drawn, in (0, 1). At 1, the target, the drift has no bound."""
    uniform_share: float = Field(default=0.0, ge=0, lt=1)
    """Probability in [0, 1) of a time that is uniform between `low` and `cap`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.cap:
            raise ValueError(f"low must be below cap, got {self.low} and {self.cap}")
        return self

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(n, generator=generator)
        late = torch.rand(n, generator=generator) < self.uniform_share
        return torch.where(late, self.low + (self.cap - self.low) * u, self.low * (self.cap / self.low) ** u)

    def trained(self, t: float) -> bool:
        return self.low - TIME_TOLERANCE <= t <= self.cap + TIME_TOLERANCE


AnyTimesteps = Annotated[
    UniformTimesteps | LogitNormalTimesteps | LogUniformTimesteps | DiscreteTimesteps,
    Field(discriminator="kind"),
]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
