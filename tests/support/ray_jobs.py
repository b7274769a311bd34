"""A Ray head that takes jobs, and `ray job submit` to it."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Where `ray` and `pairbridge` are, unless a test has another environment.
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class RayHead:
    """`address` takes raylets, `dashboard` jobs; `environment` lets either in, and `ray` is the program."""

    ray: str
    address: str
    dashboard: str
    environment: dict[str, str]


@contextlib.contextmanager
def ray_head(folder: Path, cpus: int, programs: Path = PROGRAMS) -> Iterator[RayHead]:
    """A head of its own for the body, of the environment with these `programs`; its log goes to `folder`."""
    ray = str(programs / "ray")
    port, dashboard = free_port(), free_port()
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        # What a job runs is found as in an image: `pairbridge` is on the path.
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    head = start(
        [ray, "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--num-cpus={cpus}",
         "--include-dashboard=true", f"--dashboard-agent-listen-port={free_port()}",
         "--object-store-memory=100000000", "--block"],
        environment,
        folder / "head.log",
    )  # fmt: skip
    try:
        wait_for_port(dashboard, head, folder / "head.log")
        yield RayHead(ray, f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment)
    finally:
        stop(head)


def submit(head: RayHead, working_dir: Path, entrypoint: list[str]) -> subprocess.CompletedProcess:
    """`ray job submit`, again while the head says that it is not ready to take jobs."""
    runtime = json.dumps({"env_vars": {"OMP_NUM_THREADS": "1"}})
    options = ["--address", head.dashboard, "--working-dir", str(working_dir), "--runtime-env-json", runtime]
    deadline = time.monotonic() + 180
    while True:
        done = subprocess.run(
            [head.ray, "job", "submit", *options, "--", *entrypoint],
            env=head.environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
        if "No available agent" not in done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(2)


def start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen:
    with open(log, "w") as stream:
        return subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait(30)


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
