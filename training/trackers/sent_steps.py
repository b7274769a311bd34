"""How a training that resumes goes on in a tracker that keeps every value it is sent."""

from pathlib import Path

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import read_record


class TrackedRun(FrozenModel):
    id: str
    """Of the run, as its tracker knows it."""
    sent: dict[str, int]
    """Step up to which each kind of thing was sent."""


class SentSteps:
    """The run of a training in a tracker, and what of it was sent: a file in the training's folder.

    A resumed training does the steps since its checkpoint again, with the same numbers; those that were sent
    before are not sent twice. A step is noted before it is sent, so that a kill between both leaves a gap in
    a curve rather than a step that is there twice; stats.jsonl has it.
    """

    def __init__(self, path: Path, step: int) -> None:
        """`step`: completed by the training. At 0 it is a new one, whatever its folder remembers.

        Raises ConfigError where the file is damaged.
        """
        self._path = path
        self._run: TrackedRun | None = None
        if step and path.exists():
            self._run = read_record(TrackedRun, path, MAX_RECORD_BYTES, _unusable)

    @property
    def run_id(self) -> str | None:
        """Of the run to go on with; None where there is none."""
        return self._run and self._run.id

    def begin(self, run_id: str) -> None:
        self._write(TrackedRun(id=run_id, sent={}))

    def first_time(self, kind: str, step: int) -> bool:
        """Whether `kind` was not sent of `step` yet; it counts as sent from now on."""
        if step <= self._run.sent.get(kind, 0):
            return False
        self._write(TrackedRun(id=self._run.id, sent={**self._run.sent, kind: step}))
        return True

    def _write(self, run: TrackedRun) -> None:
        write_atomically(self._path, [canonical_json(run.model_dump(mode="json"))])
        self._run = run


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be used: {why}",
        consequence="which run of the tracker this training is stays unknown",
        remedy=f"remove {path}: the training goes on, in a new run of the tracker",
    )
