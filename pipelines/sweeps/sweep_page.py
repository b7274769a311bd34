"""The page of a sweep: sweep.json with every figure, a plot and a table per grid, all in one file."""

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.pipelines.pages.charts import INK, NARROW_IN, SERIES, WIDE_IN, chart, quiet_axes
from pairbridge.pipelines.pages.html import page_environment
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.sweeps.cells import Cell
from pairbridge.pipelines.sweeps.sweep_config import SweepConfig
from pairbridge.pipelines.sweeps.sweep_results import EvaluationDir, collect_sweep

AXIS_NAMES = {
    "synthetic_share": "share of synthetic samples",
    "sigma": "sigma of the bridge",
    "pixel_weight": "weight of the pixel loss",
    "timesteps": "distribution of t",
    "nfe": "network evaluations an image",
}


def write_page(
    sweep: SweepConfig, run: Run, cells: Sequence[Cell], folder: Path, evaluation_dir: EvaluationDir
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


def render_sweep(result: dict[str, Any]) -> str:
    """The page. It shows no figure that is not in `result`; all text in it is escaped."""
    environment = page_environment()
    plots = {
        grid["name"]: chart(
            grid["name"],
            f"Gain in {result['metric_label']} against {AXIS_NAMES[grid['x']]}",
            partial(_draw, grid, result["metric_label"]),
        )
        for grid in result["grids"]
    }
    template = environment.get_template("sweep.html.j2")
    return template.render(result=result, plots=plots, axis_names=AXIS_NAMES, written=written)


def written(value: float | str) -> str:
    """10, 0.005 or uniform, as a value of an axis is written in a config."""
    return value if isinstance(value, str) else f"{value:g}"


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
    size = (NARROW_IN, 3.1 * rows) if narrow else (max(WIDE_IN, 4.6 * columns + 0.6), 3.5)
    figure, all_axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes, panel in zip(all_axes.flat, panels, strict=True):
        _panel(axes, grid, panel)
        axes.set_ylabel(f"gain, {metric}", color=INK)
    handles, labels = all_axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        # The same in all panels, and above them: it would cover points.
        look = {"frameon": False, "labelcolor": INK, "fontsize": 9}
        figure.legend(handles, labels, loc="outside upper left", ncols=2 if narrow else 6, **look)
    return figure


def _panel(axes, grid: dict[str, Any], panel: dict[str, Any]) -> None:
    places = list(dict.fromkeys(point["x"] for point in panel["points"]))
    lines = list(dict.fromkeys(point["line"] for point in panel["points"]))
    # Shares lie on a scale of their own; everything else is evenly spaced, whatever the numbers are.
    is_share = grid["x"] == "synthetic_share"
    for number, line in enumerate(lines):
        points = [point for point in panel["points"] if point["line"] == line]
        shift = 0.0 if is_share or len(lines) == 1 else 0.1 * (number - (len(lines) - 1) / 2)
        x = [point["x"] if is_share else places.index(point["x"]) + shift for point in points]
        colour = SERIES[number % len(SERIES)]
        means = [point["mean"] for point in points]
        axes.errorbar(
            x,
            means,
            yerr=[
                [mean - point["low"] for mean, point in zip(means, points, strict=True)],
                [point["high"] - mean for mean, point in zip(means, points, strict=True)],
            ],
            color=colour,
            linewidth=1.8,
            elinewidth=0.9,
            marker="o",
            markersize=5,
            capsize=2.5,
            label=None if line is None else f"{grid['lines'].replace('_', ' ')} {written(line)}",
        )
        for place, point in zip(x, points, strict=True):
            seeds = point["of_seeds"]
            axes.plot([place] * len(seeds), seeds, ".", color=colour, alpha=0.45, markersize=5, zorder=1)
    axes.axhline(0, color=INK, linestyle="--", linewidth=1)
    # In the title, since bars are everywhere else.
    axes.set_title(f"{panel['source']} (dashed: {panel['against'].lower()})", color=INK, fontsize=10)
    axes.set_xticks(places if is_share else range(len(places)), [written(place) for place in places])
    axes.set_xlabel(AXIS_NAMES[grid["x"]], color=INK)
    quiet_axes(axes)
