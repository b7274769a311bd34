"""A Ray cluster whose only working machine cannot see the driver's folders: two raylets, the second in a
mount namespace of its own where an empty filesystem lies over them.

The head has no cores, so every group is made where nothing of the driver's can be seen. The second raylet
joins late, as a pod does: a job is there before it.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
JOINS_AFTER_S = 15
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class BlindCluster:
    """`dashboard` takes jobs; `environment` lets a client in; `seen` lists what the second raylet saw."""

    dashboard: str
    environment: dict[str, str]
    cache: Path
    seen: Path


@contextlib.contextmanager
def blind_cluster(hidden: Path, folder: Path) -> Iterator[BlindCluster]:
    """The cluster for the body; `hidden` is what its workers cannot see, `folder` takes logs and caches."""
    port, dashboard = free_port(), free_port()
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(REPOSITORY),
        # What a job runs is found as in an image: `pairbridge` is on the path.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    cache, seen = folder / "cache of the node", folder / "seen.txt"
    cache.mkdir()
    head = start(
        [RAY, "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}", "--num-cpus=0",
         "--include-dashboard=true", f"--dashboard-agent-listen-port={free_port()}",
         "--object-store-memory=100000000", "--block"],
        environment,
        folder / "head.log",
    )  # fmt: skip
    node = None
    try:
        wait_for_port(dashboard, head, folder / "head.log")
        script = (
            f"mount -t tmpfs none '{hidden}' && find '{hidden}' -type f > '{seen}' && "
            f"sleep {JOINS_AFTER_S} && exec '{RAY}' start --address=127.0.0.1:{port} --num-cpus=2 "
            f"--dashboard-agent-listen-port={free_port()} --object-store-memory=100000000 --block"
        )
        node = start(
            ["unshare", "--mount", "sh", "-c", script],
            environment | {"PAIRBRIDGE_CACHE": str(cache)},
            folder / "node.log",
        )
        yield BlindCluster(f"http://127.0.0.1:{dashboard}", environment, cache, seen)
    finally:
        for process in (node, head):
            if process is not None:
                process.terminate()
                process.wait(30)


def start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen:
    with open(log, "w") as stream:
        return subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen, log: Path, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
