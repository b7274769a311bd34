"""Makes one group at a time and stages its bytes; knows nothing of Ray, retries or other groups.

What belongs to the group (a crash of Blender, a time-out, a broken asset) comes back as a `GroupOutcome`.
What belongs to the run (a full disk, a staging folder that was taken over, a bug in a recipe) is raised.
"""

import contextlib
import faulthandler
import os
import socket
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import psutil

from pairbridge.datagen.assets.files_in_use import FilesInUse, ProvenCatalogue
from pairbridge.datagen.blender.blender_errors import BlenderCrashed, BlenderRequestFailed, BlenderTimedOut
from pairbridge.datagen.core.disk_errors import disk_errors
from pairbridge.datagen.core.errors import FileUnreadable
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.dataset.redraw import MadeGroup, Refusal, make_group
from pairbridge.datagen.models.weights.weight_folders import ENVIRONMENT as WEIGHTS_ENVIRONMENT
from pairbridge.datagen.models.weights.weights_in_use import Sums
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.layout import GroupSpec, ShardSpec
from pairbridge.datagen.shards.object_store import ObjectStore, StoreFailed, cache_root
from pairbridge.datagen.shards.records import GroupRecord, Hole, Rejection, pack_group
from pairbridge.datagen.shards.sample import Pair, encode_field
from pairbridge.pipelines.attempts.holes import asset_ids, broken_assets, refused, refused_assets, rejection
from pairbridge.pipelines.attempts.policy import Fault, fault_of_signal
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
from pairbridge.pipelines.shelves.staging import sees_staging, stage_group
from pairbridge.pipelines.shelves.store_staging import StoreStaging, reaches_store
from pairbridge.pipelines.workers import worker_logs
from pairbridge.pipelines.workers.node_files import CommitterUnreachable, NodeFiles

if TYPE_CHECKING:
    from pairbridge.pipelines.workers.ray_files import RemoteFiles


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What all workers of a run are told, once: the plan and where to write."""

    plan: DatasetPlan
    dataset_dir: Path
    staging_dir: Path  # the folder of the run's token; the worker never creates it
    # For a worker that does not see the folders above: where it gets files.
    files: "RemoteFiles | None" = None
    weights: Sums = field(default_factory=dict)  # of the models, as they were when the run began
    url: str | None = None  # of the store where workers of a cluster put what they make, if they reach it


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Where a worker runs, and where its last words are to be found."""

    host: str
    pid: int
    node: str = ""  # of a cluster: Ray's name of its machine
    home: Path | None = None  # the folder with its `logs/` on that machine, where they are not the driver's
    sends: bool = False  # what it makes, to a committer


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """What became of one attempt. `fault` is None when the group is staged, with pairs, holes or both."""

    num_pairs: int = 0
    num_holes: int = 0
    num_bytes: int = 0
    assets: tuple[str, ...] = ()  # catalogue ids that its first draw used
    refused: dict[str, int] = field(default_factory=dict)  # catalogue id -> refused draws that used it
    fault: Fault | None = None
    reason: str = ""  # of the fault, deterministic, since it may become a quarantine entry
    detail: str = ""  # of the fault, for the ledger and the terminal: the tail of Blender's log
    message: str = ""  # of the fault: what Ray says of the worker's end
    draw: int = 0  # the group's last, in which the fault was; a worker that died itself can no longer say
    broken: frozenset[str] = frozenset()  # assets that cost the group all of its pairs
    holes: GroupRecord | None = None  # of a group that fell for `broken`, for the driver to stage
    log: str = ""  # the end of what it wrote into a log that its machine alone has
    wall_s: float
    phase_s: dict[str, float]
    rss_mib: int


class GroupWorker:
    """One renderer and its models, for many groups in turn. A context manager; not thread-safe.

    `name` is what its log is called, `threads` how many cores Blender, models and codecs may take.
    """

    def __init__(self, order: WorkOrder, name: str, threads: int) -> None:
        self.order, self.name, self.threads = order, name, threads
        self._resources = contextlib.ExitStack()
        self._begin("start")

    def open(self) -> WorkerInfo:
        """Open logs, take scratch space, set up the workbench (which starts Blender when it is first
        asked)."""
        order = self.order
        # OpenCV takes every core otherwise, in each worker.
        cv2.setNumThreads(self.threads)
        scratch = self._resources.enter_context(scratch_folder())
        self._sees_staging = order.files is None or sees_staging(order.staging_dir)
        self._on_store: StoreStaging | None = None
        if order.url is not None and reaches_store(order.url, order.plan.digest):
            self._on_store = StoreStaging(ObjectStore(order.url), order.plan.digest)
        self._sends = self._on_store is None and not (self._sees_staging and order.url is None)
        settings = order.plan.config.workbench
        self._files = FilesInUse(settings.addons)
        if not self._sees_staging:
            served = NodeFiles(order.files)
            self._files = FilesInUse(settings.addons, served.locate)
            settings = replace(settings, object_folders=(*settings.object_folders, served.root))
            weights = served.weights_folder()
            if weights is not None:
                os.environ[WEIGHTS_ENVIRONMENT] = str(weights)
        # Where the driver's folder is not seen, logs outlive the worker on its machine: `crew` asks for them.
        self._home = order.dataset_dir
        if not self._sees_staging:
            self._home = cache_root() / "runs" / order.staging_dir.name
        log_path = worker_logs.log_path(self._home, self.name)
        with disk_errors(self._home):
            log_path.parent.mkdir(parents=not self._sees_staging, exist_ok=True)
            crash_path = worker_logs.crash_path(self._home, self.name)
            last_words = self._resources.enter_context(crash_path.open("w"))
            self._log = self._resources.enter_context(log_path.open("a", buffering=1))
        faulthandler.enable(last_words)
        self._resources.callback(faulthandler.disable)
        self.workbench = self._resources.enter_context(
            Workbench(
                settings,
                ProvenCatalogue(order.plan.catalogue.assets, files=self._files),
                scratch_dir=scratch / "studio",
                threads=self.threads,
                log_path=log_path,
                phase=self.phase,
                weights=order.weights,
            )
        )
        return WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            node=order.files.node() if order.files else "",
            home=None if self._sees_staging else self._home,
            sends=self._sends,
        )

    def send_to(self, committers: Sequence[tuple[Any, ...]]) -> None:
        """As `RemoteFiles.send_to`; for one that `sends`."""
        self.order.files.send_to(committers)

    def close(self) -> None:
        self._resources.close()

    def __enter__(self) -> "GroupWorker":
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def phase(self, name: str) -> None:
        """Note what goes on from now on: load, render, compose, encode, stage.

        The last one in the log is where a worker hung that had to be killed.
        """
        self._end_phase()
        self._phase = name
        worker_logs.note_phase(self._log, name)

    def run(self, shard: ShardSpec, group: int) -> GroupOutcome:
        """Plan the group, make it, encode it, write it to staging.

        Raises DiskFull, Fenced, and whatever a recipe raises that is neither AssetError nor Rejected.
        """
        began = time.monotonic()
        self._begin("plan")
        with disk_errors(self._home):
            position = self._log.tell()
            worker_logs.note_group(self._log, shard.name, group)
            try:
                result = self._attempt(shard, self.order.plan.group(shard.stream, group))
            except Exception:
                # Ray would carry the message to the driver, but a traceback is for whoever repairs the cause.
                traceback.print_exc(file=self._log)
                raise
            self.phase("idle")
        return GroupOutcome(
            **result,
            log="" if self._sees_staging else worker_logs.written_since(self._log.name, position),
            wall_s=round(time.monotonic() - began, 4),
            phase_s={name: round(seconds, 4) for name, seconds in self._phase_s.items()},
            rss_mib=psutil.Process().memory_info().rss >> 20,
        )

    def make_pairs(self, spec: GroupSpec) -> tuple[list[tuple[str, Pair] | Hole], list[Rejection]]:
        """(key, pair) or a Hole for each planned pair, and the draws that gates refused.

        Raises what `run` does, the errors of Blender, FileUnreadable and AssetChanged.
        """
        catalogue = self.workbench.catalogue
        made = self._made(spec)
        self._refused = refused_assets(made, self.order.plan.catalogue)
        self._broken = broken_assets(made, self.order.plan.catalogue)
        outcomes = [
            refused(outcome, catalogue) if isinstance(outcome, Refusal) else outcome
            for outcome in made.outcomes
        ]
        return outcomes, [rejection(refusal, catalogue) for refusal in made.rejected]

    def _made(self, spec: GroupSpec) -> MadeGroup:
        """The group, of files that are the catalogue's from the first reading of each to the end.

        A verdict against a file stands if all of them were read once more, and the group was made anew with
        the same verdict: one failed reading shows as damage where a library, or Blender, opens the file.
        """
        self._files.begin()
        try:
            made = self._make_group(spec)
            doubtful = bool(broken_assets(made, self.order.plan.catalogue))
        except BlenderRequestFailed:
            doubtful = True
        if doubtful:
            self._files.prove_again()
            self.workbench.forget_files()
            made = self._make_group(spec)
        self._files.settle()
        return made

    def _make_group(self, spec: GroupSpec) -> MadeGroup:
        return make_group(self.order.plan, spec, self.workbench, self._note_draw)

    def stage(self, shard: ShardSpec, part: bytes, record: GroupRecord) -> None:
        """Part, then record: the group is finished when the second is there. Raises CommitterUnreachable and
        StoreFailed.
        """
        if self._sends:
            self.order.files.stage(shard.name, part, record)
        elif self._on_store is not None:
            self._on_store.stage(shard.name, part, record)
        else:
            stage_group(self.order.staging_dir / shard.name, part, record)

    def _attempt(self, shard: ShardSpec, spec: GroupSpec) -> dict:
        try:
            outcomes, rejections = self.make_pairs(spec)
            self.phase("encode")
            part, record = pack_group(spec.group, [_encoded(outcome) for outcome in outcomes], rejections)
        except BlenderCrashed as error:
            # A process that dies before it has seen the group says nothing about the group.
            fault = Fault.LOST if error.phase == "start" else fault_of_signal(error.signal)
            reason = f"Blender ended with {error.signal} in phase {self._phase}"
            return {"fault": fault, "reason": reason, "detail": str(error), "draw": self._draw}
        except BlenderTimedOut as error:
            fault = Fault.LOST if error.phase == "start" else Fault.TIMED_OUT
            reason = f"Blender gave no answer in time in phase {self._phase}"
            return {"fault": fault, "reason": reason, "detail": str(error), "draw": self._draw}
        except FileUnreadable as error:
            self.workbench.forget_files()
            return {"fault": Fault.UNREADABLE, "reason": error.cause, "detail": error.remedy}
        except MemoryError as error:
            return {"fault": Fault.OUT_OF_MEMORY, "reason": "out of memory", "detail": repr(error)}
        counts = {
            "num_pairs": len(record.samples),
            "num_holes": len(record.holes),
            "num_bytes": len(part),
            "draw": self._draw,
            "assets": asset_ids(spec, self.order.plan.catalogue),
            "refused": self._refused,
        }
        self.phase("stage")
        if not record.samples and self._broken:
            # The driver stages it, if its neighbours do not fall as well.
            return {**counts, "broken": self._broken, "holes": record}
        try:
            self.stage(shard, part, record)
        except (CommitterUnreachable, StoreFailed) as error:
            return {"fault": Fault.LOST, "reason": error.cause, "detail": error.remedy, "draw": self._draw}
        return counts

    def _note_draw(self, spec: GroupSpec) -> None:
        self._draw = spec.draw

    def _begin(self, phase: str) -> None:
        self._phase_s: dict[str, float] = {}
        self._phase = phase
        self._phase_began = time.monotonic()

    def _end_phase(self) -> None:
        now = time.monotonic()
        self._phase_s[self._phase] = self._phase_s.get(self._phase, 0.0) + now - self._phase_began
        self._phase_began = now


def _encoded(outcome: tuple[str, Pair] | Hole) -> tuple[str, dict[str, bytes]] | Hole:
    if isinstance(outcome, Hole):
        return outcome
    key, pair = outcome
    return key, {field: encode_field(field, value) for field, value in pair.items()}
