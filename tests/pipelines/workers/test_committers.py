"""Committers as processes of a cluster: what they do is done once, whenever they or their machines die."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.committer import Committer, ReadyShard
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Fenced, Staging
from pairbridge.pipelines.workers import ray_committers, worker
from pairbridge.pipelines.workers.committers import CommitterLost
from pairbridge.pipelines.workers.ray_committers import RayCommitters
from pairbridge.pipelines.workers.ray_files import RemoteFiles
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder
from tests.pipelines.shelves.staged_plan import packed, small_plan
from tests.pipelines.shelves.test_committer import info_of
from tests.support.ray_jobs import PROGRAMS, start
from tests.support.tiny_removal import removal_config

# Ray's workers cannot import a test module: its classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
NAME = "train-swap-000000"


class DyingCommitter(Committer):
    """Dies with the shard ready and the driver not told; once, or (`always`) whenever it gets there."""

    always = False

    def make_ready(self, shard, info):
        ready = super().make_ready(shard, info)
        mark = self._dataset_dir / "died"
        if self.always or not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ready


class CommitterOfALostMachine(Committer):
    """Dies with its machine in the middle of the second shard of it, and tells where each was made."""

    def write_tar(self, path, info, parts):
        here = self._dataset_dir / ray.get_runtime_context().get_node_id()
        if here.exists():
            psutil.Process().parent().kill()
            os.kill(os.getpid(), signal.SIGKILL)
        (self._dataset_dir / info.name).write_text(here.name)
        if info.name == NAME:
            here.touch()
        return super().write_tar(path, info, parts)


class AlwaysDyingCommitter(DyingCommitter):
    always = True


def sending_to(team: RayCommitters) -> RemoteFiles:
    """What a worker has that does not see the folder."""
    files = RemoteFiles(None)
    files.send_to(team.actors)
    return files


def until_ended(team: RayCommitters, is_met: Callable[[list[ReadyShard]], object]) -> None:
    """Look as the driver does until a look meets it."""
    deadline = time.monotonic() + 120
    while not is_met(list(team.ended())):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ready_of(team: RayCommitters, timeout_s: float = 60):
    team.wait(timeout_s)
    [ready] = team.ended()
    return ready


def test_parts_go_to_a_committer_and_a_death_between_the_bytes_and_the_word_costs_nothing(
    tmp_path: Path, ray_address: str, monkeypatch
) -> None:
    monkeypatch.setattr(ray_committers, "Committer", DyingCommitter)
    plan = small_plan()
    shard, staging = plan.shard(NAME), Staging.take_over(tmp_path, "run", plan)
    order = WorkOrder(plan, tmp_path, staging.folder)
    shelf = FolderShelf(tmp_path)
    with RayCommitters(order, 1) as team:
        sent = sending_to(team)
        for group in staging.open_shard(shard):
            sent.stage(NAME, *packed(shard, group))
        assert [record.group for record, _ in staging.parts(shard)] == list(shard.groups)
        team.submit(shard, info_of(plan))
        assert team.num_pending == 1
        ready = ready_of(team)
        assert (tmp_path / "died").exists()
        # Both of them had made the shard ready; one is placed.
        assert len(list(staging.shard_folder(shard).glob("*.ready.tar"))) == 2
        shelf.place(ready)
        staging.retire(shard)
        assert shelf.committed(info_of(plan)).count == 6
        with pytest.raises(Fenced):
            sent.stage(NAME, *packed(shard, 0))


class BlindWorker(GroupWorker):
    """On a machine that does not see the run's folder."""

    def open(self):
        worker.sees_staging = lambda folder: False
        return super().open()


def test_workers_that_see_no_folder_send_what_they_make(tmp_path: Path, ray_address: str) -> None:
    out = generate(
        removal_config(tmp_path / "photos", groups=3),
        tmp_path / "out",
        workers=1,
        address=ray_address,
        worker_class=BlindWorker,
        on_progress=LogLines(),
    ).dataset_dir
    assert verify_dataset(out).ok
    # Its own is elsewhere: what is here came with its results.
    assert "stage" in (out / "logs" / "worker-00.log").read_text()


@pytest.fixture
def second_machine(ray_address: str, tmp_path: Path) -> Iterator[None]:
    """Of the tests' own Ray: a raylet that offers nothing."""
    command = [str(PROGRAMS / "ray"), "start", f"--address={ray_address}", "--num-cpus=0", "--block"]
    node = start([*command, "--object-store-memory=100000000"], dict(os.environ), tmp_path / "node.log")
    yield
    for process in (*psutil.Process(node.pid).children(recursive=True), node):
        process.kill()
    node.wait(60)


@pytest.mark.long
def test_shards_are_made_on_another_machine_and_here_once_it_is_gone(
    tmp_path: Path, ray_address: str, second_machine: None, monkeypatch
) -> None:
    monkeypatch.setattr(ray_committers, "Committer", CommitterOfALostMachine)
    monkeypatch.setattr(ray_committers, "LOOK_S", 0.2)
    plan = small_plan()
    first, second, third = plan.shards()
    staging, shelf = Staging.take_over(tmp_path, "run", plan), FolderShelf(tmp_path)
    here = ray.get_runtime_context().get_node_id()
    with RayCommitters(WorkOrder(plan, tmp_path, staging.folder), 1) as team:
        until_ended(team, lambda _: len(team.actors) == 2)
        sent = sending_to(team)
        for shard in (first, second):
            for group in staging.open_shard(shard):
                sent.stage(shard.name, *packed(shard, group))
            team.submit(shard, info_of(plan, shard))
            until_ended(team, lambda ended: [shelf.place(ready) for ready in ended])
            assert shelf.committed(info_of(plan, shard)).count == 6
        # The first was made where the driver is not, and so was the second, but for its end.
        places = [(tmp_path / shard.name).read_text() for shard in (first, second)]
        assert places[0] != here
        assert places[1] == here
        until_ended(team, lambda _: len(team.actors) == 1)
        # Who knows of the lost one alone, and of the one here, sends there.
        [group] = staging.open_shard(third)
        sent.stage(third.name, *packed(third, group))
        assert staging.open_shard(third) == ()


def test_committers_that_die_every_time_stop_the_run(tmp_path: Path, ray_address: str, monkeypatch) -> None:
    monkeypatch.setattr(ray_committers, "Committer", AlwaysDyingCommitter)
    monkeypatch.setattr(ray_committers, "MOST_DEATHS", 2)
    plan = small_plan()
    shard, staging = plan.shard("train-swap-000002"), Staging.take_over(tmp_path, "run", plan)
    staging.open_shard(shard)
    with RayCommitters(WorkOrder(plan, tmp_path, staging.folder), 1) as team:
        sending_to(team).stage(shard.name, *packed(shard, 6))
        team.submit(shard, info_of(plan, shard))
        with pytest.raises(CommitterLost, match="ended 2 times"):
            ready_of(team)
