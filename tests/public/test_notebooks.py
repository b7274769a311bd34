"""The notebooks of the documentation, run from first to last cell as they stand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fences import ROOT

NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))}
# What the last lines of each say.
SAID = {"first_pairs": r"whole: True", "own_bridge": r"(9\d|100) % of the points have chosen a moon"}


def cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("name", SAID)
def test_a_notebook_shows_what_it_printed(name: str) -> None:
    outputs = [output for cell in cells(NOTEBOOKS[name]) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert re.search(SAID[name], "".join("".join(output.get("text", "")) for output in outputs))


@pytest.mark.long
@pytest.mark.render
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    script = "\n".join("".join(cell["source"]) for cell in cells(NOTEBOOKS[name]))
    (tmp_path / "notebook.py").write_text(f"if __name__ == '__main__':\n    exec({script!r}, globals())\n")
    done = subprocess.run(
        [sys.executable, "notebook.py"],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(SAID[name], done.stdout), done.stdout
