"""Finds the checkpoint that a folder means, the run that it belongs to, and the kind of data it was trained
on."""

from pathlib import Path

import torch

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.training.data.condition_specs import MASK
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import CheckpointState, checkpoint_folders


def check_device(device: str) -> None:
    """Raises ConfigError where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda, and torch finds no GPU",
            consequence="nothing was translated",
            remedy="leave the option out, or see what `pairbridge doctor` says about the GPU",
        )


def newest_checkpoint(folder: Path) -> Path:
    """`folder` if it is a checkpoint, else the newest of the training or run in it. Raises ConfigError."""
    if (folder / "state.json").is_file():
        return folder
    for root in (folder, folder / "checkpoints", folder / "train" / "checkpoints"):
        found = checkpoint_folders(root)
        if found:
            return found[-1]
    raise ConfigError(
        f"{folder} holds no checkpoint",
        consequence="there is no model to translate with",
        remedy="name a run's folder such as runs/demo, one of its train/checkpoints/step-*, or a published"
        " model",
    )


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run whose train/checkpoints/ this is in."""
    parents = checkpoint.absolute().parents
    return parents[2] if [parent.name for parent in parents[:2]] == ["checkpoints", "train"] else None


def removes(state: CheckpointState, run: Path | None) -> bool:
    """Whether every source of the mix is of removal pairs, whose masks are holes.

    Where the data are not at hand, a model that sees no mask can only have been given holes.
    """
    found = []
    for source in MixConfig.model_validate(state.mix).sources:
        try:
            folder = source.folder(run or Path())
            if is_import(folder):
                found.append(ImportManifest.from_folder(folder).kind == "imported_removal")
            else:
                kind = DatasetManifest.from_folder(folder).recipes[source.recipe].kind
                found.append(kind.endswith("_removal"))
        except (PairbridgeError, KeyError):
            seen = state.config["denoiser"]["conditions"]
            return all(condition["field"] != MASK for condition in seen)
    return all(found)
