"""Every task's small recipe from generation to report, too short to learn: it shows that all parts fit."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.reading.config_files import find_config, load_config, shipped_names
from pairbridge.pipelines.runs.run_config import RunConfig
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state
from pairbridge.training.evaluation.tasks import Task

RUNS = [name for name in shipped_names("runs") if name.endswith("-small")]
METRICS = {"depth": "abs_rel", "normals": "mean_angle"}


def test_the_tasks_of_the_paper_have_a_small_recipe_and_a_full_one() -> None:
    # The others train from fields of the same datasets, in `benchmarks/tasks.py`.
    of_fields = {Task.ALBEDO, Task.DELIGHT, Task.ENVIRONMENT, Task.INSERTION, Task.PICTURE, Task.REGION}
    tasks = {task.value.replace("_", "-") for task in set(Task) - of_fields}
    assert {name.removesuffix("-small") for name in RUNS} == {*tasks, "removal-many"}
    for kind in ("training", "mixes"):
        assert tasks | set(RUNS) <= set(shipped_names(kind))


@pytest.mark.long
@pytest.mark.render
@pytest.mark.parametrize("name", RUNS)
def test_a_small_recipe_runs_from_generation_to_report(name: str, tmp_path: Path, ray_address: str) -> None:
    """In this process, on the test run's Ray; `test_smoke_run.py` has the command with a Ray of its own."""
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
        "training.threads=1",
        "evaluation.bootstrap_resamples=200",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    command = ["run", name, "--out", str(tmp_path), "--workers", "1", "--address", ray_address]
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code in (0, 2), f"{done.output[-2000:]}\n{done.exception!r}"
    folder = tmp_path / name
    assert read_state(checkpoint_folders(folder / "train" / "checkpoints")[-1]).step == 6
    judged = json.loads((folder / "evaluation" / "evaluation.json").read_bytes())["sources"]["unseen"]
    metric = METRICS.get(judged["task"], "psnr")
    assert judged["pairs"] > 0
    assert judged["best_baseline"] in judged["methods"]
    assert judged["gains"][judged["best_baseline"]][metric]["low"] is not None
    assert (folder / "report.html").is_file()
