"""Runs of `launcher.py`, and what a dataset must look like whatever happened to them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from faults import Fault, FaultBox

from pairbridge.datagen.dataset.dataset_config import DatasetConfig

SIGKILLED = -9
# Of what takes seconds. A test that waits longer has failed, whatever else its machine does.
PATIENCE_S = 550


class Launcher:
    """Starts drivers on one folder, as a user would who types the same command again."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    def start(
        self, config: DatasetConfig, out: Path, faults: list[Fault] = (), **options: object
    ) -> subprocess.Popen:
        """The process of one driver; its output goes to `<out>.log`."""
        markers = out.with_suffix(".markers")
        markers.mkdir(exist_ok=True)
        job = {
            "config": config.model_dump(mode="json"),
            "out": str(out),
            "address": self.address,
            "workers": 2,
            "markers": str(markers),
            "faults": [asdict(fault) for fault in faults],
        }
        path = out.with_suffix(".job.json")
        path.write_text(json.dumps(job | options))
        with open(out.with_suffix(".log"), "a") as log:
            return subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("launcher.py")), str(path)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, config: DatasetConfig, out: Path, faults: list[Fault] = (), **options: object) -> int:
        """The exit status of one driver."""
        return self.start(config, out, faults, **options).wait(PATIENCE_S)

    def log(self, out: Path) -> str:
        return out.with_suffix(".log").read_text()

    def fired(self, out: Path) -> list[dict]:
        return FaultBox(out.with_suffix(".markers"), [], out).fired()


def promised(out: Path) -> dict[str, bytes]:
    """Every file whose bytes may not depend on what happened on the way."""
    names = ["dataset.json", "quarantine.jsonl", "README.md", "croissant.json"]
    names += [str(path.relative_to(out)) for path in (*out.glob("shards/*"), *out.glob("lightings/*"))]
    return {name: (out / name).read_bytes() for name in sorted(names)}


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Poll until `condition()` is true; `what` names it if it never is."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {timeout_s} s"
        time.sleep(0.05)
