"""A training on a cluster: placed by Ray Train, stopped by a mistake at once, placed anew after a loss."""

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from ray.exceptions import ActorDiedError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2.api.exceptions import PreemptionError
from ray.util import placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup, placement_group

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import FolderLocked
from pairbridge.pipelines.runs.cluster_training import (
    FolderUnseen,
    NoPlace,
    PlacedTraining,
    TrainingLost,
    giving_back,
    require_ray_train,
    train_on_cluster,
    train_placed,
    until_done,
)
from pairbridge.pipelines.runs.run import execute
from pairbridge.pipelines.runs.run_config import TrainingPlace, load_run
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, mix

GONE = WorkerHealthCheckFailedError("no answer", ActorDiedError())
RING = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer")
MISTAKE = ConfigError("batch 5 for 2 ranks", consequence="none could start", remedy="take 6")
LOCKED = FolderLocked("train is in use", consequence="nothing is done", remedy="wait")


def failed(*failures: Exception) -> WorkerGroupError:
    return WorkerGroupError("as Ray says it", dict(enumerate(failures)))


class Fits:
    """A trainer whose calls end as listed, each after it wrote a checkpoint or before."""

    def __init__(self, *ends: Exception | None, saves: bool = False) -> None:
        self.ends, self.saves, self.calls = ends, saves, 0

    def __call__(self) -> None:
        self.calls += 1
        if self.ends[self.calls - 1] is not None:
            raise self.ends[self.calls - 1]

    def newest(self) -> str:
        return f"step-{self.calls if self.saves else 0:06d}"

    def until_done(self, restarts: int) -> None:
        until_done(self, newest=self.newest, restarts=restarts)


@pytest.mark.parametrize(
    "loss",
    [
        failed(GONE),
        failed(RING, GONE),
        failed(RING),
        failed(ValueError("after the ring broke"), GONE),
        PreemptionError(SimpleNamespace(preempted_ranks=[1])),
        ActorDiedError(),  # of what looks after the processes
        ControllerError(WorkerGroupStartupFailedError("one of them")),
        ControllerError(ActorDiedError()),
    ],
)
def test_a_lost_process_is_placed_anew_and_said(loss: Exception, caplog: pytest.LogCaptureFixture) -> None:
    fits = Fits(loss, loss, None)
    with caplog.at_level(logging.WARNING):
        fits.until_done(restarts=2)
    assert fits.calls == 3
    assert caplog.text.count("it is placed anew and goes on from step-000000") == 2


def test_losses_in_a_row_without_a_checkpoint_end_it() -> None:
    fits = Fits(*[failed(GONE)] * 9)
    with pytest.raises(TrainingLost, match="lost 3 times without a checkpoint"):
        fits.until_done(restarts=2)
    assert fits.calls == 3
    saving = Fits(*[failed(GONE)] * 9, None, saves=True)
    saving.until_done(restarts=1)
    assert saving.calls == 10


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (failed(RING, MISTAKE), MISTAKE),
        (failed(LOCKED), LOCKED),
        (failed(RING, TypeError("ours")), None),
        (failed(RuntimeError("CUDA out of memory")), None),
    ],
)
def test_what_no_machine_is_at_fault_for_ends_it_at_once(end: Exception, told: Exception | None) -> None:
    fits = Fits(end)
    with pytest.raises(type(told or end)) as raised:
        fits.until_done(restarts=5)
    assert raised.value is (told or end)
    assert fits.calls == 1


def test_a_lock_that_a_lost_rank_still_holds_is_waited_for() -> None:
    fits = Fits(failed(GONE), failed(LOCKED), None)
    fits.until_done(restarts=2)
    assert fits.calls == 3


def test_a_cluster_without_room_is_said(ray_address: str) -> None:
    with pytest.raises(NoPlace, match=r"(?s)timed out.*the cluster offers 2 CPU, 0 GPU"):
        Fits(ControllerError(WorkerGroupStartupTimeoutError(4))).until_done(restarts=2)


def test_machines_that_a_failed_training_kept_are_given_back(ray_address: str) -> None:
    mine = placement_group([{"CPU": 0.25}])

    def fails() -> None:
        kept.append(placement_group([{"CPU": 0.25}]))
        assert kept[0].wait(60)
        raise ActorDiedError

    kept: list[PlacementGroup] = []
    with pytest.raises(ActorDiedError):
        giving_back(fails)
    assert placement_group_table(kept[0])["state"] == "REMOVED"
    assert placement_group_table(mine)["state"] != "REMOVED"
    remove_placement_group(mine)


def test_a_machine_that_does_not_see_the_folder_trains_nothing(tmp_path: Path) -> None:
    told = PlacedTraining(
        config=config(), mix=mix(), folder=tmp_path / "train", run_root=tmp_path, token="this run"
    )
    for there in (None, "another run"):
        if there:
            (tmp_path / "train").mkdir()
            (tmp_path / "train" / ".placed").write_text(there)
        with pytest.raises(FolderUnseen, match="--out on a file system that every machine"):
            train_placed(told)
    assert not (tmp_path / "train" / "checkpoints").exists()


def test_a_run_says_where_it_trains(tmp_path: Path) -> None:
    run = load_run("smoke", tmp_path, ["train_on.workers=4", "train_on.placement=spread"])
    assert run.config.train_on == TrainingPlace(workers=4, placement="spread")
    assert load_run("smoke", tmp_path).config.train_on is None
    with pytest.raises(ConfigError, match="workers"):
        load_run("smoke", tmp_path, ["train_on.placement=spread"])


def test_a_missing_ray_train_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_ray_train()
    monkeypatch.setitem(sys.modules, "ray.train.torch", None)
    run = load_run("smoke", tmp_path, ["train_on.workers=2"])
    with pytest.raises(ConfigError, match=r"pip install -e '.*\[cluster\]'"):
        execute(run, workers=1, address=None, forced_from=None)
    assert not run.folder.exists()


def said(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # ended between being listed and being asked
        return ""


@pytest.mark.long  # two placements of a group of two processes, each of which imports torch
def test_two_processes_train_lose_one_and_go_on(
    tmp_path: Path, ray_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_toy_dataset(tmp_path / "a", "relighting", {"train": 12})
    write_toy_dataset(tmp_path / "b", "photos", {"train": 5}, seed=1)
    steps, killed = 60, []

    def kill_one() -> None:
        while not checkpoint_folders(tmp_path / "run" / "checkpoints"):
            time.sleep(0.05)
        # Of the Ray that this process started: other tests train on theirs at the same time.
        workers = [one for one in psutil.Process().children(recursive=True) if "RayTrainWorker" in said(one)]
        killed.append(len(workers))
        os.kill(workers[-1].pid, signal.SIGKILL)

    told: list[int] = []

    def train(folder: str, **changes) -> None:
        train_on_cluster(
            config(steps=steps, checkpoint_every=5, log_every=5, **changes),
            mix(),
            tmp_path / folder,
            run_root=tmp_path,
            place=TrainingPlace(workers=2),
            address=None,
            join_timeout_s=60,
            on_progress=lambda line: told.append(line["step"]),
        )

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    with caplog.at_level(logging.WARNING):
        train("run")
    killer.join(timeout=10)
    assert killed == [2]
    assert "it is placed anew and goes on from step-" in caplog.text
    assert read_state(checkpoint_folders(tmp_path / "run" / "checkpoints")[-1]).step == steps
    lines = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(5, steps + 1, 5))
    assert told[-1] == steps
    assert not (tmp_path / "run" / ".placed").exists()
    caplog.clear()
    with pytest.raises(ConfigError, match="batch"):
        train("odd", batch_size=5)
    assert "placed anew" not in caplog.text


@pytest.mark.long
def test_sigterm_of_the_driver_leaves_a_checkpoint_of_where_the_processes_were(
    tmp_path: Path, ray_address: str
) -> None:
    write_toy_dataset(tmp_path / "a", "relighting", {"train": 12})
    write_toy_dataset(tmp_path / "b", "photos", {"train": 5}, seed=1)
    with pytest.raises(KeyboardInterrupt):
        train_on_cluster(
            config(steps=100_000, checkpoint_every=100_000, log_every=5),
            mix(),
            tmp_path / "run",
            run_root=tmp_path,
            place=TrainingPlace(workers=2),
            address=None,
            join_timeout_s=60,
            on_progress=lambda line: os.kill(os.getpid(), signal.SIGTERM),
        )
    [checkpoint] = checkpoint_folders(tmp_path / "run" / "checkpoints")
    assert 5 <= read_state(checkpoint).step < 100_000
