"""Faults that really happen: signals sent to real processes at chosen points of real work, each exactly once.

A fault is (target, point, place): kill `target` when the work on `place` reaches `point`.

| point | place | where the process is |
|---|---|---|
| load, render, compose, encode, stage | group | the worker enters that phase |
| staging tar | group | half of the part's bytes are in the temp file |
| staged part | group | the part has its final name, its record is not written |
| tar | shard | the committer has written half of the shard's tar, in staging |
| ready tar | shard | the tar is whole, its sidecar is not written |
| ready | shard | both are whole, the driver does not know |
| tar to sidecar | shard | the tar has its final name, the sidecar is not written |
| bake, ray, card | - | the driver bakes lightings, starts Ray, writes the last files |
| verify, train, evaluate, report | - | that stage of a run has done (half of) its work, unrecorded |
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from pairbridge.datagen.core.atomic_files import write_atomically

WORKER_POINTS = ("load", "render", "compose", "encode", "stage", "staging tar", "staged part")
DRIVER_POINTS = ("tar", "ready tar", "ready", "tar to sidecar")


@dataclass(frozen=True)
class Fault:
    """`target` is "worker" (or a committer: whoever is there), "driver" or "blender" (the worker's child)."""

    target: str
    point: str
    place: str  # "train-swap-000000 2" for a group, "train-swap-000000" for a shard
    number: int = signal.SIGKILL


class FaultBox:
    """Fires each fault once, whichever process meets it first, and leaves a marker saying what it hit."""

    def __init__(self, folder: Path, faults: list[Fault], out: Path) -> None:
        self.folder = folder
        self.faults = {(fault.point, fault.place): fault for fault in faults}
        self.out = out

    def meet(self, point: str, place: str, *, driver: int, blender: int | None = None) -> None:
        fault = self.faults.get((point, place))
        if fault is None:
            return
        with self._lock():
            if self._marker(fault).exists():
                return
            if not _lives(driver):
                # This worker is a leftover of a killed run. Were it to go on, the group would be finished
                # without its fault; Ray ends it in a moment.
                time.sleep(60)
            victim = {"worker": os.getpid(), "driver": driver, "blender": blender}[fault.target]
            facts = asdict(fault) | {"unfinished": self._unfinished(place)}
            self._leave(fault, facts)
            os.kill(victim, fault.number)
            while fault.number == signal.SIGKILL and _lives(victim):
                time.sleep(0.005)
            # Who comes here has outlived its victim.
            self._leave(fault, facts | {"outlived": True})

    def wants_blender(self, point: str, place: str) -> bool:
        fault = self.faults.get((point, place))
        return fault is not None and fault.target == "blender"

    def fired(self) -> list[dict]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]

    def _unfinished(self, place: str) -> bool:
        shard, _, group = place.partition(" ")
        committed = (self.out / "shards" / f"{shard}.json").exists()
        staged = group and list(self.out.glob(f"staging/*/{shard}/{int(group):08d}.json"))
        return not committed and not staged

    def _leave(self, fault: Fault, facts: dict) -> None:
        # Atomically: Ray may end a worker that has outlived its driver while it writes.
        write_atomically(self._marker(fault), [json.dumps(facts).encode()])

    def _marker(self, fault: Fault) -> Path:
        return self.folder / f"{fault.target} {fault.point} {fault.place}.json"

    @contextlib.contextmanager
    def _lock(self):
        with open(self.folder / "lock", "w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
