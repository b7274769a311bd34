"""What a distillation can be told; bridge, sizes, augmentation and precision are the teacher's."""

import itertools
from typing import Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.timesteps import AnyTimesteps
from pairbridge.training.distillation.distillation_equations import Multistep
from pairbridge.training.engine.optimiser import OptimiserConfig

# How fast a distillation goes and what it says of itself.
_FREE = ("threads", "loader_workers", "device", "log_every", "checkpoint_every", "keep_checkpoints", "watch")


class AlternatingOptimiser(OptimiserConfig):
    """AdamW without momentum, decay or schedule: what each network descends moves with the other's steps."""

    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.0, 0.99)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_images: int = Field(default=0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"


class DistillationWatchConfig(FrozenModel):
    """When a line of stats.jsonl warns; both figures are in every line."""

    critic_lag: float = Field(default=0.1, gt=0)
    """The critic lags: the student's mean loss, which the best critic keeps above 0, is below minus this
    share of the critic's."""
    collapse: float = Field(default=0.25, ge=0, lt=1)
    """The student has collapsed: from one source its samples are this many times nearer to each other than
    the teacher's, in mean square. Judged from `collapse_after` of the steps on: a student begins there."""
    collapse_after: float = Field(default=0.5, ge=0, le=1)
    teacher_steps: int = Field(default=20, ge=1)
    """Evaluations of the teacher for a sample to compare with."""


class DistillationConfig(FrozenModel):
    seed: int = Field(default=0, ge=0)
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps of the student."""
    critic_steps: int = Field(default=5, ge=1)
    """Critic steps, then student steps, and again: L and K of the paper."""
    student_steps: int = Field(default=1, ge=1)
    critic_warmup: int = Field(default=100, ge=0)
    """Critic steps before all others: the teacher that the critic starts as knows nothing of the student."""
    batch_size: int | None = Field(default=None, ge=1)
    """Sources a step. null: the teacher's."""
    nodes: tuple[float, ...] = (0.0,)
    """Times at which the student is evaluated, from 0; one step by default. Where they are k / N the ordinary
    commands sample with --steps N."""
    multistep: Multistep = Multistep.CHAIN
    noise: bool = True
    """Random input, through channels that start at zero. Without it the student is a function of the source.
    """
    timesteps: AnyTimesteps | None = None
    """Times of the matching. null: log_uniform down to (sigma / 10)^2 with a uniform half, where the teacher
    was trained at all times (uniform or log_uniform), else the teacher's own."""
    student: AlternatingOptimiser = AlternatingOptimiser()
    critic: AlternatingOptimiser = AlternatingOptimiser()
    ema_half_life_images: int = Field(default=1000, ge=1)
    """A weight counts half in the student's average after this many further images."""
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=2, ge=1)
    """How fast, never what: these may change when a run resumes."""
    loader_workers: int = Field(default=1, ge=0)
    watch: DistillationWatchConfig = DistillationWatchConfig()
    log_every: int = Field(default=10, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        rising = all(a < b for a, b in itertools.pairwise(self.nodes))
        if not self.nodes or self.nodes[0] != 0 or self.nodes[-1] >= 1 or not rising:
            raise ValueError(f"nodes must rise from 0 to below 1, got {self.nodes}")
        return self

    def batches_before(self, step: int) -> int:
        """Batches consumed when the student has made `step` steps."""
        rounds = -(-step // self.student_steps)
        return self.critic_warmup + rounds * self.critic_steps + step if step else 0

    def meaning(self) -> dict:
        """The part of the config that decides what is learned, JSON-able."""
        constant = self.student.schedule == self.critic.schedule == "constant"
        return self.model_dump(mode="json", exclude=set(_FREE) | ({"steps"} if constant else set()))
