"""The Brownian bridge between a source x0 (t = 0) and a target x1 (t = 1), equation by equation.

Latent Bridge Matching (arXiv 2503.07535), with every symbol in its paper meaning. Tensors are (B, ...) of any
rank, times are (B,) in [0, 1]; `sigma` is in units of the latent. Nothing here draws a random number: `eps`
is an argument.

    x_t     = (1 - t) x0 + t x1 + sigma sqrt(t (1 - t)) eps                    interpolant, Eq. 1
    drift   : v = (x1 - x_t) / (1 - t)                                         regression target, Eq. 2-4
    velocity: v = x1 - x0                                                      target of released LBM weights
    x1_hat  = x_t + (1 - t) v                                                  target estimate, Eq. 6
    x_b | x_a, x1 ~ N( (1 - r) x_a + r x1,  sigma^2 (b - a) (1 - b) / (1 - a) ),   r = (b - a) / (1 - a)

With the drift, `x1_hat` carries no bridge noise at any t and the posterior step keeps the bridge's marginals;
with the velocity it keeps sigma sqrt(t (1 - t)) eps. Both agree at t = 0 and at sigma = 0.
"""

from enum import StrEnum

import torch
from torch import Tensor


class BridgeField(StrEnum):
    """What the network regresses."""

    DRIFT = "drift"
    VELOCITY = "velocity"


def bridge_std(t: Tensor, sigma: float) -> Tensor:
    """Standard deviation of x_t given both ends; zero at t = 0 and t = 1."""
    return sigma * torch.sqrt(t * (1 - t))


def interpolate(x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor, sigma: float) -> Tensor:
    """A point x_t of the bridge pinned at x0 and x1."""
    s = times_over(t, x0)
    return (1 - s) * x0 + s * x1 + bridge_std(s, sigma) * eps


def drift(x_t: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """The bridge's drift at x_t towards x1; t < 1."""
    return (x1 - x_t) / (1 - times_over(t, x_t))


def velocity(x0: Tensor, x1: Tensor) -> Tensor:
    """The constant velocity from x0 to x1: the drift without its noise term."""
    return x1 - x0


def regression_target(field: BridgeField, x0: Tensor, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """What the network is to predict at (x_t, t)."""
    return drift(x_t, x1, t) if field is BridgeField.DRIFT else velocity(x0, x1)


def estimate_target(x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """The target that a field value v at (x_t, t) points to."""
    return x_t + (1 - times_over(t, x_t)) * v


def posterior_step(x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor, sigma: float) -> Tensor:
    """A point x_b of the bridge given its point x_a and its end x1; 0 <= a < b <= 1. At b = 1 it is x1."""
    r = (b - a) / (1 - a)
    return (1 - r) * x_a + r * x1 + sigma * ((b - a) * (1 - b) / (1 - a)) ** 0.5 * eps


def times_over(t: Tensor, x: Tensor) -> Tensor:
    """(B,) times shaped to broadcast over x."""
    return t.reshape(-1, *(1,) * (x.ndim - 1)).to(x.dtype)
