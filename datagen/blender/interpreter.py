"""The Python that Blender runs in: this one, or another environment's that `render.python` names.

The two need agree in nothing: what passes between them is JSON and an EXR image in shared memory. The other
one has bpy, NumPy and pydantic; pairbridge's own code is loaded from here (`child.start`).
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pairbridge.datagen
from pairbridge.datagen.blender.blender_errors import BlenderUnavailable

# The lines of Blender that all tests of the renderer pass on, with the Python that each one's wheels are for.
LINES = {"4.5": "3.11", "5.2": "3.13"}
_CHILD = Path(__file__).with_name("child")
_ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that has bpy."""

    executable: Path
    python: str
    """Its version."""
    bpy: str
    """The version of its bpy, which is Blender's."""
    bpy_folder: Path


def command_of(python: Path | None) -> list[str]:
    """How Blender's process is started, but for its arguments. Raises BlenderUnavailable for an interpreter
    that cannot render.
    """
    executable = sys.executable if python is None else str(other_interpreter(python).executable)
    packages = (pairbridge, pairbridge.datagen)
    # -P: what lies in the working folder, a checkout or a random.py, is not imported.
    return [executable, "-P", str(_CHILD / "start.py"), *(package.__path__[0] for package in packages)]


def environment_of(python: Path | None) -> dict[str, str]:
    """The environment of Blender's process, without what leads another Python to packages of this one."""
    leads = () if python is None else ("PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in leads}


def bpy_version(python: Path | None) -> str | None:
    """The version of bpy where `python` is another interpreter; None where it is this one."""
    return None if python is None else other_interpreter(python).bpy


def bpy_folder(python: Path | None) -> Path | None:
    """The folder of bpy where `python` is another interpreter; None where it is this one."""
    return None if python is None else other_interpreter(python).bpy_folder


def interpreters_in(folders: Iterable[Path]) -> Iterator[Interpreter]:
    """Those of the environments in these folders that Blender can run in."""
    for folder in dict.fromkeys(folder.absolute() for folder in folders):
        for package in sorted(folder.glob("*/lib/python3*/site-packages/bpy")):
            with contextlib.suppress(BlenderUnavailable):
                yield other_interpreter(package.parents[3] / "bin" / "python")


def this_interpreter() -> Interpreter:
    """The one that runs this. Raises PackageNotFoundError where bpy is not installed."""
    version = metadata.version("bpy")
    # Of bpy's distribution, and not found by importing: that starts Blender.
    folder = metadata.distribution("bpy").locate_file("bpy")
    return Interpreter(Path(sys.executable), platform.python_version(), version, Path(folder))


@cache
def other_interpreter(python: Path) -> Interpreter:
    """Look at another environment's Python. Raises BlenderUnavailable if Blender cannot run there."""
    # Not followed: a virtual environment is known by the link.
    python = python.absolute()
    found = _inventory(python)
    lacking = [name for name, version in found["versions"].items() if version is None]
    if lacking:
        raise _unusable(python, f"it lacks {', '.join(lacking)}", _install(python, found["python"]))
    bpy = found["versions"]["bpy"]
    if bpy.rpartition(".")[0] not in LINES:
        known = " and ".join(LINES)
        raise _unusable(
            python,
            f"its bpy is {bpy}, and the renderer knows {known}: another line may give other pixels, or none",
            _install(python, found["python"]),
        )
    return Interpreter(python, found["python"], bpy, Path(found["bpy_folders"][0]))


def _inventory(python: Path) -> dict:
    try:
        done = subprocess.run(
            [str(python), "-I", str(_CHILD / "inventory.py")],
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else f"it did not answer within {_ANSWER_S:g} s"
        raise _unusable(python, why, new_environment()) from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise _unusable(python, f"it is no Python that works ({said})", new_environment()) from error


def new_environment() -> str:
    """The commands that make an environment for Blender, in words."""
    line, python = list(LINES.items())[-1]
    return (
        f"make an environment for it (`python{python} -m venv renderer && renderer/bin/python -m pip install "
        f"'bpy~={line}.0' pydantic`) and set render.python to renderer/bin/python"
    )


def _install(python: Path, version: str) -> str:
    line = next((line for line, wanted in LINES.items() if version.startswith(f"{wanted}.")), None)
    if line is None:
        return f"it runs Python {version}, for which there is no such bpy: {new_environment()}"
    return f"{python} -m pip install 'bpy~={line}.0' pydantic"


def _unusable(python: Path, why: str, remedy: str) -> BlenderUnavailable:
    return BlenderUnavailable(
        f"render.python is {python}, where Blender cannot run: {why}",
        consequence="nothing can be rendered by it",
        remedy=remedy,
    )
