"""Detects the silent failures of a distillation: a critic that lags, a student that has collapsed."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.bridges import BridgeProcess
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import FieldFn, PosteriorSampler, uniform_grid
from pairbridge.training.bridge.timesteps import DiscreteTimesteps, Timesteps
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.distillation_equations import (
    Multistep,
    StudentFn,
    draw_student,
    student_sample,
)

CRITIC_LAGS = "critic_lags"
COLLAPSED = "collapsed"

EXPLAINED = {
    CRITIC_LAGS: "the critic lags: the student's loss is below zero, and its gradient points anywhere."
    " Raise critic_steps or critic.learning_rate, or lower student.learning_rate",
    COLLAPSED: "the student's samples from one source hardly differ, and the teacher's do. Match at earlier"
    " times (timesteps: {kind: log_uniform} with a smaller low), or raise the teacher's sigma",
}


def teacher_grid(timesteps: Timesteps, steps: int) -> tuple[float, ...]:
    """The times to sample a teacher at: `steps` even ones, or those it was trained at."""
    if isinstance(timesteps, DiscreteTimesteps):
        return tuple(sorted({0.0, *timesteps.times}))
    return tuple(t for t in uniform_grid(steps) if timesteps.trained(t))


class SpreadWatch:
    """How far samples from one source lie apart, relative to the teacher's: 1 is right, 0 is collapse."""

    def __init__(
        self,
        config: DistillationConfig,
        bridge: BridgeProcess,
        teacher: FieldFn,
        timesteps: Timesteps,
        x0: Tensor,
    ) -> None:
        """`x0`: the sources to watch; `teacher`: its field on them."""
        self._config, self._bridge, self._x0 = config, bridge, x0
        times = teacher_grid(timesteps, config.watch.teacher_steps)
        sampler = PosteriorSampler()
        samples = [
            sample(
                sampler,
                teacher,
                x0,
                times,
                bridge=bridge,
                generator=torch.Generator().manual_seed(seed31(config.seed, "watch", draw)),
            )
            for draw in range(2)
        ]
        self.of_teacher = float(_apart(samples))

    @torch.no_grad()
    def relative(self, student: StudentFn) -> dict[str, Tensor]:
        """`spread`, which nothing has waited for; nothing where the teacher has none to compare with."""
        if self.of_teacher == 0:
            return {}
        times = self._config.student_timesteps
        samples = []
        for draw in range(2):
            generator = torch.Generator().manual_seed(seed31(self._config.seed, "watch", draw))
            draws = draw_student(self._x0.shape, torch.zeros(len(self._x0)), len(times), generator)
            draws = draws.to(self._x0.device)
            samples.append(student_sample(student, self._x0, times, draws, self._bridge, Multistep.CHAIN))
        return {"spread": _apart(samples) / self.of_teacher}


def findings(config: DistillationConfig, line: Mapping[str, Any]) -> list[str]:
    """Names of what is wrong by a line of stats.jsonl, which may be without `spread`."""
    found = []
    if line["loss"] < -config.watch.critic_lag * line["loss_critic"]:
        found.append(CRITIC_LAGS)
    judged = config.noise and line["step"] >= config.watch.collapse_after * config.steps
    if judged and line.get("spread", math.inf) < config.watch.collapse:
        found.append(COLLAPSED)
    return found


def _apart(samples: list[Tensor]) -> Tensor:
    return (samples[0] - samples[1]).square().mean()
