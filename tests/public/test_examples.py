"""The README's examples of the public API: ten lines each, and they run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.public.readme_examples import examples, small_script, write_files

# What the examples leave in their variables, held against what the README says of it.
CHECKS = """
import numpy as np
assert len(views) == 3
assert views[0].image.shape == (48, 48, 3) and views[0].image.dtype == np.uint8
assert views[0].depth.shape == views[0].alpha.shape == (48, 48) and views[0].depth.max() > 1
assert not np.array_equal(views[0].image, views[1].image)
assert all(0 < view.alpha.mean() < 1 for view in views)
assert len(pairs) == pairs.planned == 12
streamed = [key for batch in stream for key in batch["key"]]
assert sorted(streamed) == [pairs[index]["key"] for index in range(len(pairs))]
assert relit.shape == (40, 56, 3) and relit.dtype == np.uint8
assert len(losses) == 20 and losses[-1] < losses[0]
np.save("relit.npy", relit)
"""


def test_no_example_has_more_than_ten_lines() -> None:
    assert len(examples()) >= 5
    # The formatter puts blank lines around a class.
    written = [[line for line in example.splitlines() if line.strip()] for example in examples()]
    assert max(map(len, written)) <= 10


@pytest.mark.render
def test_the_examples_run(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / "example.py").write_text(small_script() + CHECKS)
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of 12 pairs are there" in done.stdout
    assert np.load(tmp_path / "relit.npy").std() > 1
