"""The engine: a training from its newest checkpoint to its last step, whatever it trains.

    <run_dir>/checkpoints/step-000123/   see pairbridge.training.engine.checkpoint
    <run_dir>/stats.jsonl                figures since the last line, every `log_every` steps
    <run_dir>/consumed.jsonl             the keys of all pairs that reached an optimiser, step by step

The same command resumes it, exactly: on a CPU a resumed run is bitwise the undisturbed one. The order of the
data is one integer, all noise is keyed by (seed, step), and no global random generator is read. Under
torchrun (a process group that the caller has initialised) every rank does the same; the first one writes.

Nothing inside a step waits for the device: its numbers are read while the next step runs. A step whose
gradient is NaN or infinite changes nothing (`Learner.descend`); it is counted here, one step later and always
before anything is saved, and too many in a row end the training.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.checkpoint import (
    CheckpointState,
    checkpoint_folders,
    read_log_points,
    read_state,
    refuse_changes,
)
from pairbridge.training.engine.checkpoint_writer import CheckpointWriter
from pairbridge.training.engine.device_feed import device_batches
from pairbridge.training.engine.engine_config import EngineConfig
from pairbridge.training.engine.interrupt import StopSignal, stop_on_signals
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.readback import Readback
from pairbridge.training.engine.recovery import resumed_checkpoint
from pairbridge.training.engine.run_folder import RunFolder
from pairbridge.training.engine.run_log import LogPoint
from pairbridge.training.engine.telemetry import StepRows, Telemetry

OnProgress = Callable[[dict[str, Any]], None]


class TrainingDiverged(PairbridgeError):
    """A gradient is NaN or infinite, or the loss grew out of all proportion."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`interrupted` names the signal that ended the run before its last step, if one did."""

    checkpoint: Path
    step: int
    consumed: dict[str, int]
    interrupted: str | None


class Watch(Protocol):
    """Looks at a training and changes nothing of it."""

    def begin(self, step: int, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> Self:
        """Before the step after `step`: the training's config, and `Method.inputs`. Collective."""

    def due(self, step: int) -> bool: ...
    def figures(self, line: Mapping[str, Any]) -> None: ...
    def picture(self, step: int, learner: Learner) -> None: ...
    def close(self) -> None: ...


class Method(Protocol):
    """What is trained, and what a step of it does.

    settings: the config that the checkpoint's model is opened with. learners: first the one whose EMA is
    published. inputs: what the weights depend on beside the settings, by digest. diverged_at: a mean loss
    this
    many times that of the first line of the log ends the run; None: none does. remedy: for a training that
    diverged.
    """

    settings: FrozenModel
    loader: MixedLoader
    learners: Sequence[Learner]
    watch: Watch
    inputs: dict[str, Any]
    diverged_at: float | None
    remedy: str

    def batches_before(self, step: int) -> int:
        """Batches that the first `step` steps consume."""

    def images_before(self, step: int) -> int:
        """Images that the model has seen in them."""

    def step(self, number: int, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """Step `number`, from 0, on as many batches as it takes. Numbers for the log that nothing has waited
        for: `loss` per sample of the last batch, `gradient_norm`, and any others.
        """

    def measure(self, step: int) -> dict[str, Tensor]:
        """More such numbers, of the model as it is after `step` steps, at a line of the log. Collective."""
        return {}

    def remarks(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """What a line of the log says about its figures."""
        return {}

    def resume(self, folder: Path, state: CheckpointState) -> None:
        """Raise CheckpointError where `state` is of settings that `inputs` does not tell apart."""


def run(method: Method, config: EngineConfig, folder: RunFolder, on_progress: OnProgress) -> TrainResult:
    """Run to `config.steps` in `folder`, which is held. `on_progress` gets each line of stats.jsonl.

    SIGINT and SIGTERM end the run after the current step, with a checkpoint. Raises ConfigError where the mix
    is too short, CheckpointError where config, mix or data differ from the checkpoint's, and
    TrainingDiverged.
    """
    engine = _Engine(method, config, folder, on_progress)
    with stop_on_signals() as stop:
        engine.run(stop)
    return TrainResult(
        checkpoint=checkpoint_folders(engine.checkpoints)[-1],
        step=engine.step,
        consumed=dict(engine.consumed),
        interrupted=stop.signal_name if engine.step < config.steps else None,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that was queued, and whose numbers may still be on their way."""

    number: int
    batches: list[Batch]
    numbers: Readback


class _Engine:
    def __init__(
        self, method: Method, config: EngineConfig, folder: RunFolder, on_progress: OnProgress
    ) -> None:
        self.method, self.config, self.folder, self.on_progress = method, config, folder, on_progress
        self.checkpoints = folder.path / "checkpoints"
        self.model = method.learners[0]
        self.ranks = self.model.ranks
        self.device = self.model.device
        self.step = 0
        self.first_loss: float | None = None
        self.stop_seen = False
        self.skipped_in_row = 0
        self.consumed: Counter[str] = Counter({source.name: 0 for source in method.loader.mix.sources})
        self._taken: list[Batch] = []
        self._check_length()
        self.logs: dict[str, LogPoint] = {}
        if resumed := resumed_checkpoint(folder.path, self.ranks, config.keep_checkpoints):
            self._restore(resumed)

    def run(self, stop: StopSignal) -> None:
        """Steps up to the last one, or until `stop`; leaves a checkpoint of where it ended."""
        watch = self.method.watch
        self.telemetry = Telemetry(
            self.folder.path, points=self.logs, consumed=self.consumed, ranks=self.ranks
        )
        told = self.config.model_dump(mode="json"), self.method.inputs
        self.writer = CheckpointWriter(self.folder, self.config.keep_checkpoints)
        with closing(self.writer), closing(self.telemetry), closing(watch.begin(self.step, *told)):
            start = self.method.batches_before(self.step)
            batches = self._noted(device_batches(self.method.loader, start, self.device))
            queued: _Step | None = None
            while self.step < self.config.steps and not self.stop_seen:
                previous, queued = queued, self._queue(batches, stop)
                if previous:
                    self._settle(previous)
                if self.ranks.world == 1:
                    self.stop_seen = bool(stop)
                due = self._every(self.config.checkpoint_every, self.step)
                if due or self.stop_seen or watch.due(self.step):
                    self._settle(queued)
                    queued = None
                # Before the checkpoint: a resume goes on behind it, and would never make this picture.
                if watch.due(self.step):
                    watch.picture(self.step, self.model)
                if due or self.stop_seen:
                    self._save(self.telemetry.sync())
            self.writer.wait()

    def _noted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """`batches`, with the time that they were waited for and what each was."""
        before = time.perf_counter()
        for batch in batches:
            self.telemetry.waited(time.perf_counter() - before)
            self._taken.append({name: batch[name] for name in ("keys", "source_names", "substitutes")})
            yield batch
            before = time.perf_counter()

    def _queue(self, batches: Iterator[Batch], stop: StopSignal) -> _Step:
        """One step. Nothing here waits for the device."""
        numbers = self.method.step(self.step, batches)
        self.step += 1
        if self._every(self.config.log_every, self.step):
            numbers |= self.method.measure(self.step)
        numbers["stop"] = self.ranks.any(bool(stop), self.device)
        taken, self._taken = self._taken, []
        return _Step(self.step, taken, Readback(numbers))

    def _settle(self, step: _Step) -> None:
        """Take note of a queued step's numbers. Raises TrainingDiverged."""
        numbers = step.numbers.read()
        self.stop_seen = self.stop_seen or bool(numbers.pop("stop")[0])
        norms = {name: sum(values) for name, values in numbers.items() if name.endswith("gradient_norm")}
        skipped = [f"{name} is {norm}" for name, norm in norms.items() if not math.isfinite(norm)]
        self.skipped_in_row = self.skipped_in_row + 1 if skipped else 0
        if self.skipped_in_row > self.config.max_skipped_in_row:
            raise self._diverged(
                f"{skipped[0]} at step {step.number}, as at the {self.skipped_in_row - 1} before it"
            )
        self.telemetry.step(StepRows(step.number, step.batches, numbers, bool(skipped)))
        if not self._every(self.config.log_every, step.number):
            return
        line = self.telemetry.line(
            step.number,
            steps=self.config.steps,
            images=self.method.images_before(step.number),
            learning_rate=self.model.learning_rate(self.method.images_before(step.number - 1)),
            remarks=self.method.remarks,
        )
        if line is None:
            return
        self.method.watch.figures(line)
        self.on_progress(line)
        self.first_loss = self.first_loss or line["loss"]
        if self.method.diverged_at and line["loss"] > self.method.diverged_at * self.first_loss:
            raise self._diverged(
                f"the loss at step {step.number} is {line['loss']:.3g}, it began at {self.first_loss:.3g}"
            )

    def _every(self, steps: int, step: int) -> bool:
        return step == self.config.steps or step % steps == 0

    def _diverged(self, cause: str) -> TrainingDiverged:
        self.writer.wait()
        good = checkpoint_folders(self.checkpoints)
        return TrainingDiverged(
            cause,
            consequence=f"training stops; the last good checkpoint is {good[-1]}"
            if good
            else "training stops; there is no checkpoint from before",
            remedy=self.method.remedy,
        )

    def _check_length(self) -> None:
        there, wanted = self.method.loader.num_batches, self.method.batches_before(self.config.steps)
        if there is not None and there < wanted:
            raise ConfigError(
                f"the mix ends after {there} batches, and {self.config.steps} steps take {wanted}",
                consequence="training would stop before its last step, in the middle of its schedule",
                remedy="lower steps, or set on_exhausted of the mix to repeat",
            )

    def _save(self, logs: Mapping[str, LogPoint]) -> None:
        """Begin a checkpoint of this step; the next ones are taken while it is written."""
        state = CheckpointState(
            step=self.step,
            images=self.method.images_before(self.step),
            ema_updates=self.model.ema.steps,
            first_loss=self.first_loss,
            consumed=dict(self.consumed),
            config=self.method.settings.model_dump(mode="json"),
            mix=self.method.loader.mix.model_dump(mode="json"),
            inputs=self.method.inputs,
        )
        tensors = {kind: of for one in self.method.learners for kind, of in one.tensors().items()}
        self.writer.write(state, tensors, logs)

    def _restore(self, folder: Path) -> None:
        state = read_state(folder)
        self.method.resume(folder, state)
        # Not the mix's text: a dataset that moved, shard for shard, is still the same data.
        refuse_changes(
            folder, state.inputs, self.method.inputs, "the config, the mix, its data or the weights"
        )
        for learner in self.method.learners:
            learner.restore(folder, ema_updates=state.ema_updates)
        self.logs = read_log_points(folder)
        self.step = state.step
        self.first_loss = state.first_loss
        self.consumed.update(state.consumed)
