"""`pairbridge doctor`: what it finds on this machine, and what it advises where something is missing."""

import os
import platform
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from pairbridge.pipelines.checks.doctor import (
    GIB,
    State,
    apt_command,
    check_blender,
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
        "confinement",
        "cores",
        "memory",
        "gpu",
        "disk",
        "shared memory",
        "weights",
        "ray",
    ):
        assert name in done.stdout
    line = metadata.version("bpy").rpartition(".")[0]
    assert f"Blender {line}" in done.stdout
    assert f"(Python {platform.python_version()})" in done.stdout


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


def test_a_kernel_that_does_not_confine_is_noted_with_what_is_not_promised() -> None:
    # The kernel itself refuses Landlock to the doctor and its children, as a container's profile may.
    code = (
        "from pairbridge.datagen.blender import kernel_filters\n"
        "kernel_filters._REFUSED = {'landlock_create_ruleset': (444, 444)}\n"
        "kernel_filters.refuse_calls()\n"
        "from pairbridge.pipelines.checks.doctor import check_confinement\n"
        "print(check_confinement())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "State.NOTE" in done.stdout, done.stderr
    assert "from reading your files, nor from writing them" in done.stdout
    assert "no Landlock (Operation not permitted)" in done.stdout
    # What seccomp alone holds is not among what is missing.
    assert "network" not in done.stdout


def test_missing_libraries_are_read_from_ldd_and_from_an_import_error() -> None:
    assert missing_libraries(LDD) == {"libXi.so.6", "libxkbcommon.so.0"}
    assert missing_libraries("ImportError: libSM.so.6: cannot open shared object file: No such") == {
        "libSM.so.6"
    }
    assert missing_libraries("ImportError: something else") == set()


def test_the_remedy_names_packages_and_the_libraries_it_does_not_know() -> None:
    command = apt_command(["libGL.so.1", "libXi.so.6", "libodd.so.3"])
    assert "install -y libgl1 libxi6; then ask your distribution for the package of libodd.so.3" in command


def test_a_python_without_a_bpy_of_its_own_is_told_to_render_through_another() -> None:
    assert [check_interpreter((3, minor)).state for minor in (11, 13)] == [State.OK, State.OK]
    for minor in (12, 14):
        check = check_interpreter((3, minor))
        assert check.state is State.NOTE
        assert "render.python" in check.remedy
    assert check_interpreter((3, 10)).state is State.FAILED


@pytest.mark.render
def test_the_renderer_of_a_config_is_examined_in_place_of_this_environments(tmp_path: Path) -> None:
    assert f"in {sys.executable} (Python" in check_blender(Path(sys.executable)).found
    check = check_blender(tmp_path / "absent")
    assert check.state is State.FAILED
    assert str(tmp_path / "absent") in check.found
    assert "python3.13 -m venv" in check.remedy


@pytest.mark.render
def test_without_bpy_the_doctor_names_an_environment_beside_that_has_it(tmp_path: Path) -> None:
    # One that shares this environment's packages, in the folder where the doctor of one without bpy is asked.
    beside = tmp_path / "renderer"
    venv.create(beside, symlinks=True)
    packages = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    ours = metadata.distribution("bpy").locate_file("")
    (beside / packages / "ours.pth").write_text(f"{ours}\n")
    os.symlink(ours / "bpy", beside / packages / "bpy")
    hidden = (
        "import sys\n"
        "from pairbridge.pipelines.checks import doctor\n"
        # This environment has bpy, and would be found as one beside itself.
        "sys.prefix = 'nowhere/environment'\n"
        "doctor._installed = lambda name: False\n"
        "print(doctor.check_blender(None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "State.NOTE" in done.stdout
    assert f"render: {{python: {beside / 'bin' / 'python'}}}" in done.stdout


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
