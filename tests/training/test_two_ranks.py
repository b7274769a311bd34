"""Two gloo ranks train the model that one process trains, and consume the same samples."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import torch
from test_training_loop import config, mix
from toy_relighting import write_toy_dataset

from training.checkpoint import checkpoint_folders, read_tensors
from training.loop import train

SCRIPT = """
import sys
from pathlib import Path
import torch.distributed as dist
sys.path.insert(0, sys.argv[3])
from test_training_loop import config, mix
from training.loop import train
dist.init_process_group("gloo")
train(config(steps=6), mix(), Path(sys.argv[2]), run_root=Path(sys.argv[1]))
dist.destroy_process_group()
"""


def test_two_ranks_train_what_one_does(tmp_path: Path) -> None:
    write_toy_dataset(tmp_path / "a", "relighting", {"train": 12})
    write_toy_dataset(tmp_path / "b", "photos", {"train": 5}, seed=1)
    alone = train(config(steps=6), mix(), tmp_path / "one", run_root=tmp_path)
    script = tmp_path / "rank.py"
    script.write_text(SCRIPT)
    here = Path(__file__).parent
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script]
    done = subprocess.run(
        [*launcher, tmp_path, tmp_path / "two", here],
        cwd=here.parents[1],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(here.parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    together = checkpoint_folders(tmp_path / "two" / "checkpoints")[-1]
    a, b = read_tensors(alone.checkpoint, "model"), read_tensors(together, "model")
    for name in a:
        # Gradients are summed in another order; Adam turns that into at most a small share of a step.
        torch.testing.assert_close(a[name], b[name], atol=2e-4, rtol=0)

    def keys(run: str) -> list[Counter[str]]:
        text = (tmp_path / run / "consumed.jsonl").read_text()
        return [Counter(json.loads(line)["keys"]) for line in text.splitlines()]

    assert keys("one") == keys("two")
