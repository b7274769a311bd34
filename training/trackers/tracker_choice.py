"""The trackers that a config names, told as one; none of them ends a training that runs."""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.extras import lacking, require
from pairbridge.training.trackers.mlflow_run import MlflowRun
from pairbridge.training.trackers.tensorboard_events import TensorBoardEvents
from pairbridge.training.trackers.tracker import Tracker
from pairbridge.training.trackers.wandb_run import WandbRun

TrackerName = Literal["tensorboard", "wandb", "mlflow"]
# By the name of the package, which is that of the extra.
_KINDS: Mapping[TrackerName, Callable[[Path, int], Tracker]] = {
    "tensorboard": TensorBoardEvents,
    "wandb": WandbRun,
    "mlflow": MlflowRun,
}
_REMEDIES: Mapping[TrackerName, str] = {
    "tensorboard": "pip install --force-reinstall tensorboard, or set watch.trackers to []",
    "wandb": "run `wandb login`, or set WANDB_MODE=offline and `wandb sync` the run later",
    "mlflow": "see to the server at MLFLOW_TRACKING_URI, or unset it: the run's folder then holds the runs",
}
_log = logging.getLogger(__name__)


def chosen_trackers(wanted: Literal["auto"] | tuple[TrackerName, ...]) -> tuple[TrackerName, ...]:
    """Those wanted, `auto` being TensorBoard where it is installed. Raises ConfigError where one is not."""
    if wanted == "auto":
        return () if lacking("tensorboard") else ("tensorboard",)
    for name in wanted:
        require(
            name,
            by="watch.trackers",
            consequence="nothing would be logged there",
            otherwise="leave it out: stats.jsonl has every figure",
        )
    return wanted


class Trackers:
    """Started trackers, told as one. One that fails is left out from then on, and ends no training."""

    def __init__(self, started: Mapping[str, Tracker]) -> None:
        self._open = dict(started)

    def figures(self, step: int, numbers: Mapping[str, float]) -> None:
        self._tell(lambda tracker: tracker.figures(step, numbers))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        self._tell(lambda tracker: tracker.picture(step, name, image))

    def close(self) -> None:
        self._tell(lambda tracker: tracker.close())

    def _tell(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                tell(tracker)
            # Whatever a library or a service comes up with: days of training are worth more than a curve.
            except Exception as error:
                del self._open[name]
                _log.warning(
                    "%s failed and is told no more until the training is resumed; stats.jsonl goes on: %s",
                    name,
                    error,
                )


def start_trackers(
    wanted: Literal["auto"] | tuple[TrackerName, ...],
    run_dir: Path,
    step: int,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Trackers:
    """Started, for the training in `run_dir` that goes on after `step`.

    Raises ConfigError where one that was asked for by name does not start; TensorBoard of `auto` that does
    not is left out with a warning.
    """
    started: dict[str, Tracker] = {}
    for name in chosen_trackers(wanted):
        try:
            tracker = _KINDS[name](run_dir, step)
            tracker.start(config, facts)
        except Exception as error:
            if wanted == "auto":
                _log.warning("TensorBoard is installed and does not start; stats.jsonl has it all: %s", error)
                continue
            Trackers(started).close()
            if isinstance(error, PairbridgeError):
                raise
            raise ConfigError(
                f"the tracker {name} does not start: {error}",
                consequence="nothing would be logged there",
                remedy=_REMEDIES[name],
            ) from error
        started[name] = tracker
    return Trackers(started)


def _installed(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    # A folder of that name in the working folder, as wandb makes one, has no file of its own.
    return spec is not None and spec.origin is not None
