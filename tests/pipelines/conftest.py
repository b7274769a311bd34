"""One finished run of photographs, shared by the tests that read it, and commands run in this process."""

import sys
from pathlib import Path

import pytest
import torch

from pairbridge.pipelines.cli import main
from pairbridge.pipelines.runs.run_config import Run, load_run
from tests.support.small_run import write_small_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> Run:
    """The small run, through all of its stages. Tests must not change it."""
    from pairbridge.pipelines.runs.run import execute

    torch.set_num_threads(1)
    root: Path = tmp_path_factory.mktemp("small")
    run = load_run(str(write_small_run(root / "configs")), root / "runs")
    execute(run, workers=2, address=ray_address, forced_from=None, say=lambda line: None)
    return run


@pytest.fixture
def pairbridge(monkeypatch, capsys):
    """Run one command in this process: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pairbridge", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
