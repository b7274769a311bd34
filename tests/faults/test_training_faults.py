"""A training that dies, finds no room or meets a broken disk at any operation on its own files: the next one
ends as if nothing had been.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from failing_files import FailingFiles

from pairbridge.training.engine.run_log import read_lines
from tests.support.toy_relighting import write_toy_dataset

# All that changes a file or a folder.
CHANGING = "owtfrlumd"
HOW = {"kill": "kill", "full": errno.ENOSPC, "broken": errno.EIO}
TYPED = {"full": "DiskFull", "broken": "FileSystemFailed"}
# What a line of stats.jsonl says of the clock and the machine.
OF_THE_MACHINE = {"images_per_s", "data_wait", "memory_mib", "seconds_left"}


class Trainings:
    """Small trainings, each in a process of its own that is forked from a prepared one."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.folder = folder
        self.failing = FailingFiles(library, folder)
        write_toy_dataset(folder / "toy", "relighting", {"train": 6, "validation": 2})
        script = Path(__file__).with_name("training_server.py")
        self._process = subprocess.Popen(
            [sys.executable, script, folder],
            env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.getcwd()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("w"),
            text=True,
        )
        self.calm = folder / "calm"
        self.operations = 0
        counting = self.failing.environment(self.calm, CHANGING)
        assert self.train(self.calm, counting) == {"status": 0}, (folder / "stderr").read_text()
        self.operations = len(self.failing.operations())

    def train(self, run: Path, environment: dict[str, str] | None = None, **config) -> dict:
        request = {"run": str(run), "environment": environment or {}, "config": config}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def trainings(failio_library: Path, in_memory: Path) -> Iterator[Trainings]:
    trainings = Trainings(failio_library, in_memory)
    yield trainings
    trainings.close()


def promised(run: Path) -> dict[str, object]:
    """All of a training's folder, but for what it says of the time it took."""
    found: dict[str, object] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_dir() or path.name in ("manifest.json", "logs.json", ".lock"):
            found[name] = None
        elif path.name == "stats.jsonl":
            found[name] = [
                {key: value for key, value in line.items() if key not in OF_THE_MACHINE}
                for line in read_lines(path)
            ]
        else:
            found[name] = path.read_bytes()
    return found


def fail_at(trainings: Trainings, at: int, how: str) -> None:
    """One training that fails at operation `at`, and the one that takes it up."""
    run = trainings.folder / f"{how}-{at}"
    environment = trainings.failing.environment(run, CHANGING, at=at, how=HOW[how])
    ended = trainings.train(run, environment)
    # By its mark: a kill may come before another thread has written the line of an operation it counted.
    ((letter, path, _),) = [operation for operation in trainings.failing.operations() if operation[2]]
    what = f"{how} at {at}: {letter} {path.name}"
    if how == "kill":
        assert ended["status"] == -9, what
    else:
        # Or it was a file that may be lost without harm.
        assert ended == {"status": 0} or ended["error"] == TYPED[how], f"{what}: {ended}"
    assert trainings.train(run) == {"status": 0}, what
    assert promised(run) == promised(trainings.calm), what
    shutil.rmtree(run)


@pytest.mark.parametrize("how", HOW)
def test_a_training_that_fails_at_a_file_operation_ends_as_undisturbed_when_resumed(
    trainings: Trainings, how: str
) -> None:
    assert trainings.operations > 40
    # Three places, others for each kind of failure, from the first to the last.
    first = list(HOW).index(how) + 1
    for at in range(first, trainings.operations + 1, trainings.operations // 3):
        fail_at(trainings, at, how)


@pytest.mark.long
@pytest.mark.parametrize("how", HOW)
def test_a_training_that_fails_at_any_file_operation_ends_as_undisturbed_when_resumed(
    trainings: Trainings, how: str
) -> None:
    for at in range(1, trainings.operations + 1):
        fail_at(trainings, at, how)


# What is damaged, and what the message says of it.
SHARD = "shard-00001.safetensors"
ROT = {
    "a bit of the weights": (f"model/{SHARD}", f"model/{SHARD} cannot be used: its bytes"),
    "a bit of the EMA": (f"ema/{SHARD}", f"ema/{SHARD} cannot be used: its bytes"),
    "a bit of the optimiser": (f"optimiser/{SHARD}", f"optimiser/{SHARD} cannot be used: its bytes"),
    "an edited step": ("state.json", "state.json cannot be used: it"),
    "a lost file": (f"ema/{SHARD}", f"ema/{SHARD} cannot be used: it is missing"),
    "a lost manifest": ("manifest.json", "manifest.json cannot be used: it is missing"),
    "an edited history": ("../../consumed.jsonl", "consumed.jsonl is not what it was at step-000004"),
}


def damage(folder: Path, kind: str) -> None:
    path = folder / ROT[kind][0]
    data = bytearray(path.read_bytes())
    if kind.startswith("a lost"):
        path.unlink()
    elif kind == "an edited step":
        path.write_bytes(data.replace(b'"step":4', b'"step":40'))
    elif kind == "an edited history":
        # A key of the third step, which the checkpoint of the second knows nothing of.
        lines = data.decode().splitlines(keepends=True)
        path.write_text("".join(lines[:2]) + lines[2].replace("toy/", "TOY/") + lines[3])
    else:
        data[-5] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("kind", ROT)
def test_rot_is_named_and_training_goes_back_to_the_newest_whole_checkpoint(
    trainings: Trainings, kind: str
) -> None:
    run = trainings.folder / "rotten"
    assert trainings.train(run, checkpoint_every=1, keep_checkpoints=4) == {"status": 0}
    whole = promised(run)
    newest = run / "checkpoints" / "step-000004"
    damage(newest, kind)
    stderr = trainings.folder / "stderr"
    before = stderr.stat().st_size
    assert trainings.train(run, checkpoint_every=1, keep_checkpoints=4) == {"status": 0}
    assert ROT[kind][1] in stderr.read_text()[before:]
    (recovery,) = read_lines(run / "recoveries.jsonl")
    assert ROT[kind][1] in recovery["refused"]["step-000004"]
    (run / "recoveries.jsonl").unlink()
    assert promised(run) == whole
    shutil.rmtree(run)


def test_no_whole_checkpoint_or_an_emptied_history_stops_by_name_and_touches_nothing(
    trainings: Trainings,
) -> None:
    run = trainings.folder / "hopeless"
    assert trainings.train(run) == {"status": 0}
    (run / "consumed.jsonl").write_bytes(b"")
    emptied = promised(run)
    ended = trainings.train(run)
    assert ended["error"] == "CheckpointError"
    assert "consumed.jsonl is not what it was" in ended["message"]
    damage(run / "checkpoints" / "step-000004", "a bit of the weights")
    assert f"model/{SHARD} cannot be used" in trainings.train(run)["message"]
    shutil.copytree(trainings.calm / "checkpoints", run / "checkpoints", dirs_exist_ok=True)
    assert promised(run) == emptied
    shutil.rmtree(run)


@pytest.mark.parametrize("cut", [1, 30, 400])
def test_torn_lines_of_the_logs_are_made_whole(trainings: Trainings, cut: int) -> None:
    run = trainings.folder / "torn"
    assert trainings.train(run) == {"status": 0}
    for name in ("stats.jsonl", "consumed.jsonl"):
        path = run / name
        os.truncate(path, max(path.stat().st_size - cut, len("".join(path.read_text().splitlines(True)[:2]))))
    assert trainings.train(run) == {"status": 0}
    assert promised(run) == promised(trainings.calm)
    shutil.rmtree(run)
