"""Diffusion, flow and bridge models as the three callables that
`pairbridge.training.guidance.guidance_equations` works on.

    diffusion   x = sqrt(ab) x1 + sqrt(1 - ab) n        variance preserving, ab(t) rising with t
    flow        x = t x1 + (1 - t) n                    from noise to data
    bridge      x = (1 - t) x0 + t x1 + c_t n           c_t = sigma sqrt(t (1 - t)); a field that knows x0

For the bridge this is an extension of the paper's method: its deterministic step is DBIM with eta 0
(`pairbridge.training.bridge.samplers`), its path starts at the source, and its structure is that of its own
unguided output.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pairbridge.training.bridge.equations import estimate_target
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.guidance.guidance_equations import GuidedModel

# (x (B, ...), t) -> the noise in x.
NoisePredictor = Callable[[Tensor, float], Tensor]


def diffusion_model(predict_noise: NoisePredictor, alpha_bar: Callable[[float], float]) -> GuidedModel:
    """`alpha_bar(t)` in (0, 1): the cumulative alpha at our time t, larger where cleaner."""

    def scales(t: float) -> tuple[float, float]:
        kept = alpha_bar(t)
        return math.sqrt(kept), math.sqrt(1 - kept)

    def denoise(x: Tensor, t: float) -> Tensor:
        clean, noise = scales(t)
        return (x - noise * predict_noise(x, t)) / clean

    return _affine(denoise, scales, offset=lambda t: 0.0)


def flow_model(velocity: FieldFn) -> GuidedModel:
    """`velocity(x, t)` with t (B,): E[x1 - x0 | x_t] of a straight path from noise x0 to data x1."""
    return _affine(_from_field(velocity), lambda t: (t, 1 - t), offset=lambda t: 0.0)


def bridge_model(field: FieldFn, x0: Tensor, sigma: float, boot: Tensor) -> GuidedModel:
    """`field(x, t)`: the drift of a bridge from `x0` that is conditional on it; `boot`, like x0: the standard
    normal noise of the path, which begins at x0 without any.
    """
    return _affine(
        _from_field(field),
        lambda t: (t, sigma * math.sqrt(t * (1 - t))),
        offset=lambda t: (1 - t) * x0,
        boot=boot,
    )


def _from_field(field: FieldFn) -> Callable[[Tensor, float], Tensor]:
    def denoise(x: Tensor, t: float) -> Tensor:
        times = torch.full((x.shape[0],), t, dtype=x.dtype, device=x.device)
        return estimate_target(x, field(x, times), times)

    return denoise


def _affine(
    denoise: Callable[[Tensor, float], Tensor],
    scales: Callable[[float], tuple[float, float]],
    offset: Callable[[float], Tensor | float],
    boot: Tensor | None = None,
) -> GuidedModel:
    def noise(x: Tensor, x1: Tensor, t: float) -> Tensor:
        clean, spread = scales(t)
        if not spread and boot is not None:
            return boot
        return (x - offset(t) - clean * x1) / spread

    def compose(x1: Tensor, n: Tensor, t: float) -> Tensor:
        clean, spread = scales(t)
        return offset(t) + clean * x1 + spread * n

    return GuidedModel(denoise, noise, compose)
