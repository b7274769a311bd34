"""The shipped run `smoke` as a user starts it, under a watch of what it connects to."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Python runs this at the start of every process, Ray's workers included, and an audit hook cannot be removed.
WATCH_SOCKETS = """
import socket, sys, os

def watch(event, args):
    if event == "socket.connect" and args[0].family in (socket.AF_INET, socket.AF_INET6):
        # Connecting a datagram socket sends nothing; Ray asks the kernel for its own address that way.
        host = args[1][0]
        # 169.254/16 is never routed: Ray's dashboard asks there which cloud it is on, reports or none.
        own = ("::1", "localhost", os.environ["OWN_ADDRESS"])
        outside = not host.startswith(("127.", "169.254.")) and host not in own
        if outside and args[0].type & socket.SOCK_STREAM:
            with open(os.environ["OUTSIDE_LOG"], "a") as log:
                log.write(f"{sys.argv} {args[1]}\\n")
            raise PermissionError(f"a connection to {args[1]} was not asked for by name")

sys.addaudithook(watch)
"""


@dataclass(frozen=True, slots=True)
class SmokeRun:
    """A finished one: its folder, how its command ended, what that printed, and where a connection to another
    machine would have been noted.
    """

    folder: Path
    status: int
    out: str
    outside_log: Path


def watched(folder: Path, log: Path) -> dict[str, str]:
    """An environment in which a connection to another machine fails, and is written into `log`."""
    import ray

    (folder / "sitecustomize.py").write_text(WATCH_SOCKETS)
    own = {"PYTHONPATH": str(folder), "OUTSIDE_LOG": str(log), "OWN_ADDRESS": ray.util.get_node_ip_address()}
    return os.environ | own


def start_smoke(root: Path) -> SmokeRun:
    """Runs it to its end, in `root`; again where it has been run."""
    log = root / "outside.log"
    command = [Path(sys.executable).with_name("pairbridge"), "run", "smoke", "--out", root / "runs"]
    done = subprocess.run(command, env=watched(root, log), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return SmokeRun(root / "runs" / "smoke", done.returncode, done.stdout, log)


def make_smoke(root: Path) -> None:
    """For `finished_smoke` of another process."""
    first = start_smoke(root)
    (root / "ended.json").write_text(json.dumps([str(first.folder), first.status, first.out]))


def finished_smoke(root: Path) -> SmokeRun:
    folder, status, out = json.loads((root / "ended.json").read_text())
    return SmokeRun(Path(folder), status, out, root / "outside.log")
