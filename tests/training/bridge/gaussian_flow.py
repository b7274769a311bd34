"""Flows from N(0, I) to two Gaussian classes in the plane, one by one and mixed: every field in closed form.

Class k: x1 ~ N(MEANS[k], STDS[k]^2 I), with probability SHARES[k]. Then x_t given k is N(t m, r^2 I) with
r^2 = (1 - t)^2 + t^2 s^2, and the path of x0 = z under the class's own flow is t m + r z. All float64.
"""

import torch
from torch import Tensor

MEANS = torch.tensor([[-1.5, 0.5], [1.0, -1.0]], dtype=torch.float64)
STDS = torch.tensor([0.4, 0.8], dtype=torch.float64)
SHARES = torch.tensor([0.3, 0.7], dtype=torch.float64)


def spread(t: Tensor, label: int) -> Tensor:
    return torch.sqrt((1 - t) ** 2 + (t * STDS[label]) ** 2)


def class_velocity(x: Tensor, t: Tensor, label: int) -> Tensor:
    """E[x1 - x0 | x_t, class], (B, 2)."""
    s = t[:, None]
    gain = (s * STDS[label] ** 2 - (1 - s)) / spread(s, label) ** 2
    return MEANS[label] + gain * (x - s * MEANS[label])


def log_densities(x: Tensor, t: Tensor) -> Tensor:
    """log p_t(x, class), (B, 2), up to one constant."""
    columns = []
    for label in range(2):
        r = spread(t, label)
        away = (x - t[:, None] * MEANS[label]).square().sum(dim=1)
        columns.append(SHARES[label].log() - 2 * r.log() - away / (2 * r**2))
    return torch.stack(columns, dim=1)


def log_posterior(x: Tensor, t: Tensor, label: int) -> Tensor:
    """log p(class | x_t), (B,)."""
    return torch.log_softmax(log_densities(x, t), dim=1)[:, label]


def mixed_velocity(x: Tensor, t: Tensor) -> Tensor:
    """E[x1 - x0 | x_t] over both classes."""
    weight = torch.softmax(log_densities(x, t), dim=1)
    return sum(weight[:, k, None] * class_velocity(x, t, k) for k in range(2))


def points(count: int, t: float, seed: int, label: int | None = None) -> tuple[Tensor, Tensor]:
    """`count` points of the marginal at t, of one class or of both, and the times (B,)."""
    generator = torch.Generator().manual_seed(seed)
    if label is None:
        label = (torch.rand(count, generator=generator) >= SHARES[0]).long()
    else:
        label = torch.full((count,), label)
    x0 = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    x1 = MEANS[label] + STDS[label, None] * torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return (1 - t) * x0 + t * x1, torch.full((count,), t, dtype=torch.float64)
