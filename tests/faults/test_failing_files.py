"""The library that makes file operations fail does so in a real process, and nowhere else."""

import errno
import os
import subprocess
import sys

# Each of its operations is one that Python's library makes in the same words.
SCRIPT = """
import os, pathlib, shutil, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
with open(folder / "a", "wb") as stream:
    stream.write(b"x")
    stream.flush()
    os.fsync(stream.fileno())
os.replace(folder / "a", folder / "b")
os.link(folder / "b", folder / "c")
os.listdir(folder)
try:
    print((folder / "b").read_bytes())
except OSError as error:
    print(error.errno)
os.chdir(folder)
os.unlink("c")
shutil.rmtree(folder)
"""


def run(failing_files, folder, *choice, **how):
    environment = failing_files.environment(folder, *choice, **how)
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_operations_are_counted_fail_once_and_kill(failing_files, tmp_path):
    folder = tmp_path / "f"
    counted = run(failing_files, folder, "Rowfrlumd")
    assert counted.stdout == "b'x'\n"
    names = [(letter, path.relative_to(tmp_path)) for letter, path, _ in failing_files.operations()]
    assert [letter for letter, _ in names] == list("mowfrlRuRud")
    assert str(names[7][1]) == "f/c"

    failed = run(failing_files, folder, "R", at=1, how=errno.ESTALE)
    assert failed.stdout == f"{errno.ESTALE}\n"
    assert failed.returncode == 0
    failures = [(letter, path) for letter, path, has_failed in failing_files.operations() if has_failed]
    assert failures == [("R", folder / "b")]

    killed = run(failing_files, folder, "r", at=1, how="kill")
    assert killed.returncode == -9
    assert sorted(path.name for path in folder.iterdir()) == ["a"]


# What `setproctitle` does, which Ray's workers call.
TITLED = """
import ctypes, pathlib, sys
began, ended = map(int, pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
ctypes.memset(began, 0, ended - began)
elsewhere, meant = map(pathlib.Path, sys.argv[1:])
elsewhere.read_bytes()
try:
    meant.read_bytes()
except OSError as error:
    print(error.errno)
"""


def test_a_process_that_writes_its_title_over_its_environment_fails_nowhere_else(failing_files, tmp_path):
    elsewhere, meant = tmp_path / "elsewhere", tmp_path / "meant"
    for path in (elsewhere, meant):
        path.touch()
    environment = failing_files.environment(meant, "R", at=1, how=errno.EIO)
    command = [sys.executable, "-c", TITLED, str(elsewhere), str(meant)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{errno.EIO}\n"), done.stderr
    assert failing_files.operations() == [("R", meant, True)]
