"""`generate`: from a dataset configuration to a finished dataset folder. Kill it anywhere; the same call
resumes.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from datagen.assets import build_catalogue
from datagen.atomic import DiskFull
from datagen.blender.client import BlenderClient
from datagen.card import write_card
from datagen.commit import write_quarantine
from datagen.config import DatasetConfig
from datagen.diff import changed_fields
from datagen.errors import ConfigError, ShardError
from datagen.lightings import bake_lightings
from datagen.manifest import MANIFEST_NAME, DatasetManifest, build_manifest, write_manifest
from datagen.plan import DatasetPlan, make_plan
from datagen.studio import open_blender
from datagen.tools import ask_for_gpu
from pipelines.crew import Crew
from pipelines.disk import disk_errors
from pipelines.driver import Driver, Interrupted, stop_on_signals
from pipelines.ledger import Ledger
from pipelines.lock import dataset_lock
from pipelines.policy import Limits
from pipelines.progress import OnProgress, Snapshot, show_progress
from pipelines.ray_session import ray_session, share_of_cluster
from pipelines.scratch import scratch_folder
from pipelines.staging import Staging, new_token
from pipelines.worker import GroupWorker, WorkOrder
from pipelines.worker_logs import LOGS_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """A finished dataset: every planned pair is in a shard or in quarantine."""

    dataset_dir: Path
    num_pairs: int
    num_quarantined: int
    num_shards: int


def generate(
    config: DatasetConfig,
    out: Path,
    *,
    workers: int,
    address: str | None = None,
    on_progress: OnProgress | None = None,
    worker_class: type[GroupWorker] = GroupWorker,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> GenerateResult:
    """Make the dataset of `config` in `out` with `workers` Ray workers, or go on with what is there.

    `address` names an existing Ray cluster; `out` must then be on a filesystem that all its machines share.
    The tars, sidecars, dataset.json and quarantine.jsonl depend on config, assets and versions alone: not on
    `workers`, `limits`, the cluster, or how often the call was killed before.

    Raises DatasetLocked, ConfigError (also for a folder of another config, with the changed fields),
    CatalogueError, DiskFull, Interrupted (SIGINT, SIGTERM), KilledRepeatedly, CrashesEverywhere,
    WorkersDoNotStart, WorkerBug and BlenderUnavailable; after each of them the same call resumes.
    """
    out = Path(out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    token = new_token()
    latest = _Latest(on_progress or show_progress())
    with disk_errors(out), _interrupts(), dataset_lock(out, token), Ledger(out) as ledger:
        ledger.write("run", token=token, workers=workers, address=address)
        plan = plan_with_lightings(config, out)
        write_manifest(out, build_manifest(plan))
        staging = Staging.take_over(out, token, plan)
        driver = Driver(plan, out, staging, ledger, latest)
        try:
            with _derived_files(out):
                if not driver.finished:
                    order = WorkOrder(plan, out, staging.folder, name="", threads=1)
                    _work(driver, order, workers, address, worker_class, limits)
        finally:
            driver.report(last=True)
        staging.close()
        ledger.write("finished", pairs=latest.snapshot.pairs_done, quarantined=latest.snapshot.quarantined)
    return GenerateResult(
        dataset_dir=out,
        num_pairs=latest.snapshot.pairs_done,
        num_quarantined=latest.snapshot.quarantined,
        num_shards=latest.snapshot.shards_done,
    )


def plan_with_lightings(config: DatasetConfig, out: Path) -> DatasetPlan:
    """The checked plan of `out`, with every lighting baked in `out/lightings`, where a run finds it again.

    The caller holds the folder's lock. Raises ConfigError if the folder holds a dataset of another config.
    """
    _check_config(config, out)
    (out / LOGS_NAME).mkdir(exist_ok=True)
    with scratch_folder() as scratch:

        def blender() -> BlenderClient:
            log_path = out / LOGS_NAME / "lightings.log"
            return open_blender(config, scratch_dir=scratch, log_path=log_path, threads=os.cpu_count() or 1)

        bake_lightings(config, out, blender)
    return make_plan(config, build_catalogue(config.assets, out / "lightings"))


def _work(
    driver: Driver,
    order: WorkOrder,
    workers: int,
    address: str | None,
    worker_class: type[GroupWorker],
    limits: Limits,
) -> None:
    # Signals are caught inside the session: Ray puts handlers of its own in place when it starts.
    with ray_session(address, workers), stop_on_signals() as stop:
        config = order.plan.config
        needs_gpu = config.render.device != "cpu" or ask_for_gpu(config.recipes.values())
        resources = share_of_cluster(
            workers, needs_gpu=needs_gpu, workers_per_gpu=config.execution.workers_per_gpu
        )
        order = replace(order, threads=resources.cpus)
        with Crew(worker_class, order, workers, resources, limits) as crew:
            driver.run(crew, stop)


def _check_config(config: DatasetConfig, out: Path) -> None:
    # Before the lightings are touched: baking would replace those of the other config.
    if not (out / MANIFEST_NAME).exists():
        return
    changes = changed_fields(DatasetManifest.from_folder(out).config, config.content())
    if changes:
        raise ConfigError(
            f"{out} holds a dataset of another configuration: {'; '.join(changes)}",
            consequence="shards of two configurations in one folder would repeat or lose samples",
            remedy="generate into a new folder, or restore the configuration that made this one",
        )


@contextlib.contextmanager
def _derived_files(out: Path) -> Iterator[None]:
    """Bring quarantine.jsonl and README.md up to date after the body, also when it stops early."""
    try:
        yield
    except (OSError, DiskFull, ShardError):
        raise  # there is no room for them, or the shards they are derived from are damaged
    except BaseException:
        _write_derived(out)
        raise
    _write_derived(out)


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C outside the driver's loop, with nothing in flight: while lightings are baked or Ray starts."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped before the first group",
            consequence="nothing partial was left; finished lightings are kept",
            remedy="run the same command again: it goes on from here",
        ) from None


def _write_derived(out: Path) -> None:
    write_quarantine(out)
    write_card(out)


class _Latest:
    """Passes snapshots on and keeps the last one."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.snapshot: Snapshot

    def __call__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._on_progress(snapshot)
