"""From a source to a target: one network evaluation, or N with a step of some sampler after each.

Time runs from t = 0 (source) to t = 1 (target); a step goes a -> b. Every random number comes from the
caller's generator. With x1 the estimate of the target at (x, a), r = (b - a) / (1 - a) and
c_t = sigma sqrt(t (1 - t)):

    posterior       x <- (1 - r) x + r x1 + sigma sqrt((b - a) (1 - b) / (1 - a)) eps    exact bridge step
    euler_maruyama  x <- x + (b - a) v + sigma sqrt(b - a) eps                           the SDE, discretised
    dbim            x <- (1 - b) x0 + b x1 + sqrt(c_b^2 - rho^2) / c_a (x - (1 - a) x0 - a x1) + rho eps,
                    rho = eta sigma sqrt((b - a) (1 - b) / (1 - a))          needs a field that knows x0
    reference       x <- x + (b - a) v, then + c_b eps unless b = 1                      biased, see below

and for sigma = 0 alone, where the field is that of an ODE (`pairbridge.training.bridge.flow`):

    euler           x <- x + (b - a) v                                                   order 1
    heun            x <- x + (b - a) (v + v(x + (b - a) v, b)) / 2                       order 2
    dopri5          Dormand and Prince's pair, with steps that keep an error             order 5

`posterior` and `euler_maruyama` keep every marginal of a perfect drift as steps shrink, whether or not the
field knows x0. `dbim` (arXiv 2405.15885) with eta 1 is `posterior`; with eta 0 everything after its first
step is deterministic. `reference` is what the code released with LBM does: the noise that it adds at every
step was partly there already, so its spread grows without bound with the number of steps.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Protocol, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.equations import estimate_target, posterior_step
from pairbridge.training.bridge.timesteps import Timesteps

# (x_t, t) -> v, with x_t (B, C, H, W) and t (B,).
FieldFn = Callable[[Tensor, Tensor], Tensor]

# An upper end for the list of step counts in an error message; LBM itself is used with four at most.
_MAX_SUGGESTED_STEPS = 20
# Times at which a sampler that chooses its own is asked for before it may.
_PROBES = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step a -> b: the source, where the path is, the field there and the target that it points to.

    `field` is there for more evaluations. `earlier`: time and target estimate of the step before, None at the
    first. `noise()` draws a standard normal like x; a sampler that needs none does not call it.
    """

    field: FieldFn
    x0: Tensor
    x: Tensor
    v: Tensor
    x1: Tensor
    a: float
    b: float
    sigma: float
    earlier: tuple[float, Tensor] | None
    noise: Callable[[], Tensor]


class Sampler(Protocol):
    """How to get from one time to the next."""

    kind: str
    # Whether the field has to be conditional on the source.
    needs_source: bool
    # Whether it follows an ODE, which the field of a bridge with noise is not the right side of.
    needs_flow: bool
    # Whether the network is evaluated at times of the sampler's choice up to the last of `times`.
    adaptive: bool

    def times(self, steps: int) -> tuple[float, ...]:
        """When the network is evaluated; see `uniform_grid`."""

    def advance(self, step: Step) -> Tensor: ...


class _OnUniformGrid(FrozenModel):
    """Evenly spaced evaluations of any field, whether it knows the source or not."""

    needs_source: ClassVar[bool] = False
    needs_flow: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False

    def times(self, steps: int) -> tuple[float, ...]:
        return uniform_grid(steps)


class PosteriorSampler(_OnUniformGrid):
    """The exact bridge between the evaluations; the last step returns the estimate, without noise."""

    kind: Literal["posterior"] = "posterior"

    def advance(self, step: Step) -> Tensor:
        if step.b == 1:
            return step.x1
        return posterior_step(step.x, step.x1, step.a, step.b, step.noise(), step.sigma)


class EulerMaruyamaSampler(_OnUniformGrid):
    """The bridge's SDE in steps of equal drift; its last step is noisy, one step alone included."""

    kind: Literal["euler_maruyama"] = "euler_maruyama"

    def advance(self, step: Step) -> Tensor:
        width = step.b - step.a
        return step.x + width * step.v + step.sigma * width**0.5 * step.noise()


class DbimSampler(FrozenModel):
    """Diffusion bridge implicit models, for fields that know the source."""

    needs_source: ClassVar[bool] = True
    needs_flow: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False

    kind: Literal["dbim"] = "dbim"
    eta: float = Field(default=0.0, ge=0, le=1)
    """0: deterministic after the first step; 1: the posterior sampler."""
    order: Literal[1, 2] = 1
    """2 also uses the estimate of the step before: fewer steps for the same error. Deterministic only."""
    grid: Literal["uniform", "cosine"] = "uniform"
    """cosine: short steps at both ends, which takes most of the first-order error away; needs a network that
    was trained at continuous times."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.order == 2 and self.eta:
            raise ValueError(f"order 2 is for eta 0, got eta {self.eta}")
        return self

    def times(self, steps: int) -> tuple[float, ...]:
        return uniform_grid(steps) if self.grid == "uniform" else cosine_grid(steps)

    def advance(self, step: Step) -> Tensor:
        a, b, x0, x1 = step.a, step.b, step.x0, step.x1
        if b == 1:
            return x1
        spread = _unit_std(b)
        if a == 0:
            # The path starts without noise that could be carried along, so it is put there once.
            return (1 - b) * x0 + b * x1 + step.sigma * spread * step.noise()
        fresh = self.eta * math.sqrt((b - a) * (1 - b) / (1 - a))
        carried = math.sqrt(max(spread**2 - fresh**2, 0.0)) / _unit_std(a)
        if self.order == 2 and step.earlier is not None and step.earlier[0] > 0:
            return self._second_order(step, carried)
        mean = (1 - b) * x0 + b * x1 + carried * (step.x - (1 - a) * x0 - a * x1)
        return mean + step.sigma * fresh * step.noise() if fresh else mean

    @staticmethod
    def _second_order(step: Step, carried: float) -> Tensor:
        """The exponential integrator in lambda = log(t / c_t), with the estimate linear in lambda."""
        a, b = step.a, step.b
        before, x1_before = step.earlier
        h, h_before = _log_ratio(b) - _log_ratio(a), _log_ratio(a) - _log_ratio(before)
        decay = math.exp(-h)
        slope = (step.x1 - x1_before) / h_before
        estimate = (1 - decay) * step.x1 + (decay + h - 1) * slope
        return carried * step.x + ((1 - b) - (1 - a) * carried) * step.x0 + b * estimate


class ReferenceSampler(_OnUniformGrid):
    """What the code released with LBM does, for comparison with its weights: biased beyond one step."""

    kind: Literal["reference"] = "reference"

    def advance(self, step: Step) -> Tensor:
        x = step.x + (step.b - step.a) * step.v
        return x if step.b == 1 else x + step.sigma * _unit_std(step.b) * step.noise()


class EulerSampler(_OnUniformGrid):
    """What `posterior` is without noise, by its name."""

    needs_flow: ClassVar[bool] = True

    kind: Literal["euler"] = "euler"

    def advance(self, step: Step) -> Tensor:
        return step.x + (step.b - step.a) * step.v


class HeunSampler(_OnUniformGrid):
    """The mean of the slopes at both ends of a step: 2 N - 1 evaluations in N steps.

    The last step is Euler's, for no network is trained at t = 1; being one, it leaves the order at 2.
    """

    needs_flow: ClassVar[bool] = True

    kind: Literal["heun"] = "heun"

    def advance(self, step: Step) -> Tensor:
        width = step.b - step.a
        ahead = step.x + width * step.v
        if step.b == 1:
            return ahead
        return step.x + width / 2 * (step.v + step.field(ahead, _times_like(ahead, step.b)))


class Dopri5Sampler(FrozenModel):
    """Adaptive steps up to `end`, then the target that the field points to there. Needs torchdiffeq.

    How many evaluations that takes is its own choice, whatever number of steps is asked for. One step size
    serves the whole batch: a sample's last digits depend on its company.
    """

    needs_source: ClassVar[bool] = False
    needs_flow: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True

    kind: Literal["dopri5"] = "dopri5"
    rtol: float = Field(default=1e-5, gt=0)
    """Of the error that a step may make: relative to the state, and in latent units."""
    atol: float = Field(default=1e-5, gt=0)
    end: float = Field(default=0.98, gt=0, lt=1)
    """Up to here; the network has to be trained up to it."""

    def times(self, steps: int) -> tuple[float, ...]:
        return (0.0, self.end)

    def advance(self, step: Step) -> Tensor:
        if step.b == 1:
            return step.x1
        try:
            from torchdiffeq import odeint
        except ImportError as error:
            raise ConfigError(
                "the dopri5 sampler needs torchdiffeq, which is not installed",
                consequence="there is nothing to integrate with",
                remedy="pip install 'pairbridge[solvers]', or use heun",
            ) from error
        path = odeint(
            lambda t, x: step.field(x, _times_like(x, float(t))),
            step.x,
            torch.tensor([step.a, step.b], dtype=torch.float64, device=step.x.device),
            rtol=self.rtol,
            atol=self.atol,
            method="dopri5",
        )
        return path[-1]


AnySampler = Annotated[
    PosteriorSampler
    | EulerMaruyamaSampler
    | DbimSampler
    | ReferenceSampler
    | EulerSampler
    | HeunSampler
    | Dopri5Sampler,
    Field(discriminator="kind"),
]
SAMPLERS: dict[str, type[FrozenModel]] = {
    "posterior": PosteriorSampler,
    "euler_maruyama": EulerMaruyamaSampler,
    "dbim": DbimSampler,
    "reference": ReferenceSampler,
    "euler": EulerSampler,
    "heun": HeunSampler,
    "dopri5": Dopri5Sampler,
}


def uniform_grid(steps: int) -> tuple[float, ...]:
    """The times at which N-step sampling evaluates the network: 0, 1/N, ..., (N-1)/N."""
    return tuple(k / steps for k in range(steps))


def cosine_grid(steps: int) -> tuple[float, ...]:
    """(1 - cos(pi k / N)) / 2 for k < N."""
    return tuple((1 - math.cos(math.pi * k / steps)) / 2 for k in range(steps))


def check_grid(times: Sequence[float], timesteps: Timesteps) -> None:
    """Raise ConfigError unless `times` rises from 0, stays below 1 and was trained throughout."""
    rising = all(a < b for a, b in itertools.pairwise(times))
    if not times or abs(times[0]) > 1e-9 or times[-1] >= 1 or not rising:
        raise ConfigError(
            f"sampling times {list(times)} do not rise from 0 to below 1",
            consequence="the bridge starts at the source, t = 0, and ends by itself at the target, t = 1",
            remedy="give times such as 0, 0.25, 0.5, 0.75",
        )
    untrained = [round(t, 4) for t in times if not timesteps.trained(t)]
    if untrained:
        counts = [
            n for n in range(1, _MAX_SUGGESTED_STEPS + 1) if all(map(timesteps.trained, uniform_grid(n)))
        ]
        raise ConfigError(
            f"sampling would evaluate the network at t = {untrained}, where it was never trained",
            consequence="the result would be an extrapolation that looks like a result",
            remedy=f"use one of these step counts: {counts}"
            if counts
            else f"train with {untrained} among the times",
        )


def check_sampler(
    sampler: Sampler, steps: int, timesteps: Timesteps, *, sigma: float, sees_source: bool
) -> tuple[float, ...]:
    """The times of `steps` steps. Raises ConfigError where a network that was trained at `timesteps` on a
    bridge of `sigma` cannot be sampled like that.
    """
    if sampler.needs_source and not sees_source:
        raise ConfigError(
            f"the {sampler.kind} sampler needs a model that sees the source at every step",
            consequence="the noise it subtracts cannot be told from the target",
            remedy="use the posterior sampler, or train with `source` among denoiser.conditions",
        )
    if sampler.needs_flow and sigma:
        raise ConfigError(
            f"the {sampler.kind} sampler follows an ODE, and this model is a bridge with sigma {sigma}",
            consequence="without the bridge's noise its drift leads to another law than the target's",
            remedy="use the posterior sampler, or train with bridge.sigma 0",
        )
    times = sampler.times(steps)
    if sampler.adaptive and not all(timesteps.trained(times[-1] * k / _PROBES) for k in range(_PROBES + 1)):
        raise ConfigError(
            f"the {sampler.kind} sampler evaluates the network at any time up to {times[-1]}, and it was not"
            " trained at all of them",
            consequence="the result would be an extrapolation that looks like a result",
            remedy="use euler or heun, or train with timesteps.kind uniform and a cap no lower than that",
        )
    check_grid(times, timesteps)
    return times


@torch.no_grad()
def sample(
    sampler: Sampler,
    field: FieldFn,
    x0: Tensor,
    times: Sequence[float],
    *,
    sigma: float,
    generator: torch.Generator,
) -> Tensor:
    """Sample x1 given x0 (B, ...) with one evaluation of `field` at each of `times`; the last step goes to 1.

    `check_grid` tells whether `times` suit a network. All samplers but `euler_maruyama` return x0 + v(x0, 0)
    for the one time [0], without a random number.
    """

    def noise() -> Tensor:
        # Drawn on the generator's device, so that a CPU seed gives the same picture on any accelerator.
        return torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=generator.device).to(
            x0.device
        )

    x, earlier = x0, None
    for a, b in itertools.pairwise((*times, 1.0)):
        t = _times_like(x, a)
        v = field(x, t)
        x1 = estimate_target(x, v, t)
        x = sampler.advance(
            Step(field=field, x0=x0, x=x, v=v, x1=x1, a=a, b=b, sigma=sigma, earlier=earlier, noise=noise)
        )
        earlier = (a, x1)
    return x


def _times_like(x: Tensor, t: float) -> Tensor:
    """(B,) of one time for x (B, ...)."""
    return torch.full((x.shape[0],), t, dtype=x.dtype, device=x.device)


def _unit_std(t: float) -> float:
    """c_t / sigma: ratios of spreads are the same at every sigma, 0 included."""
    return math.sqrt(t * (1 - t))


def _log_ratio(t: float) -> float:
    return math.log(t / _unit_std(t))
