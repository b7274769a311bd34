"""The mix: which sources a training draws from, and how much of each."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.training.data.targets import TargetKind

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
    """Split of the dataset that is trained on."""
    target: TargetKind = TargetKind.IMAGE
    """What the network learns to predict: the target image, depth or normals."""
    weight: PositiveFloat = 1.0
    """Relative weight of the source, above 0. Weights of 0.9 and 0.1 are the same mix as 9 and 1."""

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
    sources: Annotated[tuple[MixSource, ...], Field(min_length=1)]
    """Sources of the mix, at least one, with different names and the same `target`."""

    @field_validator("sources")
    @classmethod
    def _unique_names(cls, sources: tuple[MixSource, ...]) -> tuple[MixSource, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source name {twice[0]!r} is used twice; keys are reported as <source>/<key>")
        targets = sorted({source.target for source in sources})
        if len(targets) > 1:
            raise ValueError(f"targets {targets} in one mix: a network has one kind of output")
        return sources

    @property
    def target(self) -> TargetKind:
        return self.sources[0].target


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
