"""The evaluation configuration: datasets, split, metrics and their weights."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.samplers import AnySampler, PosteriorSampler
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.evaluation.baselines import BASELINES, MODEL, OwnBaseline
from pairbridge.training.evaluation.tasks import Task
from pairbridge.training.perceptual.image_classifier import ClassifierConfig
from pairbridge.training.perceptual.lpips import LpipsConfig


class EvaluationSource(FrozenModel):
    """One recipe of one dataset; the path is read like a mix's (`run:dataset`, or relative to the file)."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    """Name of the source in results: lower-case letters, digits, `_` and `-`."""
    path: str
    """The dataset's folder or URL, as in a mix: absolute, relative to the YAML file, or `run:dataset`."""
    recipe: str
    """Recipe of the dataset whose pairs are evaluated."""
    task: Task = Task.RELIGHTING
    """Task of the pairs. It decides the metrics and the baselines."""
    roles: RoleChoice = RoleChoice()
    """Which of the recipe's fields is source, target, mask and condition, as in a mix."""
    label: str | None = None
    """Name of what the model is to do, where it was trained on a mix of several tasks: as in that mix."""
    fit_recipe: str | None = None
    """Recipe whose training and validation splits baselines are fitted on. null: `recipe`."""
    fit_path: str | None = None
    """Folder or URL of the dataset that has that recipe, as `path`: that of the training, where what is
    judged is a dataset of its own. null: `path`."""
    withheld: tuple[str, ...] = ()
    """Conditions that neither model nor baselines are given: those that the training withheld now and then
    (their `dropout`). A dataset without them can be judged so."""
    against: tuple[str, ...] | None = None
    """Names of pairbridge's own baselines, such as `light_ridge`. null: those of the task; docs/evaluation.md
    lists them."""
    baselines: tuple[OwnBaseline, ...] = ()
    """Baselines of the user's own, beside those of the task."""
    classifier: ClassifierConfig | None = None
    """Classifier that is to recognise what outputs show, for the class accuracy. None is shipped. null: no
    class accuracy."""
    outputs: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._-]+$")], Path] = Field(default_factory=dict)
    """Folders with the outputs of other methods, by name, such as {LaMa: outputs/lama}: a row of each. They
    hold KEY.png of every pair, of its full size or the evaluation's. Relative to the YAML file."""
    max_pairs: int | None = Field(default=None, ge=1)
    """Largest number of pairs to evaluate, the first of the split in planned order. null: all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if unknown := sorted(set(self.against or ()) - set(BASELINES)):
            raise ValueError(f"there is no baseline {unknown[0]}; there are {', '.join(BASELINES)}")
        names = [MODEL, *BASELINES, *(one.class_name for one in self.baselines), *self.outputs]
        taken = sorted({name for name in names if names.count(name) > 1})
        if taken:
            raise ValueError(f"the name {taken[0]} of a baseline is taken: choose another")
        for key in ("outputs", "classifier"):
            if getattr(self, key) and not self.task.makes_pictures:
                raise ValueError(f"`{key}` is for pictures, and the task {self.task} makes none")
        return self


class EvaluationConfig(FrozenModel):
    """Figures on the test side; baselines are fitted on the training and tuned on the validation side."""

    seed: int = Field(default=0, ge=0)
    """Random seed of sampling noise and of the bootstrap."""
    sources: tuple[EvaluationSource, ...] = Field(min_length=1)
    """Datasets to evaluate on, at least one."""
    split: Literal["validation", "test"] = "test"
    """Split that is evaluated. Nothing is fitted or chosen on it."""
    sampling_steps: int = Field(default=1, ge=1)
    """Sampling steps per image. Each is one network evaluation (NFE); heun and guidance take two, dopri5
    chooses its own number."""
    sampler: AnySampler = PosteriorSampler()
    """Sampler of the model: kind posterior, euler_maruyama, dbim, reference or own; for flows (sigma 0) also
    euler, heun and dopri5."""
    guidance: float = Field(default=1.0, ge=0)
    """Classifier-free guidance scale on the conditions that training dropped out. 1: no guidance."""
    size: int = Field(default=96, ge=8)
    """Side of the images in pixels. Pairs are cropped to a square and resized to it."""
    batch_size: int = Field(default=32, ge=1)
    """Images per forward pass. An image's noise is keyed by its pair, so that it decides last bits alone."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the model and of the networks of metrics; baselines run on the CPU."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the model's forward pass and decoder. `bf16`: autocast. The networks of metrics are in
    float32 with either, as their figures are compared with others'."""
    threads: int = Field(default=2, ge=1)
    """CPU threads of torch."""
    bootstrap_resamples: int = Field(default=2000, ge=100)
    """Resamples of the bootstrap behind the confidence intervals, at least 100."""
    sample_images: int = Field(default=8, ge=0)
    """Pictures (source | output | target) to keep per source, spread evenly over the split."""
    worst_images: int = Field(default=12, ge=0)
    """Pictures to keep of the pairs with the worst metric, per source."""
    inception: Path | None = None
    """Safetensors file of the Inception weights that FID is defined on (pt_inception-2015-12-05 of pytorch-
    fid), for FID, local FID, SFID, CSFID and the inception score. None is shipped. null: none of them."""
    lpips: LpipsConfig | None = None
    """Weights of LPIPS (VGG), as for a training's loss. None is shipped. null: no LPIPS."""
    dinov2: Path | None = None
    """Folder of DINOv2 in the layout of transformers (config.json, model.safetensors), for the context
    deviation of the task `removal`, which needs no target. None is shipped. null: no context deviation."""
