"""One finished run of photographs, shared by the tests that read it."""

from pathlib import Path

import pytest
import torch

from pairbridge.pipelines.runs.run_config import Run, load_run
from tests.support.shared_work import made_once
from tests.support.small_run import write_small_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> Run:
    """The small run, through all of its stages. Tests must not change it."""
    from pairbridge.pipelines.runs.run import execute

    torch.set_num_threads(1)

    def make(root: Path) -> None:
        run = load_run(str(write_small_run(root / "configs")), root / "runs")
        execute(run, workers=2, address=ray_address, forced_from=None, say=lambda line: None)

    root = made_once(tmp_path_factory, "small", make)
    return load_run(str(root / "configs" / "run.yaml"), root / "runs")
