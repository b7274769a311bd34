"""The plots of a sweep: mean over seeds, error bars of one standard deviation, and every seed as a dot."""

import base64
import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Drawn without a display; a page must not depend on the fonts of the machine that reads it.
matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = ("#0d9488", "#d97706", "#7c3aed", "#db2777", "#2563eb", "#65a30d")
INK = "#78716c"
AXIS_LABELS = {
    "synthetic_share": "share of synthetic samples",
    "sigma": "sigma of the bridge",
    "pixel_weight": "weight of the pixel loss",
    "timesteps": "distribution of t",
    "nfe": "network evaluations an image",
}


def plot_uri(grid: dict[str, Any], metric: str) -> str:
    """The plot as an SVG inside a URI. Legible on light and on dark; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure = _draw(grid, metric)
    with matplotlib.rc_context({"svg.hashsalt": "pairbridge"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def plot_png(grid: dict[str, Any], metric: str) -> bytes:
    """The same as a PNG on white, for pages that cannot hold an SVG."""
    buffer = io.BytesIO()
    figure = _draw(grid, metric)
    figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _draw(grid: dict[str, Any], metric: str) -> Figure:
    panels = grid["panels"]
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels) + 0.6, 3.5), layout="constrained", squeeze=False
    )
    for axes, panel in zip(all_axes[0], panels, strict=True):
        _panel(axes, grid, panel)
        axes.set_ylabel(metric, color=INK)
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
        colour = COLOURS[number % len(COLOURS)]
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
        fontsize=8,
    )
    axes.set_title(panel["source"], color=INK, fontsize=10)
    axes.set_xticks(places if is_share else range(len(places)), [f"{place}" for place in places])
    axes.set_xlabel(AXIS_LABELS[grid["x"]], color=INK)
    axes.tick_params(colors=INK, which="both")
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    if len(lines) > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=8)
