"""A run's training as processes of a Ray cluster, joined by Ray Train: where the GPUs are, not on the head.

Ray places the processes and makes them one torch process group; what they run is `train`, as everywhere. The
run's folder is one that all of them see, and the checkpoints in it are the only state: when a machine is lost
the group is placed anew and goes on from the newest one. Ray Train's own retries are off, for they would
repeat a mistake in a configuration as patiently as the loss of a machine.
"""

import json
import logging
import math
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch.distributed as dist
from ray import PlacementGroupID
from ray.util import placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.extras import install_command
from pairbridge.datagen.core.folder_lock import FolderLocked
from pairbridge.pipelines.generation.stopping import sigterm_interrupts
from pairbridge.pipelines.runs.run_config import TrainingPlace
from pairbridge.pipelines.shelves.staging import new_token
from pairbridge.pipelines.workers.deaths import PROCESS_DEATHS, message_of
from pairbridge.pipelines.workers.pools import Pool, refuse_lack
from pairbridge.pipelines.workers.ray_session import Aside, ray_session
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import checkpoint_folders
from pairbridge.training.engine.engine_run import OnProgress
from pairbridge.training.engine.interrupt import request_stop
from pairbridge.training.engine.telemetry import STATS_NAME

# Names the run that a folder belongs to, to a process that was placed on some machine. When it is gone the
# processes are to end.
SEEN_NAME = ".placed"
# How long Ray Train waits for room before it tries again (RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S).
START_TIMEOUT_S = 60.0
_LOOK_S = 1.0
# Of an end that was asked for: the step in hand and a checkpoint.
STOP_S = 120.0
_LINE_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class FolderUnseen(PairbridgeError):
    """A machine that a training was placed on does not see the run's folder."""


class NoPlace(PairbridgeError):
    """No machines with room for a training's processes joined the cluster in time."""


class TrainingLost(PairbridgeError):
    """Processes of a training were lost again and again, with no checkpoint between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTraining:
    """What every process of a training is told."""

    config: TrainingConfig
    mix: MixConfig
    folder: Path
    run_root: Path
    token: str


def train_on_cluster(
    config: TrainingConfig,
    mix: MixConfig,
    folder: Path,
    *,
    run_root: Path,
    place: TrainingPlace,
    address: str | None,
    join_timeout_s: float,
    on_progress: OnProgress,
) -> None:
    """Train to `config.steps` in `folder` with the processes of `place`, on the cluster at `address` or on a
    Ray of this call's own. `on_progress` gets lines of stats.jsonl.

    Raises what `train` raises in any process, at once; TrainingLost after `place.restarts` losses without a
    new checkpoint between them; NoPlace after `join_timeout_s` without room; FolderUnseen; ConfigError where
    Ray Train is not installed or a Ray of our own is too small; KeyboardInterrupt on SIGINT and SIGTERM, once
    the processes have written a checkpoint, or `STOP_S` later, or at a second signal: what came after the
    newest checkpoint is done again.
    """
    pool = Pool(
        name="train_on",
        workers=place.workers,
        cpus=place.cpus,
        gpus=1.0 if config.device == "cuda" else 0.0,
        resources=dict(place.resources),
        spread=place.placement == "spread",
    )
    with (
        ray_session(address, place.workers),
        sigterm_interrupts(),
        tempfile.TemporaryDirectory(prefix="pairbridge-ray-train-") as scratch,
    ):
        if address is None:
            refuse_lack(pool, remedy="lower what train_on asks for, or connect to a cluster with `--address`")
        folder.mkdir(parents=True, exist_ok=True)
        told = PlacedTraining(config=config, mix=mix, folder=folder, run_root=run_root, token=new_token())
        write_atomically(folder / SEEN_NAME, [told.token.encode()])
        fit, followed = _ray_train(told, pool, scratch, join_timeout_s), _Followed(folder, on_progress)
        try:
            until_done(
                lambda: followed.during(Aside(fit)), newest=lambda: _newest(folder), restarts=place.restarts
            )
        finally:
            (folder / SEEN_NAME).unlink(missing_ok=True)


def require_ray_train() -> None:
    """Raise ConfigError where Ray Train cannot be imported."""
    try:
        # Here: it takes seconds, and pandas and pyarrow, which only the cluster extra brings.
        import ray.train.torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"train_on wants Ray Train, which cannot be imported here: {str(error).splitlines()[0]}",
            consequence="the training could not be placed, after everything before it was made",
            remedy=f"{install_command('cluster')} here and on every machine of the cluster",
        ) from error


def until_done(fit: Callable[[], None], *, newest: Callable[[], str], restarts: int) -> None:
    """Call `fit`, which is a Ray trainer's, until it returns: again after each loss of processes, but raise
    TrainingLost after `restarts` of them in a row that leave `newest`, the checkpoint, what it was.

    Everything else that ended it is raised: the first PairbridgeError of a process as it is, what is no loss
    as Ray says it, and NoPlace.
    """
    # Here, see `require_ray_train`.
    from ray.train import TrainingFailedError

    before, losses = newest(), 0
    while True:
        try:
            return fit()
        except (TrainingFailedError, *PROCESS_DEATHS) as error:
            why = _why_lost(error, lost_before=losses > 0)
        now = newest()
        before, losses = now, losses + 1 if now == before else 1
        if losses > restarts:
            raise TrainingLost(
                f"processes of the training were lost {losses} times without a checkpoint between: {why}",
                consequence=f"training stops; {now} has everything up to it",
                remedy="see what becomes of the machines (memory, spot prices), lower checkpoint_every, or "
                "raise train_on.restarts; the same command goes on",
            )
        _log.warning("training: %s; it is placed anew and goes on from %s", why, now)


def _why_lost(error: Exception, *, lost_before: bool) -> str:
    """What was lost. Raises what is no loss."""
    # Here, see `require_ray_train`.
    from ray.train import ControllerError
    from ray.train.v2._internal.exceptions import (
        WorkerGroupStartupFailedError,
        WorkerHealthCheckFailedError,
        WorkerHealthCheckTimeoutError,
    )
    from ray.train.v2.api.exceptions import PreemptionError

    if isinstance(error, PreemptionError):
        return message_of(error, None)
    if isinstance(error, ControllerError):
        if isinstance(error.controller_failure, (WorkerGroupStartupFailedError, *PROCESS_DEATHS)):
            # It had its place, and was lost before all of them had joined.
            return message_of(error.controller_failure, None)
        raise NoPlace(
            f"the processes of the training were not started: {error.controller_failure}",
            consequence=f"nothing was trained; the cluster offers {_offered()}",
            remedy="lower what train_on asks for, let the cluster grow to it, or raise "
            "dataset.execution.join_timeout_s if its machines take longer",
        ) from error
    failures = list(getattr(error, "worker_failures", {0: error}).values())
    for own in failures:
        # The first rank of the group that was lost holds the folder until it has ended.
        if isinstance(own, PairbridgeError) and not (lost_before and isinstance(own, FolderLocked)):
            raise own from error
    dead = [
        one.health_check_failure if isinstance(one, WorkerHealthCheckFailedError) else one for one in failures
    ]
    deaths = [one for one in dead if isinstance(one, (*PROCESS_DEATHS, WorkerHealthCheckTimeoutError))]
    if not deaths and not all(isinstance(one, FolderLocked) or _is_broken_ring(one) for one in dead):
        raise error
    return message_of((deaths or dead)[0], None)


def _is_broken_ring(error: Exception) -> bool:
    """Whether a process says that another one went away in the middle of a collective call."""
    said = str(error)
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(name in said for name in ("gloo", "NCCL"))
    )


def _ray_train(told: PlacedTraining, pool: Pool, scratch: str, join_timeout_s: float) -> Callable[[], Any]:
    """What places and runs it once."""
    # Here, see `require_ray_train`.
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    waits = math.ceil(join_timeout_s / START_TIMEOUT_S)
    trainer = TorchTrainer(
        lambda: train_placed(told),
        scaling_config=ScalingConfig(
            num_workers=pool.workers,
            use_gpu=bool(pool.gpus),
            resources_per_worker=pool.each,
            placement_strategy="SPREAD" if pool.spread else "PACK",
        ),
        # Objects travel by gloo, as under torchrun: gathering a log line does not wait for the GPU.
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if pool.gpus else "gloo"),
        run_config=RunConfig(
            # Of Ray Train's own checkpoints there are none: it keeps an empty folder beside the driver.
            storage_path=scratch,
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=max(0, waits - 1)
            ),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )

    return lambda: giving_back(trainer.fit)


def giving_back(fit: Callable[[], Any]) -> None:
    """Call `fit`, and give back the machines of placement groups that it leaves, however it ends."""
    before = _own_groups()
    try:
        fit()
    finally:
        # Ray Train 2.60 keeps those of a group that loses a process between its joining and its start.
        for left in _own_groups() - before:
            remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(left))))


def _own_groups() -> set[str]:
    """Placement groups of this job that are there; a group's id ends with its job's."""
    job = ray.get_runtime_context().get_job_id()
    there = {name for name, group in placement_group_table().items() if group["state"] != "REMOVED"}
    return {name for name in there if name.endswith(job)}


def train_placed(told: PlacedTraining) -> None:
    """In each process, joined with the others."""
    try:
        seen = (told.folder / SEEN_NAME).read_bytes() == told.token.encode()
    except OSError:
        seen = False
    if not seen:
        raise FolderUnseen(
            f"{socket.gethostname()} does not see {told.folder} as the driver does",
            consequence="checkpoints written there would be lost with the machine: nothing is trained",
            remedy="start the run with --out on a file system that every machine of the cluster mounts",
        )
    over = threading.Event()
    threading.Thread(target=_stop_when_asked, args=(told.folder / SEEN_NAME, over), daemon=True).start()
    try:
        train(told.config, told.mix, told.folder, run_root=told.run_root)
    finally:
        over.set()


def _stop_when_asked(mark: Path, over: threading.Event) -> None:
    # Ray Train has the training on a thread of its own, where no signal arrives.
    while not over.wait(_LOOK_S):
        if not mark.exists():
            request_stop("SIGTERM")
            return


class _Followed:
    """Lines of stats.jsonl, which the first process writes on some machine."""

    def __init__(self, folder: Path, on_progress: OnProgress) -> None:
        self._path, self._mark, self._on_progress = folder / STATS_NAME, folder / SEEN_NAME, on_progress
        self._told = self._last()

    def during(self, fit: Aside) -> None:
        """Until it ends. Raises what it does, and KeyboardInterrupt when it has ended for that."""
        try:
            while not fit.is_done(_LOOK_S):
                self._look()
        except KeyboardInterrupt:
            self._mark.unlink(missing_ok=True)
            fit.is_done(STOP_S)
            raise
        self._look()
        fit.wait()

    def _look(self) -> None:
        last = self._last()
        if last and last != self._told:
            self._told = last
            self._on_progress(json.loads(last))

    def _last(self) -> bytes:
        """The last whole line, if there is one."""
        try:
            with open(self._path, "rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LINE_BYTES))
                lines = stream.read().split(b"\n")
        except FileNotFoundError:
            return b""
        return lines[-2] if len(lines) > 1 else b""


def _newest(folder: Path) -> str:
    there = checkpoint_folders(folder / "checkpoints")
    return there[-1].name if there else "step 0"


def _offered() -> str:
    offered: Mapping[str, float] = ray.cluster_resources()
    return ", ".join(f"{offered.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
