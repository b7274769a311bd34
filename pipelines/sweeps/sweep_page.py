"""What a sweep found: sweep.json with every figure, and one self-contained page of plots and tables."""

import io
import json
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.record_files import read_output
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.pipelines.pages.charts import INK, NARROW_IN, SERIES, chart, quiet_axes
from pairbridge.pipelines.pages.html import page_environment
from pairbridge.pipelines.runs.placeholders import stand_ins
from pairbridge.pipelines.runs.report import subjects
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.sweeps.cells import Cell
from pairbridge.pipelines.sweeps.sweep_config import Grid, SweepConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.mix_report import describe_mix
from pairbridge.training.evaluation.metrics import METRICS

AXIS_NAMES = {
    "synthetic_share": "share of synthetic samples",
    "sigma": "sigma of the bridge",
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
    plots = {
        grid["name"]: chart(
            grid["name"],
            f"{result['metric_label']} against {AXIS_NAMES[grid['x']]}",
            partial(_draw, grid, result["metric_label"]),
        )
        for grid in result["grids"]
    }
    return environment.get_template("sweep.html.j2").render(result=result, plots=plots, axis_names=AXIS_NAMES)


def _grid(
    sweep: SweepConfig, grid: Grid, cells: Sequence[Cell], evaluation_dir: Callable[[Cell], Path]
) -> dict[str, Any]:
    own = [cell for cell in cells if cell.grid == grid.name]
    judged = {
        id(cell): read_output(evaluation_dir(cell) / "evaluation.json", "sweep")["sources"] for cell in own
    }
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
                "subjects": subjects(first),
                "untouched": first["methods"]["source"][sweep.metric]["mean"],
                "points": points,
            }
        )
    return {"name": grid.name, "title": grid.title, "x": grid.x, "lines": grid.lines, "panels": panels}


def _training_pairs(run: Run) -> dict[str, int]:
    forecast = describe_mix(
        run.mix,
        run_root=run.folder,
        buckets=BucketSequence.single(size=1, batch_size=1),
        num_batches=1,
    )
    return {source.name: source.pairs for source in forecast.sources}


def plot_png(grid: dict[str, Any], metric: str) -> bytes:
    """The same as a PNG on white, for pages that cannot hold an SVG."""
    buffer = io.BytesIO()
    figure = _draw(grid, metric, False)
    figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _draw(grid: dict[str, Any], metric: str, narrow: bool) -> Figure:
    """Panels side by side, narrow: one below the other."""
    panels = grid["panels"]
    rows, columns = (len(panels), 1) if narrow else (1, len(panels))
    size = (NARROW_IN, 3.1 * rows) if narrow else (4.6 * columns + 0.6, 3.5)
    figure, all_axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes, panel in zip(all_axes.flat, panels, strict=True):
        _panel(axes, grid, panel)
        axes.set_ylabel(metric, color=INK)
    handles, labels = all_axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        # The same in all panels, and above them: it would cover points.
        look = {"frameon": False, "labelcolor": INK, "fontsize": 9}
        figure.legend(handles, labels, loc="outside upper left", ncols=2 if narrow else 4, **look)
    return figure


def _panel(axes, grid: dict[str, Any], panel: dict[str, Any]) -> None:
    places = list(dict.fromkeys(point["x"] for point in panel["points"]))
    lines = list(dict.fromkeys(point["line"] for point in panel["points"]))
    # Shares lie on a scale of their own; everything else is evenly spaced, whatever the numbers are.
    is_share = grid["x"] == "synthetic_share"
    for number, line in enumerate(lines):
        points = [point for point in panel["points"] if point["line"] == line]
        shift = 0.0 if is_share or len(lines) == 1 else 0.08 * (number - (len(lines) - 1) / 2)
        x = [point["x"] if is_share else places.index(point["x"]) + shift for point in points]
        colour = SERIES[number % len(SERIES)]
        name = None if line is None else f"{grid['lines'].replace('_', ' ')} {line}"
        axes.errorbar(
            x,
            [point["mean"] for point in points],
            yerr=[point["sd"] or 0 for point in points],
            color=colour,
            linewidth=1.8,
            marker="o",
            markersize=5,
            capsize=4,
            label=name,
        )
        for place, point in zip(x, points, strict=True):
            seeds = point["of_seeds"]
            axes.plot([place] * len(seeds), seeds, ".", color=colour, alpha=0.45, markersize=5, zorder=1)
    axes.axhline(panel["untouched"], color=INK, linestyle="--", linewidth=1)
    axes.annotate(
        "untouched source",
        (0.99, panel["untouched"]),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=INK,
        fontsize=9,
    )
    axes.set_title(panel["source"], color=INK, fontsize=10)
    axes.set_xticks(places if is_share else range(len(places)), [f"{place}" for place in places])
    axes.set_xlabel(AXIS_NAMES[grid["x"]], color=INK)
    quiet_axes(axes)
