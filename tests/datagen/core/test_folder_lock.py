"""One process at a time, and no lock that outlives its holder."""

import os
import select
import signal
import subprocess
import sys

import pytest

from pairbridge.datagen.core.disk_errors import OutputMoved
from pairbridge.datagen.core.folder_lock import FolderLocked, folder_lock

HOLD = """
import sys, time
from pathlib import Path
from pairbridge.datagen.core.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), "token"):
    print("held", flush=True)
    time.sleep(20)
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
    with pytest.raises(FolderLocked, match=f"process {holder.pid} on"), folder_lock(tmp_path, "other"):
        pass


def test_lock_ends_with_a_killed_holder(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with folder_lock(tmp_path, "other"):
        pass


def test_lock_can_be_taken_again_after_release(tmp_path):
    for token in ("first", "second"):
        with folder_lock(tmp_path, token), pytest.raises(FolderLocked), folder_lock(tmp_path, "third"):
            pass


def test_a_forked_child_that_outlives_its_parent_holds_no_lock(tmp_path):
    """As loader processes of a trainer of one's own do for some seconds after it is killed."""
    script = HOLD.replace("    print(", "    import os\n    child = os.fork()\n    child and print(")
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    process.kill()
    process.wait()
    # The pipe's other end: the child has it open for as long as it lives.
    assert not select.select([process.stdout], [], [], 0.2)[0]
    with folder_lock(tmp_path, "other"):
        pass
    process.stdout.close()


def test_a_folder_that_was_renamed_or_replaced_is_noticed(tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    with folder_lock(folder, "token") as lock:
        lock.check_place()
        folder.rename(elsewhere)
        with pytest.raises(OutputMoved, match="run was renamed"):
            lock.check_place()
        folder.mkdir()
        with folder_lock(folder, "another"), pytest.raises(OutputMoved):
            lock.check_place()
