"""The pictures of a run: pairs of every recipe, translated samples, the loss curve, and the worst pairs of an
evaluation on one sheet: where to look first.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, reduced, write_png
from pairbridge.pipelines.runs.run_config import OtherSource
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.targets import to_picture
from pairbridge.training.evaluation.metrics import METRICS

# The figure is drawn without a display, and a page must not depend on the fonts of the machine that reads it.
matplotlib.use("svg")
import matplotlib.pyplot as plt

# Larger images are reduced, so that a report of 1024-pixel pairs is still one page that can be mailed.
LARGEST_SIDE = 256
SPLITS_SHOWN = ("train", "test", "validation")
SHEET_NAME = "worst.png"
INK = "#78716c"  # legible on light and on dark


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
    """Source, the model's output and the target of one held-out pair."""

    key: str
    source: np.ndarray
    output: np.ndarray
    target: np.ndarray


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


def shown_translations(evaluation_dir: Path, source: str, samples: Sequence[str]) -> list[ShownTranslation]:
    """The strips that the evaluation kept of one source, cut into their three images."""
    found = []
    for name in samples:
        strip = decode_field("strip.png", (evaluation_dir / name).read_bytes())
        before, after, target = np.split(strip, 3, axis=1)
        found.append(ShownTranslation(Path(name).stem.removeprefix(f"{source}-"), before, after, target))
    return found


def data_uri(image: np.ndarray) -> str:
    """uint8 RGB or grey as a PNG inside a URI, reduced to LARGEST_SIDE."""
    image = reduced(image, LARGEST_SIDE)
    return "data:image/png;base64," + base64.b64encode(encode_field("image.png", image)).decode()


def loss_curve(lines: list[dict[str, Any]]) -> str:
    """The loss over images seen, whole, per source and on held-out pairs, as an SVG inside a URI. Legible on
    light and on dark.
    """
    images = np.array([line["images"] for line in lines])
    sources = sorted({name for line in lines for name in line["loss_per_source"]})
    colours = ("#0d9488", "#d97706", "#7c3aed", "#db2777", "#2563eb")
    figure, axes = plt.subplots(figsize=(8.4, 3.2), layout="constrained")
    for number, name in enumerate(sources):
        known = [
            (line["images"], line["loss_per_source"][name])
            for line in lines
            if name in line["loss_per_source"]
        ]
        x, y = np.array(known).T
        colour = colours[number % len(colours)]
        axes.plot(x, y, color=colour, alpha=0.25, linewidth=1)
        axes.plot(x, _smoothed(y), color=colour, linewidth=2, label=name)
    if len(sources) > 1:
        whole = _smoothed(np.array([line["loss"] for line in lines]))
        axes.plot(images, whole, color=INK, linewidth=1.5, linestyle="--", label="whole mix")
    judged = [(line["images"], line["validation_loss"]) for line in lines if "validation_loss" in line]
    if judged:
        axes.plot(*np.array(judged).T, color=INK, linewidth=1.5, marker="o", markersize=3, label="validation")
    axes.set_yscale("log")
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda value, _: f"{value:.3g}")
    axes.set_xlabel("images seen", color=INK)
    axes.set_ylabel("loss", color=INK)
    quiet_axes(axes)
    axes.legend(frameon=False, labelcolor=INK)
    return svg_uri(figure)


def utilisation_chart(workers_s: dict[str, float], recipes: dict[str, dict[str, float]]) -> str:
    """Worker seconds by what they went into, of all and of each recipe's groups, as shares of a bar each, as
    an SVG inside a URI.
    """
    rows = {"all workers": workers_s, **recipes}
    # Colours belong to stages, so that a stage looks alike in every bar; what made nothing is grey.
    idle = {"wait": "#a8a29e", "start": "#d6d3d1", "lost to faults": "#b91c1c"}
    made = [name for name in workers_s if name not in idle]
    palette = ("#0d9488", "#d97706", "#2563eb", "#7c3aed", "#db2777", "#65a30d", "#0891b2", "#a16207")
    colours = {name: palette[number % len(palette)] for number, name in enumerate(made)} | idle
    figure, axes = plt.subplots(figsize=(8.4, 0.9 + 0.42 * len(rows)), layout="constrained")
    for row, seconds in enumerate(rows.values()):
        left, whole = 0.0, sum(seconds.values()) or 1.0
        for name in [*made, *idle]:
            share = 100 * seconds.get(name, 0.0) / whole
            axes.barh(
                row, share, left=left, color=colours[name], height=0.66, label=name if not row else None
            )
            if share >= 5:
                shade = "#1c1917" if name in ("wait", "start") else "white"
                axes.text(
                    left + share / 2, row, f"{share:.0f}", ha="center", va="center", color=shade, fontsize=8
                )
            left += share
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of worker seconds, %", color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    shown = [name for name in [*made, *idle] if name in workers_s]
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    axes.legend(
        [found[name] for name in shown],
        shown,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        frameon=False,
        labelcolor=INK,
        fontsize=8,
    )
    return svg_uri(figure)


def quiet_axes(axes: Axes) -> None:
    """Two spines, and a faint grid."""
    axes.tick_params(colors=INK, which="both")
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def svg_uri(figure: Figure) -> str:
    """The figure as an SVG inside a URI; it is closed. Equal figures give equal bytes."""
    buffer = io.BytesIO()
    # Without a date, and with ids from a fixed salt, equal runs give equal pages.
    with matplotlib.rc_context({"svg.hashsalt": "pairbridge"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


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
                Item(one.key, (one.source, one.output, one.target))
                for one in shown_translations(evaluation_dir, name, source["worst"])
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
