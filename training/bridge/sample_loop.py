"""The loop of sampling, and the checks before it: whether a network can be sampled like that at all."""

import itertools
from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.bridges import AnyBridge, BridgeProcess
from pairbridge.training.bridge.samplers import FieldFn, Sampler, Step, times_like, uniform_grid
from pairbridge.training.bridge.timesteps import Timesteps

# An upper end for the list of step counts in an error message; LBM itself is used with four at most.
_MAX_SUGGESTED_STEPS = 20
# Times at which a sampler that chooses its own is asked for before it may.
_PROBES = 100


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
    sampler: Sampler, steps: int, timesteps: Timesteps, *, bridge: AnyBridge, sees_source: bool
) -> tuple[float, ...]:
    """The times of `steps` steps. Raises ConfigError where a network that was trained at `timesteps` on
    `bridge` cannot be sampled like that.
    """
    if sampler.needs_source and not sees_source:
        raise ConfigError(
            f"the {sampler.kind} sampler needs a model that sees the source at every step",
            consequence="the noise it subtracts cannot be told from the target",
            remedy="use the posterior sampler, or train with `source` among denoiser.conditions",
        )
    if sampler.bridges == "brownian" and bridge.sigma is None:
        raise ConfigError(
            f"the {sampler.kind} sampler follows a Brownian bridge, and this model has one of its own",
            consequence="its steps would lead to another law than the target's",
            remedy="use the posterior sampler",
        )
    if sampler.bridges == "flow" and not bridge.is_flow:
        raise ConfigError(
            f"the {sampler.kind} sampler follows an ODE, and this model is a bridge with noise",
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
    bridge: BridgeProcess,
    generator: torch.Generator | list[torch.Generator],
) -> Tensor:
    """Sample x1 given x0 (B, ...) with one evaluation of `field` at each of `times`; the last step goes to 1.

    `check_grid` tells whether `times` suit a network. For the one time [0] all samplers but `euler_maruyama`
    return x0 + v(x0, 0), without a random number, and so do those of an ODE along a straight path.
    generator: of the batch, or one for each sample.
    """

    def noise() -> Tensor:
        # Drawn on the generator's device, so that a CPU seed gives the same picture on any accelerator.
        return randn_tensor(x0.shape, generator, x0.device, x0.dtype)

    def slope(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return bridge.ode_velocity(x, v, t) if sampler.bridges == "flow" else v

    x, earlier = x0, None
    for a, b in itertools.pairwise((*times, 1.0)):
        t = times_like(x, a)
        v = field(x, t)
        x1 = bridge.estimate_target(x, v, t)
        x = sampler.advance(
            Step(
                field=lambda x, t: slope(x, field(x, t), t),
                x0=x0,
                x=x,
                v=slope(x, v, t),
                x1=x1,
                a=a,
                b=b,
                bridge=bridge,
                earlier=earlier,
                noise=noise,
            )
        )
        earlier = (a, x1)
    return x
