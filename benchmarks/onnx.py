"""Does onnxruntime make the pictures that torch makes, for every small recipe, and how fast?

    python -m benchmarks.onnx [--out docs/benchmarks] [--tasks depth normals ...]

Each recipe's network has random weights, its last layer included (training starts it at zero, where every
parity holds); it is exported with free sizes and compared at sizes that the exporter never saw. Latency is
the least processor time of a picture over many calls, on one thread, torch and onnxruntime in turns: as near
to a free core's as a shared machine gets. Writes `onnx.json` and `onnx.md`. Exits with 1 if a
difference exceeds 1e-3.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from benchmarks.small_recipes import TASKS
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.published.one_evaluation import OneEvaluation
from pairbridge.training.published.onnx_export import TOLERANCE, difference, export_onnx, run, session

# (B, H, W): that of training, odd ones, a strip, two pictures of different kinds of sides.
SIZES = ((1, 64, 64), (1, 131, 260), (1, 7, 300), (2, 50, 70))
# Sides of the squares that are timed.
TIMED = (64, 256)
CALLS = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    found: dict[str, Any] = {"machine": machine, "tasks": {}}
    for task in arguments.tasks:
        found["tasks"][task] = measure(task)
        print(task, json.dumps(found["tasks"][task]), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "onnx.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.out / "onnx.md").write_text(markdown(found))
    sys.exit(not all(max(of["difference"].values()) <= TOLERANCE for of in found["tasks"].values()))


def small_model(task: str) -> OneEvaluation:
    """The recipe's network, with weights that change every picture."""
    config = load_config(find_config("training", f"{task}-small"), TrainingConfig)
    autoencoder = build_autoencoder(config.autoencoder)
    denoiser = build_denoiser(config, autoencoder)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in (denoiser.unet.conv_out.weight, denoiser.unet.conv_out.bias):
            value.normal_(std=0.05, generator=generator)
    return OneEvaluation(TranslationModel(config, autoencoder, denoiser), removes=task == "removal")


def measure(task: str) -> dict[str, Any]:
    graph = small_model(task)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        exported = export_onnx(graph, Path(folder))
        seconds = time.perf_counter() - started
        differences = {"x".join(map(str, size)): difference(graph, exported.path, size) for size in SIZES}
        latency = {str(side): _latency(graph, exported.path, side) for side in TIMED}
        size_mb = exported.path.stat().st_size / 1e6
    examples = graph.examples(*SIZES[0])
    with torch.no_grad():
        changed = (graph(*examples.values()) - examples["image"]).abs().mean().item()
    return {
        "inputs": exported.inputs,
        "difference": differences,
        "mean_change_of_the_picture": round(changed, 3),
        "latency_ms": latency,
        "file_mb": round(size_mb, 1),
        "export_s": round(seconds),
    }


@torch.no_grad()
def _latency(graph: OneEvaluation, path: Path, side: int) -> dict[str, float]:
    examples, opened = graph.examples(1, side, side), session(path, 1)
    calls = {
        "torch": lambda: graph(*examples.values()),
        "onnxruntime": lambda: run(opened, examples),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    # In turns, so that both meet the same neighbours on the machine; the first of each warms up.
    for _ in range(CALLS + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            taken[name].append(1e3 * (time.process_time() - started))
    return {name: round(min(values[1:]), 2) for name, values in taken.items()}


def markdown(found: dict[str, Any]) -> str:
    machine = found["machine"]
    sizes = next(iter(found["tasks"].values()))["difference"]
    lines = [
        "# ONNX beside torch",
        "",
        f"`python -m benchmarks.onnx`: torch {machine['torch']}, onnxruntime {machine['onnxruntime']},"
        f" CPU ({machine['cpu']}).",
        "Each small recipe's network with random weights, exported once with free sizes. The difference is",
        "the largest of any pixel and channel, on the [0, 1] scale, at sizes B x H x W;",
        f"{TOLERANCE:g} is accepted.",
        "",
        "| recipe | inputs | " + " | ".join(sizes) + " |",
        "|---|---|" + "---|" * len(sizes),
    ]
    for task, of in found["tasks"].items():
        cells = " | ".join(f"{value:.1e}" for value in of["difference"].values())
        lines.append(f"| {task} | {', '.join(of['inputs'])} | {cells} |")
    lines += [
        "",
        f"Milliseconds of processor time for one picture on one thread, the least of {CALLS} calls, torch and"
        " onnxruntime in turns.",
        "The machine was shared with other work: this is processor time, no latency on the wall.",
        "",
        "| recipe | " + " | ".join(f"torch {side} | onnxruntime {side}" for side in TIMED) + " | file, MB |",
        "|---|" + "---|" * (2 * len(TIMED) + 1),
    ]
    for task, of in found["tasks"].items():
        cells = " | ".join(
            f"{of['latency_ms'][str(side)][name]:.1f}" for side in TIMED for name in ("torch", "onnxruntime")
        )
        lines.append(f"| {task} | {cells} | {of['file_mb']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
