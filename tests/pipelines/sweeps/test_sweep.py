"""Sweeps: which trainings a grid needs, that each is made once and none again, and what the page says."""

import json
import statistics
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


def test_the_page_shows_every_figure_with_its_spread_and_what_it_rests_on(sweep: Sweep) -> None:
    execute_sweep(sweep, workers=1, address=None, say=lambda line: None)
    result = json.loads((sweep.folder / "sweep.json").read_bytes())
    html = (sweep.folder / "sweep.html").read_text()
    assert sum(result["photographs"].values()) == 6
    assert f"{result['photographs']['train']} training and" in html
    assert "GrabCut" in html
    assert "colour transfer" in html
    assert "<script" not in html
    # Two plots, each wide and narrow, in the page's own colours.
    assert html.count("<svg") == 4
    assert html.count("currentColor") > 4
    assert html.count('aria-label="Foreground PSNR, dB against') == 4
    (shares,) = result["grids"][0]["panels"]
    points: dict[float, list[float]] = {0: [], 0.7: [], 1: []}
    for cell in cells(sweep.config, sweep.run):
        if cell.grid == "shares":
            judged = json.loads((sweep.evaluation_dir(cell) / "evaluation.json").read_bytes())
            figures = judged["sources"]["relit"]["methods"]["model"]
            points[cell.values["synthetic_share"]].append(figures["foreground_psnr"]["mean"])
    for point in shares["points"]:
        assert point["of_seeds"] == points[point["x"]]
        assert point["mean"] == pytest.approx(statistics.fmean(point["of_seeds"]))
        assert point["sd"] == pytest.approx(np.std(point["of_seeds"], ddof=1))
        assert f"{point['mean']:.2f} ± {point['sd']:.2f}" in html
    for grid in ("shares", "steps"):
        assert cv2.imread(str(sweep.folder / f"{grid}.png")).shape[0] > 300
