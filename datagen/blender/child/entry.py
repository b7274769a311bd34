"""Where the Blender process starts: it dies with its parent, confines itself, and only then imports the rest.

Started by `pairbridge.datagen.blender.process` alone. Imports nothing that starts a thread.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

from pairbridge.datagen.blender.confinement import Grants, confine, described

PR_SET_PDEATHSIG = 1


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("requests-fd", "replies-fd", "image-fd", "parent-pid", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--object-rules", required=True)
    parser.add_argument("--addon", action="append", default=[])
    parser.add_argument("--grants", type=Path)
    arguments = parser.parse_args()
    _die_with(arguments.parent_pid)
    if arguments.grants is not None:
        print(described(confine(Grants.read_from(arguments.grants))), flush=True)
    # Only now: NumPy starts threads, and threads that run already would stay free.
    from pairbridge.datagen.blender.child.server import serve

    serve(arguments)
    # Interpreter exit after bpy hung once in nine runs of an experiment, for minutes.
    sys.stdout.flush()
    os._exit(0)


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent's thread ends, even in the middle of a render."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:
        os._exit(0)


if __name__ == "__main__":
    main()
