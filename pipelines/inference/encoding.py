"""`pairbridge encode`: the latents that a training config would compute in every step, made once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.pipelines.shelves.lock import dataset_lock
from pairbridge.training.bridge_training.latent_encoding import encode_pairs
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import training_buckets
from pairbridge.training.data.latent_cache import Encoding
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.targets import TargetKind
from pairbridge.training.networks.autoencoders import build_autoencoder


def encode_dataset(
    config: TrainingConfig,
    dataset_dir: str | Path,
    *,
    recipes: Sequence[str],
    split: str,
    target: TargetKind,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Path]:
    """Latents of `recipes` (none named: all that can have them) of a dataset or import, for the autoencoder,
    sizes and conditions of `config`; the folders they are in. Resumable.

    `on_progress` gets what is encoded, pairs done and pairs in all. Raises ConfigError for object removal.
    """
    dataset_dir = Path(dataset_dir).absolute()
    torch.set_num_threads(config.threads)
    device = torch.device(config.device)
    autoencoder = build_autoencoder(config.autoencoder).to(device)
    sizes = sorted({bucket.size_WH for bucket in training_buckets(config, autoencoder).buckets})
    conditions = tuple(config.denoiser.conditions)
    sources = [
        PairSource(dataset_dir, recipe, split, target=target, conditions=conditions)
        for recipe in recipes or recipes_of(dataset_dir, split)
    ]
    removal = [source.recipe for source in sources if source.is_removal]
    if removal and (recipes or len(removal) == len(sources)):
        raise ConfigError(
            f"{', '.join(removal)} of {dataset_dir} is object removal",
            consequence="its noise is another in every epoch, so that there is no latent to keep",
            remedy="name other recipes with --recipe, and train removal with latents: encode",
        )
    folders = []
    for source in (source for source in sources if not source.is_removal):
        for width, height in sizes:
            encoding = Encoding(autoencoder.name, autoencoder.digest, (width, height), conditions, target)
            folder = encoding.folder(dataset_dir)
            folder.mkdir(parents=True, exist_ok=True)
            what = f"{source.recipe}/{split} at {width}x{height}"
            with dataset_lock(folder, "encode"):
                encode_pairs(
                    source,
                    encoding,
                    autoencoder,
                    device=device,
                    on_progress=lambda done, total, what=what: on_progress(what, done, total),
                )
            folders.append(folder)
    return sorted(set(folders))


def recipes_of(dataset_dir: Path, split: str) -> list[str]:
    """The recipes that have pairs in a split."""
    if is_import(dataset_dir):
        return [ImportManifest.from_folder(dataset_dir).name]
    recipes = DatasetManifest.from_folder(dataset_dir).recipes
    return sorted(name for name, entry in recipes.items() if split in entry.splits)
