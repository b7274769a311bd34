"""TensorBoard: event files in the training's folder, `tensorboard --logdir <run_dir>/events`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.training.trackers.tracker import Tracker


class TensorBoardEvents(Tracker):
    def __init__(self, run_dir: Path, step: int) -> None:
        """Events of steps above `step` come again, and readers drop the old ones."""
        # An extra, and slow to import.
        from torch.utils.tensorboard import SummaryWriter

        self._step = step
        self._writer = SummaryWriter(str(run_dir / "events"), purge_step=step + 1)

    def start(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        for name, value in (("config", config), ("facts", facts)):
            # Indented by four, it is code to Markdown.
            text = json.dumps(value, indent=4, sort_keys=True)
            self._writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), self._step)

    def figures(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, step)
        # A kill would lose what is still in the queue, though a checkpoint may count on it.
        self._writer.flush()

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
