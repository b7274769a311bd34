"""Two gloo ranks train the model that one process trains, replicated or sharded, and checkpoints open in
any layout.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pairbridge.training.bridge_training.loop import train
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state, read_tensors
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, mix

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

SCRIPT = """
import json, sys
from pathlib import Path
import torch.distributed as dist
from tests.training.bridge_training.test_training_loop import config, mix
from pairbridge.training.bridge_training.loop import train
dist.init_process_group("gloo")
for run, changes in json.loads(sys.argv[2]):
    train(config(**changes), mix(), Path(sys.argv[1]) / run, run_root=Path(sys.argv[1]))
dist.destroy_process_group()
"""


def torchrun(*command: str | Path, timeout: float = 300) -> str:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--"]
    done = subprocess.run(
        [*launcher, *command],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# The output starts at zero, so that inner weights get their first gradient in the second step; from then on
# Adam turns the rounding of vanishing ones into whole steps.
STEPS = 2
PLAIN = {"steps": STEPS, "watch": {"pictures_every": STEPS, "rows": 2}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Trained: alone; by two ranks, replicated and sharded; half alone and half sharded, and the other way
    round.
    """
    root = tmp_path_factory.mktemp("ranks")
    write_toy_dataset(root / "a", "relighting", {"train": 12, "validation": 4})
    write_toy_dataset(root / "b", "photos", {"train": 5}, seed=1)
    # Constant, so that half a training is the first half of a whole one.
    constant = {"optimiser": {"warmup_images": 8, "schedule": "constant"}}
    half = {**PLAIN, **constant, "steps": STEPS // 2}
    train(config(**PLAIN), mix(), root / "alone", run_root=root)
    train(config(**PLAIN, **constant), mix(), root / "alone-constant", run_root=root)
    train(config(**half), mix(), root / "alone-then-sharded", run_root=root)
    script = root / "rank.py"
    script.write_text(SCRIPT)
    jobs = [
        ("replicated", PLAIN),
        ("replicated-in-parts", {**PLAIN, "accumulate": 2}),
        ("sharded", {**PLAIN, "parallel": "fsdp"}),
        ("sharded-in-parts", {**PLAIN, "parallel": "fsdp", "accumulate": 2}),
        ("alone-then-sharded", {**PLAIN, **constant, "parallel": "fsdp"}),
        ("sharded-then-alone", {**half, "parallel": "fsdp"}),
        ("sharded-then-replicated", {**half, "parallel": "fsdp"}),
        ("sharded-then-replicated", {**PLAIN, **constant}),
    ]
    torchrun(script, root, json.dumps(jobs))
    train(config(**PLAIN, **constant), mix(), root / "sharded-then-alone", run_root=root)
    return root


def newest(root: Path, run: str) -> Path:
    return checkpoint_folders(root / run / "checkpoints")[-1]


@pytest.mark.parametrize(
    ("run", "reference"),
    [
        ("replicated", "alone"),
        ("replicated-in-parts", "alone"),
        ("sharded", "alone"),
        ("sharded-in-parts", "alone"),
        ("alone-then-sharded", "alone-constant"),
        ("sharded-then-alone", "alone-constant"),
        ("sharded-then-replicated", "alone-constant"),
    ],
)
def test_every_layout_trains_what_one_process_does(runs: Path, run: str, reference: str) -> None:
    assert read_state(newest(runs, run)).step == STEPS
    for name in ("model", "ema", "optimiser"):
        a, b = (read_tensors(newest(runs, which), name) for which in (reference, run))
        assert a.keys() == b.keys()
        if name == "optimiser":
            for key in a:
                alike = [a[other] for other in a if other.rsplit(".", 1)[1] == key.rsplit(".", 1)[1]]
                # Some gradients vanish but for rounding, such as those of attention's key biases.
                floor = 1e-5 * max(float(value.abs().max()) for value in alike)
                bound = 1e-3 * float(a[key].abs().max()) + floor
                torch.testing.assert_close(a[key], b[key], atol=bound, rtol=0)
        else:
            moved = torch.cat([(a[key] - b[key]).abs().flatten() for key in a])
            assert (moved > 1e-5).float().mean() < 0.02

    def keys(which: str) -> list[Counter[str]]:
        text = (runs / which / "consumed.jsonl").read_text()
        return [Counter(json.loads(line)["keys"]) for line in text.splitlines()]

    assert keys(run) == keys(reference)
    losses = [
        [json.loads(line)["loss"] for line in (runs / which / "stats.jsonl").read_text().splitlines()]
        for which in (run, reference)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert (runs / run / "pictures" / "step-000002.png").is_file()


@pytest.mark.long
def test_the_command_line_trains_under_torchrun(runs: Path, tmp_path: Path) -> None:
    for name, settings in (("training", config(steps=2)), ("mix", mix())):
        with open(tmp_path / f"{name}.yaml", "w") as stream:
            YAML(typ="safe").dump(settings.model_dump(mode="json"), stream)
    program = tmp_path / "command.py"
    program.write_text("from pairbridge.pipelines.cli import main\nmain()\n")
    for name in "ab":
        (tmp_path / name).symlink_to(runs / name)
    arguments = [tmp_path / "training.yaml", "--mix", tmp_path / "mix.yaml", "--run", tmp_path]
    out = torchrun(program, "train", *arguments)
    assert out.count("step 2: ") == 1
    assert read_state(newest(tmp_path, "train")).step == 2
