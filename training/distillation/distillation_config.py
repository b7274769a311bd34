"""What a distillation can be told; bridge, sizes, augmentation and precision are the teacher's."""

import itertools
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pairbridge.training.bridge.timesteps import AnyTimesteps
from pairbridge.training.bridge_training.training_config import WatchConfig
from pairbridge.training.distillation.distillation_equations import Multistep
from pairbridge.training.engine.engine_config import EngineConfig
from pairbridge.training.engine.optimiser import OptimiserConfig


class AlternatingOptimiser(OptimiserConfig):
    """AdamW without momentum, decay or schedule: what each network descends moves with the other's steps."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Decay rates of AdamW's averages of the gradient and of its square; 0 is no momentum."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    warmup_images: int = Field(default=0, ge=0)
    """Length of the linear warm-up of the learning rate, in images."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate after the warm-up: constant, or a cosine from learning_rate to zero at the last step."""


class DistillationWatchConfig(WatchConfig):
    """When a line of stats.jsonl warns, beside the pictures of the student; both figures are in every
    line."""

    critic_lag: float = Field(default=0.1, gt=0)
    """Threshold of the warning `critic_lags`, as a fraction of the critic's loss: the student's mean loss,
    which is above 0 with the best critic, is below minus this."""
    collapse: float = Field(default=0.25, ge=0, lt=1)
    """Threshold of the warning `collapsed`: the mean squared distance of two samples from one source, divided
    by the teacher's."""
    collapse_after: float = Field(default=0.5, ge=0, le=1)
    """Fraction of the steps from which on `collapsed` is looked for: a student begins without spread."""
    teacher_steps: int = Field(default=20, ge=1)
    """Network evaluations of a sample of the teacher that the student's are compared with."""


class DistillationConfig(EngineConfig):
    critic_steps: int = Field(default=5, ge=1)
    """Critic steps of a round, which precede its student steps: L of the paper."""
    student_steps: int = Field(default=1, ge=1)
    """Student steps of a round: K of the paper."""
    critic_warmup: int = Field(default=100, ge=0)
    """Critic steps before all others: the teacher that the critic starts as knows nothing of the student."""
    batch_size: int | None = Field(default=None, ge=1)
    """Sources per step, over all ranks. null: the teacher's batch size."""
    student_timesteps: tuple[float, ...] = (0.0,)
    """Timesteps at which the student is evaluated, rising from 0 to below 1; one by default. Where they are
    k / N the ordinary commands sample with --steps N."""
    multistep: Multistep = Multistep.CHAIN
    """Sample that a student of several timesteps is fitted on. `chain`: the end of the whole chain, with its
    gradient. `timestep`: the estimate at one timestep, drawn in each step, with the gradient of that
    alone."""
    noise: bool = True
    """Whether the student takes random input, through channels that start at zero. Without it the student is
    a function of the source."""
    timesteps: AnyTimesteps | None = None
    """Distribution of the timesteps of the matching. null: log_uniform down to (sigma / 10)^2 with a uniform
    half, where the teacher was trained at all times (uniform or log_uniform), else the teacher's own."""
    student: AlternatingOptimiser = AlternatingOptimiser()
    """Optimiser of the student."""
    critic: AlternatingOptimiser = AlternatingOptimiser()
    """Optimiser of the critic."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints."""
    watch: DistillationWatchConfig = DistillationWatchConfig()
    """Pictures, trackers and warnings while the distillation runs."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        times = self.student_timesteps
        rising = all(a < b for a, b in itertools.pairwise(times))
        if not times or times[0] != 0 or times[-1] >= 1 or not rising:
            raise ValueError(f"student_timesteps must rise from 0 to below 1, got {times}")
        return self

    def batches_before(self, step: int) -> int:
        """Batches consumed when the student has made `step` steps."""
        rounds = -(-step // self.student_steps)
        return self.critic_warmup + rounds * self.critic_steps + step if step else 0

    def meaning(self) -> dict[str, Any]:
        """The part of the config that decides what is learned, JSON-able."""
        return self._meaning(self.student, self.critic)
