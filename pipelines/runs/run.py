"""The whole job as one resumable command: generate, verify, train, evaluate, report.

runs/<name>/dataset/        the dataset's folder
runs/<name>/train/          checkpoints, stats.jsonl, consumed.jsonl
runs/<name>/evaluation/     evaluation.json, figures of every image (csv), sample strips, worst.png
runs/<name>/metrics.json    every figure of the report
runs/<name>/report.html     the report, one self-contained page; sheet.png is its contact sheet
runs/<name>/stages/         what each finished stage depended on, see pairbridge.pipelines.runs.stages
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.core.atomic_files import sweep_temporaries
from pairbridge.datagen.core.errors import ConfigError, PairbridgeError, ShardError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.inference.training_progress import show_training
from pairbridge.pipelines.runs.cluster_training import require_ray_train, train_on_cluster
from pairbridge.pipelines.runs.pictures import write_worst_sheet
from pairbridge.pipelines.runs.report import write_report
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.runs.stages import (
    Stage,
    StageRecords,
    folder_digest,
    foresee,
    run_stages,
    set_aside,
)
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig, dataset_folder
from pairbridge.training.data.pairs import open_store
from pairbridge.training.engine.checkpoint import CheckpointError, checkpoint_folders, content_digest
from pairbridge.training.engine.engine_run import OnProgress
from pairbridge.training.evaluation.evaluate import EVALUATION_FORMAT, evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig

STAGE_NAMES = ("generate", "verify", "train", "evaluate", "report")


class TrainingInterrupted(PairbridgeError):
    """Someone asked the training to stop; a checkpoint holds all it has done."""


def execute(
    run: Run,
    *,
    workers: int,
    address: str | None,
    forced_from: str | None,
    say: Callable[[str], None] = print,
) -> None:
    """Bring the run to its end, skipping what is done; `forced_from` names a stage to start afresh from.

    Raises Interrupted and TrainingInterrupted when stopped (the same call resumes), FolderLocked if the
    run is going on elsewhere, and what the stages raise.
    """
    if run.config.train_on:
        require_ray_train()
    run.folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(run.folder, "run"):
        for written in (run.folder, run.folder / "stages"):
            sweep_temporaries(written)
        run_stages(_stages(run, workers, address), _records(run), forced_from=forced_from, say=say)


def dry_run(run: Run, *, forced_from: str | None, say: Callable[[str], None] = print) -> None:
    """Say which stages `execute` would run or skip, and why."""
    foresee(_stages(run, 1, None), _records(run), forced_from=forced_from, say=say)


def _records(run: Run) -> StageRecords:
    return StageRecords(run.folder / "stages")


def dataset_stages(run: Run, workers: int, address: str | None) -> tuple[Stage, ...]:
    """The stages that make the run's dataset and prove it whole."""
    return (
        Stage(
            name="generate",
            inputs=lambda: {
                "config": run.dataset.content(),
                "assets": build_catalogue(
                    run.dataset.assets, None, bpy_folder=bpy_folder(run.dataset.render.python)
                ).digest,
            },
            make=lambda: _generate(run, workers, address),
            outputs=lambda: _dataset_digest(run.dataset_dir),
            discard=lambda: set_aside(run.dataset_dir),
        ),
        Stage(
            name="verify",
            inputs=lambda: {"dataset": _dataset_digest(run.dataset_dir)},
            make=lambda: _verify(run),
            outputs=lambda: _dataset_digest(run.dataset_dir),
        ),
    )


def _stages(run: Run, workers: int, address: str | None) -> tuple[Stage, ...]:
    return (
        *dataset_stages(run, workers, address),
        training_stage(
            "train", run.training, run.mix, run.training_dir, run.folder, lambda: _train(run, address)
        ),
        evaluation_stage(
            "evaluate",
            run.evaluation,
            run.training_dir,
            run.evaluation_dir,
            run.folder,
            lambda: _evaluate(run),
        ),
        Stage(
            name="report",
            inputs=lambda: {
                name: (_records(run).read(name) or {}).get("outputs")
                for name in STAGE_NAMES
                if name != "report"
            },
            make=lambda: write_report(run),
            outputs=lambda: folder_digest(
                [run.folder / name for name in ("metrics.json", "report.html", "sheet.png")]
            ),
        ),
    )


def training_stage(
    name: str,
    training: TrainingConfig,
    mix: MixConfig,
    folder: Path,
    run_root: Path,
    make: Callable[[], None],
) -> Stage:
    """A training in `folder`, which `make` brings about."""
    return Stage(
        name=name,
        inputs=lambda: {
            "training": {**training.meaning(), "steps": training.steps},
            "mix": mix.model_dump(mode="json"),
            "data": mixed_data(mix, run_root),
        },
        make=make,
        outputs=lambda: checkpoint_digest(folder),
        discard=lambda: set_aside(folder),
    )


def evaluation_stage(
    name: str,
    evaluation: EvaluationConfig,
    training_dir: Path,
    out: Path,
    run_root: Path,
    make: Callable[[], Any],
) -> Stage:
    """The evaluation of a training in `out`, which `make` brings about."""
    return Stage(
        name=name,
        inputs=lambda: {
            "format": EVALUATION_FORMAT,
            "evaluation": evaluation.model_dump(mode="json"),
            "checkpoint": checkpoint_digest(training_dir),
            "data": evaluated_data(evaluation, run_root),
        },
        make=make,
        outputs=lambda: folder_digest([out / "evaluation.json"]),
    )


def _generate(run: Run, workers: int, address: str | None) -> None:
    try:
        generate(run.dataset, run.dataset_dir, workers=workers, address=address)
    except ConfigError as error:
        if not (run.dataset_dir / MANIFEST_NAME).exists():
            raise
        raise _with_fresh_start(error, "generate", run.dataset_dir) from error


def _verify(run: Run) -> None:
    report = verify_dataset(run.dataset_dir, decode=True)
    if report.findings:
        first = report.findings[0]
        raise ShardError(
            f"{run.dataset_dir} has {len(report.findings)} problems; {first.where}: {first.problem}",
            consequence="nothing is trained on a damaged dataset",
            remedy=f"{first.remedy}; `pairbridge verify --decode {run.dataset_dir}` lists all",
        )


def _train(run: Run, address: str | None) -> None:
    try:
        with show_training(run.training.steps) as on_progress:
            finish_training(
                run, run.training, run.mix, run.training_dir, address=address, on_progress=on_progress
            )
    except CheckpointError as error:
        raise _with_fresh_start(error, "train", run.training_dir) from error


def finish_training(
    run: Run,
    training: TrainingConfig,
    mix: MixConfig,
    folder: Path,
    *,
    address: str | None,
    on_progress: OnProgress = lambda line: None,
) -> None:
    """Train to the last step, here or where the run's `train_on` says. Raises TrainingInterrupted where a
    signal ends it before.
    """
    if run.config.train_on is None:
        result = train(training, mix, folder, run_root=run.folder, on_progress=on_progress)
        if result.interrupted:
            raise TrainingInterrupted(
                f"stopped by {result.interrupted} at step {result.step} of {training.steps}",
                consequence=f"all of it is in {result.checkpoint}",
                remedy="run the same command again: it goes on from there",
            )
        return
    try:
        train_on_cluster(
            training,
            mix,
            folder,
            run_root=run.folder,
            place=run.config.train_on,
            address=address,
            join_timeout_s=run.dataset.execution.join_timeout_s,
            on_progress=on_progress,
        )
    except KeyboardInterrupt:
        raise TrainingInterrupted(
            "stopped by a signal while processes of a cluster were training",
            consequence="what came after the newest checkpoint is lost",
            remedy="run the same command again: it goes on from that checkpoint",
        ) from None


def _evaluate(run: Run) -> None:
    result = evaluate(run.evaluation, run.training_dir, run.evaluation_dir, run_root=run.folder)
    write_worst_sheet(result, run.evaluation_dir)


def _with_fresh_start(error: PairbridgeError, stage: str, folder: Path) -> PairbridgeError:
    remedy = f"restore the old values, or add `--from {stage}`: it moves {folder} aside and starts afresh"
    return type(error)(error.cause, consequence=error.consequence, remedy=remedy)


def _dataset_digest(dataset_dir: Path) -> str | None:
    """What the dataset's own records say of it, sha256 of every tar included. `verify` compares those with
    the tars.
    """
    if not (dataset_dir / MANIFEST_NAME).is_file():
        return None
    sidecars = sorted((dataset_dir / "shards").glob("*.json"))
    if not all(sidecar.with_suffix(".tar").is_file() for sidecar in sidecars):
        return None
    return folder_digest([dataset_dir / MANIFEST_NAME, dataset_dir / "quarantine.jsonl", *sidecars])


def _source_digest(dataset_dir: Path, recipe: str, split: str) -> str | None:
    if not (dataset_dir / MANIFEST_NAME).is_file():
        return None
    return open_store(dataset_dir, recipe, split).digest


def mixed_data(mix: MixConfig, run_root: Path) -> dict[str, Any]:
    """Digest of the pairs of every source of a mix, and of the files that say which of them are used; None
    where they are not there yet.
    """
    pairs = {
        source.name: _source_digest(source.folder(run_root), source.recipe, source.split)
        for source in mix.sources
    }
    chosen = {
        str(path): file_sha256(path) if path.is_file() else None
        for source in mix.sources
        for path in (source.keep, source.exclude)
        if path
    }
    return pairs | chosen


def evaluated_data(evaluation: EvaluationConfig, run_root: Path) -> dict[str, Any]:
    """The same of every source of an evaluation."""
    return {
        source.name: _source_digest(dataset_folder(source.path, run_root), source.recipe, evaluation.split)
        for source in evaluation.sources
    }


def checkpoint_digest(training_dir: Path) -> str | None:
    """Digest of the newest checkpoint's weights and state, None where there is none."""
    complete = checkpoint_folders(training_dir / "checkpoints")
    return content_digest(complete[-1]) if complete else None
