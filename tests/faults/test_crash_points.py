"""A run may die, run out of space or meet a bad disk at every single operation on a file.

Each write, fsync, truncation, rename, link, unlink, mkdir and rmdir below the output folder, of driver and
worker: one run is killed just before it, in one it fails with ENOSPC, in one with EIO. The same command
follows, and the folder must be that of an undisturbed run.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from failing_files import FailingFiles
from launching import SIGKILLED, promised

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from tests.support.tiny_removal import removal_config

OPERATIONS = "wftrlumd"
FAULTS = ("kill", errno.ENOSPC, errno.EIO)
# In the fast tests: five of each fault, at other operations each; the first kills as dataset.json is written.
FIRST, STRIDE = 12, 23


class Runs:
    """Runs of `crash_runs.py` on one config, and the undisturbed one."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._failing, self._folder = FailingFiles(library, folder), folder
        config = removal_config(folder / "photos", groups=3).model_dump(mode="json")
        config["lightings"] = {"rigs": {"train": 1}, "width": 64}
        (folder / "config.json").write_text(DatasetConfig.model_validate(config).model_dump_json())
        (folder / "runs").mkdir()
        environment = self._failing.environment(folder / "runs", OPERATIONS)
        command = [
            sys.executable,
            str(Path(__file__).with_name("crash_runs.py")),
            str(folder / "config.json"),
        ]
        self._process = subprocess.Popen(
            command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        calm = folder / "runs" / "calm"
        assert self.run(calm) == 0, self.log(calm)
        assert verify_dataset(calm).ok
        self.operations = [(letter, path.relative_to(calm)) for letter, path, _ in self._failing.operations()]
        self.promised = promised(calm)
        self.files = all_files(calm)

    def run(self, out: Path, at: int = 0, how: int | str = "kill") -> int:
        self._failing.forget()
        self._process.stdin.write(json.dumps({"out": str(out), "at": at, "how": how}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def log(self, out: Path) -> str:
        return out.with_suffix(".log").read_text()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def survive(self, at: int, how: int | str) -> str:
        """What was wrong after a run with this fault and the run that follows; empty if nothing."""
        out = self._folder / "runs" / f"{at}-{how}"
        status = self.run(out, at, how)
        failed = [(letter, path) for letter, path, has_failed in self._failing.operations() if has_failed]
        what = f"operation {at} {failed} {how}"
        if len(failed) != 1:
            return f"{what}: it was not reached"
        if status != SIGKILLED if how == "kill" else status not in (0, 1):
            return f"{what}: status {status}\n{self.log(out)[-3000:]}"
        if self.run(out) != 0:
            return f"{what}: the same command does not resume\n{self.log(out)[-3000:]}"
        if promised(out) != self.promised:
            return f"{what}: other bytes"
        if all_files(out) != self.files:
            return f"{what}: other files: {sorted(all_files(out) ^ self.files)}"
        shutil.rmtree(out)
        return ""


def all_files(out: Path) -> set[str]:
    """Every file and folder but logs, which tell how often there were workers."""
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    return {name for name in names if not name.startswith("logs/")}


@pytest.fixture(scope="module")
def runs(failio_library, in_memory):
    opened = Runs(failio_library, in_memory)
    yield opened
    opened.close()


def test_a_run_that_meets_a_fault_at_some_of_its_operations_is_resumed_to_the_same_bytes(runs):
    points = [
        (at, how)
        for number, how in enumerate(FAULTS)
        for at in range(FIRST + number * STRIDE // 3, len(runs.operations) + 1, STRIDE)
    ]
    wrong = [found for at, how in points if (found := runs.survive(at, how))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
@pytest.mark.parametrize("how", FAULTS, ids=["killed", "no space", "bad disk"])
def test_a_run_that_meets_a_fault_at_any_of_its_operations_is_resumed_to_the_same_bytes(runs, how):
    points = range(1, len(runs.operations) + 1)
    wrong = [found for at in points if (found := runs.survive(at, how))]
    assert not wrong, "\n".join(wrong)
