"""A run that cannot or should not go on stops clearly, leaves nothing partial, and the same call resumes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from faults import Fault, FaultBox
from launching import PATIENCE_S, promised, wait_for

from pairbridge.datagen.core.atomic_files import DiskFull
from pairbridge.datagen.core.disk_errors import OutputMoved, OutputNotWritable
from pairbridge.datagen.core.folder_lock import FolderLocked
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import KilledRepeatedly
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from pairbridge.pipelines.workers.crew import WorkerBug
from pairbridge.pipelines.workers.worker import GroupWorker
from tests.support.tiny_removal import removal_config
from tests.support.tiny_rendered import tiny_config

pytestmark = pytest.mark.render

# Ray's workers cannot import a test module: its worker classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def photos(tmp_path) -> Path:
    return tmp_path / "photos"


def partial_files(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if ".tmp-" in path.name]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_stops_cleanly_and_the_same_call_resumes(launcher, assets, tmp_path, number):
    config = tiny_config(assets, groups=6)
    out = tmp_path / "out"
    # Every render takes a second longer here, so that the signal falls into the middle of the work.
    process = launcher.start(config, out, pause_s=0.5)
    wait_for(lambda: list(out.glob("staging/*/*/*.json")), "staged group")
    # To the whole group, as a terminal does it.
    os.killpg(process.pid, number)
    assert process.wait(PATIENCE_S) == 130
    assert "run the same command again" in launcher.log(out)
    assert not partial_files(out)
    groups = [event["group"] for event in read_ledger(out) if event["event"] == "group"]
    assert 0 < len(groups) < 6

    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (12, 0)
    assert verify_dataset(out).ok
    # What was finished before the signal was not made twice.
    groups = [event["group"] for event in read_ledger(out) if event["event"] == "group"]
    assert sorted(groups) == list(range(6))


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_every_stage_stops_cleanly_and_the_same_call_resumes(launcher, photos, tmp_path, number):
    """Baking, Ray's start, a group, a commit, the last files: one run, stopped at each of them in turn."""
    config = removal_config(photos, groups=3)
    shard = "train-holes-000000"
    faults = [
        Fault("driver", "bake", "-", number),
        Fault("driver", "ray", "-", number),
        Fault("driver", "compose", f"{shard} 0", number),
        Fault("driver", "tar", shard, number),
        Fault("driver", "tar to sidecar", "train-holes-000001", number),
        Fault("driver", "card", "-", number),
    ]
    out = tmp_path / "out"
    for stops in range(1, len(faults) + 2):
        status = launcher.run(config, out, faults)
        assert not partial_files(out), launcher.log(out)
        if status == 0:
            break
        assert status == 130, launcher.log(out)
        assert launcher.log(out).count("run the same command again") == stops
    assert len(launcher.fired(out)) == len(faults)
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)
    assert verify_dataset(out).ok


def test_a_second_driver_is_refused_while_the_first_runs(launcher, assets, tmp_path):
    config = tiny_config(assets, groups=2)
    out = tmp_path / "out"
    process = launcher.start(config, out, pause_s=0.5)
    wait_for(lambda: (out / "staging").exists(), "staging")
    with pytest.raises(FolderLocked, match=f"process {process.pid}"):
        generate(config, out, workers=1, on_progress=LogLines())
    assert process.wait(PATIENCE_S) == 0, launcher.log(out)


class HangingWorker(GroupWorker):
    """Stops for ever in the middle of group 1."""

    def run(self, shard, group):
        self.group = group
        return super().run(shard, group)

    def phase(self, name):
        super().phase(name)
        if name == "render" and self.group == 1:
            time.sleep(600)


def test_a_group_that_hangs_is_killed_retried_and_quarantined(assets, tmp_path, ray_address):
    out = tmp_path / "out"
    result = generate(
        tiny_config(assets, groups=3),
        out,
        workers=2,
        on_progress=LogLines(),
        worker_class=HangingWorker,
        limits=Limits(group_timeout_s=4.0),
    )
    assert (result.num_pairs, result.num_quarantined) == (4, 2)
    faults = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert [(event["group"], event["fault"]) for event in faults] == [(1, "timed out")] * 3
    assert "no result in 4 s, last in phase render" in (out / "quarantine.jsonl").read_text()
    assert '"fault":"timed out"' in (out / "quarantine.jsonl").read_text()


class StoppedBlenderWorker(GroupWorker):
    """Its Blender is stopped (SIGSTOP) in every render of group 1: it lives, and never answers."""

    def run(self, shard, group):
        self.group = group
        return super().run(shard, group)

    def phase(self, name):
        super().phase(name)
        if name == "render" and self.group == 1:
            os.kill(self.workbench.blender.pid, signal.SIGSTOP)


@pytest.mark.long
def test_a_stopped_blender_is_killed_retried_and_its_group_quarantined(assets, tmp_path, ray_address):
    config = tiny_config(assets, groups=3)
    config = config.model_copy(
        update={"execution": config.execution.model_copy(update={"request_timeout_s": 8.0})}
    )
    out = tmp_path / "out"
    result = generate(config, out, workers=2, on_progress=LogLines(), worker_class=StoppedBlenderWorker)
    assert (result.num_pairs, result.num_quarantined) == (4, 2)
    assert "Blender gave no answer in time in phase render" in (out / "quarantine.jsonl").read_text()
    faults = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert [(event["group"], event["fault"]) for event in faults] == [(1, "timed out")] * 3
    assert verify_dataset(out).ok


class StoppedWorker(GroupWorker):
    """Is stopped itself at its first attempt at group 1."""

    def phase(self, name):
        super().phase(name)
        mark = self.order.dataset_dir.with_suffix(".stopped")
        if name == "compose" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.long
def test_a_stopped_worker_is_killed_and_its_group_made_by_another(photos, tmp_path, ray_address):
    config = removal_config(photos, groups=3)
    out = tmp_path / "out"
    limits = Limits(group_timeout_s=8.0)
    generate(config, out, workers=2, on_progress=LogLines(), worker_class=StoppedWorker, limits=limits)
    faults = [event["fault"] for event in read_ledger(out) if event["event"] == "fault"]
    assert faults == ["timed out"]
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


class HungryWorker(GroupWorker):
    """Asks for a terabyte at its first attempt at a group: a real MemoryError."""

    def phase(self, name):
        super().phase(name)
        mark = self.order.dataset_dir.with_suffix(".hungry")
        if name == "compose" and not mark.exists():
            mark.touch()
            np.ones(1 << 40, np.uint8)


def test_out_of_memory_costs_time_and_no_sample(photos, tmp_path, ray_address):
    config = removal_config(photos, groups=3)
    out = tmp_path / "out"
    generate(config, out, workers=1, on_progress=LogLines(), worker_class=HungryWorker)
    faults = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert [(event["fault"], event["reason"]) for event in faults] == [("out of memory", "out of memory")]
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


class SelfKillingWorker(GroupWorker):
    """Is killed from outside whenever it makes group 0."""

    def run(self, shard, group):
        if group == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(shard, group)


@pytest.mark.long
def test_a_group_killed_from_outside_for_ever_stops_the_run_and_loses_no_sample(
    assets, tmp_path, ray_address
):
    config = tiny_config(assets, groups=3)
    out = tmp_path / "out"
    with pytest.raises(KilledRepeatedly, match=r"train-swap-000000 group 0 was lost 10 times"):
        generate(config, out, workers=2, on_progress=LogLines(), worker_class=SelfKillingWorker)
    faults = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert [event["verdict"] for event in faults[-3:]] == [
        "retry at the end with nothing else in flight",
        "retry at the end with nothing else in flight",
        "stop the run",
    ]
    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (6, 0)


class BuggyWorker(GroupWorker):
    """Has a bug that shows at group 1."""

    def make_pairs(self, spec):
        if spec.group == 1:
            raise ZeroDivisionError("of our own making")
        return super().make_pairs(spec)


def test_a_bug_stops_the_run_with_its_traceback_in_the_log(assets, tmp_path, ray_address):
    config = tiny_config(assets, groups=2)
    out = tmp_path / "out"
    with pytest.raises(WorkerBug, match=r"train-swap-000000 group 1: ZeroDivisionError"):
        generate(config, out, workers=1, on_progress=LogLines(), worker_class=BuggyWorker)
    log = (out / "logs" / "worker-00.log").read_text()
    assert "Traceback" in log
    assert "of our own making" in log
    assert generate(config, out, workers=1, on_progress=LogLines()).num_pairs == 4


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 1 MiB, or a skip where mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_more_room_resumes_it(assets, tmp_path, ray_address, small_disk):
    config = tiny_config(assets, groups=6)
    out = small_disk / "out"
    out.mkdir()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(940 << 10))
    with pytest.raises(DiskFull, match="free"):
        generate(config, out, workers=2, on_progress=LogLines())
    assert not partial_files(out)
    assert not [tar for tar in out.glob("shards/*.tar") if not tar.with_suffix(".json").exists()]
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (12, 0)
    assert verify_dataset(out).ok


def test_a_read_only_output_stops_the_run_with_one_message_and_resumes(
    photos, tmp_path, ray_address, small_disk
):
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    config = removal_config(photos, groups=3)
    out = small_disk / "out"
    generate(removal_config(photos, groups=2), out, workers=1, on_progress=LogLines())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputNotWritable, match="Read-only file system"):
        generate(config, out, workers=1, on_progress=LogLines())
    with pytest.raises(OutputNotWritable, match="Read-only file system"):
        generate(config, small_disk / "another", workers=1, on_progress=LogLines())
    assert verify_dataset(out).ok
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    generate(config, out, workers=1, on_progress=LogLines())
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


class FillingWorker(GroupWorker):
    """Leaves 8 kB on the disk once its group is staged."""

    def stage(self, shard, part, record):
        super().stage(shard, part, record)
        disk = self.order.dataset_dir.parent
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - (8 << 10)))


def test_a_commit_that_would_not_fit_is_refused_with_the_bytes_it_needs(
    photos, tmp_path, ray_address, small_disk
):
    config = removal_config(photos, groups=1)
    out = small_disk / "out"
    with pytest.raises(
        DiskFull, match=r"committing train-holes-000000 needs \d+ bytes; \d+ are free"
    ) as full:
        generate(config, out, workers=1, on_progress=LogLines(), worker_class=FillingWorker)
    # A shard of some kilobytes, and not megabytes in reserve for it.
    assert int(re.search(r"needs (\d+)", str(full.value))[1]) < 128 << 10
    assert list(out.glob("shards/*")) == []
    assert list(out.glob("staging/*/train-holes-000000/00000000.json"))
    (small_disk / "ballast").unlink()
    assert generate(config, out, workers=1, on_progress=LogLines()).num_pairs == 2


class RenamingWorker(GroupWorker):
    """Renames the run's output in the middle of its second group."""

    def phase(self, name):
        super().phase(name)
        out = self.order.dataset_dir
        if name == "compose" and list(out.glob("staging/*/*/00000000.json")):
            out.rename(out.with_name("renamed"))


def test_an_output_renamed_in_a_run_stops_it_by_name_and_renamed_back_it_resumes(
    photos, tmp_path, ray_address
):
    config = removal_config(photos, groups=3)
    out = tmp_path / "out"
    with pytest.raises(OutputMoved, match="out was renamed, deleted or replaced while"):
        generate(config, out, workers=1, on_progress=LogLines(), worker_class=RenamingWorker)
    assert not out.exists()
    (tmp_path / "renamed").rename(out)
    generate(config, out, workers=1, on_progress=LogLines())
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


def test_faults_meet_their_target_once(tmp_path):
    """The tests above trust the fault box: it must not fire twice, nor for another place."""
    markers = tmp_path / "markers"
    markers.mkdir()
    victim = subprocess.Popen(["sleep", "60"])
    box = FaultBox(markers, [Fault("blender", "render", "s 1")], tmp_path)
    box.meet("render", "s 2", driver=os.getpid(), blender=victim.pid)
    assert victim.poll() is None
    box.meet("render", "s 1", driver=os.getpid(), blender=victim.pid)
    assert victim.wait() == -signal.SIGKILL
    box.meet("render", "s 1", driver=os.getpid(), blender=os.getpid())
    assert [marker["unfinished"] for marker in box.fired()] == [True]
