"""`pairbridge distill`: which teacher, which sources, and what is said while it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, trained_mix
from pairbridge.pipelines.inference.training_progress import show_training
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import process_group
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.distillation_loop import distil
from pairbridge.training.distillation.distillation_watch import EXPLAINED
from pairbridge.training.engine.engine_run import TrainResult


def run_distillation(
    config: DistillationConfig,
    teacher: str | Path,
    mix: MixConfig | None,
    run: str | Path,
    *,
    say: Callable[[str], None] = print,
) -> TrainResult:
    """Distil the newest checkpoint of `teacher` into `run`/train, on `mix` or on what the teacher saw.

    Under torchrun every process makes the same call, and the first one speaks.
    """
    checkpoint, run = newest_checkpoint(Path(teacher).absolute()), Path(run).absolute()
    with process_group() as ranks, show_training(config.steps, silent=not ranks.first) as show:
        return distil(
            config,
            checkpoint,
            mix or trained_mix(checkpoint),
            run / "train",
            run_root=run,
            on_progress=_saying_warnings(show, say) if ranks.first else show,
        )


def _saying_warnings(
    show: Callable[[dict[str, Any]], None], say: Callable[[str], None]
) -> Callable[[dict[str, Any]], None]:
    """`show`, and each warning in words where it was not in the line before."""
    before: set[str] = set()

    def on_progress(line: dict[str, Any]) -> None:
        nonlocal before
        show(line)
        for name in line["warnings"]:
            if name not in before:
                say(f"warning, step {line['step']}: {EXPLAINED[name]}")
        before = set(line["warnings"])

    return on_progress
