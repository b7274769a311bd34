"""A run: a dataset, a mix, a training and an evaluation, named in one YAML file and read together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig, dataset_folder
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig

PARTS = ("dataset", "mix", "training", "evaluation")


class TrainingPlace(FrozenModel):
    """Where a run trains: processes on the machines of a Ray cluster, joined by Ray Train.

    With `device: cuda` each has a GPU. They have to see the run's folder.
    """

    workers: PositiveInt
    """Number of training processes; they share each batch equally."""
    cpus: PositiveInt = 1
    """CPU cores of each process, for its threads and its loader_workers."""
    resources: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Custom Ray resources of each process, by name: {"accelerator_type:A100": 0.001}."""
    placement: Literal["pack", "spread"] = "pack"
    """Placement of processes: on few machines, since gradients travel between them, or on many."""
    restarts: NonNegativeInt = 3
    """How often in a row, with no checkpoint between, the training is placed anew after losing a process."""


class RunConfig(FrozenModel):
    """Each part is a YAML file, relative to this one, or the name of a shipped config."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the run and of its folder: lower-case letters, digits, _ and -."""
    dataset: str
    """Dataset config: a YAML file's path relative to this file, or the name of a shipped config."""
    mix: str
    """Mix config, found like `dataset`; `run:dataset` in it is the run's own dataset."""
    training: str
    """Training config, found like `dataset`."""
    evaluation: str
    """Evaluation config, found like `dataset`."""
    workers: PositiveInt | None = None
    """Number of Ray workers, each with its own Blender; null: one per usable core."""
    train_on: TrainingPlace | None = None
    """Where to train: on the cluster of `--address`, without one in processes of this machine; null: in the
    command's own process."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run with all of its parts, and the folder that it lives in."""

    config: RunConfig
    dataset: DatasetConfig
    mix: MixConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    folder: Path

    @property
    def dataset_dir(self) -> Path:
        return self.folder / "dataset"

    @property
    def training_dir(self) -> Path:
        return self.folder / "train"

    @property
    def evaluation_dir(self) -> Path:
        return self.folder / "evaluation"


def load_run(name: str, runs_dir: Path, overrides: Sequence[str] = (), *, below: str = "") -> Run:
    """The run `name` (a path or a shipped name), to live in `runs_dir`/<its name>.

    An override `dataset.render.samples=8` goes to the dataset's config, and so for every part; others go
    to the run's own keys. Raises ConfigError, which names each with `below` before it.
    """
    path = find_config("runs", name)
    of_parts: dict[str, list[str]] = {part: [] for part in PARTS}
    own: list[str] = []
    for override in overrides:
        part, dot, _ = override.partition("=")[0].partition(".")
        (of_parts[part] if part in of_parts and dot else own).append(override)
    config = load_config(path, RunConfig, own, below=below)

    def part(kind, name: str, model, prefix: str):
        file = find_config(kind, name, folder=path.parent)
        texts = [text.removeprefix(f"{prefix}.") for text in of_parts[prefix]]
        return load_config(file, model, texts, below=f"{below}{prefix}.")

    return Run(
        config=config,
        dataset=part("datasets", config.dataset, DatasetConfig, "dataset"),
        mix=part("mixes", config.mix, MixConfig, "mix"),
        training=part("training", config.training, TrainingConfig, "training"),
        evaluation=part("evaluation", config.evaluation, EvaluationConfig, "evaluation"),
        folder=(runs_dir / config.name).absolute(),
    )


@dataclass(frozen=True, slots=True)
class OtherSource:
    """A recipe of a folder that is not the run's dataset, and the splits of it that are used."""

    name: str
    folder: Path
    recipe: str
    splits: tuple[str, ...]


def other_sources(run: Run) -> list[OtherSource]:
    """Each recipe once, under the name by which it is first used: in the mix, else in the evaluation."""
    used = [(source.name, source.path, source.recipe, source.split) for source in run.mix.sources]
    used += [
        (source.name, source.path, source.recipe, run.evaluation.split) for source in run.evaluation.sources
    ]
    found: dict[tuple[Path, str], tuple[str, list[str]]] = {}
    for name, path, recipe, split in used:
        folder = dataset_folder(path, run.folder)
        if folder.resolve() != run.dataset_dir.resolve():
            found.setdefault((folder, recipe), (name, []))[1].append(split)
    return [
        OtherSource(name, folder, recipe, tuple(dict.fromkeys(splits)))
        for (folder, recipe), (name, splits) in found.items()
    ]
