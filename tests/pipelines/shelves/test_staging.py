"""Finished groups survive a run; unfinished ones and workers of older runs do not get in."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pairbridge.datagen.shards.commit import commit_shard, write_shard_tar
from pairbridge.datagen.shards.records import ShardInfo
from pairbridge.pipelines.shelves.staging import (
    Fenced,
    Staging,
    part_path,
    record_path,
    stage_part,
    stage_record,
)
from tests.pipelines.shelves.staged_plan import packed, small_plan


@pytest.fixture
def plan():
    return small_plan()


def shard_info(plan, shard):
    return ShardInfo(
        name=shard.name,
        first_group=shard.first_group,
        num_groups=shard.num_groups,
        plan_digest=plan.digest,
        config_digest=plan.config.digest,
    )


def stage(staging, shard, group, **options):
    part, record = packed(shard, group, **options)
    stage_part(staging.shard_folder(shard), part, record)
    stage_record(staging.shard_folder(shard), record)


def test_next_run_adopts_finished_groups_and_sweeps_the_rest(tmp_path, plan):
    shard = plan.shard("train-swap-000000")
    first = Staging.take_over(tmp_path, "first", plan)
    assert first.open_shard(shard) == (0, 1, 2)
    stage(first, shard, 0)
    folder = first.shard_folder(shard)
    part, record = packed(shard, 1)
    stage_part(folder, part, record)  # killed before its record
    (folder / ".00000002.tar.tmp-99").write_bytes(b"half")

    second = Staging.take_over(tmp_path, "second", plan)
    assert second.open_shard(shard) == (1, 2)
    assert sorted(path.name for path in second.shard_folder(shard).iterdir()) == [
        "00000000.json",
        "00000000.tar",
    ]
    assert [path.name for path in (tmp_path / "staging").iterdir()] == ["second"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: part_path(folder, 0).write_bytes(b"x" + part_path(folder, 0).read_bytes()[1:]),
        lambda folder: part_path(folder, 0).unlink(),
        lambda folder: record_path(folder, 0).write_text("{"),
        lambda folder: record_path(folder, 0).rename(record_path(folder, 1)),
    ],
    ids=["flipped byte", "no part", "broken record", "record of another group"],
)
def test_a_damaged_group_is_made_again(tmp_path, plan, damage):
    shard = plan.shard("train-swap-000000")
    first = Staging.take_over(tmp_path, "first", plan)
    first.open_shard(shard)
    stage(first, shard, 0)
    damage(first.shard_folder(shard))
    second = Staging.take_over(tmp_path, "second", plan)
    assert second.open_shard(shard) == (0, 1, 2)


def test_staging_of_another_plan_is_deleted(tmp_path, plan):
    shard = plan.shard("train-swap-000000")
    other = Staging.take_over(tmp_path, "first", small_plan(seed=2))
    other.open_shard(shard)
    stage(other, shard, 0)
    staging = Staging.take_over(tmp_path, "second", plan)
    assert staging.open_shard(shard) == (0, 1, 2)


ZOMBIE = """
import os, signal, sys
from pathlib import Path
from tests.pipelines.shelves.staged_plan import packed, small_plan
from pairbridge.pipelines.shelves.staging import Fenced, stage_part, stage_record
shard = small_plan().shard("train-swap-000000")
folder = Path(sys.argv[1])
part, record = packed(shard, 0)
if sys.argv[2] == "before record":
    stage_part(folder, part, record)
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)  # the driver dies meanwhile, and another takes over
try:
    stage_part(folder, part, record) if sys.argv[2] == "before part" else stage_record(folder, record)
except Fenced:
    sys.exit(7)
"""


@pytest.mark.parametrize("moment", ["before part", "before record"])
def test_a_worker_that_outlives_its_driver_cannot_stage(tmp_path, plan, moment):
    shard = plan.shard("train-swap-000000")
    first = Staging.take_over(tmp_path, "first", plan)
    first.open_shard(shard)
    zombie = subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, str(first.shard_folder(shard)), moment],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert zombie.stdout.readline() == "ready\n"
    # Continued before it has stopped, it would stop for ever.
    os.waitid(os.P_PID, zombie.pid, os.WSTOPPED | os.WNOWAIT)
    second = Staging.take_over(tmp_path, "second", plan)
    assert second.open_shard(shard) == (0, 1, 2)
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(30) == 7
    zombie.stdout.close()
    assert list(second.shard_folder(shard).iterdir()) == []
    assert not first.folder.exists()


def test_a_worker_is_fenced_once_its_shard_is_committed(tmp_path, plan):
    shard = plan.shard("train-swap-000002")
    staging = Staging.take_over(tmp_path, "first", plan)
    staging.open_shard(shard)
    stage(staging, shard, 6)
    staging.retire(shard)
    with pytest.raises(Fenced):
        stage(staging, shard, 6)


def test_commit_gives_equal_bytes_whatever_the_order_of_finishing(tmp_path, plan):
    shard = plan.shard("train-swap-000000")
    info = shard_info(plan, shard)
    tars = []
    for number, order in enumerate(((0, 1, 2), (2, 0, 1))):
        out = tmp_path / str(number)
        (out / "shards").mkdir(parents=True)
        staging = Staging.take_over(out, "token", plan)
        staging.open_shard(shard)
        for group in order:
            stage(staging, shard, group, with_hole=group == 1)
        sidecar = commit_shard(out / "shards", info, staging.parts(shard))
        assert (sidecar.count, len(sidecar.holes)) == (5, 1)
        tars.append((out / "shards" / f"{shard.name}.tar").read_bytes())
    assert tars[0] == tars[1]


def test_staged_parts_outlive_a_kill_between_tar_and_sidecar(tmp_path, plan):
    shard = plan.shard("train-swap-000002")
    (tmp_path / "shards").mkdir()
    first = Staging.take_over(tmp_path, "first", plan)
    first.open_shard(shard)
    stage(first, shard, 6)
    info = shard_info(plan, shard)
    write_shard_tar(tmp_path / "shards", info, first.parts(shard))
    second = Staging.take_over(tmp_path, "second", plan)
    assert second.open_shard(shard) == ()


def test_a_killed_sweep_is_taken_up_again(tmp_path, plan):
    shard = plan.shard("train-swap-000000")
    staging = Staging.take_over(tmp_path, "first", plan)
    staging.open_shard(shard)
    stage(staging, shard, 0)
    doomed = staging.folder / f".{shard.name}.doomed"
    doomed.mkdir()
    (doomed / "left").touch()
    assert staging.retire(shard) == doomed
    assert not (doomed / "left").exists()
    assert not staging.shard_folder(shard).exists()
    staging.close()
    assert not (tmp_path / "staging").exists()
