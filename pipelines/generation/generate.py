"""`generate`: from a dataset configuration to a finished dataset folder. Kill it anywhere; the same call
resumes.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.assets.sources import build_catalogue
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.atomic_files import DiskFull
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.croissant import CROISSANT_NAME
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.extension import FrozenAssets, first_assets, frozen_assets, refused_changes
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest, build_manifest, write_manifest
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.lighting.baked import bake_lightings
from pairbridge.datagen.models.weights.weight_folders import weights_root
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.shards.commit import write_quarantine
from pairbridge.datagen.shards.object_store import ObjectStore, StoreFailed, is_url
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import Driver, Interrupted, stop_on_signals
from pairbridge.pipelines.generation.model_notice import show_model_terms
from pairbridge.pipelines.generation.progress import OnProgress, Snapshot, show_progress
from pairbridge.pipelines.generation.prometheus import RunMetrics
from pairbridge.pipelines.shelves.disk import disk_errors, scratch_folder
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME, Ledger
from pairbridge.pipelines.shelves.lock import dataset_lock, store_lease
from pairbridge.pipelines.shelves.shelf import LIGHTINGS_NAME, FolderShelf, StoreShelf, closing, work_folder
from pairbridge.pipelines.shelves.staging import Fenced, Staging, new_token
from pairbridge.pipelines.workers.crew import Crew
from pairbridge.pipelines.workers.node_files import start_file_server
from pairbridge.pipelines.workers.pools import Pool, pooled_recipes, pools_of
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """A finished dataset: every planned pair is in a shard or in quarantine."""

    dataset_dir: Path  # of a dataset on an object store: the folder that worked for it
    num_pairs: int
    num_quarantined: int
    num_shards: int
    unused_assets: tuple[str, ...]  # joined the folders after the dataset was begun; nothing was made of them


def generate(
    config: DatasetConfig,
    out: str | Path,
    *,
    workers: int,
    address: str | None = None,
    on_progress: OnProgress | None = None,
    worker_class: type[GroupWorker] = GroupWorker,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    extend_assets: bool = False,
    work_dir: Path | None = None,
) -> GenerateResult:
    """Make the dataset of `config` in `out` with `workers` Ray workers, or go on with what is there.

    `out` is a folder, or the URL of an object store (s3://bucket/folder). Lock, staging and logs of the
    latter are in `work_dir`, by default one of the cache's: keep it and nothing that was finished is made
    again; lose it and what the store has not is. `address` names an existing Ray cluster. Workers that see
    the driver's folders write there; others hand what they made to the driver.
    The tars, sidecars, dataset.json and quarantine.jsonl depend on config, assets and versions alone: not on
    `workers`, `limits`, the cluster, or how often the call was killed before.

    A `config` that differs from the dataset's by larger numbers of groups alone grows it: what is committed
    stays, but for a last shard that was not full, which is filled up. The list of assets is frozen when a
    dataset is begun; with `extend_assets`, files that joined the folders since are taken in, for groups that
    were not planned before.

    Raises DatasetLocked, ConfigError (also for a folder of another config, with the changed fields),
    CatalogueError, DiskFull, Interrupted (SIGINT, SIGTERM), KilledRepeatedly, CrashesEverywhere,
    WorkersDoNotStart, WorkerBug and BlenderUnavailable; after each of them the same call resumes.
    """
    show_model_terms(config.recipes.values())
    url = str(out) if is_url(out) else None
    out = Path(out).absolute() if url is None else (work_dir or work_folder(url)).absolute()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    token = new_token()
    metrics = RunMetrics(config.name)
    latest = _Latest(on_progress or show_progress(), metrics.progress)
    with (
        disk_errors(out),
        _interrupts(),
        dataset_lock(out, token),
        _shelf(out, url, token) as shelf,
        Ledger(out, metrics.event) as ledger,
    ):
        ledger.write("run", token=token, workers=workers, address=address)
        plan, unused = plan_with_lightings(config, out, extend_assets=extend_assets)
        if unused:
            ledger.write("assets not used", ids=unused)
        write_manifest(out, build_manifest(plan))
        lightings = sorted(path.relative_to(out).as_posix() for path in out.glob(f"{LIGHTINGS_NAME}/*.exr"))
        shelf.put_records(MANIFEST_NAME, *lightings)
        staging = Staging.take_over(out, token, plan)
        driver = Driver(plan, shelf, staging, ledger, latest, pools=pooled_recipes(config))
        try:
            with _derived_files(out, shelf):
                if not driver.finished:
                    order = WorkOrder(plan, out, staging.folder, name="", threads=1)
                    _work(driver, order, workers, address, worker_class, limits, metrics)
        finally:
            driver.report(last=True)
        staging.close()
        ledger.write("finished", pairs=latest.snapshot.pairs_done, quarantined=latest.snapshot.quarantined)
        shelf.put_records(LEDGER_NAME)
    return GenerateResult(
        dataset_dir=out,
        num_pairs=latest.snapshot.pairs_done,
        num_quarantined=latest.snapshot.quarantined,
        num_shards=latest.snapshot.shards_done,
        unused_assets=unused,
    )


def plan_with_lightings(
    config: DatasetConfig, out: Path, *, extend_assets: bool = False
) -> tuple[DatasetPlan, tuple[str, ...]]:
    """The checked plan of `out`, with every lighting baked in `out/lightings`, where a run finds it again;
    and the ids of assets that joined the folders since the dataset was begun and are not used.

    The caller holds the folder's lock. Raises ConfigError if the folder holds a dataset of another config,
    CatalogueError if one of its assets has changed or gone.
    """
    assets = _assets(config, out, extend=extend_assets)
    (out / LOGS_NAME).mkdir(exist_ok=True)
    with scratch_folder() as scratch:

        def blender() -> BlenderClient:
            log_path = out / LOGS_NAME / "lightings.log"
            return open_blender(
                config.workbench, scratch_dir=scratch, log_path=log_path, threads=os.cpu_count() or 1
            )

        bake_lightings(config.seed, config.lightings, assets.first, out, blender)
    baked = build_catalogue(config.assets, out / "lightings").assets
    catalogue = Catalogue(tuple(asset for asset in baked if asset.id not in assets.unused))
    return make_plan(config, catalogue, assets.extensions), assets.unused


def _work(
    driver: Driver,
    order: WorkOrder,
    workers: int,
    address: str | None,
    worker_class: type[GroupWorker],
    limits: Limits,
    metrics: RunMetrics,
) -> None:
    # Before Ray is there: it may clear away the working folder that a submitted job was started in.
    weights = weights_root()
    # Signals are caught inside the session: Ray puts handlers of its own in place when it starts.
    with ray_session(address, workers), metrics.exported(), stop_on_signals() as stop:
        pools = pools_here(order.plan.config, workers, address)
        with crew_of(order, pools, address, weights, worker_class, limits) as crew:
            driver.run(crew, stop)


def pools_here(config: DatasetConfig, workers: int, address: str | None) -> tuple[Pool, ...]:
    """The pools of a run on the Ray that this process is connected to; a cluster at `address` may still be
    growing. Raises ConfigError if it offers too little.
    """
    join_timeout_s = config.execution.join_timeout_s if address is not None else 0.0
    return pools_of(config, workers, join_timeout_s=join_timeout_s)


def crew_of(
    order: WorkOrder,
    pools: tuple[Pool, ...],
    address: str | None,
    weights: Path | None,
    worker_class: type[GroupWorker] = GroupWorker,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Crew:
    """The workers of a run, not yet started; those of a cluster get models from the folder `weights`."""
    # A cluster may have, or get, machines that see none of this one's folders.
    files = start_file_server(order.plan, weights) if address is not None else None
    return Crew(worker_class, replace(order, files=files), pools, limits)


def _assets(config: DatasetConfig, out: Path, *, extend: bool) -> FrozenAssets:
    # Before the lightings are touched: baking would replace those of the other config.
    found = build_catalogue(config.assets, None)
    if not (out / MANIFEST_NAME).exists():
        return first_assets(found)
    manifest = DatasetManifest.from_folder(out)
    changes = refused_changes(manifest.config, config)
    if changes:
        raise ConfigError(
            f"{out} holds a dataset of another configuration: {'; '.join(changes)}",
            consequence="shards of two configurations in one folder would repeat or lose samples",
            remedy="generate into a new folder, or restore the configuration that made this one",
        )
    return frozen_assets(found, manifest, extend=extend)


@contextlib.contextmanager
def _shelf(out: Path, url: str | None, token: str) -> Iterator[FolderShelf]:
    if url is None:
        yield FolderShelf(out)
        return
    store = ObjectStore(url)
    with (
        store_lease(store, out, token) as still_ours,
        closing(StoreShelf.adopt(out, store, still_ours)) as shelf,
    ):
        yield shelf


@contextlib.contextmanager
def _derived_files(out: Path, shelf: FolderShelf) -> Iterator[None]:
    """Bring quarantine, card and croissant.json up to date after the body, also when it stops early."""
    try:
        yield
    except (OSError, DiskFull, ShardError, StoreFailed, Fenced):
        raise  # there is no room for them, or what they are derived from or belong to is in doubt
    except BaseException:
        _write_derived(out, shelf)
        raise
    _write_derived(out, shelf)


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM outside the driver's loop, with nothing in flight: while lightings are baked, Ray
    starts, or the last files are written.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if on_main_thread else None
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped while no group was being made",
            consequence="nothing partial was left; finished lightings and groups are kept",
            remedy="run the same command again: it goes on from here",
        ) from None
    finally:
        if on_main_thread:
            signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _write_derived(out: Path, shelf: FolderShelf) -> None:
    write_quarantine(out)
    write_card(out)
    shelf.put_records("quarantine.jsonl", "README.md", CROISSANT_NAME)


class _Latest:
    """Passes snapshots on and keeps the last one."""

    def __init__(self, *observers: OnProgress) -> None:
        self._observers = observers
        self.snapshot: Snapshot

    def __call__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for observer in self._observers:
            observer(snapshot)
