"""A Ray head that takes jobs, and `ray job submit` to it."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# Where `ray` and `pairbridge` are, unless a test has another environment.
PROGRAMS = Path(sys.executable).parent
HEAD_NODE = "f" * 51 + "00000"


@dataclass(frozen=True)
class RayHead:
    """`address` takes raylets, `dashboard` jobs; `environment` lets either in, and `ray` is the program."""

    ray: str
    address: str
    dashboard: str
    environment: dict[str, str]


@contextlib.contextmanager
def ray_head(
    folder: Path, cpus: int, programs: Path = PROGRAMS, machines: Mapping[str, Any] | None = None
) -> Iterator[RayHead]:
    """A head of its own for the body, of the environment with these `programs`; its log goes to `folder`.

    With `machines`, by the name of their type, Ray's autoscaler adds and removes them: a raylet each.
    """
    ray = str(programs / "ray")
    port, dashboard = free_port(), free_port()
    # What runs a job finds its cluster by a file in Ray's folder, where every head of a machine writes over
    # the one before. Sockets lie there too, whose paths have at most 107 characters.
    own = tempfile.mkdtemp(prefix="ray-")
    environment = {
        **os.environ,
        "RAY_TMPDIR": own,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        # A raylet that is gone is missed after 5 s instead of 15; one that is slow has ten for each answer.
        "RAY_health_check_period_ms": "1000",
        # What a job runs is found as in an image: `pairbridge` is on the path.
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    autoscaling = []
    if machines is not None:
        path = folder / "autoscaling.json"
        path.write_text(json.dumps(_autoscaled(machines, cpus, port)))
        autoscaling = [f"--autoscaling-config={path}"]
        environment |= {
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_NODE,
        }
    head = start(
        [ray, "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--num-cpus={cpus}",
         "--include-dashboard=true", f"--dashboard-agent-listen-port={free_port()}",
         f"--ray-client-server-port={free_port()}",
         "--object-store-memory=100000000", "--block", *autoscaling],
        environment,
        folder / "head.log",
    )  # fmt: skip
    try:
        wait_for_port(dashboard, head, folder / "head.log")
        yield RayHead(ray, f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment)
    finally:
        stop(head)
        for process in raylets(environment):
            process.kill()
        shutil.rmtree(own, ignore_errors=True)


def raylets(environment: Mapping[str, str]) -> list[psutil.Process]:
    """Raylets of the cluster that `environment` lets in, that of the head too where it runs."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            token = process.environ().get("RAY_AUTH_TOKEN") if process.name() == "raylet" else None
            if token == environment["RAY_AUTH_TOKEN"]:
                found.append(process)
    return found


def _autoscaled(machines: Mapping[str, Any], head_cpus: int, port: int) -> dict[str, Any]:
    """What `ray up` would leave on the head, for the provider that Ray tests its autoscaler with."""
    head = {"resources": {"CPU": head_cpus}, "node_config": {}, "max_workers": 0}
    commands = ("setup", "initialization", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "fake",
        "max_workers": sum(each["max_workers"] for each in machines.values()),
        "provider": {
            "type": "fake_multinode",
            "head_node_id": HEAD_NODE,
            "gcs_address": f"127.0.0.1:{port}",
            "launch_multiple": True,
            "disable_node_updaters": True,
            # All machines have one address here.
            "use_node_id_as_ip": True,
        },
        "available_node_types": {"ray.head.default": head, **machines},
        "head_node_type": "ray.head.default",
        "upscaling_speed": 4.0,
        "idle_timeout_minutes": 0.1,
        "auth": {},
        **{f"{name}_commands": [] for name in commands},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }


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
    # A head gives its workers half a minute to end.
    process.wait(60)


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
