"""The exponential moving average of a network's weights, in place, in whatever layout the weights have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.engine.parallel import local

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmaSettings:
    """half_life: in optimiser steps. every: steps from one update to the next, which the decay accounts for.
    precision: of the average at rest. device: beside the weights, or the host. seed: of its rounding.
    """

    half_life: float
    every: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["weights", "cpu"] = "weights"
    seed: int = 0


class Ema:
    """e <- d e + (1 - d) w, with d ramped up as (1 + n) / (10 + n) over the updates n, as diffusers does: the
    initial weights are forgotten early.
    """

    def __init__(self, weights: Iterable[Tensor], settings: EmaSettings) -> None:
        self._weights, self._settings = list(weights), settings
        self._decay = 0.5 ** (settings.every / settings.half_life)
        self.steps = 0
        # Sharded as the weights are.
        self.averages = [self._at_rest(weight.detach()) for weight in self._weights]

    @torch.no_grad()
    def step(self, *, skipped: Tensor | None = None) -> None:
        """Take note of one step of the optimiser. Where `skipped`, a number on the device, is 1, it was none:
        averages stay, and only the ramp of the decay goes on.
        """
        self.steps += 1
        if self.steps % self._settings.every:
            return
        update = self.steps // self._settings.every
        decay = min(self._decay, update / (9 + update)) if update > 1 else 0.0
        averages = [local(average) for average in self.averages]
        device = averages[0].device
        weights = [local(weight.detach()).to(device) for weight in self._weights]
        share = torch.full((), 1 - decay, device=device)
        if skipped is not None:
            share *= 1 - skipped.to(device)
        if self._settings.precision == "fp32":
            for average, weight in zip(averages, weights, strict=True):
                average.lerp_(weight, share)
            return
        generator = torch.Generator(device).manual_seed(seed31(self._settings.seed, "ema", update))
        for average, weight in zip(averages, weights, strict=True):
            average.copy_(_rounded(average.float().lerp_(weight, share), generator))

    def _at_rest(self, weight: Tensor) -> Tensor:
        device = torch.device("cpu") if self._settings.device == "cpu" else weight.device
        return weight.to(device, _DTYPES[self._settings.precision], copy=True)


def _rounded(values: Tensor, generator: torch.Generator) -> Tensor:
    """float32 values of 16 significant bits, up or down with the probabilities that keep their mean.

    Rounded to the nearest, an average near its weights would stand still: at a half-life of 1000 updates it
    moves by 0.07 % of the distance at a time, and bf16 knows no step below 0.4 % of the value.
    """
    noise = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device)
    return ((values.view(torch.int32) + noise.int()) & -(1 << 16)).view(torch.float32)
