"""One driver at a time, and no lock that outlives its holder."""

import os
import signal
import subprocess
import sys

import pytest

from pairbridge.pipelines.shelves.lock import DatasetLocked, dataset_lock

HOLD = """
import sys, time
from pathlib import Path
from pairbridge.pipelines.shelves.lock import dataset_lock
with dataset_lock(Path(sys.argv[1]), "token"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_driver_is_refused_and_told_who_holds_the_lock(tmp_path, holder):
    with pytest.raises(DatasetLocked, match=f"process {holder.pid} on"), dataset_lock(tmp_path, "other"):
        pass


def test_lock_ends_with_a_killed_holder(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with dataset_lock(tmp_path, "other"):
        pass


def test_lock_can_be_taken_again_after_release(tmp_path):
    for token in ("first", "second"):
        with dataset_lock(tmp_path, token), pytest.raises(DatasetLocked), dataset_lock(tmp_path, "third"):
            pass
