"""`pairbridge doctor`: what it finds on this machine, and what it advises where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairbridge.pipelines.checks.doctor import (
    GIB,
    State,
    apt_command,
    check_disk,
    check_interpreter,
    check_memory,
    check_packages,
    check_shared_memory,
    check_weights,
    missing_libraries,
)

LDD = """\
	linux-vdso.so.1 (0x00007f49d7ceb000)
	libX11.so.6 => /lib/x86_64-linux-gnu/libX11.so.6 (0x00007f49c0000000)
	libXi.so.6 => not found
	libxkbcommon.so.0 => not found
"""


def doctor(**environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from pairbridge.pipelines.cli import main; main()", "doctor"]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "300", **environment},
        check=False,
    )


@pytest.mark.render
def test_the_machine_that_runs_these_tests_is_fit() -> None:
    done = doctor()
    assert done.returncode == 0, done.stdout
    for name in (
        "interpreter",
        "packages",
        "bpy",
        "cores",
        "memory",
        "gpu",
        "disk",
        "shared memory",
        "weights",
        "ray",
    ):
        assert name in done.stdout
    assert "Blender 4.5" in done.stdout


@pytest.mark.render
@pytest.mark.long
def test_a_missing_system_library_ends_in_a_failure_and_the_command_that_installs_it(tmp_path: Path) -> None:
    # What bpy's import says on a machine without libXi, from a module that takes its place in the path.
    (tmp_path / "bpy.py").write_text(
        "raise ImportError('libXi.so.6: cannot open shared object file: No such file or directory')"
    )
    done = doctor(PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install -y libxi6" in done.stdout


def test_missing_libraries_are_read_from_ldd_and_from_an_import_error() -> None:
    assert missing_libraries(LDD) == {"libXi.so.6", "libxkbcommon.so.0"}
    assert missing_libraries("ImportError: libSM.so.6: cannot open shared object file: No such") == {
        "libSM.so.6"
    }
    assert missing_libraries("ImportError: something else") == set()


def test_the_remedy_names_packages_and_the_libraries_it_does_not_know() -> None:
    command = apt_command(["libGL.so.1", "libXi.so.6", "libodd.so.3"])
    assert "install -y libgl1 libxi6; then ask your distribution for the package of libodd.so.3" in command


def test_only_python_3_11_can_render() -> None:
    assert check_interpreter((3, 11)).state is State.OK
    assert check_interpreter((3, 12)).state is State.FAILED
    assert "3.11" in check_interpreter((3, 12)).remedy


def test_little_memory_or_disk_is_noted_and_too_little_fails(tmp_path: Path) -> None:
    assert [check_memory(size * GIB).state for size in (8, 3, 1)] == [State.OK, State.NOTE, State.FAILED]
    states = [check_disk(tmp_path, round(size * GIB)).state for size in (8, 2, 0.5)]
    assert states == [State.OK, State.NOTE, State.FAILED]


def test_shared_memory_must_exist(tmp_path: Path) -> None:
    assert check_shared_memory(tmp_path).state is not State.FAILED
    assert check_shared_memory(tmp_path / "absent").state is State.FAILED


def test_weights_are_found_by_their_files_and_their_absence_is_no_failure(tmp_path: Path) -> None:
    assert check_weights(tmp_path / "absent").state is State.NOTE
    (tmp_path / "birefnet").mkdir()
    (tmp_path / "birefnet" / "model.safetensors").write_bytes(b"")
    check = check_weights(tmp_path)
    assert check.state is State.OK
    assert "birefnet" in check.found


def test_the_packages_of_this_environment_are_complete() -> None:
    assert check_packages().state is State.OK
