"""A network that learns: its weights over the ranks, the optimiser that moves them, and their EMA."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.checkpoint import optimiser_tensors, read_tensors, restore_optimiser
from pairbridge.training.engine.optimiser import OptimiserConfig, learning_rate, make_optimiser
from pairbridge.training.engine.parallel import ParallelNetwork, fill, gather, whole

# (network, rows of this rank's batch) -> named values (B,) per sample of them; `loss` has a graph.
Losses = Callable[[nn.Module, slice], Mapping[str, Tensor]]


class Learner:
    def __init__(
        self,
        network: nn.Module,
        config: OptimiserConfig,
        *,
        total_images: int,
        name: str = "model",
        ema_half_life: float | None = None,
        parallel: Literal["ddp", "fsdp"] = "ddp",
        ranks: Ranks | None = None,
    ) -> None:
        """total_images: the length of the schedule. name: of the file of weights. ema_half_life: in steps;
        None: no EMA is kept.
        """
        self.network = network
        self._name, self._optimiser_name = name, "optimiser" if name == "model" else f"{name}_optimiser"
        self.ranks = ranks or Ranks(0, 1)
        self._parallel = ParallelNetwork(network, parallel, self.ranks)
        self.weights = dict(network.named_parameters())
        self._config, self._total_images = config, total_images
        self._optimiser = make_optimiser(config, self.weights.values())
        self.ema: EMAModel | None = None
        if ema_half_life is not None:
            # diffusers ramps the decay up as (1 + n) / (10 + n), which forgets the initial weights early.
            self.ema = EMAModel(self.weights.values(), decay=0.5 ** (1 / ema_half_life), foreach=True)

    def descend(self, losses: Losses, *, rows: int, images: int, parts: int = 1) -> dict[str, Tensor]:
        """One optimiser step down the mean `loss` of `rows` rows a rank, accumulated over `parts` of them;
        `images` were seen before it. The values of `losses` without their graph, and `gradient_norm` before
        clipping. Nothing here waits for the device.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate(images)
        self._optimiser.zero_grad(set_to_none=True)
        size = math.ceil(rows / parts)
        found: dict[str, list[Tensor]] = {}
        for first in range(0, rows, size):
            part = slice(first, min(first + size, rows))
            with self._parallel.accumulating(more_to_come=part.stop < rows):
                values = losses(self._parallel.module, part)
                # Ranks are averaged, parts are summed: together the mean over the global batch.
                (values["loss"].sum() / rows).backward()
            for name, value in values.items():
                found.setdefault(name, []).append(value.detach())
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self._config.clip_norm)
        self._optimiser.step()
        if self.ema:
            self.ema.step(self.weights.values())
        return {"gradient_norm": whole(norm), **{name: torch.cat(parts) for name, parts in found.items()}}

    def learning_rate(self, images: int) -> float:
        return learning_rate(self._config, images, self._total_images)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The EMA in place of the trained weights, for as long as the block lasts."""
        weights = list(self.weights.values())
        trained = [weight.detach().clone() for weight in weights]
        _copy(self.ema.shadow_params, weights)
        try:
            yield
        finally:
            _copy(trained, weights)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Gradients go through the network and not to its weights, for as long as the block lasts."""
        self.network.requires_grad_(False)
        try:
            yield
        finally:
            self.network.requires_grad_(True)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The files of a checkpoint, whole tensors by name of weight; collective."""
        found = {
            self._name: self.weights,
            self._optimiser_name: optimiser_tensors(self._optimiser, self.weights),
            "ema": self._ema_weights(),
        }
        return {name: gather(tensors, self.ranks) for name, tensors in found.items() if tensors}

    def restore(self, folder: Path, *, ema_updates: int) -> None:
        """Inverse of `tensors`, from a checkpoint."""
        fill(self.weights, read_tensors(folder, self._name))
        restore_optimiser(self._optimiser, self.weights, read_tensors(folder, self._optimiser_name))
        if self.ema:
            fill(self._ema_weights(), read_tensors(folder, "ema"))
            self.ema.optimization_step = ema_updates

    def _ema_weights(self) -> dict[str, Tensor]:
        return dict(zip(self.weights, self.ema.shadow_params, strict=True)) if self.ema else {}


@torch.no_grad()
def _copy(values: list[Tensor], weights: list[nn.Parameter]) -> None:
    # Not EMAModel.copy_to, which copies by an operator that sharded tensors do not have.
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
