"""What the commands do, as functions: each config is a value, a shipped one's name or a YAML file's path.

`pairbridge` hands them out. What takes no config is not here: datasets are opened and verified, and models
loaded, by their own rooms. Each function imports what it runs: a plan needs neither Ray nor torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.reading.config_files import Model, find_config, load_config

if TYPE_CHECKING:
    from pairbridge.datagen.dataset.dataset_config import DatasetConfig
    from pairbridge.datagen.dataset.plan import DatasetPlan
    from pairbridge.pipelines.generation.generate import GenerateResult
    from pairbridge.pipelines.generation.progress import OnProgress
    from pairbridge.training.bridge_training.loop import TrainResult
    from pairbridge.training.bridge_training.training_config import TrainingConfig
    from pairbridge.training.data.mix_config import MixConfig


def plan(config: "DatasetConfig | str | Path") -> "DatasetPlan":
    """What a dataset config would make: its streams, its shards, and the parameters of any group.

    Raises ConfigError, and CatalogueError where a split lacks assets.
    """
    # Recipes bring OpenCV and SciPy.
    from pairbridge.datagen.dataset.dataset_config import DatasetConfig
    from pairbridge.pipelines.generation.open_plan import plan_before_baking

    return plan_before_baking(_config("datasets", config, DatasetConfig))


def generate(
    config: "DatasetConfig | str | Path",
    out: str | Path,
    *,
    workers: int = 1,
    address: str | None = None,
    on_progress: "OnProgress | None" = None,
) -> "GenerateResult":
    """Make a dataset in `out`, or go on with what is there, with Ray workers; the same call resumes.

    See `pairbridge.pipelines.generation.generate.generate` for what is promised and raised.
    """
    require("generate", by="generate")
    # Ray.
    from pairbridge.datagen.dataset.dataset_config import DatasetConfig
    from pairbridge.pipelines.generation.generate import generate as run

    loaded = _config("datasets", config, DatasetConfig)
    return run(loaded, out, workers=workers, address=address, on_progress=on_progress)


def train(
    config: "TrainingConfig | str | Path",
    mix: "MixConfig | str | Path",
    run_dir: str | Path,
    *,
    on_progress: Callable[[dict[str, Any]], None] = lambda line: None,
) -> "TrainResult":
    """Train on a mix of finished datasets in `run_dir`/train, or go on from its newest checkpoint.

    `run:` paths of the mix start from `run_dir`. Under torchrun every process makes the same call. See
    `pairbridge.training.bridge_training.loop.train` for what is promised and raised.
    """
    require("train", by="train")
    # Torch and diffusers.
    from pairbridge.training.bridge_training.loop import train as run
    from pairbridge.training.bridge_training.training_config import TrainingConfig
    from pairbridge.training.data.mix_config import MixConfig
    from pairbridge.training.data.ranks import process_group

    root = Path(run_dir).absolute()
    loaded = _config("training", config, TrainingConfig)
    sources = _config("mixes", mix, MixConfig)
    with process_group():
        return run(loaded, sources, root / "train", run_root=root, on_progress=on_progress)


def _config(kind: str, given: Model | str | Path, model: type[Model]) -> Model:
    return given if isinstance(given, model) else load_config(find_config(kind, str(given)), model)
