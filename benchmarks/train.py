"""Where does the time of a training step go, for the smallest shipped recipes?

    python -m benchmarks.train [--recipes smoke relighting-small] [--steps 60] [--out docs/benchmarks]
    python -m benchmarks.train --beside COMMIT      # and beside a former commit, step by step in turns

Trains each recipe as `pairbridge train` does, loader and telemetry included, on pairs made here,
and takes the time inside forward (encoding, bridge, network, loss), backward and optimiser (clipping, step,
moving average). What is left of a step is what this project adds: waiting for data, draws, notes. Asked:
under 3 %. Writes `train.json` and `train.md`.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.train_beside import beside
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training import bridge_learner
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.ema import Ema
from pairbridge.training.engine.run_log import read_lines
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

# The first steps start workers and fill caches.
WARM_UP = 10
WANTED = 0.03
PHASES: dict[str, tuple[tuple[Any, str], ...]] = {
    "forward": ((bridge_learner, "bridge_loss"),),
    "backward": ((torch.Tensor, "backward"),),
    "optimiser": ((torch.nn.utils, "clip_grad_norm_"), (torch.optim.AdamW, "step"), (Ema, "step")),
}


class Stopwatch:
    """Seconds inside each phase, step by step, on the wall and of this thread's processor time; a step begins
    where its forward does.
    """

    CLOCKS = (time.perf_counter, time.thread_time)

    def __init__(self) -> None:
        self.begins: list[tuple[float, ...]] = []
        self.inside: dict[str, list[list[float]]] = defaultdict(list)

    def timed(self, phase: str, function: Callable) -> Callable:
        def call(*args, **kwargs):
            began = [clock() for clock in self.CLOCKS]
            if phase == "forward":
                self.begins.append(tuple(began))
                for name in PHASES:
                    self.inside[name].append([0.0, 0.0])
            try:
                return function(*args, **kwargs)
            finally:
                for place, clock in enumerate(self.CLOCKS):
                    self.inside[phase][-1][place] += clock() - began[place]

        return call

    def shares(self, clock: int) -> dict[str, float]:
        """Of the steps after the first WARM_UP, up to the last one: each phase's, and what is left."""
        window = self.begins[-1][clock] - self.begins[WARM_UP][clock]
        inside = {
            name: sum(step[clock] for step in self.inside[name][WARM_UP:-1]) / window for name in PHASES
        }
        return {**inside, "outside": 1 - sum(inside.values())}

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            for phase, functions in PHASES.items():
                for owner, name in functions:
                    stack.enter_context(
                        mock.patch.object(owner, name, self.timed(phase, getattr(owner, name)))
                    )
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["smoke", "relighting-small"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--beside", metavar="COMMIT")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    rows = [measure(name, arguments.steps) for name in arguments.recipes]
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {"steps": arguments.steps, "warm_up": WARM_UP, "rows": rows}
    if arguments.beside:
        result["beside"] = beside(arguments.beside, arguments.recipes, arguments.steps)
    (arguments.out / "train.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "train.md").write_text(page)
    print(page)


def measure(recipe: str, steps: int) -> dict[str, Any]:
    config = load_config(find_config("training", recipe), TrainingConfig)
    # One checkpoint at the end and no validation: what is measured is the step.
    still = config.validation.model_copy(update={"every_images": None})
    config = config.model_copy(update={"steps": steps, "checkpoint_every": steps, "validation": still})
    mix = MixConfig.model_validate(
        {"sources": [{"name": "pairs", "path": "run:dataset", "recipe": "relighting"}]}
    )
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = TinyRecipe(groups={"train": 64}, pairs_per_group=1, size_WH=(config.size, config.size))
        TinyDataset(recipes={"relighting": size}, groups_per_shard=16).write(root / "dataset")
        with watch.watching():
            train(config, mix, root / "train", run_root=root)
        waits = [line["data_wait"] for line in read_lines(root / "train" / "stats.jsonl")]
    wall_s = watch.begins[-1][0] - watch.begins[WARM_UP][0]
    return {
        "recipe": recipe,
        "size": config.size,
        "batch": config.batch_size,
        "step_ms": 1000 * wall_s / (steps - 1 - WARM_UP),
        "wall": watch.shares(0),
        "processor": watch.shares(1),
        "data_wait": sum(waits[1:]) / max(1, len(waits) - 1),
    }


def markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Training step",
        "",
        f"Shares of a step's time over {result['steps'] - result['warm_up'] - 1} steps on the CPU. Written by"
        " `benchmarks/train.py`.",
        "",
        "| recipe | images | step | forward | backward | optimiser | outside | of it, waiting for data |"
        " outside, processor time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        shares = " | ".join(f"{row['wall'][name]:.1%}" for name in (*PHASES, "outside"))
        lines.append(
            f"| {row['recipe']} | {row['batch']} of {row['size']}x{row['size']} | {row['step_ms']:.0f} ms |"
            f" {shares} | {row['data_wait']:.1%} | {row['processor']['outside']:.1%} |"
        )
    lines += [
        "",
        f"Asked: less than {WANTED:.0%} outside. Processor time is the training thread's alone: what other"
        " programs on the machine",
        "take, and a loader that they hold up, is not in it.",
        "",
    ]
    if "beside" in result:
        lines += _beside_lines(result["beside"])
    return "\n".join(lines)


def _beside_lines(found: dict[str, Any]) -> list[str]:
    commit, _, subject = found["commit"].partition(" ")
    lines = [
        f"## Beside {commit}",
        "",
        "Milliseconds of processor time of a step on one thread, medians; this commit and",
        f"{commit} ({subject})",
        "took steps in turns. The ratio is the median over pairs of steps, in brackets its 95 % interval;",
        "beside it the means of the loader. Validation, which the former had none of, is off.",
        "",
        "| recipe | steps | then | now | now / then | loader then | loader now |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        low, high = row["interval"]
        lines.append(
            f"| {row['recipe']} | {row['steps']} | {row['former_ms']:.1f} | {row['now_ms']:.1f} |"
            f" {row['ratio']:.3f} [{low:.3f}, {high:.3f}] | {row['former_loader_ms']:.1f} |"
            f" {row['now_loader_ms']:.1f} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()
