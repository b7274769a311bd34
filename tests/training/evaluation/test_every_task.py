"""The benchmark of every task, from fields to a figure beside baselines, on toy pairs and two steps."""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tasks
from pairbridge.training.evaluation.baselines import BASELINES
from pairbridge.training.evaluation.tasks import Task
from tests.support.toy_relighting import write_toy_dataset

SIDE = 64


def fields(seed: int) -> dict[str, np.ndarray]:
    """What the recipes of `tasks-small` store, of a disc."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    disc = np.where(np.hypot(x, y) < 20, 255, 0).astype(np.uint8)
    normal = np.stack([x, -y, np.full((SIDE, SIDE), 30.0)], axis=2)
    pictures = ("source", "target", "albedo", "delit", "plate", "foreground")
    return {
        **{f"{name}.png": draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for name in pictures},
        "mask.png": disc,
        "effect.png": np.roll(disc, 4, axis=1),
        "light.png": draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        "depth.npy": draw.uniform(1, 2, (SIDE, SIDE)).astype(np.float32),
        "normal.npy": (normal / np.linalg.norm(normal, axis=2, keepdims=True)).astype(np.float16),
        "light_target.npy": draw.gamma(0.3, 9, (32, 64, 3)).astype(np.float16),
    }


@pytest.mark.long  # fifteen trainings, each with its baselines
@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_task_of_the_benchmark_trains_and_is_judged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = tasks.TASKS[name]
    # Noise in a hole has a seed of the recipe of removal, which these pairs are not from.
    roles = {key: value for key, value in of.roles.items() if key != "hole"}
    monkeypatch.setitem(tasks.TASKS, name, dataclasses.replace(of, roles=roles))
    splits = {"train": 4, "validation": 2, "test": 4}
    write_toy_dataset(tmp_path / "dataset", of.recipe, splits, make_pair=fields)
    tasks.train_and_judge(name, tmp_path, argparse.Namespace(steps=[1, 2], threads=1))
    found = json.loads(tasks.judged(name, tmp_path).read_text())["sources"][name]
    assert found["judged_by"] == Task(of.task).judged_by
    wanted = {baseline for baseline, entry in BASELINES.items() if Task(of.task) in entry.tasks}
    # Those that look at light are there where the model sees light, those that paste where nobody has.
    wanted -= {"paste", "paste_ridge"}
    blind = wanted - {name for name in wanted if name.startswith("light_")}
    blind -= {"nearest_lights", "aligned_shadow_ridge"}
    sees_light = any("light" in str(condition) for condition in of.conditions)
    assert found["methods"].keys() == {"model", *(wanted if sees_light else blind)}
    assert np.isfinite([method[found["judged_by"]]["mean"] for method in found["methods"].values()]).all()
    tasks.write_picture(name, tmp_path, tmp_path / "images")
    assert (tmp_path / "images" / f"{name}.jpg").stat().st_size > 1000
