"""Checkpoints: one folder per step, whole or absent, without pickles.

    checkpoints/step-000123/
        model/          weights being trained
        ema/            their EMA, same names
        optimiser/      "<weight>.<state>" of AdamW: exp_avg (where betas[0] > 0), exp_avg_sq, step
        state.json      CheckpointState
        logs.json       LogPoint of each log of the training, by name
        manifest.json   size and sha256 of all these files, written last

Tensors are written and read by `torch.distributed.checkpoint`, as safetensors: a file per rank and kind, with
that rank's shards and, in its header, where they belong. So a checkpoint opens in any layout and with any
number of ranks, each of which reads what it needs; of one process a file holds whole tensors.

A folder is written as `step-000123.tmp`, synced, and renamed: a folder with a final name is complete, and the
listing is the only record of which there are. Whatever is read of it is held against the manifest first; of a
training that resumes, each rank compares a share of the files.
"""

import contextlib
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from pairbridge.datagen.core.atomic_files import sync_folder
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, changed_fields, digest
from pairbridge.datagen.core.record_files import first_problem
from pairbridge.datagen.core.sealed_folders import (
    Seal,
    check_sealed,
    names_to_check,
    read_seal,
    seal_folder,
    sealed_files,
)
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.rank_agreement import all_say, first_says
from pairbridge.training.engine.run_log import LogPoint
from pairbridge.training.engine.shard_files import ShardWriter, shard_path
from pairbridge.training.engine.torch_devices import ALONE

FORMAT = 3
STATE_NAME, LOGS_NAME = "state.json", "logs.json"
_LOG_POINTS = TypeAdapter(dict[str, LogPoint])
_FOLDER = re.compile(r"step-(\d{6,})\Z")
# Said of every process that is alone; each rank reads by itself, too.
warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)


class CheckpointError(PairbridgeError):
    """A checkpoint that cannot be read, or belongs to another training."""


class CheckpointUnreachable(PairbridgeError):
    """The file system fails to read a checkpoint, which may be whole."""


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


def damaged_folders(root: Path) -> list[Path]:
    """Checkpoints that were found damaged and set aside."""
    return sorted(root.glob("step-*.damaged"))


def set_damaged_aside(folder: Path) -> None:
    """Take a checkpoint out of the listing; `write_checkpoint` deletes it once its step is there again."""
    aside = folder.with_name(folder.name + ".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    sync_folder(folder.parent)


def sweep_unfinished(root: Path) -> None:
    """Delete what a kill left of a checkpoint that was being written, or deleted."""
    for stale in sorted(root.glob("step-*.tmp")):
        shutil.rmtree(stale)


def drop_superseded(root: Path, step: int, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, and damaged ones up to `step`, which is there, whole."""
    damaged = damaged_folders(root)
    done_again = [folder for folder in damaged if int(folder.stem.removeprefix("step-")) <= step]
    for old in checkpoint_folders(root)[:-keep] + done_again:
        # Out of the listing first: a kill inside rmtree must not leave half a folder under a final name.
        shutil.rmtree(old.rename(old.with_name(old.name + ".tmp")))


def write_checkpoint(
    root: Path,
    state: CheckpointState,
    tensors: Mapping[str, Mapping[str, Tensor]],
    *,
    keep: int,
    logs: Mapping[str, LogPoint] = MappingProxyType({}),
    ranks: Ranks = ALONE,
    check_place: Callable[[], None] = lambda: None,
) -> Path:
    """Write one folder, a folder in it per entry of `tensors`; then drop all but the newest `keep`.
    Collective.

    tensors: this rank's part of them, on the CPU: its shards, and whole ones that no other rank has. The rest
    is the first rank's. logs: where the training's logs are. check_place: raises where `root` is not the
    training's any more. Raises OSError, on every rank; then there is no such checkpoint, and the ones before
    are as they were.
    """
    final = root / f"step-{state.step:06d}"
    temp = final.with_name(final.name + ".tmp")

    def begin() -> None:
        check_place()
        root.mkdir(exist_ok=True)
        sweep_unfinished(root)
        for name in ("", *tensors):
            (temp / name).mkdir()

    def finish() -> Path:
        (temp / STATE_NAME).write_bytes(canonical_json(state.model_dump(mode="json")))
        (temp / LOGS_NAME).write_bytes(_LOG_POINTS.dump_json(dict(logs)))
        files = sealed_files(temp, [temp / STATE_NAME, temp / LOGS_NAME])
        for name in tensors:
            sync_folder(temp / name)
        # A part of a checkpoint, in a folder that took the place of the training's, must not look whole.
        check_place()
        seal_folder(temp, {name: file for part in (files, *written) for name, file in part.items()})
        temp.rename(final)
        sync_folder(root)
        drop_superseded(root, state.step, keep)
        return final

    try:
        first_says(ranks, begin)
        for name, own in tensors.items():
            writer = ShardWriter(temp / name, ranks.rank)
            # Safetensors knows no strides; a shard has none of its own.
            dense = {key: one if isinstance(one, DTensor) else one.contiguous() for key, one in own.items()}
            with _one_cause():
                dcp.save(dense, storage_writer=writer, process_group=ranks.group, no_dist=ranks.world == 1)
        shards = [path for name in tensors if (path := shard_path(temp / name, ranks.rank)).is_file()]
        written = all_say(ranks, lambda: sealed_files(temp, shards))
        return first_says(ranks, finish)
    except BaseException:
        if ranks.first:
            shutil.rmtree(temp, ignore_errors=True)
        raise


@contextlib.contextmanager
def _one_cause() -> Iterator[None]:
    """What went wrong on some rank, in place of torch's collection, which is no Exception."""
    try:
        yield
    except dcp.CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise cause from error


def content_digest(folder: Path, *kinds: str) -> str | None:
    """One digest of what a training over the same steps makes alike, by the manifest: the state and the
    tensors, of all `kinds` by default; not the logs, which tell the time. None without a manifest.
    """
    try:
        files = _seal(folder).files
    except CheckpointError:
        return None
    return digest(
        {
            name: file.sha256
            for name, file in files.items()
            if name != LOGS_NAME and (not kinds or name.split("/")[0] in kinds)
        }
    )


def check_checkpoint(folder: Path, ranks: Ranks = ALONE) -> CheckpointState:
    """Compare every file with the manifest, each rank its share; the state. Raises CheckpointError, naming
    the file, on the rank that found it.
    """
    names = names_to_check(folder, _seal(folder))
    # With as many ranks as wrote it, mostly those that this rank reads next.
    _check(folder, names[ranks.rank :: ranks.world])
    return read_state(folder)


def read_state(folder: Path) -> CheckpointState:
    """The state of one complete checkpoint. Raises CheckpointError if it is missing, damaged or of another
    format.
    """
    path = folder / STATE_NAME
    _check(folder, [STATE_NAME])
    try:
        state = CheckpointState.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _damaged(path, first_problem(error)) from error
    if state.format != FORMAT:
        raise _damaged(path, f"it has format {state.format}, this version reads {FORMAT}")
    return state


def read_log_points(folder: Path) -> dict[str, LogPoint]:
    """Where the training's logs were, by file name."""
    _check(folder, [LOGS_NAME])
    return _LOG_POINTS.validate_json((folder / LOGS_NAME).read_bytes())


def tensors_of(folder: Path, kind: str) -> dict[str, TensorStorageMetadata]:
    """`size` and `properties.dtype` of the whole tensors of a kind, by name. Raises CheckpointError if there
    are none, or they cannot be read.
    """
    try:
        found = _reader(folder, kind).read_metadata().state_dict_metadata
    except (OSError, SafetensorError) as error:
        raise _damaged(folder / kind, str(error)) from error
    if not found:
        raise _damaged(folder / kind, "it is empty")
    return found


def load_tensors(folder: Path, kind: str, into: Mapping[str, Tensor]) -> None:
    """Copy what was written of `into` into it, by name: tensors of any layout, of which each rank reads its
    own parts. Of a checkpoint that `check_checkpoint` found whole. Raises CheckpointError for what is not
    there.
    """
    tensors = {name: tensor.detach() for name, tensor in into.items()}
    try:
        with _one_cause():
            # No plan is made together: each rank knows what it reads.
            dcp.load(tensors, storage_reader=_reader(folder, kind), no_dist=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _damaged(folder / kind, str(error)) from error


def read_tensors(folder: Path, kind: str) -> dict[str, Tensor]:
    """All tensors of a kind, whole, on the CPU. Raises CheckpointError if they are not those that were
    written.
    """
    names = [name for name in names_to_check(folder, _seal(folder)) if name.startswith(f"{kind}/")]
    _check(folder, names)
    tensors = {
        name: torch.empty(saved.size, dtype=saved.properties.dtype)
        for name, saved in tensors_of(folder, kind).items()
    }
    load_tensors(folder, kind, tensors)
    return tensors


def optimiser_tensors(optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AdamW's state under the names of the weights it belongs to; empty before the first step."""
    return {
        f"{name}.{key}": value
        for name, weight in weights.items()
        for key, value in optimiser.state[weight].items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor], folder: Path, kind: str
) -> None:
    """Inverse of `optimiser_tensors`, from a checkpoint, for an optimiser built over the values of
    `weights`.
    """
    tensors, states = {}, {name: {} for name in weights}
    for full_name, saved in tensors_of(folder, kind).items():
        name, key = full_name.rsplit(".", 1)
        dtype = saved.properties.dtype
        # The step counter is a number; all else is laid out like the weight, with its strides, which a fused
        # optimiser takes for granted.
        tensors[full_name] = states[name][key] = (
            torch.empty_like(weights[name], dtype=dtype, requires_grad=False)
            if saved.size
            else torch.empty((), dtype=dtype)
        )
    load_tensors(folder, kind, tensors)
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


def _reader(folder: Path, kind: str) -> dcp.HuggingFaceStorageReader:
    return dcp.HuggingFaceStorageReader(str(folder / kind))


def _seal(folder: Path) -> Seal:
    with _reachable(folder):
        return read_seal(folder, _damaged)


def _check(folder: Path, names: Sequence[str]) -> None:
    with _reachable(folder):
        check_sealed(folder, read_seal(folder, _damaged), _damaged, names)


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Of the bytes nothing is known: it must not be set aside for a mount that was gone for a moment.
        raise CheckpointUnreachable(
            f"{error.filename or folder}: {error.strerror}",
            consequence="nothing is read from this checkpoint, and nothing was changed",
            remedy="see to the disk or mount and run the same command again; if the disk has lost these"
            f" bytes, remove {folder}: the checkpoint before it takes over",
        ) from error


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be used: {why}",
        consequence="nothing is read from this checkpoint",
        remedy="name another checkpoint; `pairbridge train`, run again, goes on from the newest whole one"
        " by itself",
    )
