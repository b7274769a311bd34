"""Distillation of a trained bridge: critic and student in turn, from sources alone. Resumed exactly.

    <run_dir>/checkpoints/step-000123/   as of a training (pairbridge.training.engine.checkpoint): what
    translates, evaluates and publishes a model takes the student; beside it `critic` and
                                         `critic_optimiser`
    <run_dir>/stats.jsonl                losses, norms, spread and warnings, every `log_every` steps
    <run_dir>/consumed.jsonl             the keys of every batch that reached one of both networks

A step is one of the student. All noise is keyed by (seed, number of the batch). One process: teacher, critic
and student are whole on one device.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.bridge_training.loop import TrainingDiverged, TrainResult, training_device
from pairbridge.training.bridge_training.objective import encode_sources, predict
from pairbridge.training.bridge_training.translation_model import TranslationModel, training_buckets
from pairbridge.training.data.condition_specs import NOISE
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.tensors import Batch
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.distillation_equations import (
    StudentDraws,
    StudentFn,
    draw_student,
    matching_error,
    student_loss,
    student_sample,
)
from pairbridge.training.distillation.distillation_watch import SpreadWatch, findings
from pairbridge.training.distillation.student import (
    build_critic,
    build_student,
    matching_timesteps,
    student_config,
)
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
from pairbridge.training.engine.optimiser import Learner
from pairbridge.training.engine.parallel import fill
from pairbridge.training.engine.run_log import StepLog
from pairbridge.training.engine.telemetry import memory_mib
from pairbridge.training.networks.ema import make_ema

# Sources whose samples the watch compares.
_WATCHED = 32


def distil(
    config: DistillationConfig,
    teacher: Path,
    mix: MixConfig,
    run_dir: Path,
    *,
    run_root: Path,
    on_progress: Callable[[dict[str, Any]], None] = lambda line: None,
) -> TrainResult:
    """Distil the checkpoint `teacher` to `config.steps`, from the newest checkpoint in `run_dir` if any.

    Of the pairs of `mix` the sources are used. `run_root` is what `run:` paths of the mix start from.
    `on_progress` gets each line of stats.jsonl. SIGINT and SIGTERM end the run after the current step, with a
    checkpoint. Raises CheckpointError where config, teacher, mix or data differ from the checkpoint's,
    ConfigError for what the teacher cannot teach, and TrainingDiverged.
    """
    torch.set_num_threads(config.threads)
    distillation = _Distillation(config, teacher, mix, run_dir, run_root)
    with stop_on_signals() as stop:
        distillation.run(stop, on_progress)
    return TrainResult(
        checkpoint=checkpoint_folders(distillation.checkpoints)[-1],
        step=distillation.step,
        consumed=dict(distillation.consumed),
        interrupted=stop.signal_name if distillation.step < config.steps else None,
    )


class _Distillation:
    """Three networks, two optimisers, an average and the place in the data."""

    def __init__(
        self, config: DistillationConfig, teacher: Path, mix: MixConfig, run_dir: Path, run_root: Path
    ) -> None:
        self.config, self.mix, self.run_dir = config, mix, run_dir
        self.checkpoints = run_dir / "checkpoints"
        ranks = Ranks.current()
        if ranks.world > 1:
            raise ConfigError(
                f"distillation was started in {ranks.world} processes",
                consequence="each would distil a student of its own, into one folder",
                remedy="start it without torchrun: teacher, critic and student share one device",
            )
        self.device = training_device(config.device, ranks)
        self.teacher = TranslationModel.load(teacher, str(self.device))
        self.teacher.denoiser.requires_grad_(False)
        self.autoencoder = self.teacher.autoencoder
        self.bridge = self.teacher.config.bridge
        self.timesteps = matching_timesteps(self.teacher.config, config)
        self.student_config = student_config(self.teacher.config, config)
        self.student = build_student(self.teacher, self.student_config)
        self.critic = build_critic(self.teacher)
        buckets = training_buckets(self.student_config, self.autoencoder)
        self.batch_size = buckets.mean_batch_size
        self.student_learner = self._learner(config.student, self.student, config.steps)
        self.critic_learner = self._learner(
            config.critic, self.critic, config.batches_before(config.steps) - config.steps
        )
        self.ema = make_ema(
            self.student.parameters(),
            half_life_images=config.ema_half_life_images,
            batch_size=self.batch_size,
        )

        def loader(workers: int) -> MixedLoader:
            return MixedLoader(
                mix,
                run_root=run_root,
                buckets=buckets,
                workers=workers,
                conditions=self.teacher.config.denoiser.conditions,
            )

        self.loader = loader(config.loader_workers)
        self._check_length()
        self.inputs = {
            "autoencoder": self.autoencoder.digest,
            "teacher": file_sha256(teacher / "ema.safetensors"),
            "distillation": config.meaning(),
            **self.loader.digests,
        }
        self.step = 0
        self.consumed: Counter[str] = Counter({source.name: 0 for source in mix.sources})
        complete = checkpoint_folders(self.checkpoints)
        if complete:
            self._restore(complete[-1])
        self.watch, self.watched = self._watch(next(loader(0).batches()))

    def _learner(self, optimiser, network: nn.Module, steps: int) -> Learner:
        return Learner(
            optimiser, dict(network.named_parameters()), total_images=round(steps * self.batch_size)
        )

    def _check_length(self) -> None:
        wanted = self.config.batches_before(self.config.steps)
        if self.loader.num_batches is not None and self.loader.num_batches < wanted:
            raise ConfigError(
                f"the mix ends after {self.loader.num_batches} batches, and {self.config.steps} steps of the"
                f" student with their critic steps take {wanted}",
                consequence="the distillation would stop in the middle",
                remedy="set on_exhausted of the mix to repeat, or lower steps or critic_steps",
            )

    def _watch(self, batch: Batch) -> tuple[SpreadWatch, dict[str, Tensor]]:
        """The watch, and the conditions of the sources that it looks at."""
        batch = {name: value[:_WATCHED] for name, value in batch.items() if isinstance(value, Tensor)}
        count = len(batch["source"])
        # 0.999...: no change, and no condition withheld.
        kept = torch.full((count, max(3, len(self.teacher.config.denoiser.conditions))), 1 - 1e-7)
        x0, seen = encode_sources(
            self.teacher.config, self.autoencoder, batch, self.device, changes=kept, dropout=kept
        )
        field = self._field(self.teacher.denoiser, seen)
        return SpreadWatch(self.config, self.bridge, field, self.teacher.config.timesteps, x0), seen

    def run(self, stop: StopRequest, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Steps up to the last one, or until `stop`; leaves a checkpoint of where it ended."""
        logs = [
            StepLog(self.run_dir / f"{name}.jsonl", resume_step=self.step) for name in ("stats", "consumed")
        ]
        stats, consumed = logs
        with contextlib.ExitStack() as stack:
            for log in logs:
                stack.callback(log.close)
            window = _Window()
            batches = window.timed(self.loader.batches(start=self.config.batches_before(self.step)))
            while self.step < self.config.steps and not stop:
                consumed.append(self._round_step(batches, window))
                last = self.step == self.config.steps
                if last or self.step % self.config.log_every == 0 or stop:
                    line = self._line(window)
                    stats.append(line)
                    on_progress(line)
                    window.begin()
                if last or self.step % self.config.checkpoint_every == 0 or stop:
                    self._check_finite(window)
                    for log in logs:
                        log.sync()
                    self._save()

    def _round_step(self, batches: Iterator[Batch], window: "_Window") -> dict[str, Any]:
        """A step of the student, after the critic steps that are due; its line of consumed.jsonl."""
        used: list[Batch] = []

        def take() -> Batch:
            used.append(next(batches))
            self.consumed.update(used[-1]["source_names"])
            return used[-1]

        if self.step == 0:
            for _ in range(self.config.critic_warmup):
                self._critic_step(take(), window)
        if self.step % self.config.student_steps == 0:
            for _ in range(self.config.critic_steps):
                self._critic_step(take(), window)
        self._student_step(take(), window)
        self.step += 1
        return {
            "step": self.step,
            "keys": [key for batch in used for key in batch["keys"]],
            "substitutes": [entry for batch in used for entry in batch["substitutes"]],
        }

    def _critic_step(self, batch: Batch, window: "_Window") -> None:
        x0, seen, draws = self._begin(batch)
        with torch.no_grad():
            x1 = self._sample(x0, seen, draws)
        loss = matching_error(self._field(self.critic, seen), x0, x1, draws.t, draws.eps, self.bridge).mean()
        before = batch["number"] - self.step
        norm = self.critic_learner.step(loss, images=round(before * self.batch_size))
        window.add(critic_loss=loss, critic_gradient_norm=norm)
        window.images += len(x0)

    def _student_step(self, batch: Batch, window: "_Window") -> None:
        x0, seen, draws = self._begin(batch)
        loss = student_loss(
            self._field(self.teacher.denoiser, seen),
            self._field(self.critic, seen),
            x0,
            self._sample(x0, seen, draws),
            draws,
            self.bridge,
        )
        total = loss.per_sample.mean()
        norm = self.student_learner.step(total, images=self._images())
        self.ema.step(self.student.parameters())
        window.add(
            loss=total, loss_teacher=loss.teacher.mean(), loss_critic=loss.critic.mean(), gradient_norm=norm
        )
        window.images += len(x0)

    def _begin(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], StudentDraws]:
        """Source latents, conditions and draws of a batch; its number decides them."""
        generator = torch.Generator().manual_seed(seed31(self.config.seed, "distil", batch["number"]))
        count = len(batch["source"])
        changes = torch.rand(count, 3, generator=generator)
        dropout = torch.rand(count, len(self.teacher.config.denoiser.conditions), generator=generator)
        x0, seen = encode_sources(
            self.teacher.config, self.autoencoder, batch, self.device, changes=changes, dropout=dropout
        )
        t = self.timesteps.sample(count, generator)
        return x0, seen, draw_student(x0.shape, t, len(self.config.nodes), generator).to(self.device)

    def _sample(self, x0: Tensor, seen: dict[str, Tensor], draws: StudentDraws) -> Tensor:
        return student_sample(
            self._student_field(seen), x0, self.config.nodes, draws, self.bridge, self.config.multistep
        )

    def _field(self, network: nn.Module, seen: dict[str, Tensor]) -> FieldFn:
        return lambda x, t: predict(self.teacher.config, network, x, t, seen)

    def _student_field(self, seen: dict[str, Tensor]) -> StudentFn:
        return lambda x, t, z: predict(self.student_config, self.student, x, t, {**seen, NOISE: z})

    def _images(self) -> int:
        return round(self.step * self.batch_size)

    def _line(self, window: "_Window") -> dict[str, Any]:
        means = window.means()
        self._check_finite(window)
        spread = self.watch.relative(self._student_field(self.watched))
        elapsed_s = time.perf_counter() - window.since
        pace = window.images / elapsed_s
        left = self.config.batches_before(self.config.steps) - self.config.batches_before(self.step)
        return {
            "step": self.step,
            "images": self._images(),
            **means,
            "spread": spread,
            "warnings": findings(
                self.config,
                step=self.step,
                loss=means["loss"],
                critic=means["loss_critic"],
                spread=spread,
            ),
            "learning_rate": self.student_learner.optimiser.param_groups[0]["lr"],
            "images_per_s": pace,
            "data_wait": min(1.0, window.waited_s / elapsed_s),
            "memory_mib": memory_mib(),
            "seconds_left": left * self.batch_size / pace,
        }

    def _check_finite(self, window: "_Window") -> None:
        means = window.means()
        wrong = {name: value for name, value in means.items() if not math.isfinite(value)}
        if not wrong:
            return
        good = checkpoint_folders(self.checkpoints)
        raise TrainingDiverged(
            f"up to step {self.step} of the distillation {next(iter(wrong))} is {next(iter(wrong.values()))}",
            consequence=f"it stops; the last good checkpoint is {good[-1]}"
            if good
            else "it stops; there is no checkpoint from before",
            remedy="lower student.learning_rate, critic.learning_rate or their clip_norm, and start over",
        )

    def _save(self) -> None:
        weights, critic = self.student_learner.weights, self.critic_learner.weights
        tensors = {
            "model": {name: weight.detach() for name, weight in weights.items()},
            "ema": dict(zip(weights, self.ema.shadow_params, strict=True)),
            "optimiser": optimiser_tensors(self.student_learner.optimiser, weights),
            "critic": {name: weight.detach() for name, weight in critic.items()},
            "critic_optimiser": optimiser_tensors(self.critic_learner.optimiser, critic),
        }
        state = CheckpointState(
            step=self.step,
            images=self._images(),
            ema_updates=self.ema.optimization_step,
            consumed=dict(self.consumed),
            config=self.student_config.model_dump(mode="json"),
            mix=self.mix.model_dump(mode="json"),
            inputs=self.inputs,
        )
        write_checkpoint(self.checkpoints, state, tensors, keep=self.config.keep_checkpoints)

    def _restore(self, folder: Path) -> None:
        state = read_state(folder)
        refuse_changes(
            folder, state.inputs, self.inputs, "the distillation, its teacher, the mix or its data"
        )
        weights, critic = self.student_learner.weights, self.critic_learner.weights
        averages = dict(zip(weights, self.ema.shadow_params, strict=True))
        fill(weights, read_tensors(folder, "model"))
        fill(averages, read_tensors(folder, "ema"))
        fill(critic, read_tensors(folder, "critic"))
        restore_optimiser(self.student_learner.optimiser, weights, read_tensors(folder, "optimiser"))
        restore_optimiser(self.critic_learner.optimiser, critic, read_tensors(folder, "critic_optimiser"))
        self.ema.optimization_step = state.ema_updates
        self.step = state.step
        self.consumed.update(state.consumed)


class _Window:
    """Figures since the last line, read from the device when it is written."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self.images = 0
        self.waited_s = 0.0
        self.since = time.perf_counter()

    def add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._values.setdefault(name, []).append(value.detach())

    def means(self) -> dict[str, float]:
        return {name: float(torch.stack(values).mean()) for name, values in self._values.items()}

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """`batches`, with the time that they were waited for."""
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            self.waited_s += time.perf_counter() - before
            if batch is None:
                return
            yield batch
