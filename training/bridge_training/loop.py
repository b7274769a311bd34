"""Training of a bridge: what a step does, and what it needs. `engine.engine_run` does the rest:
checkpoints, logs, ranks and resumes.

    <run_dir>/pictures/    what the EMA makes of held-out pairs (pairbridge.training.bridge_training.watch)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.class_learner import ClassLearner
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.validation_loss import ValidationLoss
from pairbridge.training.bridge_training.watch import PictureWatch
from pairbridge.training.data.condition_specs import NOISE
from pairbridge.training.data.latent_cache import CachedWith
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.checkpoint import CheckpointState, checkpoint_folders, refuse_changes
from pairbridge.training.engine.engine_run import Method, TrainResult, run
from pairbridge.training.engine.run_folder import run_folder
from pairbridge.training.engine.torch_devices import found_device
from pairbridge.training.networks.autoencoders import Autoencoder, build_autoencoder
from pairbridge.training.networks.base_weights import base_digest


def train(
    config: TrainingConfig,
    mix: MixConfig,
    run_dir: Path,
    *,
    run_root: Path,
    on_progress: Callable[[dict[str, Any]], None] = lambda line: None,
) -> TrainResult:
    """Train to `config.steps`, from the newest checkpoint in `run_dir` if there is one.

    `run_root` is what `run:` paths of the mix start from; the rest is as `engine.engine_run`
    says it.
    """
    torch.set_num_threads(config.threads)
    with run_folder(run_dir, Ranks.current()) as folder:
        return run(BridgeTraining(config, mix, run_dir, run_root), config, folder, on_progress)


class BridgeTraining(Method):
    """A denoiser that regresses the bridge's field, or a classifier of points on it."""

    remedy = "lower optimiser.learning_rate or lengthen optimiser.warmup_images, and start over"

    def __init__(self, config: TrainingConfig, mix: MixConfig, run_dir: Path, run_root: Path) -> None:
        if any(one.field == NOISE for one in config.denoiser.conditions):
            raise ConfigError(
                "denoiser.conditions has noise, which is an input of distilled students",
                consequence="a regression would learn to ignore it",
                remedy="leave it out here; `pairbridge distill` adds it to the student",
            )
        self.settings = self.config = config
        ranks = Ranks.current()
        self.autoencoder: Autoencoder = build_autoencoder(config.autoencoder)
        learner = ClassLearner if config.classifies else BridgeLearner
        self.bridge = learner(
            config,
            self.autoencoder,
            PixelLoss(config.loss, config.precision),
            ranks,
            found_device(config.device, ranks),
            from_base=not checkpoint_folders(run_dir / "checkpoints"),
        )
        self.learners = [self.bridge.learner]
        buckets = self.bridge.buckets
        self.loader = MixedLoader(
            mix,
            run_root=run_root,
            buckets=buckets,
            workers=config.loader_workers,
            ranks=ranks,
            conditions=config.denoiser.conditions,
            cached=self._cached_with(),
        )
        self.watch = PictureWatch(
            config,
            mix,
            run_dir,
            self.autoencoder,
            run_root=run_root,
            size_WH=buckets.bucket(0).size_WH,
            ranks=ranks,
        )
        wanted = config.validation.every_images
        self.validation = ValidationLoss(self.bridge, mix, run_root) if wanted else None
        self.diverged_at = config.diverged_at
        self.inputs = {"autoencoder": self.autoencoder.digest, **self.loader.digests, **self._weight_inputs()}

    def batches_before(self, step: int) -> int:
        return step

    def images_before(self, step: int) -> int:
        return self.bridge.images_before(step)

    def step(self, number: int, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """One optimiser step over a global batch, of which this rank has its rows."""
        return self.bridge.step(number, next(batches), self.loader.kinds)

    def measure(self, step: int) -> dict[str, Tensor]:
        """The validation loss where it is due."""
        return self.validation.measure() if self.validation and self.validation.due(step) else {}

    def resume(self, folder: Path, state: CheckpointState) -> None:
        saved = TrainingConfig.model_validate(state.config)
        refuse_changes(folder, saved.meaning(), self.config.meaning(), "the training config")
        if "base" in state.inputs:
            # These weights are in the checkpoint: their folder may have gone since.
            self.inputs.setdefault("base", state.inputs["base"])

    def _cached_with(self) -> CachedWith | None:
        if self.config.latents == "encode":
            return None
        with_pixels = self.config.loss.wants_pixels
        return CachedWith(self.autoencoder.name, self.autoencoder.digest, with_pixels)

    def _weight_inputs(self) -> dict[str, str]:
        """Digests of published weights that training reads, where they are (base weights only at its
        start).
        """
        found = {}
        if self.bridge.pixel_loss.lpips is not None and self.config.loss.lpips:
            found["lpips"] = self.config.loss.lpips.digest
        base = self.config.denoiser.base
        if base and base.is_dir():
            found["base"] = base_digest(base)
        return found
