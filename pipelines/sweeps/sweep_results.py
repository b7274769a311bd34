"""What a sweep found: of every point the gain over the best baseline, with its interval and each seed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.record_files import read_output
from pairbridge.pipelines.runs.placeholders import stand_ins
from pairbridge.pipelines.runs.report import subjects
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.sweeps.cells import Cell
from pairbridge.pipelines.sweeps.sweep_config import Grid, SweepConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.mix_report import describe_mix
from pairbridge.training.evaluation.baselines import MODEL, method_label
from pairbridge.training.evaluation.judged_pairs import JudgedPair, read_rows
from pairbridge.training.evaluation.metrics import METRICS, bootstrap_interval

EvaluationDir = Callable[[Cell], Path]


def collect_sweep(
    sweep: SweepConfig, run: Run, cells: Sequence[Cell], evaluation_dir: EvaluationDir
) -> dict[str, Any]:
    """JSON-able: every figure of the page, from the evaluations on disk, which must all be there.

    Of a grid: a panel for every source of the evaluation. Of a panel: `against`, the best baseline's name,
    `level`, its mean, and the points. Of a point: `of_seeds`, the mean gain of each seed over that baseline;
    {mean, low, high} of the gain that is averaged over seeds, pair by pair; `over_first`, the same of the
    difference from the grid's first point; and `ratios`, contrast and texture of each seed. Intervals of 95 %
    are of the crossed bootstrap over objects and lightings: they say how far other test pairs would lead, and
    the seeds how far other trainings.
    """
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
        "pairs": _training_pairs(run),
        "stand_ins": stand_ins(run),
        "grids": [_grid(sweep, grid, cells, evaluation_dir) for grid in sweep.grids],
    }


def _training_pairs(run: Run) -> dict[str, int]:
    forecast = describe_mix(
        run.mix,
        run_root=run.folder,
        buckets=BucketSequence.single(size=1, batch_size=1),
        num_batches=1,
    )
    return {source.name: source.pairs for source in forecast.sources}


def _grid(
    sweep: SweepConfig, grid: Grid, cells: Sequence[Cell], evaluation_dir: EvaluationDir
) -> dict[str, Any]:
    # Points in the order of their first seed, each with the folders of all of its seeds.
    points: list[tuple[dict[str, Any], list[Path]]] = []
    for cell in (cell for cell in cells if cell.grid == grid.name):
        same = next((folders for values, folders in points if values == cell.values), None)
        if same is None:
            points.append((cell.values, same := []))
        same.append(evaluation_dir(cell))
    first = read_output(points[0][1][0] / "evaluation.json", "sweep")["sources"]
    panels = [_panel(sweep, grid, points, source, judged) for source, judged in first.items()]
    return {"name": grid.name, "title": grid.title, "x": grid.x, "lines": grid.lines, "panels": panels}


def _panel(
    sweep: SweepConfig,
    grid: Grid,
    points: Sequence[tuple[dict[str, Any], list[Path]]],
    source: str,
    judged: dict[str, Any],
) -> dict[str, Any]:
    """judged: what the first evaluation says of the source."""
    best = judged["best_baseline"]
    # (points, seeds, pairs).
    gains = np.array(
        [[_gains(folder / f"{source}.csv", best, sweep.metric) for folder in own] for _, own in points]
    )
    rows = read_rows(points[0][1][0] / f"{source}.csv")[MODEL]

    def interval(values: np.ndarray) -> dict[str, float]:
        ids = [row.object for row in rows], [row.lighting for row in rows]
        return asdict(bootstrap_interval(values.tolist(), *ids, seed=0))

    found = []
    for (values, folders), of_point in zip(points, gains, strict=True):
        found.append(
            {
                "x": values[grid.x],
                "line": values[grid.lines] if grid.lines else None,
                "values": values,
                "of_seeds": of_point.mean(axis=1).tolist(),
                **interval(of_point.mean(axis=0)),
                "over_first": interval((of_point - gains[0]).mean(axis=0)),
                "ratios": _ratios(folders, source),
            }
        )
    return {
        "source": source,
        "pairs": judged["pairs"],
        "subjects": subjects(judged),
        "against": method_label(best),
        "level": judged["methods"][best][sweep.metric]["mean"],
        "points": found,
    }


def _gains(table: Path, best: str, metric: str) -> list[float]:
    """Of every pair in the table's order, which is that of the plan, and so the same in all."""

    def figure(pair: JudgedPair) -> float:
        return pair.metrics[metric]

    rows = read_rows(table)
    return [figure(pair) - figure(other) for pair, other in zip(rows[MODEL], rows[best], strict=True)]


def _ratios(folders: Sequence[Path], source: str) -> dict[str, list[float]]:
    """Medians over pairs of contrast and texture, of each seed; empty for tasks without a foreground."""
    of_seeds = [
        read_output(folder / "evaluation.json", "sweep")["sources"][source]["ratios"].get(MODEL, {})
        for folder in folders
    ]
    return {name: [one[name]["median"] for one in of_seeds] for name in of_seeds[0]}
