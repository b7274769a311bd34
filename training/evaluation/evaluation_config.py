"""What an evaluation can be told."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.samplers import AnySampler, PosteriorSampler
from pairbridge.training.evaluation.baselines import BASELINES, MODEL, OwnBaseline
from pairbridge.training.evaluation.tasks import Task
from pairbridge.training.perceptual.lpips import LpipsConfig


class EvaluationSource(FrozenModel):
    """One recipe of one dataset; the path is read like a mix's (`run:dataset`, or relative to the file)."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    path: str
    recipe: str
    task: Task = Task.RELIGHTING
    """What the pairs are; says which metrics count and which trivial predictors the model has to beat."""
    fit_recipe: str | None = None
    """Recipe of the same dataset whose training and validation splits baselines are fitted on; null: this
    one."""
    baselines: tuple[OwnBaseline, ...] = ()
    """Baselines of the user's own, beside those of the task."""
    max_pairs: int | None = Field(default=None, ge=1)
    """Pairs at most, the first of the split in planned order; null = all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [MODEL, *BASELINES, *(one.class_name for one in self.baselines)]
        taken = sorted({name for name in names if names.count(name) > 1})
        if taken:
            raise ValueError(f"the name {taken[0]} of a baseline is taken: rename its class")
        return self


class EvaluationConfig(FrozenModel):
    """Figures on the test side; baselines are fitted on the training and tuned on the validation side."""

    seed: int = Field(default=0, ge=0)
    sources: tuple[EvaluationSource, ...] = Field(min_length=1)
    split: Literal["validation", "test"] = "test"
    sampling_steps: int = Field(default=1, ge=1)
    """Steps per image: network evaluations, but with heun, dopri5 and guidance."""
    sampler: AnySampler = PosteriorSampler()
    """What goes on between them: kind posterior, euler_maruyama, dbim (eta, order) or reference; of flows
    also euler, heun or dopri5 (rtol, atol, end)."""
    guidance: float = Field(default=1.0, ge=0)
    """Of the conditions that training withheld now and then (docs/flow.md); 1: none."""
    size: int = Field(default=96, ge=8)
    batch_size: int = Field(default=32, ge=1)
    threads: int = Field(default=2, ge=1)
    bootstrap_resamples: int = Field(default=2000, ge=100)
    sample_images: int = Field(default=8, ge=0)
    """Rows of source | output | target that are kept as pictures, per source."""
    worst_images: int = Field(default=12, ge=0)
    """Rows of the pairs that the model does worst, by the metric that the task is judged by."""
    inception: Path | None = None
    """Weights of the Inception that FID is defined on, as safetensors: FID and local FID of every method. It
    is pt_inception-2015-12-05 of torch-fidelity and pytorch-fid; none is shipped. null: no FID."""
    lpips: LpipsConfig | None = None
    """Weights of LPIPS (VGG): `vgg` and `heads`, as for a training's loss; none is shipped. null: no LPIPS.
    """
