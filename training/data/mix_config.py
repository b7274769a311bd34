"""The mix: which sources a training draws from, and how much of each."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator, model_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.training.data.bucket_mix import Phase
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.schedule import Schedule

RUN_PREFIX = "run:"


class MixSource(FrozenModel):
    """One recipe of one dataset, and its weight."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the source in reports and keys: lower-case letters, digits, `_` and `-`."""
    path: str
    """The dataset's folder or URL. A folder is absolute, relative to the mix's YAML file, or `run:dataset`
    for the one of that name in the run's folder."""
    recipe: str
    """Recipe of the dataset whose pairs are used."""
    split: Literal["train", "validation", "test"] = "train"
    """Split of the dataset that is trained on: `train`; the others are held out."""
    roles: RoleChoice = RoleChoice()
    """Which of the recipe's fields is source, target, mask and condition, and what the source shows in its
    hole."""
    label: str | None = None
    """Name of what this source teaches, for a mix of several tasks: the class of a condition with `read:
    mix.label` in `denoiser.conditions`."""
    keep: Path | None = None
    """File of the pairs to use, all others are left out: a review saved by the page of `pairbridge inspect
    --page` (.json), of which the accepted pairs count, or a text with a key a line. null: all pairs."""
    exclude: Path | None = None
    """File of pairs to leave out: a review (.json), of which the rejected pairs count, or a text with a key a
    line. null: none."""
    weight: PositiveFloat = 1.0
    """Relative weight of the source, above 0. Weights of 0.9 and 0.1 are the same mix as 9 and 1."""

    @field_validator("split")
    @classmethod
    def _not_held_out(cls, split: str) -> str:
        if split != "train":
            raise ValueError(
                f"split {split} is held out: a model that trained on it would be judged on what it has seen."
                " Leave `split` out, or import these pairs anew with `splits: {kind: all, split: train}`"
            )
        return split

    def folder(self, run_root: Path) -> Path:
        """The dataset's folder, with `run:` resolved against `run_root`."""
        return dataset_folder(self.path, run_root)


class MixConfig(FrozenModel):
    """Sources and weights. The order of the data is a function of this, the batch size and the shards."""

    seed: NonNegativeInt = 0
    """Random seed of the order of samples and of random crops."""
    on_exhausted: Literal["repeat", "stop"] = "repeat"
    """Behaviour when a source has given every sample once. repeat: it goes on with a new permutation. stop:
    the data end at the last batch for which every source still has fresh samples."""
    random_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    """Smallest side of random crops, as a share in (0, 1] of the largest crop that fits. null: that crop,
    centred."""
    weights: dict[NonNegativeInt, dict[str, PositiveFloat]] = Field(default_factory=dict)
    """Weights that change over training, in place of those of the sources: from which global batch on which
    weights hold, every source named in each. `{0: {a: 9, b: 1}, 50000: {a: 1, b: 1}}` has two phases; a ramp
    is a list of them. Empty: the sources' own, throughout."""
    sources: Annotated[tuple[MixSource, ...], Field(min_length=1)]
    """Sources of the mix, at least one, with different names; their fields may be called differently, but
    must be of the same kinds."""

    @field_validator("sources")
    @classmethod
    def _unique_names(cls, sources: tuple[MixSource, ...]) -> tuple[MixSource, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source name {twice[0]!r} is used twice; keys are reported as <source>/<key>")
        return sources

    @model_validator(mode="after")
    def _weights_of_all(self) -> Self:
        if not self.weights:
            return self
        if 0 not in self.weights:
            raise ValueError(f"weights begin at batch {min(self.weights)}; say what they are from batch 0 on")
        names = {source.name for source in self.sources}
        for first, weights in self.weights.items():
            if set(weights) != names:
                raise ValueError(
                    f"weights from batch {first} on name {sorted(weights)}; the sources are {sorted(names)}"
                )
        if twice := [source.name for source in self.sources if "weight" in source.model_fields_set]:
            raise ValueError(
                f"source {twice[0]} has a weight, and `weights` has one too: leave out the first"
            )
        return self

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Weights by the global batch that they hold from. Raises ConfigError where they have no schedule."""
        if not self.weights:
            return (Phase(0, Schedule([source.weight for source in self.sources])),)
        return tuple(
            Phase(first, Schedule([weights[source.name] for source in self.sources]))
            for first, weights in sorted(self.weights.items())
        )


def dataset_folder(path: str, run_root: Path) -> Path:
    """`run:x` is `run_root`/x, an URL (s3://, gs://) is mirrored in the cache, and any other path must be
    absolute by now. Raises ConfigError otherwise, StoreFailed if the store does not answer.
    """
    if path.startswith(RUN_PREFIX):
        return run_root / path.removeprefix(RUN_PREFIX)
    folder = local_folder(path)
    if not folder.is_absolute():
        raise ConfigError(
            f"the dataset path {path!r} is relative, and no file it could be relative to is known",
            consequence="another dataset could be read, depending on where the command was started",
            remedy="load the mix from its YAML file, or give an absolute path or run:<folder>",
        )
    return folder
