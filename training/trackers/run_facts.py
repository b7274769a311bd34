"""What the result of a training hangs on beside its configuration: code, versions, hardware."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil
import torch

from pairbridge.datagen.core.versions import recorded_versions

_CPU_INFO = Path("/proc/cpuinfo")
# `git describe` compares the files of the working tree, which may lie on a slow disk.
_GIT_TIMEOUT_S = 10


def run_facts(processes: int) -> dict[str, Any]:
    """JSON-able. The hardware is of this machine; `processes`: of the training, over all machines."""
    return {
        "commit": commit(),
        "versions": {"python": platform.python_version(), **recorded_versions()},
        "hardware": {**hardware(), "cuda": torch.version.cuda, "processes": processes},
    }


def hardware() -> dict[str, Any]:
    """This machine's, JSON-able."""
    return {
        "cpu": _cpu_name(),
        "cpu_cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def commit() -> str | None:
    """Of the git repository that the working folder is in, with `-dirty` where its files differ; None where
    it is in none.
    """
    # Excluding every tag leaves the full hash.
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        # No git, no repository, or one without a commit.
        return None
    return said.stdout.strip()


def _cpu_name() -> str:
    """As Linux says it; elsewhere as Python does."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
