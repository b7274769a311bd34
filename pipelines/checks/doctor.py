"""What this machine has and lacks for the job, and for each lack what to do. Nothing here needs a network.

Every check tries the real thing where that is possible: bpy is imported and Ray is started, in processes of
their own, since both can end the process they fail in.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from pairbridge.datagen.blender.blender_errors import BlenderUnavailable
from pairbridge.datagen.blender.interpreter import (
    LINES,
    Interpreter,
    interpreters_in,
    new_environment,
    other_interpreter,
    this_interpreter,
)
from pairbridge.datagen.core.extras import MODULES, install_command, lacking
from pairbridge.datagen.models.weights.weight_folders import weights_root

GIB = 2**30

# The extras from a file to a model and its report, but for `render`, which another environment may hold.
ROLES = ("generate", "train", "report")

# Debian and Ubuntu packages of the system libraries that the bpy wheel links to (ldd on its __init__.so).
APT_PACKAGES = {
    "libX11": "libx11-6",
    "libXrender": "libxrender1",
    "libXfixes": "libxfixes3",
    "libXi": "libxi6",
    "libxkbcommon": "libxkbcommon0",
    "libSM": "libsm6",
    "libICE": "libice6",
    "libGL": "libgl1",
    "libEGL": "libegl1",
    "libXxf86vm": "libxxf86vm1",
    "libgthread-2.0": "libglib2.0-0",
}

_TRY_RAY = (
    "import ray; ray.init('local', num_cpus=1, include_dashboard=False, object_store_memory=80 << 20, "
    "log_to_driver=False); ray.shutdown()"
)

# Prints the names below that hold, and in its last line on the error stream what the kernel offers.
_TRY_CONFINEMENT = """
import os, socket, sys
from pairbridge.datagen.blender.confinement import Grants, confine, described
print(described(confine(Grants())), file=sys.stderr)
def refused(attempt):
    try:
        attempt()
    except OSError:
        return True
tries = {"read": lambda: open(sys.argv[1]), "write": lambda: open(sys.argv[1], "a"),
         "network": socket.socket, "programs": lambda: os.execv(sys.executable, ["python", "-c", ""])}
print(*(name for name, attempt in tries.items() if refused(attempt)), flush=True)
os._exit(0)
"""
_CONFINED = {
    "read": "reading your files",
    "write": "writing them",
    "network": "the network",
    "programs": "starting programs",
}


class State(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, with a limit worth knowing
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` is what to type or change, empty where nothing is wrong."""

    state: State
    found: str
    remedy: str = ""


def examine(folder: Path, python: Path | None = None) -> Iterator[tuple[str, Check]]:
    """Every check in turn, by name; `folder` is where output would go, `python` the interpreter that
    `render.python` of a config names.
    """
    checks: dict[str, Callable[[], Check]] = {
        "interpreter": lambda: check_interpreter(sys.version_info[:2]),
        "packages": check_packages,
        "extras": check_extras,
        "bpy": lambda: check_blender(python),
        "confinement": check_confinement,
        "cores": check_cores,
        "memory": lambda: check_memory(_memory_bytes()),
        "gpu": check_gpu,
        "disk": lambda: check_disk(folder, shutil.disk_usage(folder).free),
        "shared memory": lambda: check_shared_memory(Path("/dev/shm")),
        "weights": lambda: check_weights(weights_root()),
        "ray": check_ray,
    }
    for name, check in checks.items():
        yield name, check()


def check_interpreter(version: tuple[int, int]) -> Check:
    found = f"Python {version[0]}.{version[1]} at {sys.executable}"
    if f"{version[0]}.{version[1]}" in LINES.values():
        return Check(State.OK, found)
    if version < (3, 11):
        return Check(State.FAILED, f"{found}, which is too old", "use Python 3.11 or later")
    return Check(
        State.NOTE,
        f"{found}, for which there is no bpy: it reads and trains, and renders through another one",
        new_environment(),
    )


def check_packages() -> Check:
    """Every distribution that reading takes is installed."""
    wanted = [line for line in importlib.metadata.requires("pairbridge") or () if "extra ==" not in line]
    names = [re.match(r"[A-Za-z0-9._-]+", line).group() for line in wanted]
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return Check(
            State.OK,
            f"pairbridge {importlib.metadata.version('pairbridge')} with all {len(names)} dependencies",
        )
    return Check(
        State.FAILED,
        f"not installed: {', '.join(missing)}",
        install_command(),
    )


def check_extras() -> Check:
    """Which roles this environment can play beside a reader's."""
    there = [extra for extra in MODULES if not lacking(extra)]
    absent = [extra for extra in ROLES if extra not in there]
    if not absent:
        return Check(State.OK, ", ".join(there))
    return Check(
        State.NOTE,
        f"{', '.join(there) or 'none'}; it reads datasets, and lacks {', '.join(absent)}",
        install_command(*absent),
    )


def check_blender(python: Path | None) -> Check:
    """bpy imports in a fresh process, of the interpreter that is named, of this one, or of one beside it."""
    if python is not None:
        try:
            return _check_import(other_interpreter(python))
        except BlenderUnavailable as error:
            return Check(State.FAILED, error.cause, error.remedy)
    if _installed("bpy"):
        return _check_import(this_interpreter())
    for beside in interpreters_in((Path(sys.prefix).parent, Path())):
        check = _check_import(beside)
        if check.state is State.OK:
            return Check(
                State.NOTE,
                f"not in this environment, but in one beside it: {check.found}",
                f"render through that one: `render: {{python: {beside.executable}}}` in the dataset's config",
            )
    return Check(
        State.NOTE,
        "not installed: nothing can be rendered (training and reading work without it)",
        install_command("render")
        if f"{sys.version_info[0]}.{sys.version_info[1]}" in LINES.values()
        else new_environment(),
    )


def _check_import(interpreter: Interpreter) -> Check:
    executable = str(interpreter.executable)
    done = _run([executable, "-c", "import bpy; print(bpy.app.version_string)"], timeout_s=120)
    if done.returncode == 0:
        blender = done.stdout.strip().splitlines()[-1]
        return Check(State.OK, f"Blender {blender} in {executable} (Python {interpreter.python})")
    missing = sorted(missing_libraries(done.stderr) | missing_libraries(_ldd(interpreter.bpy_folder)))
    if missing:
        return Check(
            State.FAILED, f"system libraries are missing: {', '.join(missing)}", apt_command(missing)
        )
    return Check(
        State.FAILED,
        f"does not import: {_last_words(done)}",
        f"reinstall it: {executable} -m pip install --force-reinstall bpy=={interpreter.bpy}",
    )


def check_confinement() -> Check:
    """A process like Blender's gives up its rights, and is then refused a file, a socket and a program."""
    with tempfile.NamedTemporaryFile() as outside:
        done = _run([sys.executable, "-c", _TRY_CONFINEMENT, outside.name], timeout_s=60)
    held = set(done.stdout.split())
    free = [what for name, what in _CONFINED.items() if name not in held]
    if not free:
        return Check(State.OK, "Blender's process reads the folders of objects alone, and has no network")
    return Check(
        State.NOTE,
        f"the kernel does not keep Blender's process from {', nor from '.join(free)}: an object's file from a"
        f" stranger might do so ({_last_words(done)})",
        "use a kernel of 5.13 or later with Landlock (`lsm=landlock,...` at boot), in a container whose"
        " seccomp profile lets it; until then use files you trust (docs/security.md)",
    )


def missing_libraries(text: str) -> set[str]:
    """Libraries that ldd, or the error of a failed import, says are not there."""
    return {
        *re.findall(r"^\s*(\S+\.so[.\d]*) => not found", text, re.MULTILINE),
        *re.findall(r"(\S+\.so[.\d]*): cannot open shared object file", text),
    }


def apt_command(libraries: list[str]) -> str:
    """The one command that installs `libraries` on Debian and Ubuntu."""
    packages, unknown = [], []
    for library in libraries:
        package = APT_PACKAGES.get(library.partition(".so")[0])
        (packages if package else unknown).append(package or library)
    command = f"apt-get update && apt-get install -y {' '.join(packages)}" if packages else ""
    if command and os.geteuid() != 0:
        command = command.replace("apt-get", "sudo apt-get")
    asked = f"ask your distribution for the package of {', '.join(unknown)}" if unknown else ""
    return "; then ".join(part for part in (command, asked) if part)


def check_cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    if cores >= 2:
        return Check(State.OK, f"{cores} usable")
    return Check(State.NOTE, "1 usable: the demo takes about half an hour", "generate with --workers 1")


def check_memory(available: int) -> Check:
    """`available` in bytes. A render worker with its Blender takes about 1 GiB, Ray 0.6 GiB, the demo's
    training 1.
    """
    found = f"{available / GIB:.1f} GiB available"
    if available >= 4 * GIB:
        return Check(State.OK, found)
    state = State.NOTE if available >= 2 * GIB else State.FAILED
    return Check(state, found, "close other programs, or generate with --workers 1")


def check_gpu() -> Check:
    if lacking("models"):
        return Check(State.NOTE, "not looked for, as there is no torch to use it", install_command("train"))
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check(State.OK, f"{', '.join(names)} (CUDA {torch.version.cuda})")
    if shutil.which("nvidia-smi") and _run(["nvidia-smi", "-L"], timeout_s=30).stdout.strip():
        return Check(
            State.NOTE,
            f"there is one, but torch {torch.__version__} cannot use it",
            "install a CUDA build of torch to train on it; rendering takes it with render.device: cuda",
        )
    return Check(State.NOTE, "none: rendering and training use the CPU, as the demo expects")


def check_disk(folder: Path, free: int) -> Check:
    """`free` in bytes. The demo writes about 100 MB; a pair of 512x512 takes about 1 MB."""
    found = f"{free / GIB:.1f} GiB free for {folder.resolve()}"
    if free >= 5 * GIB:
        return Check(State.OK, found)
    state = State.NOTE if free >= GIB else State.FAILED
    return Check(state, found, "free some space or write elsewhere with --out; `pairbridge plan` estimates")


def check_shared_memory(folder: Path) -> Check:
    """Blender's images come through it, and Ray keeps its objects there."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Check(State.FAILED, f"{folder} is missing or not writable", f"mount a tmpfs at {folder}")
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.2f} GiB free in {folder}"
    if free >= GIB // 2:
        return Check(State.OK, found)
    return Check(State.NOTE, f"{found}; Ray falls back to slow files", "docker run --shm-size=2g")


def check_weights(folder: Path) -> Check:
    """Folders with safetensors files. None are needed: the embedded stand-ins work without."""
    found = sorted({path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")})
    if found:
        return Check(State.OK, f"in {folder}: {', '.join(found)}")
    return Check(
        State.NOTE,
        f"none in {folder}: GrabCut and colour transfer stand in for matting and relighting models, "
        "and the Haar transform for an autoencoder",
        "to change that, put model folders there, or set PAIRBRIDGE_WEIGHTS to a folder that holds some",
    )


def check_ray() -> Check:
    """A local Ray starts and stops in a fresh process, whatever cluster RAY_ADDRESS names."""
    if "ray" in lacking("generate"):
        return Check(State.NOTE, "not installed: no dataset can be made", install_command("generate"))
    alone = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = _run([sys.executable, "-c", _TRY_RAY], timeout_s=120, env=alone | {"RAY_USAGE_STATS_ENABLED": "0"})
    if done.returncode == 0:
        return Check(State.OK, f"Ray {importlib.metadata.version('ray')} starts on this machine")
    return Check(
        State.FAILED,
        f"does not start: {_last_words(done)}",
        f"look into {tempfile.gettempdir()}/ray/session_latest/logs; RAY_TMPDIR moves a "
        "temporary folder that is full or has a long name",
    )


def _memory_bytes() -> int:
    """Free memory of the machine, or what the container's limit leaves, whichever is less."""
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    available = psutil.virtual_memory().available
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdecimal():
        return min(available, int(text) - int(used.read_text()))
    return available


def _ldd(bpy_folder: Path) -> str:
    return _run(["ldd", str(bpy_folder / "__init__.so")], timeout_s=30).stdout if shutil.which("ldd") else ""


def _run(
    command: list[str], *, timeout_s: float, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, env=env, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {timeout_s:.0f} s")


def _last_words(done: subprocess.CompletedProcess) -> str:
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def _installed(distribution: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=distribution)))
