"""The training loop: batches in, checkpoints and JSON lines out. The same command resumes it, exactly.

    <run_dir>/checkpoints/step-000123/   see pairbridge.training.engine.checkpoint
    <run_dir>/stats.jsonl                loss, rates and shares, every `log_every` steps
    <run_dir>/consumed.jsonl             the keys of every batch that reached the optimiser
    <run_dir>/pictures/                  what the average makes of held-out pairs, see
    pairbridge.training.bridge_training.watch

On a CPU a resumed run is bitwise the undisturbed one: the data order is one integer, all noise is keyed by
(seed, step), and no global random generator is read. Under torchrun (a process group that the caller has
initialised) every rank calls `train` with the same arguments; the first one writes.

Nothing inside a step waits for the device: its numbers are read while the next step runs. A step whose
gradient is no number is therefore noticed one step later, and always before anything is saved.
"""

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import bridge_loss, draw_step
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser, training_buckets
from pairbridge.training.bridge_training.watch import Watch
from pairbridge.training.data.condition_specs import NOISE
from pairbridge.training.data.latent_cache import CachedWith
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.checkpoint import (
    CheckpointState,
    checkpoint_folders,
    optimiser_tensors,
    read_state,
    read_tensors,
    refuse_changes,
    restore_optimiser,
    write_checkpoint,
)
from pairbridge.training.engine.interrupt import StopRequest, stop_on_signals
from pairbridge.training.engine.optimiser import learning_rate, make_optimiser
from pairbridge.training.engine.parallel import ParallelNetwork, fill, gather, whole
from pairbridge.training.engine.readback import Readback
from pairbridge.training.engine.telemetry import StepRows, Telemetry
from pairbridge.training.networks.autoencoders import Autoencoder, build_autoencoder
from pairbridge.training.networks.denoisers import Denoiser
from pairbridge.training.networks.ema import make_ema
from pairbridge.training.networks.latent_unet import LatentUNetConfig, base_digest, load_base


class TrainingDiverged(PairbridgeError):
    """The gradient stopped being a number, or the loss grew out of all proportion."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`interrupted` names the signal that ended the run before its last step, if one did."""

    checkpoint: Path
    step: int
    consumed: dict[str, int]
    interrupted: str | None


def train(
    config: TrainingConfig,
    mix: MixConfig,
    run_dir: Path,
    *,
    run_root: Path,
    on_progress: Callable[[dict[str, Any]], None] = lambda line: None,
) -> TrainResult:
    """Train to `config.steps`, from the newest checkpoint in `run_dir` if there is one.

    `run_root` is what `run:` paths of the mix start from. `on_progress` gets each line of stats.jsonl.
    SIGINT and SIGTERM end the run after the current step, with a checkpoint. Raises CheckpointError where
    config, mix or data differ from the checkpoint's, and TrainingDiverged.
    """
    torch.set_num_threads(config.threads)
    training = _Training(config, mix, run_dir, run_root)
    with stop_on_signals() as stop:
        training.run(stop, on_progress)
    return TrainResult(
        checkpoint=checkpoint_folders(training.checkpoints)[-1],
        step=training.step,
        consumed=dict(training.consumed),
        interrupted=stop.signal_name if training.step < config.steps else None,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that was queued, and whose numbers may still be on their way."""

    number: int
    images: int
    learning_rate: float
    batch: dict[str, Any]
    numbers: Readback


class _Training:
    """Weights, their average, the optimiser and the place in the data: what a checkpoint holds."""

    def __init__(self, config: TrainingConfig, mix: MixConfig, run_dir: Path, run_root: Path) -> None:
        self.config = config
        self.mix = mix
        self.run_dir = run_dir
        self.checkpoints = run_dir / "checkpoints"
        self.ranks = Ranks.current()
        if any(one.field == NOISE for one in config.denoiser.conditions):
            raise ConfigError(
                "denoiser.conditions has noise, which is an input of distilled students",
                consequence="a regression would learn to ignore it",
                remedy="leave it out here; `pairbridge distill` adds it to the student",
            )
        self.device = training_device(config.device, self.ranks)
        self.autoencoder: Autoencoder = build_autoencoder(config.autoencoder).to(self.device)
        self.buckets = training_buckets(config, self.autoencoder)
        self.pixel_loss = PixelLoss(config.loss).to(self.device)
        complete = checkpoint_folders(self.checkpoints)
        self.denoiser: Denoiser = build_denoiser(config, self.autoencoder)
        if not complete and isinstance(config.denoiser, LatentUNetConfig) and config.denoiser.base:
            load_base(self.denoiser.unet, config.denoiser.base)
        self.denoiser.to(self.device)
        if config.gradient_checkpointing:
            self.denoiser.unet.enable_gradient_checkpointing()
        self.network = ParallelNetwork(self.denoiser, config.parallel, self.ranks)
        if config.compile:
            self.denoiser.compile()
        self.weights = dict(self.denoiser.named_parameters())
        self.optimiser = make_optimiser(config.optimiser, self.weights.values())
        self.ema = make_ema(
            self.weights.values(),
            half_life_images=config.ema_half_life_images,
            batch_size=self.buckets.mean_batch_size,
        )
        self.loader = MixedLoader(
            mix,
            run_root=run_root,
            buckets=self.buckets,
            workers=config.loader_workers,
            ranks=self.ranks,
            conditions=config.denoiser.conditions,
            cached=self._cached_with(),
        )
        if self.loader.num_batches is not None and self.loader.num_batches < config.steps:
            raise ConfigError(
                f"the mix ends after {self.loader.num_batches} batches, before step {config.steps}",
                consequence="training would stop in the middle of its learning rate schedule",
                remedy=f"set steps to {self.loader.num_batches} or less, or on_exhausted to repeat",
            )
        self.inputs = {"autoencoder": self.autoencoder.digest, **self.loader.digests, **self._weight_inputs()}
        self.watch = Watch(
            config, mix, run_dir, run_root=run_root, size_WH=self.buckets.bucket(0).size_WH, ranks=self.ranks
        )
        self.step = 0
        self.first_loss: float | None = None
        self.stop_seen = False
        self.consumed: Counter[str] = Counter({source.name: 0 for source in mix.sources})
        if complete:
            self._restore(complete[-1])

    def _cached_with(self) -> CachedWith | None:
        if self.config.latents == "encode":
            return None
        with_pixels = self.config.loss.wants_pixels
        return CachedWith(self.autoencoder.name, self.autoencoder.digest, with_pixels)

    def run(self, stop: StopRequest, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Steps up to the last one, or until `stop`; leaves a checkpoint of where it ended."""
        telemetry = Telemetry(self.run_dir, step=self.step, consumed=self.consumed, ranks=self.ranks)
        with contextlib.closing(telemetry), contextlib.closing(self.watch.begin(self.step)):
            self._steps(telemetry, stop, on_progress)

    def _steps(
        self, telemetry: Telemetry, stop: StopRequest, on_progress: Callable[[dict[str, Any]], None]
    ) -> None:
        batches = self.loader.batches(start=self.step)
        queued: _Step | None = None
        while self.step < self.config.steps and not self.stop_seen:
            before = time.perf_counter()
            batch = next(batches)
            telemetry.waited(time.perf_counter() - before)
            previous, queued = queued, self._queue_step(batch, stop)
            if previous:
                self._settle(previous, telemetry, on_progress)
            if self.ranks.world == 1:
                self.stop_seen = bool(stop)
            due = self.step == self.config.steps or self.step % self.config.checkpoint_every == 0
            if due or self.stop_seen or self.watch.due(self.step):
                self._settle(queued, telemetry, on_progress)
                queued = None
            if due or self.stop_seen:
                telemetry.sync()
                self._save()
            if self.watch.due(self.step):
                self.watch.picture(self.step, self.autoencoder, self.denoiser, self.ema)

    def _queue_step(self, batch: dict[str, Any], stop: StopRequest) -> _Step:
        """One optimiser step over the global batch. Nothing here waits for the device."""
        rows = self.ranks.share(batch["batch_size"])
        draws = draw_step(
            self.config,
            self.autoencoder,
            step=self.step,
            samples=batch["batch_size"],
            size_HW=batch["size_WH"][::-1],
        ).rows(rows)
        rate = self._learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        count = rows.stop - rows.start
        part_size = math.ceil(count / self.config.accumulate)
        losses = []
        for first in range(0, count, part_size):
            part = slice(first, min(first + part_size, count))
            with self.network.accumulating(more_to_come=part.stop < count):
                loss = bridge_loss(
                    self.config,
                    self.network.module,
                    self.autoencoder,
                    self.pixel_loss,
                    _part_of(batch, part),
                    draws.rows(part),
                    target_kind=self.mix.target,
                )
                # Ranks and parts are averaged, respectively summed: together the mean over the global batch.
                (loss.per_sample.sum() / count).backward()
            losses.append(loss)
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.config.optimiser.clip_norm)
        self.optimiser.step()
        self.ema.step(self.weights.values())
        self.step += 1
        numbers = {
            "norm": whole(norm),
            "stop": self.ranks.any(bool(stop), self.device),
            "loss": torch.cat([loss.per_sample for loss in losses]),
        }
        for name in losses[0].components:
            numbers[f"loss_{name}"] = torch.cat([loss.components[name] for loss in losses])
        return _Step(self.step, self._images(), rate, batch, Readback(numbers))

    def _settle(
        self, step: _Step, telemetry: Telemetry, on_progress: Callable[[dict[str, Any]], None]
    ) -> None:
        """Take note of a queued step's numbers. Raises TrainingDiverged."""
        numbers = step.numbers.read()
        norm = numbers["norm"][0]
        if not math.isfinite(norm):
            raise self._diverged(f"the gradient of step {step.number} is {norm}")
        self.stop_seen = self.stop_seen or bool(numbers["stop"][0])
        telemetry.step(
            StepRows(
                step=step.number,
                keys=step.batch["keys"],
                sources=step.batch["source_names"],
                losses=numbers["loss"],
                components={
                    name.removeprefix("loss_"): values
                    for name, values in numbers.items()
                    if name.startswith("loss_")
                },
                substitutes=step.batch["substitutes"],
            )
        )
        if step.number != self.config.steps and step.number % self.config.log_every:
            return
        line = telemetry.line(
            step.number,
            images=step.images,
            total_images=self.buckets.samples(self.config.steps),
            gradient_norm=norm,
            learning_rate=step.learning_rate,
        )
        self.watch.figures(line)
        on_progress(line)
        self.first_loss = self.first_loss or line["loss"]
        if line["loss"] > self.config.diverged_at * self.first_loss:
            raise self._diverged(
                f"the loss at step {step.number} is {line['loss']:.3g}, it began at {self.first_loss:.3g}"
            )

    def _diverged(self, cause: str) -> TrainingDiverged:
        good = checkpoint_folders(self.checkpoints)
        return TrainingDiverged(
            cause,
            consequence=f"training stops; the last good checkpoint is {good[-1]}"
            if good
            else "training stops; there is no checkpoint from before",
            remedy="lower optimiser.learning_rate or lengthen optimiser.warmup_images, and start over",
        )

    def _images(self) -> int:
        return self.buckets.samples(self.step)

    def _learning_rate(self) -> float:
        total = self.buckets.samples(self.config.steps)
        return learning_rate(self.config.optimiser, self._images(), total)

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

    def _save(self) -> None:
        averages = dict(zip(self.weights, self.ema.shadow_params, strict=True))
        tensors = {
            "model": gather(self.weights, self.ranks),
            "ema": gather(averages, self.ranks),
            "optimiser": gather(optimiser_tensors(self.optimiser, self.weights), self.ranks),
        }
        if self.ranks.first:
            state = CheckpointState(
                step=self.step,
                images=self._images(),
                ema_updates=self.ema.optimization_step,
                first_loss=self.first_loss,
                consumed=dict(self.consumed),
                config=self.config.model_dump(mode="json"),
                mix=self.mix.model_dump(mode="json"),
                inputs=self.inputs,
            )
            write_checkpoint(self.checkpoints, state, tensors, keep=self.config.keep_checkpoints)
        self.ranks.barrier()

    def _restore(self, folder: Path) -> None:
        state = read_state(folder)
        saved = TrainingConfig.model_validate(state.config)
        refuse_changes(folder, saved.meaning(), self.config.meaning(), "the training config")
        # The base weights are in the checkpoint: their folder may have gone since.
        self.inputs = {**{key: state.inputs[key] for key in ("base",) if key in state.inputs}, **self.inputs}
        # Not the mix's text: a dataset that moved, shard for shard, is still the same data.
        refuse_changes(folder, state.inputs, self.inputs, "the mix, its data or the weights beside them")
        fill(self.weights, read_tensors(folder, "model"))
        fill(dict(zip(self.weights, self.ema.shadow_params, strict=True)), read_tensors(folder, "ema"))
        self.ema.optimization_step = state.ema_updates
        restore_optimiser(self.optimiser, self.weights, read_tensors(folder, "optimiser"))
        self.step = state.step
        self.first_loss = state.first_loss
        self.consumed.update(state.consumed)


def training_device(wanted: str, ranks: Ranks) -> torch.device:
    """The CPU, or this rank's GPU; `wanted` is cpu or cuda. Raises ConfigError without one."""
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "device is cuda, and torch finds no GPU",
            consequence="training on the CPU instead would take many times as long without a word",
            remedy="set device to cpu, or see what `pairbridge doctor` says about the GPU",
        )
    local_rank = int(os.environ.get("LOCAL_RANK", ranks.rank % torch.cuda.device_count()))
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    # TF32 where autocast leaves float32.
    torch.set_float32_matmul_precision("high")
    return device


def _part_of(batch: dict[str, Any], part: slice) -> dict[str, Any]:
    """The tensors of some rows of a batch, those of cached latents among them."""
    cut = {name: value[part] for name, value in batch.items() if isinstance(value, torch.Tensor)}
    return {**cut, "latents": _part_of(batch["latents"], part)} if "latents" in batch else cut
