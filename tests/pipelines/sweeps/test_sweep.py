"""Sweeps: which trainings a grid needs, that each is made once and none again, and what the page says."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.reading.config_files import shipped_names
from pairbridge.pipelines.sweeps.cells import cells, with_synthetic_share
from pairbridge.pipelines.sweeps.sweep import Sweep, dry_run_sweep, execute_sweep, load_sweep
from pairbridge.pipelines.sweeps.sweep_config import Grid, SweepConfig
from pairbridge.training.bridge.sample_loop import check_grid
from pairbridge.training.bridge.samplers import uniform_grid
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.schedule import Schedule
from pairbridge.training.engine.run_log import read_lines
from pairbridge.training.evaluation.baselines import method_label

SWEEP = """\
name: tiny
run: run.yaml
seeds: [3, 4]
synthetic: [relit]
grids:
  - {name: shares, title: Shares, x: synthetic_share, synthetic_share: [0, 0.7, 1]}
  - {name: steps, title: Steps, x: nfe, lines: sigma, sigma: [0.01, 0.1], nfe: [1, 2],
     timesteps: {uniform: {kind: uniform}}}
"""


def _mix(**weights: float) -> MixConfig:
    return MixConfig.model_validate(
        {"sources": [{"name": n, "path": "run:d", "recipe": n, "weight": w} for n, w in weights.items()]}
    )


def test_a_synthetic_share_is_exact_and_keeps_the_proportions_within_both_sides() -> None:
    mix = _mix(a=0.6, b=0.3, c=0.07, d=0.03)
    for share in (0.1, 0.7, 0.9):
        weights = [source.weight for source in with_synthetic_share(mix, ("a", "b"), share).sources]
        of_a, of_b, of_c, of_d = Schedule(weights).shares
        assert of_a + of_b == Fraction(str(share))
        assert (of_a / of_b, of_c / of_d) == (2, Fraction(7, 3))
    ends = {share: with_synthetic_share(mix, ("a", "b"), share) for share in (0, 1)}
    assert [[source.name for source in ends[share].sources] for share in (0, 1)] == [["c", "d"], ["a", "b"]]
    # Written in other numbers the same mix would be another model.
    assert with_synthetic_share(mix, ("a", "b"), 0.9) == mix
    with pytest.raises(ConfigError, match="should be synthetic"):
        with_synthetic_share(mix, ("a", "b", "c", "d"), 0.5)


def test_grids_that_no_plot_could_show_are_refused() -> None:
    for wrong in (
        {"x": "nfe"},
        {"x": "nfe", "nfe": [1], "sigma": [0.1, 0.2]},
        {"x": "nfe", "lines": "nfe", "nfe": [1, 2]},
        {"x": "nfe", "nfe": [0]},
    ):
        with pytest.raises(ValidationError):
            Grid.model_validate({"name": "g", "title": "G", **wrong})
    grid = {"name": "g", "title": "G", "x": "synthetic_share", "synthetic_share": [0.5]}
    with pytest.raises(ValidationError, match="needs `synthetic`"):
        SweepConfig.model_validate({"name": "s", "run": "demo", "grids": [grid]})


@pytest.mark.parametrize("name", shipped_names("sweeps"))
def test_a_shipped_sweep_trains_each_model_once_at_the_times_it_samples(name: str, tmp_path: Path) -> None:
    sweep = load_sweep(name, tmp_path)
    points = list(cells(sweep.config, sweep.run))
    models = {cell.model: (cell.training, cell.mix) for cell in points}
    assert len(models) < len(points)
    for cell in points:
        check_grid(uniform_grid(cell.nfe), cell.training.timesteps)
        assert models[cell.model] == (cell.training, cell.mix)
        assert (cell.training.seed, cell.mix.seed) == (cell.seed, cell.seed)


@pytest.fixture(scope="module")
def sweep(finished_run, tmp_path_factory) -> Sweep:
    """Over the dataset of the finished run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("sweep")
    base = finished_run.folder.parent.parent / "configs" / "run.yaml"
    (folder / "sweep.yaml").write_text(SWEEP.replace("run.yaml", str(base)))
    (folder / "runs" / "small").mkdir(parents=True)
    (folder / "runs" / "small" / "dataset").symlink_to(finished_run.dataset_dir)
    return load_sweep(str(folder / "sweep.yaml"), folder / "runs", ["run.training.steps=3"])


def test_a_sweep_makes_each_model_once_and_nothing_again(sweep: Sweep) -> None:
    said: list[str] = []
    execute_sweep(sweep, workers=1, address=None, say=said.append)
    trained = [line for line in said if line.startswith("finished stage train-")]
    judged = [line for line in said if line.startswith("finished stage evaluate-")]
    # Three shares and two sigmas; one evaluation of each share, two of each sigma; two seeds.
    assert (len(trained), len(judged)) == (10, 14)

    said.clear()
    before = {
        path: path.stat().st_mtime_ns for path in (sweep.folder / "models").rglob("*") if path.is_file()
    }
    execute_sweep(sweep, workers=1, address=None, say=said.append)
    assert all("skipping" in line for line in said), said
    assert before == {path: path.stat().st_mtime_ns for path in before}
    foreseen: list[str] = []
    dry_run_sweep(sweep, say=foreseen.append)
    assert len(foreseen) == 24
    assert all(line.startswith("done: ") for line in foreseen)
    # By what they are, not by what their folders are called.
    assert "done: train synthetic_share 0.7, seed 4" in foreseen
    assert "done: evaluate sigma 0.1, timesteps uniform, seed 3, nfe 2" in foreseen

    for cell in cells(sweep.config, sweep.run):
        if cell.grid == "shares":
            lines = read_lines(sweep.model_dir(cell) / "train" / "consumed.jsonl")
            keys = [key for line in lines for key in line["keys"]]
            relit = sum(key.startswith("relit/") for key in keys)
            assert abs(relit - len(keys) * cell.values["synthetic_share"]) < 1


def test_the_page_shows_every_figure_with_its_interval_and_what_it_rests_on(sweep: Sweep) -> None:
    execute_sweep(sweep, workers=1, address=None, say=lambda line: None)
    result = json.loads((sweep.folder / "sweep.json").read_bytes())
    html = (sweep.folder / "sweep.html").read_text()
    assert "GrabCut" in html
    assert "colour transfer" in html
    assert "<script" not in html
    # Two plots, each wide and narrow, in the page's own colours.
    assert html.count("<svg") == 4
    assert html.count("currentColor") > 4
    assert html.count('aria-label="Gain in Foreground PSNR, dB against') == 4
    (shares,) = result["grids"][0]["panels"]
    best = None
    gains: dict[float, list[list[float]]] = {0: [], 0.7: [], 1: []}
    for cell in cells(sweep.config, sweep.run):
        if cell.grid == "shares":
            folder = sweep.evaluation_dir(cell)
            judged = json.loads((folder / "evaluation.json").read_bytes())["sources"]["relit"]
            best = judged["best_baseline"]
            rows = list(csv.DictReader((folder / "relit.csv").open(newline="")))
            of_method = {
                method: {row["key"]: float(row["foreground_psnr"]) for row in rows if row["method"] == method}
                for method in ("model", best)
            }
            of_pairs = [of_method["model"][key] - of_method[best][key] for key in of_method["model"]]
            assert np.mean(of_pairs) == pytest.approx(judged["gains"][best]["foreground_psnr"]["mean"])
            gains[cell.values["synthetic_share"]].append(of_pairs)
    assert best is not None
    assert shares["against"] == method_label(best)
    for point in shares["points"]:
        own = np.array(gains[point["x"]])
        assert point["of_seeds"] == pytest.approx(own.mean(axis=1))
        assert point["mean"] == pytest.approx(own.mean())
        assert point["low"] <= point["mean"] <= point["high"]
        over_first = point["over_first"]
        assert over_first["mean"] == pytest.approx(own.mean() - np.mean(gains[0]), abs=1e-9)
        assert f"{point['mean']:+.2f} [{point['low']:.2f}, {point['high']:.2f}]" in html
        assert {name: len(seeds) for name, seeds in point["ratios"].items()} == {"contrast": 2, "texture": 2}
    assert shares["points"][0]["over_first"] == {"mean": 0, "low": 0, "high": 0}
    for grid in ("shares", "steps"):
        assert cv2.imread(str(sweep.folder / f"{grid}.png")).shape[0] > 300


def test_a_sweep_that_could_show_no_gain_is_refused_before_it_trains(sweep: Sweep, tmp_path: Path) -> None:
    path = sweep.folder.parents[3] / "sweep.yaml"
    with pytest.raises(ConfigError, match="judged against nothing"):
        load_sweep(str(path), tmp_path, ["run.evaluation.sources.0.against=[]"])
