"""Weights & Biases: a run of project `pairbridge`, or of WANDB_PROJECT.

WANDB_MODE, WANDB_API_KEY, WANDB_ENTITY and all else is read by wandb itself; its files lie in
`<run_dir>/wandb/`, also those of `WANDB_MODE=offline`.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.training.trackers.sent_steps import SentSteps
from pairbridge.training.trackers.tracker import Tracker


class WandbRun(Tracker):
    def __init__(self, run_dir: Path, step: int) -> None:
        # An extra, and slow to import.
        import wandb

        self._wandb, self._dir = wandb, run_dir
        self._sent = SentSteps(run_dir / "wandb.json", step)

    def start(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        run_id = self._sent.run_id or secrets.token_hex(8)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pairbridge"),
            name="/".join(self._dir.resolve().parts[-2:]),
            id=run_id,
            resume="allow",
            dir=str(self._dir),
            config={**config, "facts": facts},
            # A resume may be told another number of steps.
            allow_val_change=True,
        )
        if self._sent.run_id is None:
            self._sent.begin(run_id)

    def figures(self, step: int, numbers: Mapping[str, float]) -> None:
        if self._sent.first_time("figures", step):
            self._run.log(dict(numbers), step=step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        if self._sent.first_time(name, step):
            self._run.log({name: self._wandb.Image(image)}, step=step)

    def close(self) -> None:
        self._run.finish()
