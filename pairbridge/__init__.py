"""pairbridge: make paired image data, and train image-to-image models on it.

render, Renderer, Camera         an object under lightings, as NumPy arrays (View)
relighting_pairs                 pairs of such views (RelightingPair)
plan, generate, verify           whole datasets, from a DatasetConfig, a shipped name or a YAML file
open_dataset                     a dataset for torch (PairDataset), or as arrays; also while it is being made
webdataset_pipeline              the same as a stream
load_config                      such a config as a value, with keys changed
train                            a model, from a TrainingConfig and a MixConfig
fit                              a torch.nn.Module of your own, on the bridge's objective
load_model                       a trained or published model, to translate images with
Recipe, Network, LossTerm,       Protocols of parts of your own, which a config names by file or entry point
Sampler, BridgeProcess, Baseline
PairbridgeError                  what all errors with a cause and a remedy are (ConfigError, AssetError)

A name is imported when it is first used, so that `import pairbridge` costs nothing. The `pairbridge` command
does all of this and more: `python -m pairbridge --help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
    from pairbridge.datagen.dataset.dataset_config import DatasetConfig
    from pairbridge.datagen.dataset.verify import verify_dataset as verify
    from pairbridge.datagen.recipes.base import Recipe
    from pairbridge.datagen.recipes.rendering import (
        Camera,
        RelightingPair,
        Renderer,
        View,
        relighting_pairs,
        render,
    )
    from pairbridge.pipelines.commands.config_kinds import load as load_config
    from pairbridge.pipelines.inference.translation import open_model as load_model
    from pairbridge.pipelines.library import generate, plan, train
    from pairbridge.training.bridge.bridges import BridgeProcess
    from pairbridge.training.bridge.samplers import Sampler
    from pairbridge.training.bridge_training.losses import LossTerm
    from pairbridge.training.bridge_training.own_training import fit
    from pairbridge.training.bridge_training.training_config import TrainingConfig
    from pairbridge.training.data.mix_config import MixConfig
    from pairbridge.training.data.torch_datasets import PairDataset, open_dataset, webdataset_pipeline
    from pairbridge.training.evaluation.baselines import Baseline
    from pairbridge.training.networks.denoisers import Network

# Where each name is, below `pairbridge.`, and what it is called there.
_PLACES = {
    "AssetError": "datagen.core.errors:AssetError",
    "Baseline": "training.evaluation.baselines:Baseline",
    "BridgeProcess": "training.bridge.bridges:BridgeProcess",
    "Camera": "datagen.recipes.rendering:Camera",
    "ConfigError": "datagen.core.errors:ConfigError",
    "DatasetConfig": "datagen.dataset.dataset_config:DatasetConfig",
    "LossTerm": "training.bridge_training.losses:LossTerm",
    "MixConfig": "training.data.mix_config:MixConfig",
    "Network": "training.networks.denoisers:Network",
    "PairDataset": "training.data.torch_datasets:PairDataset",
    "PairbridgeError": "datagen.core.errors:PairbridgeError",
    "Recipe": "datagen.recipes.base:Recipe",
    "RelightingPair": "datagen.recipes.rendering:RelightingPair",
    "Renderer": "datagen.recipes.rendering:Renderer",
    "Sampler": "training.bridge.samplers:Sampler",
    "TrainingConfig": "training.bridge_training.training_config:TrainingConfig",
    "View": "datagen.recipes.rendering:View",
    "fit": "training.bridge_training.own_training:fit",
    "generate": "pipelines.library:generate",
    "load_config": "pipelines.commands.config_kinds:load",
    "load_model": "pipelines.inference.translation:open_model",
    "open_dataset": "training.data.torch_datasets:open_dataset",
    "plan": "pipelines.library:plan",
    "relighting_pairs": "datagen.recipes.rendering:relighting_pairs",
    "render": "datagen.recipes.rendering:render",
    "train": "pipelines.library:train",
    "verify": "datagen.dataset.verify:verify_dataset",
    "webdataset_pipeline": "training.data.torch_datasets:webdataset_pipeline",
}

__all__ = [
    "AssetError",
    "Baseline",
    "BridgeProcess",
    "Camera",
    "ConfigError",
    "DatasetConfig",
    "LossTerm",
    "MixConfig",
    "Network",
    "PairDataset",
    "PairbridgeError",
    "Recipe",
    "RelightingPair",
    "Renderer",
    "Sampler",
    "TrainingConfig",
    "View",
    "fit",
    "generate",
    "load_config",
    "load_model",
    "open_dataset",
    "plan",
    "relighting_pairs",
    "render",
    "train",
    "verify",
    "webdataset_pipeline",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # 30 ms, which only who asks for it pays.
        from importlib.metadata import version

        value: Any = version("pairbridge")
    elif name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        try:
            value = getattr(import_module(f"pairbridge.{module}"), attribute)
        except ImportError as error:
            # Here, where it costs nothing until something is missing.
            from pairbridge.datagen.core.extras import explained

            raise explained(error) or error from error
    else:
        raise AttributeError(f"module 'pairbridge' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
