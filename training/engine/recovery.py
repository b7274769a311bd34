"""Where a training goes on: the newest checkpoint that is whole, as its logs are up to there.

<run_dir>/checkpoints/step-000123.damaged    set aside; deleted once a whole one of its step is there
<run_dir>/recoveries.jsonl                   what was refused, why, and where the training went on instead
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from pairbridge.datagen.core.atomic_files import sync_folder
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.checkpoint import (
    CheckpointError,
    check_checkpoint,
    checkpoint_folders,
    damaged_folders,
    drop_superseded,
    read_log_points,
    read_state,
    set_damaged_aside,
    sweep_unfinished,
)
from pairbridge.training.engine.rank_agreement import all_say, first_says
from pairbridge.training.engine.run_log import is_whole

RECOVERIES_NAME = "recoveries.jsonl"

_log = logging.getLogger(__name__)


def resumed_checkpoint(run_dir: Path, ranks: Ranks, keep: int) -> Path | None:
    """The checkpoint that every rank resumes from, or None for a training that has none. Each rank reads a
    share of it. Collective.

    Of older ones all but the newest `keep` are deleted, if a kill came before that. Newer ones that are
    damaged, or whose logs are, are set aside, and this is said. Raises CheckpointError where there are
    checkpoints and none is whole: a training never starts anew by itself.
    """
    root = run_dir / "checkpoints"
    refused: dict[Path, str] = {}
    for folder in first_says(ranks, lambda: _newest_first(root)):
        causes = [cause for cause in all_say(ranks, lambda: _refusal(run_dir, folder, ranks)) if cause]  # noqa: B023
        if not causes:
            first_says(ranks, lambda: _go_on(run_dir, folder, refused, keep))  # noqa: B023
            return folder
        refused[folder] = causes[0]
    first_says(ranks, lambda: _expect_none(run_dir, refused))
    return None


def _newest_first(root: Path) -> list[Path]:
    sweep_unfinished(root)
    return checkpoint_folders(root)[::-1]


def _refusal(run_dir: Path, folder: Path, ranks: Ranks) -> str | None:
    """What this rank finds wrong with a checkpoint."""
    try:
        check_checkpoint(folder, ranks)
        if ranks.first:
            _check_logs(run_dir, folder)
    except CheckpointError as error:
        return error.cause
    return None


def _go_on(run_dir: Path, folder: Path, refused: Mapping[Path, str], keep: int) -> None:
    if refused:
        _go_back(run_dir, folder, refused)
    drop_superseded(folder.parent, read_state(folder).step, keep)


def _expect_none(run_dir: Path, refused: Mapping[Path, str]) -> None:
    root = run_dir / "checkpoints"
    damaged = damaged_folders(root)
    if refused or damaged:
        causes = [*refused.values(), *(f"{folder} is damaged" for folder in damaged)]
        raise CheckpointError(
            f"none of the checkpoints in {root} is whole: {'; '.join(causes)}",
            consequence="training does not start: from step 0 it would repeat what these are the result of",
            remedy=f"bring one back from a copy, or start over by renaming {run_dir}",
        )


def _check_logs(run_dir: Path, folder: Path) -> None:
    for name, point in read_log_points(folder).items():
        if not is_whole(run_dir / name, point):
            raise CheckpointError(
                f"{run_dir / name} is not what it was at {folder.name}: lines are missing or were changed",
                consequence="the record of what was trained on would be wrong",
                remedy="bring the file back from a copy",
            )


def _go_back(run_dir: Path, chosen: Path, refused: Mapping[Path, str]) -> None:
    for folder, cause in refused.items():
        _log.warning("%s; training goes on from %s, and its steps are done again", cause, chosen.name)
        set_damaged_aside(folder)
    record = {"resumed": chosen.name, "refused": {folder.name: cause for folder, cause in refused.items()}}
    with open(run_dir / RECOVERIES_NAME, "a") as stream:
        stream.write(json.dumps(record, sort_keys=True) + "\n")
    sync_folder(run_dir)
