"""What each feature of a rendered scene costs: the same groups with all of them, and with one left out.

    python -m benchmarks.scene_costs [--groups 12] [--size 128] [--samples 16] [--json FILE]

Processor seconds of this process and of Blender, of one thread, so that other work on the machine counts
little; the variants take turns at each group. Start-up is left out: a group that is not counted comes first.
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pairbridge import plan
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder
from pairbridge.training.evaluation.metrics import bootstrap_interval

PLAIN = {
    "standing": 0.0,
    "scale": "equal",
    "finish": None,
    "objects": [1, 1],
    "fov_deg": [25, 50],
    "camera": {"composition": {"centred": 1}, "front_share": 0, "roll_deg": 0, "defocus": None},
}
# What each changes of the defaults, and of what they are the cost.
VARIANTS: dict[str, dict[str, Any]] = {
    "all features": {},
    "no finish (noise, vignette, balance, tone, JPEG)": {"finish": None},
    "no depth of field": {"camera": {"defocus": None}},
    "no held height, front, thirds, cut or roll": {
        "camera": {"composition": {"centred": 1}, "front_share": 0, "roll_deg": 0, "held_share": 0}
    },
    "one object": {"objects": [1, 1]},
    "no real sizes, poses and contact": {"scale": "equal"},
    "all on the photograph's ground": {"standing": 1.0, "grounds": {"photograph": 1}},
    "all on a procedural ground": {"standing": 1.0, "grounds": {"procedural": 1}},
    "all floating": {"standing": 0.0},
    "as it was (all off)": PLAIN,
}


def config(changes: dict[str, Any], groups: int, size: int, samples: int) -> DatasetConfig:
    recipe = {
        "kind": "relighting_swap",
        "groups": {"train": groups},
        "size_WH": [size, size],
        "objects": [1, 3],
        "pairs_per_group": 2,
        "lightings_per_group": 2,
        "redraws": 0,
    } | changes
    return DatasetConfig.model_validate(
        {"name": "costs", "seed": 6, "render": {"samples": samples}, "recipes": {"relighting": recipe}}
    )


def processor_s() -> float:
    """Of this process and of those that it started and that live."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def measure(groups: int, size: int, samples: int) -> dict[str, list[float]]:
    """Of each variant the processor seconds of every group that is counted."""
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, changes in VARIANTS.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            order = WorkOrder(plan(config(changes, groups + 1, size, samples)), folder, folder)
            workers[name] = order, stack.enter_context(GroupWorker(order, name="costs", threads=1))
        for group in range(groups + 1):
            for name, (order, worker) in workers.items():
                before = processor_s()
                worker.make_pairs(order.plan.group(order.plan.streams[0], group))
                if group:
                    seconds[name].append(processor_s() - before)
    return seconds


def table(seconds: dict[str, list[float]]) -> str:
    """Means, and what is saved group by group with its 95 % interval."""
    whole = np.array(seconds["all features"])
    lines = [
        "| groups with | processor seconds a group | less than with all, s | of it, % |",
        "|---|---|---|---|",
    ]
    for name, values in seconds.items():
        saved = whole - np.array(values)
        interval = bootstrap_interval(saved.tolist(), [str(group) for group in range(len(saved))], seed=0)
        told = f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
        share = f"{100 * saved.mean() / whole.mean():+.0f}"
        if name == "all features":
            told = share = ""
        lines.append(f"| {name} | {np.mean(values):.2f} | {told} | {share} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, default=12)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seconds = measure(arguments.groups, arguments.size, arguments.samples)
    print(table(seconds))
    if arguments.json:
        measured_at = {name: getattr(arguments, name) for name in ("groups", "size", "samples")}
        arguments.json.write_text(json.dumps(measured_at | {"seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
