"""One finished run of photographs, shared by the tests that read it."""

import fcntl
import os
from pathlib import Path

import pytest
import torch

from pairbridge.pipelines.runs.run_config import Run, load_run
from tests.support.small_run import write_small_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> Run:
    """The small run, through all of its stages. Tests must not change it.

    One for all processes of a test run: the first that wants it makes it, and the others wait.
    """
    from pairbridge.pipelines.runs.run import execute

    torch.set_num_threads(1)
    root: Path = shared_folder(tmp_path_factory) / "small"
    configs = root / "configs"
    root.mkdir(exist_ok=True)
    with open(root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "made").exists():
            run = load_run(str(write_small_run(configs)), root / "runs")
            execute(run, workers=2, address=ray_address, forced_from=None, say=lambda line: None)
            (root / "made").touch()
    return load_run(str(configs / "run.yaml"), root / "runs")


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
