"""One finished run of photographs, shared by the tests that read it."""

from pathlib import Path

import pytest
import torch
from small_run import write_small_run

from pipelines.run_config import Run, load_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> Run:
    """The small run, through all of its stages. Tests must not change it."""
    from pipelines.run import execute

    torch.set_num_threads(1)
    root: Path = tmp_path_factory.mktemp("small")
    run = load_run(str(write_small_run(root / "configs")), root / "runs")
    execute(run, workers=2, address=ray_address, forced_from=None, say=lambda line: None)
    return run
