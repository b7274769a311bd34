"""What a sweep found: sweep.json with every figure, and one self-contained page of plots and tables."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.pipelines.pages.html import page_environment
from pairbridge.pipelines.runs.placeholders import stand_ins
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.sweeps.cells import Cell
from pairbridge.pipelines.sweeps.sweep_config import Grid, SweepConfig
from pairbridge.pipelines.sweeps.sweep_plots import plot_png, plot_uri
from pairbridge.training.data.pairs import open_store
from pairbridge.training.evaluation.metrics import METRICS

AXIS_NAMES = {
    "synthetic_share": "share of synthetic samples",
    "sigma": "sigma",
    "pixel_weight": "weight of the pixel loss",
    "timesteps": "distribution of t",
    "nfe": "network evaluations an image",
}


def write_page(
    sweep: SweepConfig, run: Run, cells: Sequence[Cell], folder: Path, evaluation_dir: Callable[[Cell], Path]
) -> Path:
    """Write sweep.json, <grid>.png and sweep.html into `folder`, each whole or absent; returns the page."""
    result = collect_sweep(sweep, run, cells, evaluation_dir)
    text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / "sweep.json", [text.encode(), b"\n"])
    for grid in result["grids"]:
        write_atomically(folder / f"{grid['name']}.png", [plot_png(grid, result["metric_label"])])
    page = folder / "sweep.html"
    write_atomically(page, [render_sweep(result).encode()])
    return page


def collect_sweep(
    sweep: SweepConfig, run: Run, cells: Sequence[Cell], evaluation_dir: Callable[[Cell], Path]
) -> dict[str, Any]:
    """JSON-able: every figure of the page, from the evaluations on disk, which must all be there."""
    metric = METRICS[sweep.metric]
    return {
        "sweep": sweep.name,
        "run": run.config.name,
        "metric": sweep.metric,
        "metric_label": f"{metric.label}, {metric.unit}" if metric.unit else metric.label,
        "digits": metric.digits,
        "more_is_better": metric.more,
        "seeds": list(sweep.seeds),
        "models": len({cell.model for cell in cells}),
        "steps": run.training.steps,
        "images_a_model": run.training.bucket_sequence(1).samples(run.training.steps),
        "photographs": photographs(run),
        "pairs": _training_pairs(run),
        "stand_ins": stand_ins(run),
        "grids": [_grid(sweep, grid, cells, evaluation_dir) for grid in sweep.grids],
    }


def photographs(run: Run) -> dict[str, int]:
    """How many photographs each split of the dataset had to draw from."""
    counts = {"train": 0, "validation": 0, "test": 0}
    for asset in DatasetManifest.from_folder(run.dataset_dir).assets:
        if asset.kind == "photo":
            counts[asset.split] += 1
    return counts


def render_sweep(result: dict[str, Any]) -> str:
    """The page. It shows no figure that is not in `result`; all text in it is escaped."""
    environment = page_environment()
    plots = {grid["name"]: plot_uri(grid, result["metric_label"]) for grid in result["grids"]}
    return environment.get_template("sweep.html.j2").render(result=result, plots=plots, axis_names=AXIS_NAMES)


def _grid(
    sweep: SweepConfig, grid: Grid, cells: Sequence[Cell], evaluation_dir: Callable[[Cell], Path]
) -> dict[str, Any]:
    own = [cell for cell in cells if cell.grid == grid.name]
    judged = {id(cell): _evaluation(evaluation_dir(cell)) for cell in own}
    combinations = list({json.dumps(cell.values): cell.values for cell in own}.values())
    panels = []
    for source in judged[id(own[0])]:
        points = []
        for values in combinations:
            of_seeds = [
                judged[id(cell)][source]["methods"]["model"][sweep.metric]["mean"]
                for cell in own
                if cell.values == values
            ]
            points.append(
                {
                    "x": values[grid.x],
                    "line": values[grid.lines] if grid.lines else None,
                    "values": values,
                    "of_seeds": of_seeds,
                    "mean": statistics.fmean(of_seeds),
                    # Of one training; not of the mean.
                    "sd": statistics.stdev(of_seeds) if len(of_seeds) > 1 else None,
                }
            )
        first = judged[id(own[0])][source]
        panels.append(
            {
                "source": source,
                "pairs": first["pairs"],
                "objects": first["objects"],
                "untouched": first["methods"]["source"][sweep.metric]["mean"],
                "points": points,
            }
        )
    return {"name": grid.name, "title": grid.title, "x": grid.x, "lines": grid.lines, "panels": panels}


def _evaluation(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation.json").read_bytes())["sources"]


def _training_pairs(run: Run) -> dict[str, int]:
    return {
        source.name: len(open_store(source.folder(run.folder), source.recipe, source.split))
        for source in run.mix.sources
    }
