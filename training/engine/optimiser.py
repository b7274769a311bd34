"""AdamW and its learning rate, on one clock: images seen."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from pairbridge.datagen.core.frozen import FrozenModel

# Of 1 nothing is ever learned: torch refuses it in the first step.
Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimiserConfig(FrozenModel):
    """AdamW on float32 weights. Lengths are in images seen, so that they hold at any batch size."""

    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Decay rates of AdamW's averages of the gradient and of its square."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay."""
    warmup_images: int = Field(default=800, ge=0)
    """Length of the linear warm-up of the learning rate, in images."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate after the warm-up: constant, or a cosine from learning_rate to zero at the last step."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Norm that larger gradients are scaled down to."""


class MomentumlessAdamW(torch.optim.AdamW):
    """AdamW whose first beta is 0: its average of the gradient is the gradient, of which no copy is kept."""

    def step(self, closure: None = None) -> None:
        moved = [one for group in self.param_groups for one in group["params"] if one.grad is not None]
        for weight in moved:
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros((), device=weight.device)
                state["exp_avg_sq"] = torch.zeros_like(weight)
            state["exp_avg"] = weight.grad
        super().step(closure)
        for weight in moved:
            del self.state[weight]["exp_avg"]


def make_optimiser(config: OptimiserConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
    kind = torch.optim.AdamW if config.betas[0] else MomentumlessAdamW
    # Fused: one kernel, and its step counter lives beside the weights, where nothing has to wait for it.
    return kind(
        parameters,
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(config: OptimiserConfig, images: int, total_images: int) -> float:
    """The rate of the step that begins after `images` of `total_images`: a linear ramp, then the schedule."""
    if images < config.warmup_images:
        return config.learning_rate * (images + 1) / (config.warmup_images + 1)
    if config.schedule == "constant":
        return config.learning_rate
    progress = (images - config.warmup_images) / max(1, total_images - config.warmup_images)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
