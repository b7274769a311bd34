"""The kinds of configuration files: the folder of the shipped ones, and the model that checks them.

Models are named, not imported: each command loads its own alone, and --help none.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import require

if TYPE_CHECKING:
    from pydantic import BaseModel

# Kind: (folder in pipelines/configs, module, class)
KINDS = {
    "dataset": ("datasets", "datagen.dataset.dataset_config", "DatasetConfig"),
    "mix": ("mixes", "training.data.mix_config", "MixConfig"),
    "training": ("training", "training.bridge_training.training_config", "TrainingConfig"),
    "distillation": ("distillation", "training.distillation.distillation_config", "DistillationConfig"),
    "evaluation": ("evaluation", "training.evaluation.evaluation_config", "EvaluationConfig"),
    "guidance": ("guidance", "training.guidance.guide_config", "GuideConfig"),
    "import": ("imports", "datagen.imports.import_config", "ImportConfig"),
    "run": ("runs", "pipelines.runs.run_config", "RunConfig"),
    "sweep": ("sweeps", "pipelines.sweeps.sweep_config", "SweepConfig"),
    "calibration": ("calibration", "pipelines.checks.calibration", "CalibrationConfig"),
}
# They hold settings of networks and samplers, which are torch's own.
OF_TRAINER = frozenset({"training", "distillation", "evaluation", "guidance", "run", "sweep"})


def folder_of(kind: str) -> str:
    """The folder of a kind's shipped ones. Raises ConfigError where there is no such kind."""
    if kind not in KINDS:
        raise ConfigError(
            f"there is no kind of configuration {kind!r}",
            consequence="there is nothing to show",
            remedy=f"name one of {', '.join(KINDS)}",
        )
    return KINDS[kind][0]


def model_of(kind: str) -> "type[BaseModel]":
    """The model of a kind. Raises ConfigError where there is no such kind, or without the extra it needs."""
    folder_of(kind)
    _, module, name = KINDS[kind]
    if kind in OF_TRAINER:
        require("train", by=f"a configuration of the kind {kind}")
    return getattr(import_module(f"pairbridge.{module}"), name)


def load(kind: str, name: str, settings: Sequence[str] | None = None) -> Any:
    """The checked configuration `name`, a YAML file or a shipped one, with `--set`s. Raises ConfigError."""
    # Imported late: pydantic and YAML, which --help does without.
    from pairbridge.pipelines.reading.config_files import find_config, load_config

    return load_config(find_config(KINDS[kind][0], name), model_of(kind), settings or ())
