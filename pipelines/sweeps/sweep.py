"""`pairbridge sweep`: the same run trained and judged over a grid, resumable, and a page of plots.

<run's folder>/sweeps/<name>/models/<digest>/train/          one training each
<run's folder>/sweeps/<name>/models/<digest>/nfe-4/          its evaluation with four network evaluations
<run's folder>/sweeps/<name>/stages/                         what is done, see
pairbridge.pipelines.runs.stages <run's folder>/sweeps/<name>/sweep.json, sweep.html, <grid>.png
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pairbridge.datagen.core.atomic_files import sweep_temporaries
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.pipelines.runs.cluster_training import require_ray_train
from pairbridge.pipelines.runs.run import dataset_stages, evaluation_stage, finish_training, training_stage
from pairbridge.pipelines.runs.run_config import Run, load_run
from pairbridge.pipelines.runs.stages import Stage, StageRecords, run_stages, why_to_run
from pairbridge.pipelines.sweeps.cells import Cell, cells
from pairbridge.pipelines.sweeps.sweep_config import SweepConfig
from pairbridge.pipelines.sweeps.sweep_page import write_page
from pairbridge.training.evaluation.evaluate import evaluate


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep, its base run and its folder."""

    config: SweepConfig
    run: Run

    @property
    def folder(self) -> Path:
        return self.run.folder / "sweeps" / self.config.name

    def model_dir(self, cell: Cell) -> Path:
        return self.folder / "models" / cell.model

    def evaluation_dir(self, cell: Cell) -> Path:
        return self.model_dir(cell) / f"nfe-{cell.nfe}"


def load_sweep(name: str, runs_dir: Path, overrides: list[str] | tuple[str, ...] = ()) -> Sweep:
    """The sweep `name` (a path or a shipped name) over its base run in `runs_dir`. Overrides `run.x.y=z` go
    to the base run, as in `pairbridge run`; others to the sweep. Raises ConfigError.
    """
    path = find_config("sweeps", name)
    of_run = [text.removeprefix("run.") for text in overrides if text.startswith("run.")]
    config = load_config(path, SweepConfig, [text for text in overrides if not text.startswith("run.")])
    base = find_config("runs", config.run, folder=path.parent)
    run = load_run(str(base), runs_dir, of_run, below="run.")
    for source in run.evaluation.sources:
        if source.against == () and not source.baselines and not source.outputs:
            raise ConfigError(
                f"evaluation source {source.name} of the run {run.config.name} is judged against nothing",
                consequence="a sweep shows gains, and there would be none",
                remedy="name a baseline, such as `against: [source]`, or leave `against` out",
            )
    return Sweep(config, run)


def execute_sweep(
    sweep: Sweep, *, workers: int, address: str | None, say: Callable[[str], None] = print
) -> Path:
    """Make the dataset, then whatever trainings and evaluations are missing, then the page; its path.

    Raises what the stages raise, TrainingInterrupted when asked to stop: the same call goes on.
    """
    run = sweep.run
    if run.config.train_on:
        require_ray_train()
    sweep.folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(run.folder, "run"):
        for written in (run.folder / "stages", sweep.folder, sweep.folder / "stages"):
            sweep_temporaries(written)
        run_stages(
            dataset_stages(run, workers, address),
            StageRecords(run.folder / "stages"),
            forced_from=None,
            say=say,
        )
        run_stages(_stages(sweep, address), StageRecords(sweep.folder / "stages"), forced_from=None, say=say)
    return write_page(sweep.config, run, list(cells(sweep.config, run)), sweep.folder, sweep.evaluation_dir)


def dry_run_sweep(sweep: Sweep, *, say: Callable[[str], None] = print) -> None:
    """Say which trainings and evaluations `execute_sweep` would make, each by the settings that want it."""
    records = StageRecords(sweep.folder / "stages")
    settings = {}
    for cell in cells(sweep.config, sweep.run):
        own = ", ".join(
            [
                *(f"{axis} {value}" for axis, value in cell.values.items() if axis != "nfe"),
                f"seed {cell.seed}",
            ]
        )
        settings.setdefault(_training_name(cell), f"train {own}")
        settings.setdefault(_evaluation_name(cell), f"evaluate {own}, nfe {cell.nfe}")
    for stage in _stages(sweep, None):
        reason = why_to_run(stage, records)
        say(f"would {settings[stage.name]}: {reason}" if reason else f"done: {settings[stage.name]}")


def _stages(sweep: Sweep, address: str | None) -> tuple[Stage, ...]:
    """A training before the evaluations of its model; each once, however many grids want it."""
    stages: dict[str, Stage] = {}
    for cell in cells(sweep.config, sweep.run):
        stages.setdefault(_training_name(cell), _training_stage(sweep, cell, address))
        stages.setdefault(_evaluation_name(cell), _evaluation_stage(sweep, cell))
    return tuple(stages.values())


def _training_name(cell: Cell) -> str:
    return f"train-{cell.model}"


def _evaluation_name(cell: Cell) -> str:
    return f"evaluate-{cell.model}-nfe-{cell.nfe}"


def _training_stage(sweep: Sweep, cell: Cell, address: str | None) -> Stage:
    folder, root = sweep.model_dir(cell) / "train", sweep.run.folder
    make = partial(finish_training, sweep.run, cell.training, cell.mix, folder, address=address)
    return training_stage(_training_name(cell), cell.training, cell.mix, folder, root, make)


def _evaluation_stage(sweep: Sweep, cell: Cell) -> Stage:
    out, root, training_dir = sweep.evaluation_dir(cell), sweep.run.folder, sweep.model_dir(cell) / "train"
    config = sweep.run.evaluation.model_copy(update={"sampling_steps": cell.nfe})
    make = partial(evaluate, config, training_dir, out, run_root=root)
    return evaluation_stage(_evaluation_name(cell), config, training_dir, out, root, make)
