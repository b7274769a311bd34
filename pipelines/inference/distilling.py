"""`pairbridge distill`: which teacher, which sources, and what is said while it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, run_of
from pairbridge.pipelines.inference.training_progress import show_training
from pairbridge.training.data.mix_config import RUN_PREFIX, MixConfig
from pairbridge.training.data.ranks import process_group
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.distillation_loop import distil
from pairbridge.training.distillation.distillation_watch import EXPLAINED
from pairbridge.training.engine.checkpoint import read_state
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
            mix or teachers_mix(checkpoint),
            run / "train",
            run_root=run,
            on_progress=_saying_warnings(show, say) if ranks.first else show,
        )


def teachers_mix(checkpoint: Path) -> MixConfig:
    """The mix of a training, its `run:` folders found in that training's run."""
    mix = MixConfig.model_validate(read_state(checkpoint).mix)
    run = run_of(checkpoint)
    if run is None:
        return mix
    sources = tuple(
        source.model_copy(update={"path": str(source.folder(run))})
        if source.path.startswith(RUN_PREFIX)
        else source
        for source in mix.sources
    )
    return mix.model_copy(update={"sources": sources})


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
