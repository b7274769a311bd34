"""Does one dataset train every task of docs/tasks.md? Some 300 scenes, rendered once, and a table of gains.

    python -m benchmarks.tasks [--runs runs] [--out docs/benchmarks] [--images docs/images/tasks]
        [--tasks depth normals ...] [--workers 2] [--threads 2] [--steps 150 400 1000]

Renders the dataset `tasks-small` (resumable), then makes bpy unimportable, here and in every process that is
started from here, and trains each task from the fields that the dataset stores: source, target and conditions
are a matter of the mix. Each model is judged on families, environment maps and lamps that training never saw,
beside trivial predictors that see what it sees. Writes `tasks.json`, `tasks.md` and one picture a task. What
is finished of an interrupted run is kept. Of the trainings of `--steps`, the one that is best on the
validation side is judged; nothing is chosen on the test side.
"""

import argparse
import csv
import importlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.shards.sample import params_of
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.targets import LOG_BRIGHTEST, as_picture, to_picture
from pairbridge.training.engine.checkpoint import checkpoint_folders
from pairbridge.training.evaluation.baselines import method_label
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.evaluation.metrics import METRICS, bootstrap_interval, psnr

SIZE = 64
COLUMNS = 4
# Pairs of each side that are compared to tell what was learned from what was learned by heart.
LOOKED_AT = 40
# Of the pictures in the documentation.
ENLARGED, JPEG_QUALITY = 2, 85


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A task: the roles of a mix, and what of the training is the task's own."""

    title: str
    recipe: str
    task: str
    roles: dict[str, Any] = field(default_factory=dict)
    conditions: tuple[Any, ...] = ("mask",)
    # Which of them a picture shows, beside the mask.
    shown: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    head: str = "gate"
    keeps: bool = False
    widths: tuple[int, ...] = (32, 48, 64)


def _resized(name: str, channels: int = 3) -> dict[str, Any]:
    return {"field": name, "encoding": "resize", "channels": channels}


LIT = {"recipe": "relighting", "head": "gain", "keeps": True}
TASKS = {
    "relight-background": Trained(title="Relight by the background", task="relighting", **LIT),
    "relight-map": Trained(
        title="Relight by an environment map",
        task="relighting",
        roles={"conditions": ["light_target"]},
        conditions=("mask", {"field": "light_target", "encoding": "irradiance"}),
        shown="light_target",
        **LIT,
    ),
    "relight-lamps": Trained(
        title="Relight by lamps",
        recipe="controllable",
        task="controllable_relighting",
        roles={"conditions": ["light"]},
        conditions=("mask", _resized("light")),
        shown="light",
        head="gain",
        keeps=True,
    ),
    "delight": Trained(title="Delight", task="delight", roles={"source": "target", "target": "delit"}, **LIT),
    "albedo": Trained(
        title="Albedo",
        recipe="relighting",
        task="albedo",
        roles={"source": "target", "target": "albedo"},
    ),
    "remove-hole": Trained(
        title="Remove, hole destroyed",
        recipe="removal",
        task="removal",
        roles={"hole": "noise"},
        training={"hole": "smooth", "bridge": {"sigma": 0.05}},
    ),
    "remove-visible": Trained(
        title="Remove, object visible", recipe="removal", task="removal", roles={"hole": "visible"}
    ),
    "region": Trained(
        title="Region that removal changes",
        recipe="removal",
        task="region",
        roles={"target": "effect", "hole": "visible"},
    ),
    "insert": Trained(
        title="Insert",
        recipe="relighting",
        task="insertion",
        roles={"source": "plate", "paste": "foreground"},
        head="gain",
    ),
    "shadow-map": Trained(
        title="Shadow from a light map",
        recipe="shadows",
        task="shadow",
        roles={"conditions": ["light"]},
        conditions=("mask", _resized("light", 1)),
        shown="light",
    ),
    "shadow-cues": Trained(title="Shadow from the picture's cues", recipe="shadows", task="shadow"),
    "depth": Trained(
        title="Depth", recipe="geometry", task="depth", roles={"target": "depth"}, conditions=()
    ),
    "normals": Trained(
        title="Normals", recipe="geometry", task="normals", roles={"target": "normal"}, conditions=()
    ),
    "picture": Trained(
        title="Normals and depth to a picture",
        recipe="geometry",
        task="picture",
        roles={"source": "normal", "target": "source", "conditions": ["depth"]},
        conditions=(_resized("depth"),),
        shown="depth",
    ),
    "environment": Trained(
        title="Environment map of a picture",
        recipe="relighting",
        task="environment",
        roles={"source": "target", "target": "light_target"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images/tasks"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="+", default=[150, 400, 1000])
    arguments = parser.parse_args()

    root = (arguments.runs / "tasks").absolute()
    dataset = load_config(find_config("datasets", "tasks-small"), DatasetConfig)
    generate(dataset, root / "dataset", workers=arguments.workers)
    with tempfile.TemporaryDirectory() as barred:
        without_blender(Path(barred))
        for name in arguments.tasks:
            train_and_judge(name, root, arguments)
    found = {name: figures(name, root) for name in TASKS if judged(name, root).is_file()}
    for name in found:
        write_picture(name, root, arguments.images)
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {"dataset": counts(root), "steps": arguments.steps, "tasks": found}
    (arguments.out / "tasks.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "tasks.md").write_text(page)
    print(page)


def without_blender(folder: Path) -> None:
    """Make `import bpy` fail from now on, here and in child processes: a module of that name that refuses."""
    (folder / "bpy.py").write_text("raise ImportError('no render from here on')\n")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    sys.modules["bpy"] = None
    try:
        importlib.import_module("bpy")
    except ImportError:
        return
    raise AssertionError("bpy can still be imported")


def judged(name: str, root: Path) -> Path:
    return root / name / "evaluation" / "evaluation.json"


def trained(name: str, root: Path, steps: int) -> Path:
    return root / name / f"train-{steps}"


def train_and_judge(name: str, root: Path, arguments: argparse.Namespace) -> None:
    """A training of each length; the one that is best on the validation side is judged on the test side."""
    of = TASKS[name]
    if judged(name, root).is_file():
        return
    source = {"name": name, "path": "run:dataset", "recipe": of.recipe, "roles": of.roles}
    mix = MixConfig.model_validate({"seed": 0, "on_exhausted": "repeat", "sources": [source]})
    evaluation = {
        "size": SIZE,
        "threads": arguments.threads,
        "sample_images": COLUMNS,
        "worst_images": 4,
        "sources": [{**source, "task": of.task}],
    }

    def judge(split: str, steps: int, out: Path) -> dict[str, Any]:
        config = EvaluationConfig.model_validate({**evaluation, "split": split})
        return evaluate(config, trained(name, root, steps), out, run_root=root)["sources"][name]

    validated, spent = {}, {}
    for steps in arguments.steps:
        began = time.process_time()
        train(training(of, steps, arguments.threads), mix, trained(name, root, steps), run_root=root)
        spent[steps] = round(time.process_time() - began)
        found = judge("validation", steps, root / name / f"validation-{steps}")
        validated[steps] = found["methods"]["model"][found["judged_by"]]["mean"]
    better = max if METRICS[found["judged_by"]].more else min
    chosen = better(validated, key=validated.__getitem__)
    choice = {"steps": chosen, "validation": validated, "cpu_seconds": spent[chosen]}
    (root / name / "choice.json").write_text(json.dumps(choice))
    result = judge("test", chosen, judged(name, root).parent)
    print(name, json.dumps({**choice, **headline(result)}), flush=True)


def training(of: Trained, steps: int, threads: int) -> TrainingConfig:
    keys = {
        "seed": 0,
        "steps": steps,
        "batch_size": 16,
        "size": SIZE,
        "autoencoder": {"kind": "haar", "levels": 2},
        "bridge": {"sigma": 0.01},
        "timesteps": {
            "kind": "discrete",
            "times": [0.0, 0.25, 0.5, 0.75],
            "weights": [0.85, 0.05, 0.05, 0.05],
        },
        "denoiser": {
            "widths": of.widths,
            "attention_levels": [2],
            "head": of.head,
            "conditions": of.conditions,
        },
        "augment": {"flip": 0.5, "permute_colours": 0.5},
        "outside_mask": "keep" if of.keeps else "translate",
        "loss": {"latent_weight": 1.0},
        "optimiser": {
            "learning_rate": 2e-3,
            "warmup_images": 800,
            "schedule": "cosine",
            "clip_norm": 1.0,
        },
        "ema_half_life_images": 800,
        "threads": threads,
        "loader_workers": 0,
        "log_every": 20,
        "checkpoint_every": 100,
        "watch": {"trackers": []},
    }
    return TrainingConfig.model_validate({**keys, **of.training})


def headline(source: dict[str, Any]) -> dict[str, Any]:
    metric = source["judged_by"]
    best = source["best_baseline"]
    return {
        "metric": metric,
        **{method: round(of[metric]["mean"], 4) for method, of in source["methods"].items()},
        "gain": [round(source["gains"][best][metric][key], 4) for key in ("mean", "low", "high")],
    }


def figures(name: str, root: Path) -> dict[str, Any]:
    """What the evaluation of a task says, and of removal the same by the number of removed objects."""
    file = judged(name, root)
    source = json.loads(file.read_text())["sources"][name]
    metric, best = source["judged_by"], source["best_baseline"]
    found = {
        "metric": metric,
        "methods": {method: of[metric] for method, of in source["methods"].items()},
        "best_baseline": best,
        "gain": source["gains"][best][metric],
        "pairs": source["pairs"],
        "objects": source["objects"],
        "trained_on": len(opened(name, root, "train")),
        **json.loads((root / name / "choice.json").read_text()),
        "samples": source["samples"],
    }
    if TASKS[name].task == "removal":
        found["by_removed"] = by_removed(name, root, best, metric)
    if "source" in source["methods"] and metric in ("psnr", "foreground_psnr"):
        found["over_source_db"] = {
            split: over_source(name, root, split, whole=metric == "psnr")
            for split in ("train", "validation", "test")
        }
    return found


def over_source(name: str, root: Path, split: str, *, whole: bool) -> float:
    """Mean gain in PSNR, dB, over the untouched source on pairs spread over one side: what was learned of
    these scenes, and what of others. Of the foreground, or of the whole picture.
    """
    pairs = opened(name, root, split)
    steps = json.loads((root / name / "choice.json").read_text())["steps"]
    model = TranslationModel.load(checkpoint_folders(trained(name, root, steps) / "checkpoints")[-1])
    gains = []
    for place in pairs.spread(LOOKED_AT):
        pair = pairs.pair(place, Frame((SIZE, SIZE)))
        seen = {field: image[None] for field, image in pair.conditions.items() if field != "mask"}
        output = model.translate_batch(pair.source[None], pair.mask[None], conditions=seen)[0]
        weights = np.ones(pair.mask.shape) if whole else pair.mask / 255
        errors = [
            np.average(np.square(image.astype(float) - pair.target).mean(axis=2), weights=weights)
            for image in (output, pair.source)
        ]
        gains.append(psnr(errors[0]) - psnr(errors[1]))
    return float(np.mean(gains))


def by_removed(name: str, root: Path, best: str, metric: str) -> dict[str, Any]:
    pairs = opened(name, root, "test")
    removed = {
        pairs.key(place): len(params_of(pairs.pair(place).meta)["removed"]) for place in range(len(pairs))
    }
    with open(judged(name, root).with_name(f"{name}.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    of_method = {
        method: {row["key"]: row for row in rows if row["method"] == method} for method in ("model", best)
    }
    found = {}
    for count in sorted(set(removed.values())):
        keys = [key for key, number in removed.items() if number == count]
        gains = [float(of_method["model"][key][metric]) - float(of_method[best][key][metric]) for key in keys]
        ids = [[of_method["model"][key][what] for key in keys] for what in ("object", "lighting")]
        interval = bootstrap_interval(gains, *ids, seed=0)
        model = float(np.mean([float(of_method["model"][key][metric]) for key in keys]))
        found[str(count)] = {
            "pairs": len(keys),
            "model": model,
            "gain": {"mean": interval.mean, "low": interval.low, "high": interval.high},
        }
    return found


def opened(name: str, root: Path, split: str) -> PairSource:
    of = TASKS[name]
    conditions = training_conditions(of)
    return PairSource(
        root / "dataset",
        of.recipe,
        split,
        roles=RoleChoice.model_validate(of.roles),
        conditions=conditions,
    )


def training_conditions(of: Trained):
    return TrainingConfig.model_validate({"denoiser": {"conditions": of.conditions}}).denoiser.conditions


def counts(root: Path) -> dict[str, Any]:
    """Scenes and pairs of the dataset, by recipe and split."""
    recipes = json.loads((root / "dataset" / "dataset.json").read_text())["recipes"]
    return {
        recipe: {
            split: {key: of[key] for key in ("groups", "pairs")} for split, of in entry["splits"].items()
        }
        for recipe, entry in recipes.items()
    }


def write_picture(name: str, root: Path, images: Path) -> None:
    """Rows source, condition, output and target of pairs spread evenly over the test side; a column each."""
    folder = judged(name, root).parent
    samples = json.loads(judged(name, root).read_text())["sources"][name]["samples"]
    pairs = opened(name, root, "test")
    places = {pairs.key(place): place for place in range(len(pairs))}
    columns = []
    for file in samples:
        source, output, target = np.split(cv2.imread(str(folder / file)), 3, axis=1)
        rows = [source, output, target]
        if TASKS[name].task == "environment":
            rows[1:] = [displayed(image) for image in rows[1:]]
        if shown := TASKS[name].shown:
            key = Path(file).stem.removeprefix(f"{name}-")
            image = pairs.pair(places[key], Frame((SIZE, SIZE))).conditions[shown]
            # Of an environment map the range that a display shows.
            seen = image[..., :3] if image.ndim == 3 else as_picture(image)
            rows.insert(1, to_picture(seen)[..., ::-1])
        columns.append(np.concatenate(rows))
    sheet = np.concatenate(columns, axis=1)
    enlarged = cv2.resize(sheet, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    images.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(images / f"{name}.jpg"), enlarged, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def displayed(logarithm: np.ndarray) -> np.ndarray:
    """A network's environment map, uint8, which is the logarithm of light, as a display shows that light."""
    radiance = np.expm1(logarithm / 255 * LOG_BRIGHTEST)
    return np.rint(255 * np.minimum(radiance, 1) ** (1 / 2.2)).astype(np.uint8)


def markdown(result: dict[str, Any]) -> str:
    scenes = {
        split: sum(of.get(split, {}).get("groups", 0) for of in result["dataset"].values())
        for split in ("train", "validation", "test")
    }
    lines = [
        "# Every task from one dataset",
        "",
        f"One dataset of {sum(scenes.values())} scenes at 64x64 ({scenes['train']} to train on, "
        f"{scenes['validation']} to tune on, {scenes['test']} of",
        "families, environment maps and lamps that training never saw). Then `bpy` is made unimportable and",
        "each task trains from its fields (`python -m benchmarks.tasks`). Beside each model stand trivial",
        "predictors that see what it sees, fitted on the train and tuned on the validation side. The gain is",
        "paired per image, over the best of them; 95 % intervals by the bootstrap over objects and",
        f"lightings; one training seed; of {', '.join(map(str, result['steps']))} steps of 16 pairs those",
        "that are best on the validation side.",
        "",
        "| task | judged by | model | trivial predictors | gain over the best | clear of zero "
        "| pairs: train, test | steps | processor minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in result["tasks"].items():
        metric = METRICS[of["metric"]]
        others = sorted(of["methods"].items(), key=lambda item: item[1]["mean"], reverse=metric.more)
        trivial = ", ".join(
            f"{method_label(method).lower()} {value['mean']:.{metric.digits}f}"
            for method, value in others
            if method != "model"
        )
        lines.append(
            f"| {TASKS[name].title} | {metric.label}{', ' + metric.unit if metric.unit else ''} "
            f"({'more' if metric.more else 'less'} is better) | "
            f"{shown(of['methods']['model'], metric.digits)} | {trivial} | "
            f"{shown(of['gain'], metric.digits, sign='+')} | {'yes' if clear(of) else '**no**'} | "
            f"{of['trained_on']}, {of['pairs']} | {of['steps']} | {of['cpu_seconds'] / 60:.1f} |"
        )
    lines += [
        "",
        "## Why most of them miss",
        "",
        "They learn their scenes by heart. Gain over the untouched source on pairs that are spread over each",
        f"side, {LOOKED_AT} at most:",
        "",
        "| task | scenes to train on, dB | validation (one family), dB | test, dB |",
        "|---|---|---|---|",
    ]
    for name, of in result["tasks"].items():
        if by_split := of.get("over_source_db"):
            gains = " | ".join(f"{by_split[split]:+.2f}" for split in ("train", "validation", "test"))
            lines.append(f"| {TASKS[name].title} | {gains} |")
    lines += ["", "## Removal of several objects at once, by the same models", ""]
    lines += [
        "| model | removed objects | pairs | PSNR in the mask, dB | gain over the best |",
        "|---|---|---|---|---|",
    ]
    for name, of in result["tasks"].items():
        for count, by in of.get("by_removed", {}).items():
            gain = shown(by["gain"], 2, "+")
            lines.append(f"| {TASKS[name].title} | {count} | {by['pairs']} | {by['model']:.2f} | {gain} |")
    return "\n".join([*lines, ""])


def clear(of: dict[str, Any]) -> bool:
    gain = of["gain"]
    return (gain["low"] if METRICS[of["metric"]].more else -gain["high"]) > 0


def shown(value: dict[str, float], digits: int, sign: str = "") -> str:
    mean, low, high = (f"{value[name]:{sign}.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    main()
