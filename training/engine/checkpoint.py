"""Checkpoints: one folder per step, whole or absent, without pickles.

    checkpoints/step-000123/
        model.safetensors       weights being trained
        ema.safetensors         their EMA, same names
        optimiser.safetensors   "<weight>.<state>" of AdamW: exp_avg, exp_avg_sq, step
        state.json              CheckpointState

A folder is written as `step-000123.tmp`, synced, and renamed: a folder with a final name is complete, and the
listing is the only record of which there are.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pairbridge.datagen.core.atomic_files import sync_folder
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, changed_fields
from pairbridge.training.engine.parallel import laid_out_like

FORMAT = 1
_FOLDER = re.compile(r"step-(\d{6,})\Z")


class CheckpointError(PairbridgeError):
    """A checkpoint that cannot be read, or belongs to another training."""


class CheckpointState(FrozenModel):
    """All of a training besides its tensors. Random streams are keyed by seed and step: no RNG state."""

    format: int = FORMAT
    """Version of the layout; others are refused."""
    step: int
    """Completed optimiser steps, each of one global batch: also the whole state of the data order."""
    images: int
    """Images that the model has seen in these steps."""
    ema_updates: int
    """Updates of the EMA so far, which its decay is ramped up by."""
    first_loss: float | None = None
    """Mean loss of the first log line, which later ones are measured by."""
    consumed: dict[str, int]
    """Samples consumed so far from each source."""
    config: dict[str, Any]
    """The config that the model is opened with."""
    mix: dict[str, Any]
    """The mix, for the record; what the data were is in `inputs`."""
    inputs: dict[str, Any]
    """What the weights depend on beside the config, by digest: the autoencoder, the mix and its shards."""


def checkpoint_folders(root: Path) -> list[Path]:
    """Complete checkpoints under `root`, oldest first; empty where the folder does not exist."""
    if not root.is_dir():
        return []
    steps = {int(match[1]): path for path in sorted(root.iterdir()) if (match := _FOLDER.match(path.name))}
    return [steps[step] for step in sorted(steps)]


def write_checkpoint(
    root: Path, state: CheckpointState, tensors: Mapping[str, Mapping[str, Tensor]], *, keep: int
) -> Path:
    """Write one folder, `<name>.safetensors` per entry of `tensors`; then drop all but the newest `keep`."""
    root.mkdir(parents=True, exist_ok=True)
    final = root / f"step-{state.step:06d}"
    temp = final.with_name(final.name + ".tmp")
    # A kill while writing leaves one of these behind; it was never a checkpoint.
    for stale in root.glob("step-*.tmp"):
        shutil.rmtree(stale)
    temp.mkdir()
    for name, weights in tensors.items():
        save_file({key: value.contiguous() for key, value in weights.items()}, temp / f"{name}.safetensors")
    (temp / "state.json").write_bytes(canonical_json(state.model_dump(mode="json")))
    for path in sorted(temp.iterdir()):
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(temp)
    temp.rename(final)
    sync_folder(root)
    for old in checkpoint_folders(root)[:-keep]:
        # Out of the listing first: a kill inside rmtree must not leave half a folder under a final name.
        shutil.rmtree(old.rename(old.with_name(old.name + ".tmp")))
    return final


def read_state(folder: Path) -> CheckpointState:
    """The state of one complete checkpoint. Raises CheckpointError if it is missing or of another format."""
    try:
        state = CheckpointState.model_validate_json((folder / "state.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(folder / "state.json", str(error)) from error
    if state.format != FORMAT:
        raise _unreadable(folder / "state.json", f"it has format {state.format}, this version reads {FORMAT}")
    return state


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of `<name>.safetensors`, on the CPU."""
    path = folder / f"{name}.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, str(error)) from error


def optimiser_tensors(optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AdamW's state under the names of the weights it belongs to; empty before the first step."""
    return {
        f"{name}.{key}": value
        for name, weight in weights.items()
        for key, value in optimiser.state[weight].items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Inverse of `optimiser_tensors`, whole tensors, for an optimiser built over the values of `weights`."""
    states: dict[str, dict[str, Tensor]] = {name: {} for name in weights}
    for full_name, value in tensors.items():
        name, key = full_name.rsplit(".", 1)
        # The step counter is a number; all else has the weight's shape and is laid out like it.
        states[name][key] = laid_out_like(value, weights[name]) if value.ndim else value
    # load_state_dict, rather than assignment, puts each tensor on the device and in the dtype AdamW wants.
    optimiser.load_state_dict({**optimiser.state_dict(), "state": dict(enumerate(states.values()))})


def refuse_changes(folder: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    """Raise CheckpointError naming the differences between two JSON-able mappings."""
    changes = changed_fields(saved, wanted)
    if changes:
        raise CheckpointError(
            f"{what} changed since checkpoint {folder}: {'; '.join(changes)}",
            consequence="continuing would train a model that neither configuration describes",
            remedy=f"restore the old values, or start over by removing or renaming {folder.parent}",
        )


def _unreadable(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read: {why}",
        consequence="training cannot resume and nothing can be translated from this checkpoint",
        remedy=f"remove {path.parent}; the checkpoint before it takes over, or training starts again",
    )
