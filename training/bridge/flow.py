"""Flow matching: the bridge without noise, from Gaussian noise or from a source, and how its field is guided.

Lipman et al., arXiv 2210.02747; in latent space Dao et al., arXiv 2307.08698. Time runs as everywhere here:
t = 0 is the start x0, noise or a source's latent, t = 1 the data x1. At sigma = 0 path, target and estimate
are those of `pairbridge.training.bridge.equations`, drift and velocity are one, and the trained field is
that of an ODE:

    x_t = (1 - t) x0 + t x1,   v(x, t) = E[x1 - x0 | x_t = x],   dx = v dt

From noise x0 ~ N(0, I) the field also holds the score of the marginal p_t, and both guidances follow:

    score           grad log p_t(x) = (t v - x) / (1 - t)
    classifier      v(x, t | y) = v + w(t) grad log p(y | x_t),   w(t) = (1 - t) / t
    classifier-free v_s = v_0 + s (v_y - v_0);  s = 1 is the condition alone, s = 0 ignores it

Both are one field where both are exact, s being the classifier's strength too, for log p(y | x) = log p(x |
y) - log p(x) + const. What a strength other than 1 leads to is no law of any data, nor p(x) p(y | x)^s:
between Gaussians of spread sigma_0 and, given y, sigma_y it has the spread sigma_y^s sigma_0^(1 - s).

For a bridge with sigma > 0 that knows its source, the drift given y is the h-transform: w(t) = sigma^2. From
a source without noise nothing is left to choose, and a classifier cannot guide.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pairbridge.training.bridge.bridges import BrownianBridge, DiffusionBridge
from pairbridge.training.bridge.samplers import FieldFn

# (x_t (B, ...), t (B,)) -> log p(y | x_t) per sample (B,), differentiable in x_t.
LogProbability = Callable[[Tensor, Tensor], Tensor]
# t -> what the gradient of log p(y | x_t) is multiplied with at guidance 1.
Weight = Callable[[Tensor], Tensor]


def classifier_free(conditional: FieldFn, unconditional: FieldFn, scale: float) -> FieldFn:
    """The guided field; two evaluations a time, or one where the scale needs no other."""
    if scale == 1:
        return conditional
    if scale == 0:
        return unconditional

    def guided(x: Tensor, t: Tensor) -> Tensor:
        without = unconditional(x, t)
        return without + scale * (conditional(x, t) - without)

    return guided


def classifier_guided(
    field: FieldFn,
    log_probability: LogProbability,
    scale: float,
    weight: Weight,
    *,
    earliest: float = 0.05,
) -> FieldFn:
    """The field of everything, bent by a classifier of points on the path: `weight` is that `along` a path
    from noise, or `of_bridge(sigma)`.

    Before `earliest` the classifier is asked as if it were then. From noise its gradient is of order t at the
    start, and a weight of order 1 / t makes up for it: what a learned one errs there is multiplied as well.
    """

    def guided(x: Tensor, t: Tensor) -> Tensor:
        seen_at = t.clamp(min=earliest)
        with torch.enable_grad():
            point = x.detach().requires_grad_(True)
            # Summed: each sample's gradient is its own, whatever else is in the batch.
            (gradient,) = torch.autograd.grad(log_probability(point, seen_at).sum(), point)
        factor = scale * weight(seen_at).reshape(-1, *(1,) * (x.ndim - 1))
        return field(x, t) + factor * gradient

    return guided


def from_noise(t: Tensor) -> Tensor:
    """The classifier's weight on a flow that starts at N(0, I); t > 0."""
    return (1 - t) / t


def along(bridge: BrownianBridge | DiffusionBridge) -> Weight:
    """The classifier's weight on what a network predicts along a path from noise; t > 0.

    On a diffusion's path x_t = alpha x1 + sigma x0 given y moves the estimate of the data by sigma^2 / alpha
    times the gradient (Tweedie's formula), and so the slope that points to it by 1 / (1 - t) of that.
    """
    if isinstance(bridge, BrownianBridge):
        return from_noise

    def weight(t: Tensor) -> Tensor:
        s = 1 - t
        return bridge.schedule.variance(s) / (bridge.schedule.alpha(s) * s)

    return weight


def of_bridge(sigma: float) -> Weight:
    """The classifier's weight on a bridge, sampled with its noise."""
    return lambda t: torch.full_like(t, sigma**2)


def score(x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """grad log p_t at x_t (B, ...) from the velocity there, of a flow that starts at N(0, I); t < 1."""
    s = t.reshape(-1, *(1,) * (x_t.ndim - 1))
    return (s * v - x_t) / (1 - s)
