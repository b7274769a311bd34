"""Finds the checkpoint that a folder means, the run that it belongs to, and the kind of data it was trained
on."""

from pathlib import Path

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.fields import HoleContent
from pairbridge.training.data.mix_config import RUN_PREFIX, MixConfig
from pairbridge.training.engine.checkpoint import CheckpointState, checkpoint_folders, read_state


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


def trained_mix(checkpoint: Path) -> MixConfig:
    """The mix of a training, its `run:` folders found in that training's run."""
    mix = MixConfig.model_validate(read_state(checkpoint).mix)
    run = run_of(checkpoint)
    if run is None:
        return mix
    sources = tuple(
        source.model_copy(update={"path": str(source.folder(run))})
        if source.path.startswith(RUN_PREFIX)
        else source
        for source in mix.sources
    )
    return mix.model_copy(update={"sources": sources})


def removes(state: CheckpointState) -> bool:
    """Whether the sources of the training had something else than the object in the hole of their masks."""
    return all(source["roles"]["hole"] != HoleContent.VISIBLE for source in state.inputs["mix_sources"])
