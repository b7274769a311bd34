"""Does the demo's kind of model learn light? One dataset, several training seeds, a verdict with intervals.

    python -m benchmarks.demo_quality [--seeds 3] [--runs runs] [--out docs/benchmarks]

Renders the dataset of the run `demo_quality` (resumable), trains it once per seed and judges every model on
the same test pairs: objects of families, under HDRIs, that training never saw. Writes `demo_quality.json` and
`demo_quality.md`. Gains are paired per image and averaged over seeds; 95 % bootstrap intervals over
objects and lightings.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import numpy as np

from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.runs.run_config import Run, load_run
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.metrics import bootstrap_interval

METRIC = "foreground_psnr"
BASELINES = ("source", "colour_transfer", "colour_shift_ridge")
# What the benchmark is there to show, in dB of foreground PSNR on unseen families under unseen HDRIs.
JUDGED = "unseen-hdris"
TARGETS = {"source": 1.0, "colour_transfer": 0.0, "colour_shift_ridge": 0.2}
MIN_LOW_OVER_SOURCE = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()

    run = load_run("demo_quality", arguments.runs)
    began = time.monotonic()
    generate(run.dataset, run.dataset_dir, workers=os.cpu_count() or 1)
    rendered_s = time.monotonic() - began
    seconds = {"generate": round(rendered_s), "train": []}
    for seed in range(arguments.seeds):
        began = time.monotonic()
        train_seed(run, seed)
        seconds["train"].append(round(time.monotonic() - began))

    figures = {source.name: judged(run, source.name, arguments.seeds) for source in run.evaluation.sources}
    result = {
        "seeds": arguments.seeds,
        "seconds": seconds,
        "sources": figures,
        "verdict": verdict(figures[JUDGED]),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "demo_quality.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "demo_quality.md").write_text(page)
    print(page)


def train_seed(run: Run, seed: int) -> None:
    folder = run.folder / f"seed-{seed}"
    training = run.training.model_copy(update={"seed": seed})
    # The data order changes with the seed too: what varies is all of the training.
    mix = run.mix.model_copy(update={"seed": seed})
    train(training, mix, folder / "train", run_root=run.folder)
    evaluate(run.evaluation, folder / "train", folder / "evaluation", run_root=run.folder)


def judged(run: Run, source: str, seeds: int) -> dict:
    """Means of every method and gains of the model, per seed and over seeds."""
    by_seed = [
        figures_of_images(run.folder / f"seed-{seed}" / "evaluation" / f"{source}.csv")
        for seed in range(seeds)
    ]
    objects = [row["object"] for row in by_seed[0]["model"]]
    lightings = [row["lighting"] for row in by_seed[0]["model"]]
    model = np.array([[row[METRIC] for row in methods["model"]] for methods in by_seed])
    result = {
        "pairs": len(objects),
        "objects": len(set(objects)),
        "model": interval(model.mean(axis=0), objects, lightings),
        "methods": {},
        "gains": {},
    }
    for baseline in BASELINES:
        # The baselines are the same for every seed.
        theirs = np.array([row[METRIC] for row in by_seed[0][baseline]])
        gains = model - theirs
        result["methods"][baseline] = interval(theirs, objects, lightings)
        result["gains"][baseline] = {
            **interval(gains.mean(axis=0), objects, lightings),
            "of_seeds": [round(float(gain), 3) for gain in gains.mean(axis=1)],
        }
    return result


def figures_of_images(path: Path) -> dict[str, list[dict]]:
    methods: dict[str, list[dict]] = {}
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            methods.setdefault(row["method"], []).append({**row, METRIC: float(row[METRIC])})
    orders = {tuple(row["key"] for row in rows) for rows in methods.values()}
    assert len(orders) == 1, f"{path} lists its methods in different orders"
    return methods


def interval(values: np.ndarray, objects: list[str], lightings: list[str]) -> dict[str, float]:
    found = bootstrap_interval(values.tolist(), objects, lightings, seed=0, resamples=5000)
    return {"mean": round(found.mean, 3), "low": round(found.low, 3), "high": round(found.high, 3)}


def verdict(figures: dict) -> dict[str, bool]:
    gains = figures["gains"]
    beaten = {
        f"beats {name} by {target} dB": gains[name]["mean"] >= target for name, target in TARGETS.items()
    }
    beaten[f"lower end over the source above {MIN_LOW_OVER_SOURCE} dB"] = (
        gains["source"]["low"] > MIN_LOW_OVER_SOURCE
    )
    beaten["at least 600 objects"] = figures["objects"] >= 600
    return beaten


def markdown(result: dict) -> str:
    lines = [
        "# Demo quality",
        "",
        "Foreground PSNR in dB of a one-step bridge on test pairs of unseen object families; 95 % bootstrap",
        f"intervals over objects and lightings, {result['seeds']} training seeds. Strength 0.45 to 2.2, tint",
        "up to 30 % a channel. Written by `benchmarks/demo_quality.py`; data, training and evaluation are",
        "the shipped configs `demo_quality`.",
        "",
    ]
    lines += [
        "| pairs under | objects | source | colour transfer | ridge | model |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in result["sources"].items():
        cells = [shown(figures["methods"][baseline]) for baseline in BASELINES] + [shown(figures["model"])]
        lines.append(f"| {name} | {figures['objects']} | " + " | ".join(cells) + " |")
    lines += ["", "Gain of the model, paired per image, and the gain of each seed:", ""]
    lines += ["| pairs under | over source | over colour transfer | over ridge |", "|---|---|---|---|"]
    for name, figures in result["sources"].items():
        cells = [gain_cell(figures["gains"][baseline]) for baseline in BASELINES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", f"Asked of `{JUDGED}`:", ""]
    lines += [f"- {what}: {'yes' if held else '**no**'}" for what, held in result["verdict"].items()]
    minutes = ", ".join(f"{s / 60:.0f}" for s in result["seconds"]["train"])
    lines += ["", f"Training and evaluation took {minutes} minutes per seed on two CPU cores.", ""]
    return "\n".join(lines)


def gain_cell(gain: dict) -> str:
    of_seeds = ", ".join(f"{value:+.2f}" for value in gain["of_seeds"])
    return f"{shown(gain, sign=True)}; {of_seeds}"


def shown(value: dict[str, float], *, sign: bool = False) -> str:
    mean = f"{value['mean']:+.2f}" if sign else f"{value['mean']:.2f}"
    return f"{mean} [{value['low']:.2f}, {value['high']:.2f}]"


if __name__ == "__main__":
    main()
