"""Does one distilled step draw from the law that regression averages?

    python -m benchmarks.distillation [--only samplers | two-modes | light] [--seeds 0 1 2]

`samplers`: points in the plane with two targets each and an exact teacher (tests/support/two_modes.py), drawn
by its samplers; W2 of the pairs (source, output) to true pairs, beside that of true pairs to each other (the
floor). `two-modes`: the same teacher distilled, by sigma and by the times of the matching. `light`: 16x16
pictures of balls whose light nothing in the source tells (tests/support/toy_light.py); a bridge is trained
and distilled as `pairbridge train` and `pairbridge distill` do it, and judged on held-out pairs. Writes
`distillation.json`, `distillation.md` and a picture.
"""

import argparse
import itertools
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

from benchmarks import plane_laws
from benchmarks.plane_laws import wasserstein2
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.pipelines.inference.distilling import run_distillation
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import DbimSampler, PosteriorSampler, Sampler
from pairbridge.training.bridge.timesteps import UniformTimesteps
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER, TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.student import timesteps_of
from tests.support.toy_light import SIZE, light_of, lit_pair
from tests.support.toy_relighting import write_toy_dataset
from tests.support.two_modes import TwoModes, teacher

# Of the law that samplers are to reach.
POINTS = 1000
# (name, sigma, times): the last one loses a mode.
CASES = (
    ("default", 0.5, timesteps_of(0.5, cap=0.98)),
    ("default", 0.05, timesteps_of(0.05, cap=0.98)),
    ("uniform", 0.5, UniformTimesteps(cap=0.998)),
    ("uniform", 0.05, UniformTimesteps(cap=0.998)),
)
# Of a teacher.
SAMPLERS = {
    "posterior": PosteriorSampler(),
    "posterior, cosine": PosteriorSampler(grid="cosine"),
    "dbim": DbimSampler(),
    "dbim, order 2, cosine": DbimSampler(order=2, grid="cosine"),
}
EVALUATIONS = (1, 2, 4, 8, 20, 50, 100, 200, 500)
# The teacher of lights by sampler and number of evaluations.
TEACHERS = {
    "teacher": (PosteriorSampler(), (4, 20, 100, 500)),
    "teacher, dbim": (DbimSampler(), (4, 20, 100)),
}
# When students are evaluated, by how often.
STUDENTS = {1: (0.0,), 2: (0.0, 0.5), 4: (0.0, 0.25, 0.5, 0.75)}
# (sources, seed) -> outputs, uint8.
Method = Callable[[np.ndarray, int], np.ndarray]
TEACHER = {
    "steps": 2000,
    "batch_size": 32,
    "size": SIZE,
    "autoencoder": {"kind": "haar", "levels": 2},
    "bridge": {"sigma": 1.0},
    # Beyond where 500 even steps evaluate it.
    "timesteps": {"kind": "uniform", "cap": 0.999},
    # 32 channels do not carry 48 of noise, and a gain that takes it away, -1 / (1 - t), has no bound.
    "denoiser": {"widths": [32], "head_width": 8, "head": "estimate", "conditions": ["source"]},
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


def samplers(seeds: list[int]) -> list[dict[str, Any]]:
    rows = []
    for sigma, seed in itertools.product((0.5, 0.05), seeds):
        generator = torch.Generator().manual_seed(seed)
        x0, _ = plane_laws.two_modes(POINTS, generator)
        true, others = (torch.cat(plane_laws.two_modes(POINTS, generator), dim=1) for _ in range(2))
        floor = wasserstein2(others, true)
        for (name, sampler), steps in itertools.product(SAMPLERS.items(), EVALUATIONS):
            x1 = sample(
                sampler,
                teacher(x0, sigma),
                x0,
                sampler.times(steps),
                bridge=BrownianBridge(sigma=sigma),
                generator=generator,
            )
            w2 = wasserstein2(torch.cat([x0, x1], dim=1), true)
            about = {"sigma": sigma, "sampler": name, "evaluations": steps, "seed": seed}
            rows.append({**about, "w2": w2, "floor": floor})
    return rows


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
    cpu_s = {"teacher": teach(seed, work)}
    cpu_s |= {f"student-{steps}": distil(seed, work, steps) for steps in STUDENTS}
    return judge(seed, work, cpu_s, picture)


def teach(seed: int, work: Path) -> float:
    """Write pairs and train on them, in `work`/teacher; the CPU seconds it took."""
    began, run = time.process_time(), work / "teacher"
    write_toy_dataset(run / "dataset", "light", PAIRS, seed=seed, per_object=1, make_pair=lit_pair)
    mix = MixConfig.model_validate({"sources": [{"name": "light", "path": "run:dataset", "recipe": "light"}]})
    train(TrainingConfig.model_validate({**TEACHER, "seed": seed}), mix, run / "train", run_root=run)
    return time.process_time() - began


def distil(seed: int, work: Path, steps: int) -> float:
    """The teacher's student of so many steps, in `work`/student-`steps`; the CPU seconds it took."""
    began = time.process_time()
    overrides = (*STUDENT, f"seed={seed}", f"student_timesteps={list(STUDENTS[steps])}")
    config = load_config(find_config("distillation", "small"), DistillationConfig, overrides)
    run_distillation(config, work / "teacher", None, work / f"student-{steps}")
    return time.process_time() - began


def judge(seed: int, work: Path, cpu_s: dict[str, float], picture: Path | None) -> list[dict[str, Any]]:
    """cpu_s: what `teach` and `distil` took, by the folder in `work`."""

    def opened(name: str) -> TranslationModel:
        return TranslationModel.load(newest_checkpoint(work / name))

    of_teacher = opened("teacher")
    # By name and number of evaluations.
    methods: dict[tuple[str, int], Method] = {("regression", 1): _method(of_teacher, 1)}
    for name, (sampler, counts) in TEACHERS.items():
        methods |= {(name, steps): _method(of_teacher, steps, sampler) for steps in counts}
    methods |= {("student", steps): _method(opened(f"student-{steps}"), steps) for steps in STUDENTS}
    held_out = PairSource(work / "teacher" / "dataset", "light", "test")
    pairs = [held_out.pair(place) for place in range(len(held_out))]
    sources, targets = (np.stack([getattr(pair, name) for pair in pairs]) for name in ("source", "target"))
    half = len(pairs) // 2
    # Methods see the first half; the law is that of the second half's true pairs.
    law = _changes(sources[half:], targets[half:])
    outputs = {("true targets", 0): targets[:half]}
    outputs |= {name: method(sources[:half], 0) for name, method in methods.items()}
    rows = []
    for (name, evaluations), images in outputs.items():
        contrast = np.linalg.norm(light_of(images, sources[:half]), axis=1)
        rows.append(
            {
                "method": name,
                "evaluations": evaluations,
                "seed": seed,
                "w2": wasserstein2(_changes(sources[:half], images), law),
                "rmse": float(np.sqrt(np.square(images.astype(float) - targets[:half]).mean())),
                "contrast": float(contrast.mean()),
                "octants": _octants(light_of(images, sources[:half])),
                # Beside the teacher's, of a student.
                "cpu_s": cpu_s.get(f"{name}-{evaluations}", cpu_s["teacher"] if evaluations else 0.0),
            }
        )
        print(rows[-1], flush=True)
    if picture:
        shown = sources[:12]
        drawn = [methods[name](shown, 1) for name in (*(("student", n) for n in STUDENTS), ("teacher", 100))]
        _write_picture(picture, [shown, *drawn, targets[:12]])
    return rows


def _method(model: TranslationModel, steps: int, sampler: Sampler = DEFAULT_SAMPLER) -> Method:
    return lambda images, draw: model.translate_batch(images, steps=steps, seed=draw, sampler=sampler)


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
    if found.get("samplers"):
        lines += [
            "Two targets for every source in the plane, an exact teacher by its samplers; W2 of pairs by the"
            f" number of evaluations, n = {POINTS}.",
            "",
            f"| sigma | sampler | floor | {' | '.join(map(str, EVALUATIONS))} |",
            "|---|---|---|" + "---|" * len(EVALUATIONS),
        ]
        for (sigma, name), rows in _grouped(found["samplers"], "sigma", "sampler").items():
            cells = [_mean(of_count, "w2", 3) for of_count in _grouped(rows, "evaluations").values()]
            lines.append(f"| {sigma} | {name} | {_mean(rows, 'floor', 3)} | {' | '.join(cells)} |")
        lines.append("")
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
            "| method | evaluations | seeds | W2 of changes | RMSE | contrast | rarest octant | CPU s |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (name, evaluations), rows in _grouped(found["light"], "method", "evaluations").items():
            cells = (
                _mean(rows, "w2", 2),
                _mean(rows, "rmse", 1),
                _mean(rows, "contrast", 3),
                _mean(rows, "octants", 3),
                _mean(rows, "cpu_s", 0) if evaluations else "-",
            )
            lines.append(f"| {name} | {evaluations or '-'} | {len(rows)} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=("samplers", "two-modes", "light"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "distillation.json"
    # The parts that are left out keep their figures.
    found = json.loads(path.read_text()) if options.only and path.exists() else {}
    if options.only in (None, "samplers"):
        found["samplers"] = samplers(options.seeds)
    if options.only in (None, "two-modes"):
        found["two_modes"] = two_modes(options.seeds)
    if options.only in (None, "light"):
        found["light"] = []
        for place, seed in enumerate(options.seeds):
            with tempfile.TemporaryDirectory() as work:
                picture = None if place else options.images / "distillation.png"
                found["light"] += light(seed, Path(work), picture)
            _write(path, found)
    _write(path, found)


def _write(path: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".md").write_text(page(found))


if __name__ == "__main__":
    main()
