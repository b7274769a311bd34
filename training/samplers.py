"""From a source to a target: one network evaluation, or N with the exact bridge posterior between them.

Time runs from t = 0 (source) to t = 1 (target). Every random number comes from the caller's generator.
"""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from datagen.errors import ConfigError
from training.bridge import estimate_target, posterior_step
from training.timesteps import Timesteps

# (x_t, t) -> v, with x_t (B, C, H, W) and t (B,).
FieldFn = Callable[[Tensor, Tensor], Tensor]

# An upper end for the list of step counts in an error message; LBM itself is used with four at most.
_MAX_SUGGESTED_STEPS = 20


def uniform_grid(steps: int) -> tuple[float, ...]:
    """The times at which N-step sampling evaluates the network: 0, 1/N, ..., (N-1)/N."""
    return tuple(k / steps for k in range(steps))


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


@torch.no_grad()
def sample_posterior(
    field: FieldFn, x0: Tensor, times: Sequence[float], *, sigma: float, generator: torch.Generator
) -> Tensor:
    """Sample x1 given x0 (B, ...) with one evaluation of `field` at each of `times`.

    Between evaluations x moves by the exact bridge posterior towards the current estimate of x1, so a perfect
    drift keeps every marginal; the last step returns the estimate itself, without noise. One time, [0], is x0
    + v(x0, 0). `check_grid` tells whether `times` suit a network.
    """
    x = x0
    for a, b in itertools.pairwise(times):
        x1 = _estimate(field, x, a)
        # Drawn on the generator's device, so that a CPU seed gives the same picture on any accelerator.
        eps = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
        x = posterior_step(x, x1, a, b, eps, sigma)
    return _estimate(field, x, times[-1])


def _estimate(field: FieldFn, x: Tensor, time: float) -> Tensor:
    t = torch.full((x.shape[0],), time, dtype=x.dtype, device=x.device)
    return estimate_target(x, field(x, t), t)
