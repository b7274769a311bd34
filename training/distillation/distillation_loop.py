"""Distillation of a trained bridge: critic and student in turn, from sources alone, equation by equation in
`pairbridge.training.distillation.distillation_equations`. `engine.engine_run` does the rest:
checkpoints, logs, ranks and resumes.

A step is one of the student, after the critic steps that are due. In a checkpoint what translates, evaluates
and publishes a model finds the student; beside it lie `critic` and `critic_optimiser`. All noise is keyed by
(seed, number of the batch) and drawn for the global batch. Replicated, every rank holds teacher, critic and
student; sharded, its part of all three.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.bridge_training.objective import encode_sources, part_of, predict
from pairbridge.training.bridge_training.translation_model import TranslationModel, training_buckets
from pairbridge.training.bridge_training.watch import PictureWatch
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
    even_steps,
    freeze_teacher,
    matching_timesteps,
    student_config,
)
from pairbridge.training.engine.checkpoint import content_digest
from pairbridge.training.engine.engine_run import Method, TrainResult, run
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.parallel import ParallelNetwork
from pairbridge.training.engine.run_folder import run_folder
from pairbridge.training.engine.torch_devices import found_device

Conditions = dict[str, Tensor]
# (network, x0, its conditions, draws of the same rows) -> values per sample, as of a learner.
Losses = Callable[[nn.Module, Tensor, Conditions, StudentDraws], dict[str, Tensor]]

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

    Of the pairs of `mix` the sources are used. `run_root` is what `run:` paths of the mix start from; the
    rest is as `engine.engine_run` says it. Raises ConfigError for what the teacher cannot teach.
    """
    torch.set_num_threads(config.threads)
    with run_folder(run_dir, Ranks.current()) as folder:
        return run(Distillation(config, teacher, mix, run_dir, run_root), config, folder, on_progress)


class Distillation(Method):
    """A student and a critic of one teacher."""

    diverged_at = None
    remedy = "lower student.learning_rate, critic.learning_rate or their clip_norm, and start over"

    def __init__(
        self, config: DistillationConfig, teacher: Path, mix: MixConfig, run_dir: Path, run_root: Path
    ) -> None:
        self.config = config
        self.ranks = Ranks.current()
        self.device = found_device(config.device, self.ranks)
        sharded = config.layout_in("fp32").shards(self.ranks)
        # Whole networks are on no GPU that is given a shard, and with the first rank alone.
        place = "cpu" if sharded else config.device
        self.teacher = TranslationModel.load(teacher, place, hollow=sharded and not self.ranks.first)
        self.autoencoder = self.teacher.autoencoder.to(self.device)
        self.bridge = self.teacher.config.bridge
        self.timesteps = matching_timesteps(self.teacher.config, config)
        self.settings = student_config(self.teacher.config, config)
        buckets = training_buckets(self.settings, self.autoencoder)
        self.batch_size = buckets.mean_batch_size
        layout = config.layout_in(self.teacher.config.precision)
        student, critic = build_student(self.teacher, self.settings), build_critic(self.teacher)
        freeze_teacher(self.teacher, gathered_in_bf16=sharded)
        if config.gradient_checkpointing:
            for network in (self.teacher.denoiser, student, critic):
                network.backbone.enable_gradient_checkpointing()
        if sharded:
            ParallelNetwork(self.teacher.denoiser, layout, self.ranks, self.device)
        self.student = Learner(
            student,
            config.student,
            total_images=self.images_before(config.steps),
            ema=config.ema_settings(self.batch_size),
            layout=layout,
            ranks=self.ranks,
            device=self.device,
        )
        critic_steps = config.batches_before(config.steps) - config.steps
        self.critic = Learner(
            critic,
            config.critic,
            total_images=self.images_before(critic_steps),
            name="critic",
            layout=layout,
            ranks=self.ranks,
            device=self.device,
        )
        self.learners = [self.student, self.critic]
        conditions = self.teacher.config.denoiser.conditions
        loader = partial(MixedLoader, mix, run_root=run_root, buckets=buckets, conditions=conditions)
        self.loader = loader(workers=config.loader_workers, ranks=self.ranks)
        self.inputs = {
            "autoencoder": self.autoencoder.digest,
            "teacher": content_digest(teacher, "ema"),
            "distillation": config.meaning(),
            **self.loader.digests,
        }
        self.watch = PictureWatch(
            self.settings,
            mix,
            run_dir,
            self.autoencoder,
            run_root=run_root,
            size_WH=buckets.bucket(0).size_WH,
            ranks=self.ranks,
            steps=even_steps(config.student_timesteps),
        )
        # The first global batch, the same on every rank.
        self.spread, self.watched = self._watch(next(loader(ranks=Ranks(0, 1)).batches()))

    def batches_before(self, step: int) -> int:
        return self.config.batches_before(step)

    def images_before(self, step: int) -> int:
        return round(step * self.batch_size)

    def step(self, number: int, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """A step of the student, after the critic steps that are due."""
        due = self.config.critic_steps if number % self.config.student_steps == 0 else 0
        due += self.config.critic_warmup if number == 0 else 0
        taught = [
            self._descend(self.critic, batch, self._critic_losses, batch["number"] - number)
            for batch in itertools.islice(batches, due)
        ]
        of_critic = {
            f"critic_{name}": torch.cat([numbers[name].reshape(-1) for numbers in taught])
            for name in (taught[0] if taught else ())
        }
        with self.critic.frozen():
            numbers = self._descend(self.student, next(batches), self._student_losses, number)
        return numbers | of_critic

    def _critic_losses(
        self, critic: nn.Module, x0: Tensor, seen: Conditions, draws: StudentDraws
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            x1 = self._sample(self.student.network, x0, seen, draws)
        return {"loss": matching_error(self._field(critic, seen), x0, x1, draws.t, draws.eps, self.bridge)}

    def _student_losses(
        self, student: nn.Module, x0: Tensor, seen: Conditions, draws: StudentDraws
    ) -> dict[str, Tensor]:
        teacher, critic = self._field(self.teacher.denoiser, seen), self._field(self.critic.network, seen)
        x1 = self._sample(student, x0, seen, draws)
        loss = student_loss(teacher, critic, x0, x1, draws, self.bridge)
        return {"loss": loss.per_sample, "loss_teacher": loss.teacher, "loss_critic": loss.critic}

    def _descend(self, learner: Learner, batch: Batch, losses: Losses, step: int) -> dict[str, Tensor]:
        """The learner's step `step` on this rank's rows of a batch, whose number decides all draws."""
        config, count = self.teacher.config, batch["batch_size"]
        generator = torch.Generator().manual_seed(seed31(self.config.seed, "distil", batch["number"]))
        changes = torch.rand(count, 3, generator=generator)
        dropout = torch.rand(count, generator=generator)
        t = self.timesteps.sample(count, generator)
        sides = (side // self.autoencoder.factor for side in batch["size_WH"][::-1])
        shape = (count, self.autoencoder.channels, *sides)
        draws = draw_student(shape, t, len(self.config.student_timesteps), generator)
        own = self.ranks.share(count)

        def part_losses(network: nn.Module, part: slice) -> dict[str, Tensor]:
            rows = slice(own.start + part.start, own.start + part.stop)
            x0, seen = encode_sources(
                config,
                self.autoencoder,
                part_of(batch, part),
                self.device,
                changes=changes[rows],
                dropout=dropout[rows],
                kinds=self.loader.kinds,
            )
            return losses(network, x0, seen, draws.rows(rows).to(self.device))

        rows, images = own.stop - own.start, self.images_before(step)
        return learner.descend(part_losses, rows=rows, images=images, parts=self.config.accumulate)

    def _sample(self, student: nn.Module, x0: Tensor, seen: Conditions, draws: StudentDraws) -> Tensor:
        times, field = self.config.student_timesteps, self._student_field(student, seen)
        return student_sample(field, x0, times, draws, self.bridge, self.config.multistep)

    def _field(self, network: nn.Module, seen: Conditions) -> FieldFn:
        return lambda x, t: predict(self.teacher.config, network, x, t, seen)

    def _student_field(self, network: nn.Module, seen: Conditions) -> StudentFn:
        return lambda x, t, z: predict(self.settings, network, x, t, {**seen, NOISE: z})

    def _watch(self, batch: Batch) -> tuple[SpreadWatch, Conditions]:
        """The watch, and the conditions of the sources that it looks at."""
        batch = part_of(batch, slice(_WATCHED))
        count = len(batch["source"])
        # 0.999...: no change, and no condition withheld.
        kept = torch.full((count, 3), 1 - 1e-7)
        x0, seen = encode_sources(
            self.teacher.config,
            self.autoencoder,
            batch,
            self.device,
            changes=kept,
            dropout=kept[:, 0],
            kinds=self.loader.kinds,
        )
        field = self._field(self.teacher.denoiser, seen)
        return SpreadWatch(self.config, self.bridge, field, self.teacher.config.timesteps, x0), seen

    def measure(self, step: int) -> dict[str, Tensor]:
        return self.spread.relative(self._student_field(self.student.network, self.watched))

    def remarks(self, line: Mapping[str, Any]) -> dict[str, Any]:
        return {"spread": line.get("spread"), "warnings": findings(self.config, line)}
