"""Every task's small recipe from generation to report, too short to learn: it shows that all parts fit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.reading.config_files import find_config, load_config, shipped_names
from pairbridge.pipelines.runs.run_config import RunConfig
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state
from pairbridge.training.evaluation.tasks import Task

RUNS = [name for name in shipped_names("runs") if name.endswith("-small")]
METRICS = {"depth": "abs_rel", "normals": "mean_angle"}


def test_every_task_has_a_small_recipe_and_a_full_one() -> None:
    tasks = {task.value.replace("_", "-") for task in Task}
    assert {name.removesuffix("-small") for name in RUNS} == tasks
    for kind in ("training", "mixes"):
        assert tasks | set(RUNS) <= set(shipped_names(kind))


@pytest.mark.long
@pytest.mark.render
@pytest.mark.parametrize("name", RUNS)
def test_a_small_recipe_runs_from_generation_to_report(name: str, tmp_path: Path) -> None:
    run = load_config(find_config("runs", name), RunConfig)
    dataset = load_config(find_config("datasets", run.dataset), DatasetConfig)
    (recipe, config), *_ = dataset.recipes.items()
    groups = {split: min(count, 3) for split, count in config.groups.items()}
    settings = [
        f"dataset.recipes.{recipe}.groups={json.dumps(groups)}",
        "dataset.lightings.width=64",
        "dataset.lightings.skies={train: 2, validation: 1, test: 1}",
        "dataset.lightings.rigs={train: 1, validation: 1, test: 1}",
        "dataset.render.samples=4",
        "training.steps=6",
        "training.batch_size=4",
        "evaluation.bootstrap_resamples=200",
    ]
    command = [Path(sys.executable).with_name("pairbridge"), "run", name, "--out", tmp_path]
    options = [part for setting in settings for part in ("--set", setting)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stdout[-2000:] + done.stderr[-2000:]
    folder = tmp_path / name
    assert read_state(checkpoint_folders(folder / "train" / "checkpoints")[-1]).step == 6
    judged = json.loads((folder / "evaluation" / "evaluation.json").read_bytes())["sources"]["unseen"]
    metric = METRICS.get(judged["task"], "psnr")
    assert judged["pairs"] > 0
    assert judged["best_baseline"] in judged["methods"]
    assert judged["gains"][judged["best_baseline"]][metric]["low"] is not None
    assert (folder / "report.html").is_file()
