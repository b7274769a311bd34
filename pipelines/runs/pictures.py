"""The pictures of a run: pairs of every recipe, translated samples, the loss curve, and the worst pairs of an
evaluation on one sheet: where to look first.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.pipelines.pages.charts import (
    IDLE,
    INK,
    NARROW_IN,
    ON_SERIES,
    SERIES,
    WIDE_IN,
    chart,
    quiet_axes,
)
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, reduced, write_png
from pairbridge.pipelines.runs.run_config import OtherSource
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.targets import to_picture
from pairbridge.training.evaluation.judged_pairs import read_rows
from pairbridge.training.evaluation.metrics import METRICS

# Larger images are reduced, so that a report of 1024-pixel pairs is still one page that can be mailed. What
# the model made is looked at closely, and there is less of it.
LARGEST_SIDE = 256
LARGEST_OUTPUT_SIDE = 512
SPLITS_SHOWN = ("train", "test", "validation")
SHEET_NAME = "worst.png"


@dataclass(frozen=True, slots=True)
class ShownPair:
    """One pair as the trainer reads it: holes of removal pairs are filled."""

    key: str
    caption: str
    split: str
    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, slots=True)
class ShownTranslation:
    """Source, the model's output and the target of one held-out pair, and what is said of it."""

    key: str
    source: np.ndarray
    output: np.ndarray
    target: np.ndarray
    figure: str = ""


def shown_pairs(dataset_dir: Path, recipes: Sequence[str], per_recipe: int) -> dict[str, list[ShownPair]]:
    """Recipe -> pairs spread evenly over its training side and, for a third of them, its test side."""
    there = DatasetManifest.from_folder(dataset_dir).recipes
    return {
        recipe: _pairs_of(dataset_dir, recipe, list(there[recipe].splits), per_recipe) for recipe in recipes
    }


def shown_others(sources: Sequence[OtherSource], per_source: int) -> dict[str, list[ShownPair]]:
    """The same for what a run uses and did not make, by the source's name."""
    return {
        source.name: _pairs_of(source.folder, source.recipe, list(source.splits), per_source)
        for source in sources
    }


def shown_translations(
    evaluation_dir: Path, source: str, samples: Sequence[str], judged_by: str
) -> list[ShownTranslation]:
    """The strips that the evaluation kept of one source, cut into their three images, each with its figure by
    the metric `judged_by`.
    """
    metric, figures = METRICS[judged_by], figures_of(evaluation_dir, source, judged_by)
    found = []
    for name in samples:
        strip = decode_field("strip.png", (evaluation_dir / name).read_bytes())
        before, after, target = np.split(strip, 3, axis=1)
        key = Path(name).stem.removeprefix(f"{source}-")
        figure = f"{figures[key].value:.{metric.digits}f} {metric.unit}".rstrip()
        found.append(ShownTranslation(key, before, after, target, figure))
    return found


@dataclass(frozen=True, slots=True)
class PairFigure:
    """One metric of the model's output for one pair, and what must be shared not to count as independent."""

    value: float
    object: str
    lighting: str


def figures_of(evaluation_dir: Path, source: str, metric: str) -> dict[str, PairFigure]:
    """Key -> the model's figure, of every pair that the evaluation judged."""
    return {
        pair.key: PairFigure(pair.metrics[metric], pair.object, pair.lighting)
        for pair in read_rows(evaluation_dir / f"{source}.csv")["model"]
    }


def data_uri(image: np.ndarray, largest_side: int = LARGEST_SIDE) -> str:
    """uint8 RGB or grey as a PNG inside a URI, reduced."""
    image = reduced(image, largest_side)
    return "data:image/png;base64," + base64.b64encode(encode_field("image.png", image)).decode()


def loss_curve(runs: dict[str, list[dict[str, Any]]]) -> Markup:
    """The loss over images seen, of each run by its name: of one run whole, per source and on held-out
    pairs; of several runs whole and on held-out pairs.
    """
    marks = ", ".join(runs) if len(runs) > 1 else "per source and on held-out pairs"
    return chart("loss", f"Loss over images seen, {marks}", lambda narrow: _draw_losses(runs, narrow))


def _draw_losses(runs: dict[str, list[dict[str, Any]]], narrow: bool) -> Figure:
    size = (NARROW_IN, 3.6) if narrow else (WIDE_IN, 3.4)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    colours = iter(SERIES * (1 + sum(map(len, runs.values())) // len(SERIES)))
    for run, lines in runs.items():
        of_run = f"{run}, " if len(runs) > 1 else ""
        images = [line["images"] for line in lines]
        sources = sorted({name for line in lines for name in line["loss_per_source"]})
        if len(runs) > 1:
            colour = next(colours)
            _smooth_line(axes, images, [line["loss"] for line in lines], colour, f"{of_run}training")
        else:
            for name in sources:
                known = [line for line in lines if name in line["loss_per_source"]]
                losses = [line["loss_per_source"][name] for line in known]
                _smooth_line(
                    axes, [line["images"] for line in known], losses, next(colours), f"{name}, training"
                )
            colour = INK
            if len(sources) > 1:
                whole = _smoothed(np.array([line["loss"] for line in lines]))
                axes.plot(
                    images, whole, color=INK, linewidth=1.5, linestyle="--", label="whole mix, training"
                )
        judged = [(line["images"], line["validation_loss"]) for line in lines if "validation_loss" in line]
        if judged:
            label, look = f"{of_run}validation", {"marker": "o", "markersize": 4, "linestyle": ":"}
            axes.plot(*np.array(judged).T, color=colour, linewidth=1.5, label=label, **look)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda value, _: f"{value:.3g}")
    axes.set_xlabel("images seen", color=INK)
    axes.set_ylabel("loss", color=INK)
    quiet_axes(axes)
    # Above the curves, which fill the whole of a narrow plot.
    figure.legend(frameon=False, labelcolor=INK, loc="outside upper left", ncols=1 if narrow else 3)
    return figure


def _smooth_line(axes: Axes, images: list[int], losses: list[float], colour: str, label: str) -> None:
    y = np.array(losses)
    axes.plot(images, y, color=colour, alpha=0.25, linewidth=1)
    axes.plot(images, _smoothed(y), color=colour, linewidth=2, label=label)


def utilisation_chart(workers_s: dict[str, float], recipes: dict[str, dict[str, float]]) -> Markup:
    """Worker seconds by what they went into, of all and of each recipe's groups, as shares of a bar each."""
    about = "Fractions of worker seconds by stage, of all workers and of each recipe"
    return chart("workers", about, lambda narrow: _draw_utilisation(workers_s, recipes, narrow))


def _draw_utilisation(
    workers_s: dict[str, float], recipes: dict[str, dict[str, float]], narrow: bool
) -> Figure:
    rows = {"all workers": workers_s, **recipes}
    # Colours belong to stages, so that a stage looks alike in every bar; what made nothing is grey.
    idle = dict(zip(("wait", "start", "lost to faults"), IDLE, strict=True))
    made = [name for name in workers_s if name not in idle]
    colours = {name: SERIES[number % len(SERIES)] for number, name in enumerate(made)} | idle
    size = (NARROW_IN, 1.9 + 0.5 * len(rows)) if narrow else (WIDE_IN, 1.1 + 0.42 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for row, seconds in enumerate(rows.values()):
        left, whole = 0.0, sum(seconds.values()) or 1.0
        for name in [*made, *idle]:
            share = 100 * seconds.get(name, 0.0) / whole
            label = name if not row and name in workers_s else None
            axes.barh(row, share, left=left, color=colours[name], height=0.66, label=label)
            if share >= (8 if narrow else 4):
                shade = "#1c1917" if name in ("wait", "start") else ON_SERIES
                place = {"ha": "center", "va": "center", "fontsize": 9}
                axes.text(left + share / 2, row, f"{share:.0f}", color=shade, **place)
            left += share
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of worker seconds, %", color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    figure.legend(frameon=False, labelcolor=INK, loc="outside upper left", ncols=3 if narrow else 6)
    return figure


def _pairs_of(dataset_dir: Path, recipe: str, splits: list[str], count: int) -> list[ShownPair]:
    there = [split for split in SPLITS_SHOWN if split in splits]
    shares = {there[0]: count} if len(there) == 1 else {there[0]: count - count // 3, there[1]: count // 3}
    shown = []
    for split, wanted in shares.items():
        pairs = PairSource(dataset_dir, recipe, split)
        for index in pairs.spread(wanted):
            pair = pairs.pair(index)
            used = ", ".join(dict.fromkeys(asset["id"] for asset in pair.meta["assets"]))
            source, target = to_picture(pair.source), to_picture(pair.target)
            shown.append(ShownPair(pair.key, used, split, source, target, pair.mask))
    return shown


def _smoothed(values: np.ndarray) -> np.ndarray:
    """A running mean over about a tenth of the curve; near the ends over what there is."""
    reach = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def write_worst_sheet(evaluation: dict[str, Any], evaluation_dir: Path) -> Path | None:
    """Write the sheet beside evaluation.json; None where no source kept its worst pairs."""
    sections = [
        Section(
            f"{name}: worst by {METRICS[source['judged_by']].label}",
            ("source", "output", "target"),
            tuple(
                Item(f"{one.key}: {one.figure}", (one.source, one.output, one.target))
                for one in shown_translations(evaluation_dir, name, source["worst"], source["judged_by"])
            ),
        )
        for name, source in evaluation["sources"].items()
        if source["worst"]
    ]
    if not sections:
        return None
    path = evaluation_dir / SHEET_NAME
    write_png(path, contact_sheet(sections))
    return path
