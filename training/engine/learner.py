"""A network that learns: its weights over the ranks, the optimiser that moves them, and their EMA."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.checkpoint import load_tensors, optimiser_tensors, restore_optimiser
from pairbridge.training.engine.ema import Ema, EmaSettings
from pairbridge.training.engine.optimiser import OptimiserConfig, learning_rate, make_optimiser
from pairbridge.training.engine.parallel import Layout, ParallelNetwork, local, whole

# (network, rows of this rank's batch) -> named values (B,) per sample of them; `loss` has a graph.
Losses = Callable[[nn.Module, slice], Mapping[str, Tensor]]


ALONE = Layout()


class Learner:
    def __init__(
        self,
        network: nn.Module,
        config: OptimiserConfig,
        *,
        total_images: int,
        name: str = "model",
        ema: EmaSettings | None = None,
        layout: Layout = ALONE,
        ranks: Ranks | None = None,
        device: torch.device | None = None,
    ) -> None:
        """total_images: the length of the schedule. name: of the file of weights. ema: None keeps none.
        device: to train on; None: where the network is. `layout` as `ParallelNetwork` takes it.
        """
        self.network = network
        self._name, self._optimiser_name = name, "optimiser" if name == "model" else f"{name}_optimiser"
        self.ranks = ranks or Ranks(0, 1)
        self.device = device or next(network.parameters()).device
        self._parallel = ParallelNetwork(network, layout, self.ranks, self.device)
        # Frozen ones, beside adapters, are the same in every step.
        self.weights = {name: one for name, one in network.named_parameters() if one.requires_grad}
        self._config, self._total_images = config, total_images
        self._optimiser = make_optimiser(config, self.weights.values())
        self.ema = Ema(self.weights.values(), ema) if ema else None

    def descend(self, losses: Losses, *, rows: int, images: int, parts: int = 1) -> dict[str, Tensor]:
        """One optimiser step down the mean `loss` of `rows` rows a rank, accumulated over `parts` of them;
        `images` were seen before it. The values of `losses` without their graph, and `gradient_norm` before
        clipping. Nothing here waits for the device.

        With a gradient that is NaN or infinite, weights, optimiser and EMA stay as they are.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate(images)
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
        norm = whole(nn.utils.clip_grad_norm_(self.weights.values(), self._config.clip_norm))
        # The same on every rank. The optimiser's kernel reads it: nothing here waits to know.
        not_finite = (~norm.isfinite()).float()
        self._optimiser.found_inf = not_finite
        self._optimiser.step()
        # Before another network takes its step: the gradients of both would be there at once.
        self._optimiser.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.step(skipped=not_finite)
        return {"gradient_norm": norm, **{name: torch.cat(parts) for name, parts in found.items()}}

    def learning_rate(self, images: int) -> float:
        return learning_rate(self._config, images, self._total_images)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The EMA in place of the trained weights, for as long as the block lasts. They wait on the host."""
        weights = list(self.weights.values())
        trained = [weight.detach().to("cpu", copy=True) for weight in weights]
        _copy(self.ema.averages, weights)
        try:
            yield
        finally:
            _copy(trained, weights)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Gradients go through the network and not to its weights, for as long as the block lasts."""
        for weight in self.weights.values():
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in self.weights.values():
                weight.requires_grad_(True)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint holds, by kind and name, in the layout that it has."""
        found = {
            self._name: self.weights,
            self._optimiser_name: optimiser_tensors(self._optimiser, self.weights),
            "ema": self._ema_weights(),
        }
        return {
            kind: {name: tensor.detach() for name, tensor in tensors.items()}
            for kind, tensors in found.items()
            if tensors
        }

    def restore(self, folder: Path, *, ema_updates: int) -> None:
        """Inverse of `tensors`, from a checkpoint that is whole."""
        load_tensors(folder, self._name, self.weights)
        restore_optimiser(self._optimiser, self.weights, folder, self._optimiser_name)
        if self.ema:
            load_tensors(folder, "ema", self._ema_weights())
            self.ema.steps = ema_updates

    def _ema_weights(self) -> dict[str, Tensor]:
        return dict(zip(self.weights, self.ema.averages, strict=True)) if self.ema else {}


@torch.no_grad()
def _copy(values: list[Tensor], weights: list[nn.Parameter]) -> None:
    for weight, value in zip(weights, values, strict=True):
        local(weight).copy_(local(value))
