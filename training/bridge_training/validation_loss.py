"""The loss of the EMA on held-out pairs, at times and under noise that are the same each time it is taken.

A training's own loss is of other times and other noise in every step; this one changes with the weights
alone, so that a rise is one. It draws from no generator that training draws from, and leaves every weight as
it was.
"""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.held_out import held_out_pairs
from pairbridge.training.bridge_training.losses import Loss
from pairbridge.training.bridge_training.objective import Draws, draw_step
from pairbridge.training.data.augment import STILL
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair
from pairbridge.training.data.tensors import pixels_of

# Pairs that go through the network together, whatever the ranks: with the number a last bit would change.
_TOGETHER = 4


class ValidationLoss:
    def __init__(self, bridge: BridgeLearner, mix: MixConfig, run_root: Path) -> None:
        """Raises ConfigError where no source of the mix has the split."""
        wanted = bridge.config.validation
        self._bridge = bridge
        self._every, self._log_every = wanted.every_images, bridge.config.log_every
        size_WH = bridge.buckets.bucket(0).size_WH
        pairs = held_out_pairs(
            mix,
            wanted.split,
            wanted.pairs,
            run_root=run_root,
            size_WH=size_WH,
            conditions=bridge.config.denoiser.conditions,
            asked_by="validation.every_images",
        )
        seed = seed31(bridge.config.seed, "validation")
        self._config = bridge.config.model_copy(update={"augment": STILL, "seed": seed})
        draws = draw_step(self._config, bridge.autoencoder, step=0, samples=len(pairs), size_HW=size_WH[::-1])
        # No condition is withheld.
        draws = replace(draws, dropout=torch.ones(len(pairs)))
        parts = [
            (pairs[first : first + _TOGETHER], draws.rows(slice(first, first + _TOGETHER)))
            for first in range(0, len(pairs), _TOGETHER)
        ]
        ranks = bridge.ranks
        self._parts = parts[ranks.rank :: ranks.world]
        # A sharded network runs on all ranks or on none: who has no part left runs along.
        self._along = parts[: math.ceil(len(parts) / ranks.world) - len(self._parts)]

    def due(self, step: int) -> bool:
        """Whether the line of the log at `step` has it: the first one after each `every_images`, and the
        last.
        """
        before = (step - 1) // self._log_every * self._log_every
        marks = [self._bridge.images_before(one) // self._every for one in (before, step)]
        return marks[0] < marks[1] or step == self._bridge.config.steps

    def measure(self) -> dict[str, Tensor]:
        """This rank's part of the loss and its terms, a number a pair. Collective."""
        learner = self._bridge.learner
        found: dict[str, list[Tensor]] = {"validation_loss": []}
        with learner.averaged(), torch.no_grad():
            learner.network.eval()
            for pairs, draws in self._parts:
                loss = self._loss(pairs, draws)
                found["validation_loss"].append(loss.per_sample)
                for name, values in loss.components.items():
                    found.setdefault(f"validation_loss_{name}", []).append(values)
            for pairs, draws in self._along:
                self._loss(pairs, draws)
            learner.network.train()
        return {name: torch.cat(values) for name, values in found.items() if values}

    def _loss(self, pairs: list[Pair], draws: Draws) -> Loss:
        network = self._bridge.learner.network
        return self._bridge.loss(self._config, network, pixels_of(pairs), draws, pairs[0].kinds)
