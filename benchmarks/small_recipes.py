"""Does every small recipe learn its task? All seven from data to a verdict on pairs they never saw.

    python -m benchmarks.small_recipes [--runs runs] [--out docs/benchmarks] [--tasks depth normals ...]

Runs `pairbridge run <task>-small` for each (resumable), then writes `small_recipes.json` and
`small_recipes.md`: the task's judging figure of the model and of every trivial predictor, and the paired gain
over the best of them with its 95 % bootstrap interval over objects. Exits with 1 if one is not clear of zero.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from pairbridge.pipelines.runs.run import execute
from pairbridge.pipelines.runs.run_config import load_run
from pairbridge.training.evaluation.metrics import METRICS

TASKS = ("removal", "relighting", "depth", "normals", "shadow", "controllable-relighting", "restoration")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    arguments = parser.parse_args()

    found = {}
    for task in arguments.tasks:
        run = load_run(f"{task}-small", arguments.runs)
        execute(run, workers=os.cpu_count() or 1, address=None, forced_from=None)
        found[task] = figures(json.loads((run.folder / "metrics.json").read_text()))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "small_recipes.json").write_text(json.dumps(found, indent=1) + "\n")
    page = markdown(found)
    (arguments.out / "small_recipes.md").write_text(page)
    print(page)
    sys.exit(not all(task["beats_best_baseline"] for task in found.values()))


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """What metrics.json of a run says of its one evaluation source."""
    (source,) = metrics["evaluation"]["sources"].values()
    metric, best = source["judged_by"], source["best_baseline"]
    gain = source["gains"][best][metric]
    # The interval's end that is nearer to "no better".
    margin = gain["low"] if METRICS[metric].more else -gain["high"]
    return {
        "metric": metric,
        "methods": {name: method[metric] for name, method in source["methods"].items()},
        "best_baseline": best,
        "gain": gain,
        "beats_best_baseline": margin > 0,
        "pairs": source["pairs"],
        "objects": source["objects"],
        "trained_on": sum(entry["pairs"] for entry in metrics["mix"]),
        "steps": metrics["training"]["steps"],
        "parameters": metrics["training"]["parameters"],
        "seconds": {stage: round(s) for stage, s in metrics["timings"]["stages_s"].items()},
    }


def markdown(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# The small recipes",
        "",
        "Every task at 64x64 on two CPU cores, from empty folders: `python -m benchmarks.small_recipes`.",
        "Judged on families and lightings that training never saw, beside the trivial predictors of the",
        "task; 95 % bootstrap intervals over objects, one training seed. The gain is paired per image, over",
        "the best of them.",
        "",
        "| task | judged by | model | trivial predictors | gain over the best | clear of zero "
        "| pairs: train, test | train, minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, of in found.items():
        metric = METRICS[of["metric"]]
        others = sorted(of["methods"].items(), key=lambda item: item[1]["mean"], reverse=metric.more)
        trivial = ", ".join(
            f"{name.replace('_', ' ')} {value['mean']:.{metric.digits}f}"
            for name, value in others
            if name != "model"
        )
        arrow = "more" if metric.more else "less"
        lines.append(
            f"| {task} | {metric.label}{', ' + metric.unit if metric.unit else ''} ({arrow} is better) | "
            f"{_interval(of['methods']['model'], metric.digits)} | {trivial} | "
            f"{_interval(of['gain'], metric.digits, sign='+')} | "
            f"{'yes' if of['beats_best_baseline'] else '**no**'} | {of['trained_on']}, {of['pairs']} | "
            f"{of['seconds']['train'] / 60:.1f} |"
        )
    sizes = sorted({of["parameters"] for of in found.values()})
    shown = " to ".join(f"{size / 1e6:.1f}" for size in (sizes[0], sizes[-1]) if size) if sizes else ""
    generated = sum(of["seconds"].get("generate", 0) for of in found.values()) / 60
    lines += [
        "",
        f"Networks of {shown} million parameters in Haar latents, which stand in for a trained autoencoder.",
        f"Making the data took {generated:.0f} minutes in all.",
        "",
    ]
    return "\n".join(lines)


def _interval(value: dict[str, float], digits: int, sign: str = "") -> str:
    mean, low, high = (f"{value[name]:{sign}.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    main()
