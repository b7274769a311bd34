"""Does one distilled step draw from the law that regression averages?

    python -m benchmarks.distillation [--only two-modes | light] [--seeds 0 1 2] [--out docs/benchmarks]

`two-modes`: points in the plane with two targets each and an exact teacher (tests/support/two_modes.py), by
sigma and by the times of the matching; W2 of the pairs (source, output) to true pairs, beside that of true
pairs to each other (the floor). `light`: 16x16 pictures of balls whose light nothing in the source tells
(tests/support/toy_light.py); a bridge is trained and distilled as `pairbridge train` and `pairbridge
distill` do it, and judged on held-out pairs. Writes `distillation.json`, `distillation.md` and a picture.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.plane_laws import wasserstein2
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.pipelines.inference.distilling import run_distillation
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge.timesteps import UniformTimesteps
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.student import timesteps_of
from tests.support.toy_light import SIZE, light_of, lit_pair
from tests.support.toy_relighting import write_toy_dataset
from tests.support.two_modes import TwoModes

# (name, sigma, times): the last one loses a mode.
CASES = (
    ("default", 0.5, timesteps_of(0.5, cap=0.98)),
    ("default", 0.05, timesteps_of(0.05, cap=0.98)),
    ("uniform", 0.5, UniformTimesteps(cap=0.998)),
    ("uniform", 0.05, UniformTimesteps(cap=0.998)),
)
TEACHER_STEPS = 20
# Of the network, for one image.
EVALUATIONS = {"true targets": 0, "regression": 1, "teacher": TEACHER_STEPS, "student": 1}
# (sources, seed) -> outputs, uint8.
Method = Callable[[np.ndarray, int], np.ndarray]
TEACHER = {
    "steps": 2000,
    "batch_size": 32,
    "size": SIZE,
    "autoencoder": {"kind": "haar", "levels": 2},
    "bridge": {"sigma": 1.0},
    "timesteps": {"kind": "uniform"},
    # Its 32 channels cannot carry 48 of noise, to be taken away value by value; a gain can.
    "denoiser": {"widths": [32], "head_width": 8, "head": "gate", "conditions": ["source"]},
    "augment": {"flip": 0.0},
    "optimiser": {"learning_rate": 2e-3, "warmup_images": 1000},
    "ema_half_life_images": 2000,
    "threads": 1,
    "loader_workers": 0,
    "log_every": 50,
    "checkpoint_every": 500,
}
STUDENT = ("threads=1", "loader_workers=0", "batch_size=32")
PAIRS = {"train": 2000, "validation": 1, "test": 800}


def two_modes(seeds: list[int]) -> list[dict[str, Any]]:
    rows = []
    for name, sigma, timesteps in CASES:
        for seed in seeds:
            began = time.process_time()
            outcome = TwoModes(sigma, timesteps, seed).fit().judge()
            rows.append(
                {
                    "times": name,
                    "sigma": sigma,
                    "seed": seed,
                    **asdict(outcome),
                    "cpu_s": time.process_time() - began,
                }
            )
            print(rows[-1], flush=True)
    return rows


def light(seed: int, work: Path, picture: Path | None) -> list[dict[str, Any]]:
    """Figures of every method on held-out pairs; data, weights and noise are those of `seed`."""
    began = time.process_time()
    run, student_run = work / "teacher", work / "student"
    write_toy_dataset(run / "dataset", "light", PAIRS, seed=seed, per_object=1, make_pair=lit_pair)
    mix = MixConfig.model_validate({"sources": [{"name": "light", "path": "run:dataset", "recipe": "light"}]})
    train(TrainingConfig.model_validate({**TEACHER, "seed": seed}), mix, run / "train", run_root=run)
    taught = time.process_time()
    overrides = (*STUDENT, f"seed={seed}")
    config = load_config(find_config("distillation", "small"), DistillationConfig, overrides)
    run_distillation(config, run, None, student_run)
    ended = time.process_time()

    teacher, student = (TranslationModel.load(newest_checkpoint(folder)) for folder in (run, student_run))
    methods: dict[str, Method] = {
        "regression": lambda images, draw: teacher.translate_batch(images, seed=draw),
        "teacher": lambda images, draw: teacher.translate_batch(images, steps=TEACHER_STEPS, seed=draw),
        "student": lambda images, draw: student.translate_batch(images, seed=draw),
    }
    held_out = PairSource(run / "dataset", "light", "test")
    pairs = [held_out.pair(place) for place in range(len(held_out))]
    sources, targets = (np.stack([getattr(pair, name) for pair in pairs]) for name in ("source", "target"))
    half = len(pairs) // 2
    # Methods see the first half; the law is that of the second half's true pairs.
    law = _changes(sources[half:], targets[half:])
    outputs = {"true targets": targets[:half]}
    outputs |= {name: method(sources[:half], 0) for name, method in methods.items()}
    rows = []
    for name, images in outputs.items():
        contrast = np.linalg.norm(light_of(images, sources[:half]), axis=1)
        rows.append(
            {
                "method": name,
                "evaluations": EVALUATIONS[name],
                "seed": seed,
                "w2": wasserstein2(_changes(sources[:half], images), law),
                "rmse": float(np.sqrt(np.square(images.astype(float) - targets[:half]).mean())),
                "contrast": float(contrast.mean()),
                "octants": _octants(light_of(images, sources[:half])),
                "training_cpu_s": taught - began,
                "distillation_cpu_s": ended - taught,
            }
        )
        print(rows[-1], flush=True)
    if picture:
        shown = sources[:12]
        write = [shown, targets[:12], methods["regression"](shown, 0)]
        write += [methods[name](shown, draw) for name in ("teacher", "student") for draw in (1, 2)]
        _write_picture(picture, write)
    return rows


def _changes(sources: np.ndarray, images: np.ndarray) -> torch.Tensor:
    """What was done to the sources, one row each, on the [-1, 1] scale."""
    difference = (images.astype(np.float32) - sources.astype(np.float32)) / 127.5
    return torch.from_numpy(difference).flatten(1)


def _octants(lights: np.ndarray) -> float:
    """Share of the rarest eighth of the circle, 1/8 where all are equally likely."""
    eighth = ((np.arctan2(lights[:, 1], lights[:, 0]) / (np.pi / 4)) % 8).astype(int) % 8
    return float(np.bincount(eighth, minlength=8).min() / len(lights))


def _write_picture(path: Path, rows: list[np.ndarray]) -> None:
    """Rows of small images, four times as large."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_field("sheet.png", sheet.repeat(4, axis=0).repeat(4, axis=1)))


def _mean(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    """Mean over seeds, and the range."""
    values = [row[name] for row in rows]
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def _grouped(rows: list[dict[str, Any]], *keys: str) -> dict[tuple, list[dict[str, Any]]]:
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def page(found: dict[str, list[dict[str, Any]]]) -> str:
    """The tables, means over seeds with their range."""
    lines = [
        "# Distillation",
        "",
        "Written by `python -m benchmarks.distillation`. Means [range] over seeds.",
        "",
    ]
    if found.get("two_modes"):
        lines += [
            "Two targets for every source in the plane, an exact teacher, one step; W2 of pairs, n = 2000,"
            " means of five.",
            "",
            "| times | sigma | seeds | W2 | floor | share of one mode | CPU s |",
            "|---|---|---|---|---|---|---|",
        ]
        for (name, sigma), rows in _grouped(found["two_modes"], "times", "sigma").items():
            cells = (_mean(rows, "w2", 3), _mean(rows, "floor", 3), _mean(rows, "share", 3))
            lines.append(
                f"| {name} | {sigma} | {len(rows)} | {' | '.join(cells)} | {_mean(rows, 'cpu_s', 0)} |"
            )
        lines.append("")
    if found.get("light"):
        lines += [
            f"Balls of unknown light, {SIZE}x{SIZE}; a seed has {PAIRS['train']} training pairs and"
            f" {PAIRS['test'] // 2} held-out sources.",
            "",
            "| method | evaluations | W2 of changes | RMSE | contrast | rarest octant |",
            "|---|---|---|---|---|---|",
        ]
        for (name, evaluations), rows in _grouped(found["light"], "method", "evaluations").items():
            cells = (
                _mean(rows, "w2", 2),
                _mean(rows, "rmse", 1),
                _mean(rows, "contrast", 3),
                _mean(rows, "octants", 3),
            )
            lines.append(f"| {name} | {evaluations or '-'} | {' | '.join(cells)} |")
        first = _grouped(found["light"], "method")[("student",)]
        lines += [
            "",
            f"CPU seconds a seed, one thread: training {_mean(first, 'training_cpu_s', 0)}, distillation"
            f" {_mean(first, 'distillation_cpu_s', 0)}.",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=("two-modes", "light"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "distillation.json"
    # The part that is left out keeps its figures.
    found = json.loads(path.read_text()) if options.only and path.exists() else {}
    if options.only != "light":
        found["two_modes"] = two_modes(options.seeds)
    if options.only != "two-modes":
        found["light"] = []
        for place, seed in enumerate(options.seeds):
            with tempfile.TemporaryDirectory() as work:
                picture = None if place else options.images / "distillation.png"
                found["light"] += light(seed, Path(work), picture)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".md").write_text(page(found))


if __name__ == "__main__":
    main()
