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
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import bridge_loss, draw_step, part_of
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser, training_buckets
from pairbridge.training.bridge_training.watch import PictureWatch
from pairbridge.training.data.condition_specs import NOISE
from pairbridge.training.data.latent_cache import CachedWith
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.checkpoint import CheckpointState, checkpoint_folders, refuse_changes
from pairbridge.training.engine.engine_run import Method, TrainResult, run
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.torch_devices import training_device
from pairbridge.training.networks.autoencoders import Autoencoder, build_autoencoder
from pairbridge.training.networks.latent_unet import LatentUNetConfig, base_digest, load_base


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
    return run(BridgeTraining(config, mix, run_dir, run_root), config, run_dir, on_progress)


class BridgeTraining(Method):
    """A denoiser that regresses the bridge's field."""

    remedy = "lower optimiser.learning_rate or lengthen optimiser.warmup_images, and start over"

    def __init__(self, config: TrainingConfig, mix: MixConfig, run_dir: Path, run_root: Path) -> None:
        if any(one.field == NOISE for one in config.denoiser.conditions):
            raise ConfigError(
                "denoiser.conditions has noise, which is an input of distilled students",
                consequence="a regression would learn to ignore it",
                remedy="leave it out here; `pairbridge distill` adds it to the student",
            )
        self.settings = self.config = config
        self.ranks = Ranks.current()
        device = training_device(config.device, self.ranks)
        self.autoencoder: Autoencoder = build_autoencoder(config.autoencoder).to(device)
        self.buckets = training_buckets(config, self.autoencoder)
        self.pixel_loss = PixelLoss(config.loss).to(device)
        denoiser = build_denoiser(config, self.autoencoder)
        starts = not checkpoint_folders(run_dir / "checkpoints")
        if starts and isinstance(config.denoiser, LatentUNetConfig) and config.denoiser.base:
            load_base(denoiser.unet, config.denoiser.base)
        denoiser.to(device)
        if config.gradient_checkpointing:
            denoiser.unet.enable_gradient_checkpointing()
        self.learner = Learner(
            denoiser,
            config.optimiser,
            total_images=self.images_before(config.steps),
            ema_half_life=config.ema_half_life_images / self.buckets.mean_batch_size,
            parallel=config.parallel,
            ranks=self.ranks,
        )
        self.learners = [self.learner]
        if config.compile:
            denoiser.compile()
        self.loader = MixedLoader(
            mix,
            run_root=run_root,
            buckets=self.buckets,
            workers=config.loader_workers,
            ranks=self.ranks,
            conditions=config.denoiser.conditions,
            cached=self._cached_with(),
        )
        self.watch = PictureWatch(
            config,
            mix,
            run_dir,
            self.autoencoder,
            run_root=run_root,
            size_WH=self.buckets.bucket(0).size_WH,
            ranks=self.ranks,
        )
        self.diverged_at = config.diverged_at
        self.inputs = {"autoencoder": self.autoencoder.digest, **self.loader.digests, **self._weight_inputs()}

    def batches_before(self, step: int) -> int:
        return step

    def images_before(self, step: int) -> int:
        return self.buckets.samples(step)

    def step(self, number: int, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """One optimiser step over a global batch, of which this rank has its rows."""
        batch = next(batches)
        rows = self.ranks.share(batch["batch_size"])
        draws = draw_step(
            self.config,
            self.autoencoder,
            step=number,
            samples=batch["batch_size"],
            size_HW=batch["size_WH"][::-1],
        ).rows(rows)

        def losses(denoiser: torch.nn.Module, part: slice) -> dict[str, Tensor]:
            loss = bridge_loss(
                self.config,
                denoiser,
                self.autoencoder,
                self.pixel_loss,
                part_of(batch, part),
                draws.rows(part),
                target_kind=self.loader.mix.target,
            )
            terms = {f"loss_{name}": values for name, values in loss.components.items()}
            return {"loss": loss.per_sample, **terms}

        return self.learner.descend(
            losses,
            rows=rows.stop - rows.start,
            images=self.images_before(number),
            parts=self.config.accumulate,
        )

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
        if self.pixel_loss.lpips is not None and self.config.loss.lpips:
            found["lpips"] = self.config.loss.lpips.digest
        denoiser = self.config.denoiser
        if isinstance(denoiser, LatentUNetConfig) and denoiser.base and denoiser.base.is_dir():
            found["base"] = base_digest(denoiser.base)
        return found
