"""`pairbridge encode`: the latents that a training config would compute in every step, made once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.training.bridge_training.latent_encoding import encode_pairs
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import training_buckets
from pairbridge.training.data.latent_cache import Encoding
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.engine.torch_devices import found_device
from pairbridge.training.networks.autoencoders import build_autoencoder


def encode_dataset(
    config: TrainingConfig,
    dataset_dir: str | Path,
    *,
    recipes: Sequence[str],
    split: str,
    roles: RoleChoice,
    label: str | None = None,
    batch_size: int = 4,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Path]:
    """Latents of `recipes` (none named: all that can have them) of a dataset or import, for the autoencoder,
    sizes and conditions of `config`; the folders they are in. Resumable.

    batch_size: pairs that go through the autoencoder together; it decides last bits alone. `on_progress` gets
    what is encoded, pairs done and pairs in all. Raises ConfigError where sources are made of
    noise that is always another.
    """
    dataset_dir = Path(dataset_dir).absolute()
    torch.set_num_threads(config.threads)
    device = found_device(config.device)
    autoencoder = build_autoencoder(config.autoencoder).to(device)
    sizes = sorted({bucket.size_WH for bucket in training_buckets(config, autoencoder).buckets})
    conditions = tuple(config.denoiser.conditions)
    sources = [
        PairSource(dataset_dir, recipe, split, roles=roles, label=label, conditions=conditions)
        for recipe in recipes or recipes_of(dataset_dir, split)
    ]
    noisy = [source.recipe for source in sources if source.has_noise]
    if noisy and (recipes or len(noisy) == len(sources)):
        raise ConfigError(
            f"the source of {', '.join(noisy)} of {dataset_dir} has a hole with noise",
            consequence="it is another in every epoch, so that there is no latent to keep",
            remedy="name other recipes with --recipe, train with latents: encode, or write `hole: visible` in"
            " the mix and --hole visible here",
        )
    folders = []
    for source in (source for source in sources if not source.has_noise):
        for width, height in sizes:
            encoding = Encoding.of(source, autoencoder.name, autoencoder.digest, (width, height), conditions)
            folder = encoding.folder(dataset_dir)
            folder.mkdir(parents=True, exist_ok=True)
            what = f"{source.recipe}/{split} at {width}x{height}"
            with folder_lock(folder, "encode"):
                encode_pairs(
                    source,
                    encoding,
                    autoencoder,
                    batch_size=batch_size,
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
