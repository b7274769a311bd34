"""Stages of a run: each is done once, and again only if what it depends on, or what it made, has changed.

A finished stage leaves `stages/<name>.json` with all that it depended on, a digest of what it made, and the
command, date, commit and machine that made it. The first two are computed anew before it is skipped, so
neither a copied folder nor a deleted file can pass for a finished stage.
"""

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.core.json_digest import changed_fields, digest, file_sha256
from pairbridge.datagen.core.record_files import read_output
from pairbridge.training.trackers.run_facts import commit, hardware


@dataclass(frozen=True, slots=True)
class Stage:
    """`inputs` is everything the result depends on, JSON-able; `outputs` is a digest of the result on
    disk, None where there is none; `make` brings it about and resumes what was begun; `discard` makes way
    for a fresh start."""

    name: str
    inputs: Callable[[], dict[str, Any]]
    make: Callable[[], None]
    outputs: Callable[[], str | None]
    discard: Callable[[], None] = lambda: None


class StageRecords:
    """The records of one run's stages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> dict[str, Any] | None:
        """What a finished stage left, or None."""
        path = self._folder / f"{name}.json"
        return read_output(path, "run") if path.is_file() else None

    def write(self, name: str, record: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        data = json.dumps(record, indent=1, sort_keys=True, allow_nan=False).encode()
        write_atomically(self._folder / f"{name}.json", [data, b"\n"])

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.json").unlink(missing_ok=True)


def why_to_run(stage: Stage, records: StageRecords) -> str | None:
    """The reason a stage must run, or None if it can be skipped."""
    record = records.read(stage.name)
    if record is None:
        return "it has not run to its end before"
    changes = changed_fields(record["inputs"], _as_json(stage.inputs()), limit=3)
    if changes:
        return f"changed: {'; '.join(changes)}"
    if stage.outputs() != record["outputs"]:
        return "what it made is gone or was changed"
    return None


def run_stages(
    stages: Sequence[Stage], records: StageRecords, *, forced_from: str | None, say: Callable[[str], None]
) -> None:
    """Run or skip each stage in order, and say which and why.

    From `forced_from` on every stage starts afresh, whatever was made before.
    """
    check_stage(stages, forced_from)
    if forced_from:
        names = [stage.name for stage in stages]
        for stage in stages[names.index(forced_from) :]:
            records.remove(stage.name)
            stage.discard()
    for stage in stages:
        reason = why_to_run(stage, records)
        if reason is None:
            say(f"skipping stage {stage.name}: nothing it depends on has changed")
            continue
        say(f"running stage {stage.name}: {reason}")
        # Before the work: a stage that is killed half-way must not look finished with its old record.
        records.remove(stage.name)
        began = time.monotonic()
        stage.make()
        wall_s = time.monotonic() - began
        facts = {"inputs": _as_json(stage.inputs()), "outputs": stage.outputs(), "wall_s": round(wall_s, 3)}
        records.write(stage.name, {**facts, "made": _circumstances()})
        say(f"finished stage {stage.name} in {wall_s:.1f} s")


def foresee(
    stages: Sequence[Stage], records: StageRecords, *, forced_from: str | None, say: Callable[[str], None]
) -> None:
    """Say what `run_stages` would do, and do nothing. A stage after one that runs is settled only then."""
    check_stage(stages, forced_from)
    forced, cause = False, None
    for stage in stages:
        forced = forced or stage.name == forced_from
        if forced:
            say(f"would restart stage {stage.name} (--from {forced_from})")
        elif cause:
            say(f"would run stage {stage.name} if {cause} changes what it reads")
            continue
        elif reason := why_to_run(stage, records):
            say(f"would run stage {stage.name}: {reason}")
        else:
            say(f"would skip stage {stage.name}: nothing it depends on has changed")
            continue
        cause = cause or stage.name


def check_stage(stages: Sequence[Stage], name: str | None) -> None:
    """Raise ConfigError unless `name` is None or a stage."""
    names = [stage.name for stage in stages]
    if name is not None and name not in names:
        raise ConfigError(
            f"--from {name!r} is no stage",
            consequence="it is not clear where to start",
            remedy=f"use one of {', '.join(names)}",
        )


def folder_digest(files: Sequence[Path]) -> str | None:
    """One digest of several files' names and bytes; None if one is missing."""
    if not files or not all(path.is_file() for path in files):
        return None
    return digest({path.name: file_sha256(path) for path in files})


def set_aside(path: Path) -> None:
    """Rename a folder out of the way, to `<name>.replaced-1`, -2 and so on: hours of work are never
    deleted here. Raises FolderLocked while another process works in it.
    """
    if not path.exists():
        return
    number = 1
    while path.with_name(f"{path.name}.replaced-{number}").exists():
        number += 1
    with folder_lock(path, "set aside"):
        path.rename(path.with_name(f"{path.name}.replaced-{number}"))


def _circumstances() -> dict[str, Any]:
    """By what, when and where a stage was made that ends now; `hardware` is this process's machine."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"command": command, "finished": finished, "commit": commit(), "hardware": hardware()}


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
