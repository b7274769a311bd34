"""From a source to a target: one network evaluation, or N with a step of some sampler after each.

Time runs from t = 0 (source) to t = 1 (target); a step goes a -> b. Every random number comes from the
caller's generator. With v the network's field at (x, a), x1 the target that it points to, r = (b - a) /
(1 - a) and c_t = sigma sqrt(t (1 - t)):

    sampler         step a -> b                                                       order   which bridges
    posterior       x <- (1 - r) x + r x1 + sigma sqrt((b - a) (1 - b) / (1 - a)) eps    1    any
    euler_maruyama  x <- x + (b - a) v + sigma sqrt(b - a) eps                           1    Brownian
    dbim            x <- (1 - b) x0 + b x1 + sqrt(c_b^2 - rho^2) / c_a                 1, 2   Brownian, and a
                    (x - (1 - a) x0 - a x1) + rho eps,                                        field that
                    rho = eta sigma sqrt((b - a) (1 - b) / (1 - a))                           knows x0
    reference       x <- x + (b - a) v, then + c_b eps unless b = 1                   biased  Brownian
    euler           x <- x + (b - a) v                                                   1    flows
    heun            x <- x + (b - a) (v + v(x + (b - a) v, b)) / 2                       2    flows
    dopri5          Dormand and Prince's pair, with steps that keep an error             5    flows
    own             a class of the user's own, see `Sampler`

Of a flow, a bridge with sigma 0 or a diffusion from noise, v is dx/dt of its ODE.

`posterior` and `euler_maruyama` keep every marginal of a perfect drift as steps shrink, whether or not the
field knows x0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Protocol, Self, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.bridge.bridges import BridgeProcess

# (x_t, t) -> v, with x_t (B, C, H, W) and t (B,).
FieldFn = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One step a -> b of `bridge`: the source, where the path is, the field there and the target it points
    to.

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
    bridge: BridgeProcess
    earlier: tuple[float, Tensor] | None
    noise: Callable[[], Tensor]


class Sampler(Protocol):
    """How to get from one time to the next. One of the user's own is made as `Class(**settings)` wherever it
    is used: it keeps no state. `EvenSampler` as its base leaves `advance` to write.
    """

    # What messages call it.
    kind: str
    # Whether the field has to be conditional on the source.
    needs_source: bool
    # flow: an ODE, which the field of a bridge with noise is not the right side of.
    bridges: Literal["any", "brownian", "flow"]
    # Whether the network is evaluated at times of the sampler's choice up to the last of `times`.
    adaptive: bool

    def times(self, steps: int) -> tuple[float, ...]:
        """When the network is evaluated; see `uniform_grid`."""

    def advance(self, step: Step) -> Tensor: ...


class EvenSampler:
    """Evenly spaced evaluations of any field of any bridge, whether it knows the source or not."""

    needs_source: ClassVar[bool] = False
    bridges: ClassVar[Literal["any", "brownian", "flow"]] = "any"
    adaptive: ClassVar[bool] = False

    def times(self, steps: int) -> tuple[float, ...]:
        return uniform_grid(steps)


class SpacedSampler(EvenSampler, FrozenModel):
    """Evaluations at times of one of two spacings."""

    grid: Literal["uniform", "cosine"] = "uniform"
    """Spacing of the steps. cosine: short ones at both ends, where targets part and where what is left of the
    noise shows: the target's law in a fraction of the steps, the more so the smaller sigma is. It needs a
    network that was trained at continuous times, up to a `cap` near 1."""

    def times(self, steps: int) -> tuple[float, ...]:
        return uniform_grid(steps) if self.grid == "uniform" else cosine_grid(steps)


class PosteriorSampler(SpacedSampler):
    """The exact bridge between the evaluations; the last step returns the estimate, without noise.

    Order 1, unbiased for any bridge. Not "posterior sampling" of inverse problems: nothing is conditioned on.
    """

    kind: Literal["posterior"] = "posterior"
    """Selects this variant."""

    def advance(self, step: Step) -> Tensor:
        if step.b == 1:
            return step.x1
        return step.bridge.posterior_step(step.x, step.x1, step.a, step.b, step.noise())


class EulerMaruyamaSampler(SpacedSampler):
    """The bridge's SDE in steps of constant drift; its last step is noisy, one step alone included.

    Weak order 1. Not `posterior`, whose noise ends with the path: prefer that one for images.
    """

    bridges: ClassVar = "brownian"

    kind: Literal["euler_maruyama"] = "euler_maruyama"
    """Selects this variant."""

    def advance(self, step: Step) -> Tensor:
        width = step.b - step.a
        return step.x + width * step.v + step.bridge.sigma * width**0.5 * step.noise()


class DbimSampler(SpacedSampler):
    """Diffusion bridge implicit models (arXiv 2405.15885), for fields that know the source.

    Order 1 or 2 in the number of steps. Not DDIM, which starts at noise: a path from a source has none at
    its first step, where it is drawn once. With eta 1 it is `posterior`.
    """

    needs_source: ClassVar[bool] = True
    bridges: ClassVar = "brownian"

    kind: Literal["dbim"] = "dbim"
    """Selects this variant."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Share of the noise that is drawn anew at every step, in [0, 1]. 0: every step but the first is
    deterministic. 1: the posterior sampler."""
    order: Literal[1, 2] = 1
    """Order of the solver. 2 also uses the estimate of the step before and needs fewer steps for the same
    error; eta must be 0."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.order == 2 and self.eta:
            raise ValueError(f"order 2 is for eta 0, got eta {self.eta}")
        return self

    def advance(self, step: Step) -> Tensor:
        a, b, x0, x1 = step.a, step.b, step.x0, step.x1
        if b == 1:
            return x1
        spread = _unit_std(b)
        if a == 0:
            # The path starts without noise that could be carried along, so it is put there once.
            return (1 - b) * x0 + b * x1 + step.bridge.sigma * spread * step.noise()
        fresh = self.eta * math.sqrt((b - a) * (1 - b) / (1 - a))
        carried = math.sqrt(max(spread**2 - fresh**2, 0.0)) / _unit_std(a)
        if self.order == 2 and step.earlier is not None and step.earlier[0] > 0:
            return self._second_order(step, carried)
        mean = (1 - b) * x0 + b * x1 + carried * (step.x - (1 - a) * x0 - a * x1)
        return mean + step.bridge.sigma * fresh * step.noise() if fresh else mean

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


class ReferenceSampler(EvenSampler, FrozenModel):
    """What the code released with LBM does, for comparison with its weights.

    Biased beyond one step: the noise that it adds was partly there already, so the spread of its samples
    grows without bound with the number of steps. Not the paper's sampler, which is `posterior`.
    """

    bridges: ClassVar = "brownian"

    kind: Literal["reference"] = "reference"
    """Selects this variant."""

    def advance(self, step: Step) -> Tensor:
        x = step.x + (step.b - step.a) * step.v
        return x if step.b == 1 else x + step.bridge.sigma * _unit_std(step.b) * step.noise()


class EulerSampler(EvenSampler, FrozenModel):
    """Order 1, one evaluation a step: what `posterior` is without noise, by its name.

    Not `euler_maruyama`, which is for bridges with noise.
    """

    bridges: ClassVar = "flow"

    kind: Literal["euler"] = "euler"
    """Selects this variant."""

    def advance(self, step: Step) -> Tensor:
        return step.x + (step.b - step.a) * step.v


class HeunSampler(EvenSampler, FrozenModel):
    """The mean of the slopes at both ends of a step: order 2, 2 N - 1 evaluations in N steps.

    The last step is Euler's, for no network is trained at t = 1; being one, it leaves the order at 2. Not the
    stochastic sampler of EDM (arXiv 2206.00364), whose steps are Heun's with noise in between.
    """

    bridges: ClassVar = "flow"

    kind: Literal["heun"] = "heun"
    """Selects this variant."""

    def advance(self, step: Step) -> Tensor:
        width = step.b - step.a
        ahead = step.x + width * step.v
        if step.b == 1:
            return ahead
        return step.x + width / 2 * (step.v + step.field(ahead, times_like(ahead, step.b)))


class Dopri5Sampler(FrozenModel):
    """Order 5, with adaptive steps up to `end`, then the target that the field points to there. Needs
    torchdiffeq.

    How many evaluations that takes is its own choice, whatever number of steps is asked for. One step size
    serves the whole batch: a sample's last digits depend on its company.
    """

    needs_source: ClassVar[bool] = False
    bridges: ClassVar[Literal["any", "brownian", "flow"]] = "flow"
    adaptive: ClassVar[bool] = True

    kind: Literal["dopri5"] = "dopri5"
    """Selects this variant."""
    rtol: float = Field(default=1e-5, gt=0)
    """Largest error of a step, relative to the state."""
    atol: float = Field(default=1e-5, gt=0)
    """Largest error of a step in latent units, beside `rtol`."""
    end: float = Field(default=0.98, gt=0, lt=1)
    """Time up to which the solver integrates, in (0, 1). The network has to be trained up to it."""

    def times(self, steps: int) -> tuple[float, ...]:
        return (0.0, self.end)

    def advance(self, step: Step) -> Tensor:
        if step.b == 1:
            return step.x1
        require("solvers", by="the sampler dopri5", consequence="nothing is drawn", otherwise="use heun")
        # An extra.
        from torchdiffeq import odeint

        path = odeint(
            lambda t, x: step.field(x, times_like(x, float(t))),
            step.x,
            torch.tensor([step.a, step.b], dtype=torch.float64, device=step.x.device),
            rtol=self.rtol,
            atol=self.atol,
            method="dopri5",
        )
        return path[-1]


class OwnSampler(UserCode):
    """A class of the user's own: a `Sampler`, made from its settings."""

    named_by: ClassVar[str] = "sampler"
    group: ClassVar[str] = "pairbridge.samplers"
    method: ClassVar[str] = "advance"

    kind: Literal["own"] = "own"
    """Selects this variant."""
    sampler: str
    """The sampler's class: path/to/file.py:Class, or the name of an entry point."""

    needs_source = property(lambda self: self.load().needs_source)
    bridges = property(lambda self: self.load().bridges)
    adaptive = property(lambda self: self.load().adaptive)

    def times(self, steps: int) -> tuple[float, ...]:
        return self.make().times(steps)

    def advance(self, step: Step) -> Tensor:
        return self.make().advance(step)


AnySampler = Annotated[
    PosteriorSampler
    | EulerMaruyamaSampler
    | DbimSampler
    | ReferenceSampler
    | EulerSampler
    | HeunSampler
    | Dopri5Sampler
    | OwnSampler,
    Field(discriminator="kind"),
]
# Ours, by the names that --sampler takes.
SAMPLERS: dict[str, type[FrozenModel]] = {
    one.model_fields["kind"].default: one
    for one in get_args(get_args(AnySampler)[0])
    if one is not OwnSampler
}


def uniform_grid(steps: int) -> tuple[float, ...]:
    """The times at which N-step sampling evaluates the network: 0, 1/N, ..., (N-1)/N."""
    return tuple(k / steps for k in range(steps))


def cosine_grid(steps: int) -> tuple[float, ...]:
    """(1 - cos(pi k / N)) / 2 for k < N."""
    return tuple((1 - math.cos(math.pi * k / steps)) / 2 for k in range(steps))


def times_like(x: Tensor, t: float) -> Tensor:
    """(B,) of one time for x (B, ...)."""
    return torch.full((x.shape[0],), t, dtype=x.dtype, device=x.device)


def _unit_std(t: float) -> float:
    """c_t / sigma: ratios of spreads are the same at every sigma, 0 included."""
    return math.sqrt(t * (1 - t))


def _log_ratio(t: float) -> float:
    return math.log(t / _unit_std(t))
