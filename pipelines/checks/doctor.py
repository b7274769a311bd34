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

from pairbridge.datagen.models.weights.weight_folders import weights_root

GIB = 2**30

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


def examine(folder: Path) -> Iterator[tuple[str, Check]]:
    """Every check in turn, by name; `folder` is where output would go."""
    checks: dict[str, Callable[[], Check]] = {
        "interpreter": lambda: check_interpreter(sys.version_info[:2]),
        "packages": check_packages,
        "bpy": check_blender,
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
    if version == (3, 11):
        return Check(State.OK, found)
    return Check(
        State.FAILED,
        f"{found}; bpy 4.5 exists for CPython 3.11 only, so nothing can be rendered",
        "use Python 3.11: `make demo PYTHON=python3.11` (training alone runs on later ones)",
    )


def check_packages() -> Check:
    """Every distribution that pairbridge depends on is installed."""
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
        "pip install -c requirements/pins.txt -e '.[render]'",
    )


def check_blender() -> Check:
    """bpy imports in a fresh process."""
    if not _installed("bpy"):
        return Check(
            State.FAILED,
            "not installed: nothing can be rendered (training and reading work without it)",
            "pip install -c requirements/pins.txt -e '.[render]'",
        )
    done = _run(
        [sys.executable, "-c", "import bpy; print('Blender', '.'.join(map(str, bpy.app.version)))"],
        timeout_s=120,
    )
    if done.returncode == 0:
        return Check(State.OK, f"Blender {done.stdout.split()[-1]}")
    missing = sorted(missing_libraries(done.stderr) | missing_libraries(_ldd_of_bpy()))
    if missing:
        return Check(
            State.FAILED, f"system libraries are missing: {', '.join(missing)}", apt_command(missing)
        )
    return Check(
        State.FAILED,
        f"does not import: {_last_words(done)}",
        "reinstall it: pip install --force-reinstall bpy~=4.5.0",
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


def _ldd_of_bpy() -> str:
    spec = importlib.util.find_spec("bpy")
    if spec is None or not spec.origin or not spec.origin.endswith(".so") or not shutil.which("ldd"):
        return ""
    return _run(["ldd", spec.origin], timeout_s=30).stdout


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
