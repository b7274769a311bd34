"""`generate`: from a dataset configuration to a finished dataset folder. Kill it anywhere; the same call
resumes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pairbridge.datagen.core.atomic_files import DiskFull, sweep_temporaries
from pairbridge.datagen.core.disk_errors import OutputMoved, disk_errors
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.croissant import CROISSANT_NAME
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, build_manifest, write_manifest
from pairbridge.datagen.models.provenance import models_of
from pairbridge.datagen.models.weights.weight_folders import weights_root
from pairbridge.datagen.models.weights.weights_in_use import weight_sums
from pairbridge.datagen.shards.commit import write_quarantine
from pairbridge.datagen.shards.object_store import StoreFailed, is_url
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import Driver
from pairbridge.pipelines.generation.open_plan import open_plan
from pairbridge.pipelines.generation.progress import OnProgress, Snapshot, show_progress
from pairbridge.pipelines.generation.prometheus import RunMetrics
from pairbridge.pipelines.generation.stopping import drain_on_signals, interrupts
from pairbridge.pipelines.shelves.ledger import Ledger, ledger_files
from pairbridge.pipelines.shelves.lock import Lease
from pairbridge.pipelines.shelves.shelf import LIGHTINGS_NAME, FolderShelf, open_shelf, work_folder
from pairbridge.pipelines.shelves.staging import Fenced, Staging, new_token
from pairbridge.pipelines.shelves.store_staging import StoreStaging
from pairbridge.pipelines.workers.crew import crew_of
from pairbridge.pipelines.workers.pools import pooled_recipes, pools_of
from pairbridge.pipelines.workers.ray_committers import committers_of
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """A finished dataset: every planned pair is in a shard or in quarantine."""

    dataset_dir: Path  # of a dataset on an object store: the folder that worked for it
    num_pairs: int
    num_quarantined: int
    num_shards: int
    unused_assets: tuple[str, ...]  # joined the folders after the dataset was begun; nothing was made of them
    num_retried: int  # groups with holes that were made again because `retry_quarantined` called them


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
    retry_quarantined: str | None = None,
) -> GenerateResult:
    """Make the dataset of `config` in `out` with `workers` Ray workers, or go on with what is there.

    `out` is a folder, or the URL of an object store (s3://bucket/folder). Lock, staging and logs of the
    latter are in `work_dir`, by default one of the cache's: keep it and nothing that was finished is made
    again; lose it and what the store has not is. `address` names an existing Ray cluster. Workers that see
    the driver's folders write there, those that reach the store put what they made on it, and others hand it
    to a machine that does.
    The tars, sidecars, dataset.json and quarantine.jsonl depend on config, assets and versions alone: not on
    `workers`, `limits`, the cluster, or how often the call was killed before.

    A `config` that differs from the dataset's by larger numbers of groups alone grows it: what is committed
    stays, but for a last shard that was not full, which is filled up. The list of assets is frozen when a
    dataset is begun; with `extend_assets`, files that joined the folders since are taken in, for groups that
    were not planned before.

    With `retry_quarantined`, groups with a hole of that reason (a part of its text, or its fault, gate or
    asset; "" means any) are made again, and the shards that held them are committed anew: what can be made
    now has the bytes of a run that never failed, and the samples of other groups keep theirs. If it is
    killed, the next call goes on with it, whatever that is asked for.

    Raises FolderLocked (of a store, DatasetLocked), ConfigError (also for a folder of another config, with
    the changed fields), CatalogueError, DiskFull, Interrupted (SIGINT, SIGTERM), KilledRepeatedly,
    CrashesEverywhere, AssetsFailEverywhere, FileUnreadable and InputUnreadable (assets that cannot be read),
    AssetChanged, WeightsChanged, WorkersDoNotStart, WorkerBug and BlenderUnavailable; after each of them the
    same call resumes.
    """
    url = str(out) if is_url(out) else None
    out = Path(out).absolute() if url is None else (work_dir or work_folder(url)).absolute()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    token = new_token()
    metrics = RunMetrics(config.name)
    latest = _Latest(on_progress or show_progress(), metrics.progress)
    with (
        disk_errors(out),
        interrupts(),
        folder_lock(out, token),
        open_shelf(out, url, token) as shelf,
        Ledger(out, metrics.event) as ledger,
    ):
        for written in (out, out / LIGHTINGS_NAME):
            sweep_temporaries(written)
        ledger.write("run", token=token, workers=workers, address=address)
        opened = open_plan(config, out, extend_assets=extend_assets)
        plan, unused = opened.plan, opened.unused_assets
        if unused:
            ledger.write("assets not used", ids=unused)
        write_manifest(out, build_manifest(plan))
        lightings = sorted(path.relative_to(out).as_posix() for path in out.glob(f"{LIGHTINGS_NAME}/*.exr"))
        shelf.put_records(MANIFEST_NAME, *lightings)
        lease = shelf.lease
        on_store = StoreStaging(lease.store, plan.digest) if lease is not None else None
        staging = Staging.take_over(out, token, plan, on_store)
        if retry_quarantined is not None:
            staging.begin_retry(retry_quarantined)
        driver = Driver(plan, shelf, staging, ledger, latest, pools=pooled_recipes(config), limits=limits)
        try:
            with _derived_files(out, shelf):
                if not driver.finished:
                    weights = weight_sums(models_of(config.recipes.values()))
                    url = lease.store.url if lease is not None and address is not None else None
                    order = WorkOrder(plan, out, staging.folder, weights=weights, url=url)
                    _work(driver, order, lease, workers, address, worker_class, limits, metrics)
        finally:
            driver.report(last=True)
        staging.close()
        ledger.write("finished", pairs=latest.snapshot.pairs_done, quarantined=latest.snapshot.quarantined)
        shelf.put_records(*ledger_files(out))
    return GenerateResult(
        dataset_dir=out,
        num_pairs=latest.snapshot.pairs_done,
        num_quarantined=latest.snapshot.quarantined,
        num_shards=latest.snapshot.shards_done,
        unused_assets=unused,
        num_retried=driver.num_retried,
    )


def _work(
    driver: Driver,
    order: WorkOrder,
    lease: Lease | None,
    workers: int,
    address: str | None,
    worker_class: type[GroupWorker],
    limits: Limits,
    metrics: RunMetrics,
) -> None:
    # Before Ray is there: it may clear away the working folder that a submitted job was started in.
    weights = weights_root()
    # Signals are caught inside the session: Ray puts handlers of its own in place when it starts.
    with ray_session(address, workers), metrics.exported(), drain_on_signals() as stop:
        pools = pools_of(order.plan.config, workers, address)
        with (
            committers_of(order, lease, workers, address) as committers,
            crew_of(order, pools, address, weights, committers, worker_class, limits) as crew,
        ):
            driver.run(crew, committers, stop)


@contextlib.contextmanager
def _derived_files(out: Path, shelf: FolderShelf) -> Iterator[None]:
    """Bring quarantine, card and croissant.json up to date after the body, also when it stops early."""
    try:
        yield
    except (OSError, DiskFull, OutputMoved, ShardError, StoreFailed, Fenced):
        raise  # there is no room for them, or what they are derived from or belong to is in doubt
    except BaseException:
        _write_derived(out, shelf)
        raise
    _write_derived(out, shelf)


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
