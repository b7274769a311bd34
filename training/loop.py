"""The training loop: batches in, checkpoints and JSON lines out. The same command resumes it, exactly.

    <run_dir>/checkpoints/step-000123/   see training.checkpoint
    <run_dir>/metrics.jsonl              loss, rates and shares, every `log_every` steps
    <run_dir>/consumed.jsonl             the keys of every batch that reached the optimiser

On a CPU a resumed run is bitwise the undisturbed one: the data order is one integer, all noise is keyed by
(seed, step), and no global random generator is read. Under torchrun (a process group that the caller has
initialised) every rank calls `train` with the same arguments; the first one writes.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from datagen.errors import ConfigError, PairbridgeError
from training.autoencoders import Autoencoder, build_autoencoder
from training.checkpoint import (
    CheckpointState,
    checkpoint_folders,
    optimiser_tensors,
    read_state,
    read_tensors,
    refuse_changes,
    restore_optimiser,
    write_checkpoint,
)
from training.config import TrainingConfig
from training.denoisers import Denoiser
from training.ema import make_ema
from training.interrupt import StopRequest, stop_on_signals
from training.loader import MixedLoader
from training.losses import Loss, PixelLoss
from training.mix_config import MixConfig
from training.model import build_denoiser, training_buckets
from training.objective import bridge_loss, draw_step
from training.optimiser import learning_rate, make_optimiser
from training.ranks import Ranks
from training.telemetry import Telemetry


class TrainingDiverged(PairbridgeError):
    """The loss or the gradient stopped being a number."""


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

    `run_root` is what `run:` paths of the mix start from. `on_progress` gets each line of metrics.jsonl.
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


class _Training:
    """Weights, their average, the optimiser and the place in the data: what a checkpoint holds."""

    def __init__(self, config: TrainingConfig, mix: MixConfig, run_dir: Path, run_root: Path) -> None:
        self.config = config
        self.mix = mix
        self.run_dir = run_dir
        self.checkpoints = run_dir / "checkpoints"
        self.ranks = Ranks.current()
        device = _device(config, self.ranks)
        self.autoencoder: Autoencoder = build_autoencoder(config.autoencoder).to(device)
        self.buckets = training_buckets(config, self.autoencoder)
        self.pixel_loss = PixelLoss(config.loss).to(device)
        self.denoiser: Denoiser = build_denoiser(config, self.autoencoder).to(device)
        self.optimiser = make_optimiser(config.optimiser, self.denoiser.parameters())
        self.ema = make_ema(
            self.denoiser.parameters(),
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
        )
        if self.loader.num_batches is not None and self.loader.num_batches < config.steps:
            raise ConfigError(
                f"the mix ends after {self.loader.num_batches} batches, before step {config.steps}",
                consequence="training would stop in the middle of its learning rate schedule",
                remedy=f"set steps to {self.loader.num_batches} or less, or on_exhausted to repeat",
            )
        self.inputs = {"autoencoder": self.autoencoder.digest, **self.loader.digests}
        self.step = 0
        self.consumed: Counter[str] = Counter({source.name: 0 for source in mix.sources})
        complete = checkpoint_folders(self.checkpoints)
        if complete:
            self._restore(complete[-1])

    def run(self, stop: StopRequest, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Steps up to the last one, or until `stop`; leaves a checkpoint of where it ended."""
        model: nn.Module = DistributedDataParallel(self.denoiser) if self.ranks.world > 1 else self.denoiser
        telemetry = Telemetry(self.run_dir, step=self.step, consumed=self.consumed, writes=self.ranks.first)
        with contextlib.closing(telemetry):
            self._steps(model, telemetry, stop, on_progress)

    def _steps(
        self,
        model: nn.Module,
        telemetry: Telemetry,
        stop: StopRequest,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> None:
        batches = self.loader.batches(start=self.step)
        stopped = False
        while self.step < self.config.steps and not stopped:
            before = time.perf_counter()
            batch = next(batches)
            telemetry.waited(time.perf_counter() - before)
            rate = self._learning_rate()
            draws = draw_step(
                self.config,
                self.autoencoder,
                step=self.step,
                samples=batch["batch_size"],
                size_HW=tuple(batch["source"].shape[-2:]),
            ).rows(self.ranks.share(batch["batch_size"]))
            loss = bridge_loss(
                self.config,
                model,
                self.autoencoder,
                self.pixel_loss,
                batch,
                draws,
                target_kind=self.mix.target,
            )
            norm = self._update(loss, rate)
            telemetry.batch(
                self.step, self.ranks.gather(_rows(batch, loss)), self.ranks.gather(batch["substitutes"])
            )
            last = self.step == self.config.steps
            if last or self.step % self.config.log_every == 0:
                line = telemetry.line(
                    self.step, images=self._images(), gradient_norm=norm, learning_rate=rate
                )
                on_progress(line)
            stopped = self.ranks.any(bool(stop))
            if last or stopped or self.step % self.config.checkpoint_every == 0:
                telemetry.sync()
                self._save()

    def _update(self, loss: Loss, rate: float) -> float:
        """One optimiser step; the gradient's norm before clipping."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.per_sample.mean().backward()
        weights = list(self.denoiser.parameters())
        norm = float(nn.utils.clip_grad_norm_(weights, self.config.optimiser.clip_norm))
        if not math.isfinite(norm):
            raise TrainingDiverged(
                f"the gradient of step {self.step + 1} is {norm}",
                consequence="the weights would be lost; the newest checkpoint still has those from before",
                remedy="lower optimiser.learning_rate or lengthen optimiser.warmup_images, and start over",
            )
        self.optimiser.step()
        self.ema.step(weights)
        self.step += 1
        return norm

    def _images(self) -> int:
        return self.buckets.samples(self.step)

    def _learning_rate(self) -> float:
        total = self.buckets.samples(self.config.steps)
        return learning_rate(self.config.optimiser, self._images(), total)

    def _save(self) -> None:
        if self.ranks.first:
            state = CheckpointState(
                step=self.step,
                images=self._images(),
                ema_updates=self.ema.optimization_step,
                consumed=dict(self.consumed),
                config=self.config.model_dump(mode="json"),
                mix=self.mix.model_dump(mode="json"),
                inputs=self.inputs,
            )
            names = [name for name, _ in self.denoiser.named_parameters()]
            tensors = {
                "model": dict(self.denoiser.named_parameters()),
                "ema": dict(zip(names, self.ema.shadow_params, strict=True)),
                "optimiser": optimiser_tensors(self.optimiser, self.denoiser),
            }
            write_checkpoint(self.checkpoints, state, tensors, keep=self.config.keep_checkpoints)
        self.ranks.barrier()

    def _restore(self, folder: Path) -> None:
        state = read_state(folder)
        saved = TrainingConfig.model_validate(state.config)
        refuse_changes(folder, saved.meaning(), self.config.meaning(), "the training config")
        # Not the mix's text: a dataset that moved, shard for shard, is still the same data.
        refuse_changes(folder, state.inputs, self.inputs, "the mix or its data")
        self.denoiser.load_state_dict(read_tensors(folder, "model"))
        averages = read_tensors(folder, "ema")
        for (name, _), shadow in zip(self.denoiser.named_parameters(), self.ema.shadow_params, strict=True):
            shadow.copy_(averages[name])
        self.ema.optimization_step = state.ema_updates
        restore_optimiser(self.optimiser, self.denoiser, read_tensors(folder, "optimiser"))
        self.step = state.step
        self.consumed.update(state.consumed)


def _device(config: TrainingConfig, ranks: Ranks) -> torch.device:
    """The CPU, or this rank's GPU."""
    if config.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "device is cuda, and torch finds no GPU",
            consequence="training on the CPU instead would take many times as long without a word",
            remedy="set device to cpu, or see what `pairbridge doctor` says about the GPU",
        )
    device = torch.device("cuda", ranks.rank % torch.cuda.device_count())
    # Objects are gathered over NCCL on the current device.
    torch.cuda.set_device(device)
    return device


def _rows(batch: dict[str, Any], loss: Loss) -> list[dict[str, Any]]:
    """One plain record per sample of this rank, for `Telemetry.batch`."""
    losses = loss.per_sample.tolist()
    components = {name: values.tolist() for name, values in loss.components.items()}
    return [
        {
            "key": key,
            "source": source,
            "loss": losses[row],
            "components": {name: values[row] for name, values in components.items()},
        }
        for row, (key, source) in enumerate(zip(batch["keys"], batch["source_names"], strict=True))
    ]
