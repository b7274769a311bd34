"""Figures of an evaluation and of a finished run, on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from pairbridge.datagen.core.record_files import read_output
from pairbridge.pipelines.commands.tables import new_console, new_table
from pairbridge.pipelines.runs.report import drawn, duration, headline, percent, size, subjects
from pairbridge.training.evaluation.baselines import method_label
from pairbridge.training.evaluation.metrics import METRICS
from pairbridge.training.evaluation.ratios import RATIOS, ratio_cell


def show_evaluation(evaluation: dict[str, Any]) -> None:
    """A table per source: methods, and what the model gains over each, with intervals."""
    for name, source in evaluation["sources"].items():
        table = new_table(
            "",
            title=f"{name}: {source['pairs']} pairs of {subjects(source)}, "
            f"split {evaluation['split']}, 95 % intervals over {drawn(source)}",
        )
        judged_by = source["judged_by"]
        shown = [metric for metric in METRICS if metric in source["methods"]["model"]]
        for metric in shown:
            about = METRICS[metric]
            short = about.label.replace("Foreground", "fg")
            heading = f"{short}{', ' + about.unit if about.unit else ''} {'↑' if about.more else '↓'}"
            table.add_column(heading, no_wrap=True, justify="left" if metric == judged_by else "right")
        for method, figures in source["methods"].items():
            table.add_row(method_label(method), *_cells(figures, shown, judged_by, "%.*f"))
        table.add_section()
        for method, figures in source["gains"].items():
            cells = _cells(figures, shown, judged_by, "%+.*f")
            table.add_row(f"model minus {method_label(method).lower()}", *cells)
        console = new_console(least_columns=110)
        console.print(table)
        if source["ratios"]:
            console.print(_ratio_table(source["ratios"]))
        for method, distances in source["sets"].items():
            listed = ", ".join(f"{METRICS[key].label} {value:.2f}" for key, value in distances.items())
            console.print(f"{method_label(method)}: {listed}")


def show_run(folder: Path) -> int:
    """The figures of a finished run and where its report is; returns the number of pairs in quarantine."""
    metrics = read_output(folder / "metrics.json", "run")
    console = new_console(least_columns=110)
    show_evaluation(metrics["evaluation"])
    for name, source in metrics["evaluation"]["sources"].items():
        line = headline(name, source)
        gain = f"{line['figure']} {line['metric']} {line['interval']}".rstrip() + ", " if line["gain"] else ""
        console.print(f"{name}: {gain}{line['verdict']} ({line['where']})")
    for source in metrics["mix"]:
        console.print(
            f"mix: {source['source']} planned {percent(source['share_planned'])}, "
            f"consumed {percent(source['share_consumed'])}"
        )
    for entry in metrics["stand_ins"]:
        console.print(f"placeholder: {entry['part']}: {entry['what']}; {entry['read']}")
    dataset = metrics["dataset"]
    quarantined = sum(stream["quarantined"] for stream in dataset["streams"])
    spent = ", ".join(
        f"{name} {duration(seconds)}" for name, seconds in metrics["timings"]["stages_s"].items()
    )
    console.print(f"data: {dataset['pairs']} pairs, {size(dataset['bytes'])}, {quarantined} in quarantine")
    console.print(f"time: {spent}")
    console.print(f"report: {folder / 'report.html'}")
    return quarantined


def _ratio_table(ratios: dict[str, dict[str, dict[str, float]]]) -> Table:
    title = "of outputs over targets within the mask: medians, 1 is right"
    table = new_table("", *RATIOS.values(), title=title)
    for method, of_method in ratios.items():
        table.add_row(method_label(method), *(ratio_cell(of_method.get(name)) for name in RATIOS))
    return table


def _cells(
    figures: dict[str, dict[str, float]], shown: Sequence[str], judged_by: str, form: str
) -> list[str]:
    """A cell per metric; the interval stands with the one that is judged by, the report has them all."""
    cells = []
    for metric in shown:
        digits = METRICS[metric].digits
        mean, low, high = (form % (digits, figures[metric][key]) for key in ("mean", "low", "high"))
        cells.append(f"{mean} [{low}, {high}]" if metric == judged_by and low != high else mean)
    return cells
