"""Two Gaussian blobs in the plane and their exact diffusion model: what guidance is tested on."""

import numpy as np
import torch
from torch import Tensor

from pairbridge.training.guidance.guidance_equations import GuidedModel
from pairbridge.training.guidance.guided_models import diffusion_model

CENTRES = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
STD = 0.15
# 60 of 100 steps of the usual linear schedule, from the noisiest of them to the cleanest.
_ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))[::10]
STEPS = 60
TIMES = [1 - (step + 1) / 100 for step in reversed(range(STEPS))]


def alpha_bar(t: float) -> float:
    return float(_ALPHA_BAR[round((1 - t) * 100) - 1])


def exact_noise(x: Tensor, t: float) -> Tensor:
    """E[n | x] of the mixture, (B, 2), differentiable."""
    kept = alpha_bar(t)
    variance = kept * STD**2 + 1 - kept
    away = x[:, None] - kept**0.5 * CENTRES
    belongs = torch.softmax(-away.square().sum(-1) / (2 * variance), dim=1)
    return (1 - kept) ** 0.5 * (belongs[..., None] * away).sum(1) / variance


def blob_model() -> GuidedModel:
    return diffusion_model(exact_noise, alpha_bar)


def left_blob(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return CENTRES[0] + STD * torch.randn(count, 2, generator=generator, dtype=torch.float64)
