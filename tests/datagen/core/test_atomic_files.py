"""Files that are whole or absent, and what a killed writer leaves."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from pairbridge.datagen.core.atomic_files import write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from pairbridge.datagen.core.atomic_files import write_atomically
def chunks():
    yield b"half of what was to come, and longer than the next"
    os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), chunks())
"""


def test_what_a_killed_writer_left_is_taken_over_by_the_next_writer_of_that_file(tmp_path):
    path = tmp_path / "dataset.json"
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(path)])
        assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert ".tmp-" in left.name
    write_atomically(path, [b"whole"])
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"dataset.json": b"whole"}


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "file"
    begun, go = threading.Event(), threading.Event()

    def slow():
        yield b"slow " * 3
        begun.set()
        assert go.wait(10)
        yield b"end"

    thread = threading.Thread(target=write_atomically, args=(path, slow()))
    thread.start()
    assert begun.wait(10)
    write_atomically(path, [b"quick"])
    assert path.read_bytes() == b"quick"
    go.set()
    thread.join()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"file": b"slow slow slow end"}


def test_a_link_in_the_place_of_a_temp_file_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"kept")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".file.tmp-0").symlink_to(precious)
    write_atomically(Path(folder / "file"), [b"new"])
    assert (folder / "file").read_bytes() == b"new"
    assert precious.read_bytes() == b"kept"
