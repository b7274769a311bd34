"""`pairbridge mix | encode | train | distill | evaluate | publish`: from finished datasets to a model."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.commands.options import DatasetFolder, MixName, RunFolder, Set, stop_interrupted


def mix(
    mix: MixName,
    run: RunFolder = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps to forecast.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 16,
    settings: Set = None,
) -> None:
    """Show a mix: exact shares, epochs, and what is exhausted first."""
    # Imported late: numpy, OpenCV and rich.
    from pairbridge.pipelines.commands.mix_view import show_mix
    from pairbridge.training.data.buckets import BucketSequence
    from pairbridge.training.data.mix_report import describe_mix

    # Only the number of samples counts here, not their size.
    buckets = BucketSequence.single(size=8, batch_size=batch_size)
    sources = load("mix", mix, settings)
    show_mix(describe_mix(sources, run_root=run.absolute(), buckets=buckets, num_batches=steps))


def encode(
    dataset: DatasetFolder,
    training: Annotated[
        str,
        typer.Option(
            "--training", help="The training that will read them: its YAML file, or a shipped name."
        ),
    ],
    recipe: Annotated[
        list[str] | None, typer.Option("--recipe", help="Only this recipe; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    target: Annotated[str, typer.Option(help="Ground truth of the pairs: image, depth or normal.")] = "image",
    settings: Set = None,
) -> None:
    """Cache a dataset's latents; training then reads no pixels.

    For trainings with `latents: cached`, whose config says autoencoder, sizes and conditions. Interrupt it
    at any time: the same command resumes.
    """
    # Imported late: torch.
    from pairbridge.pipelines.inference.encoding import encode_dataset
    from pairbridge.pipelines.inference.training_progress import show_encoding
    from pairbridge.training.data.targets import TargetKind

    config = load("training", training, settings)
    with show_encoding() as on_progress:
        folders = encode_dataset(
            config,
            dataset,
            recipes=recipe or (),
            split=split,
            target=TargetKind(target),
            on_progress=on_progress,
        )
    for folder in folders:
        print(folder)


def train(
    training: Annotated[
        str, typer.Argument(metavar="TRAINING", help="A training's YAML file, or the name of a shipped one.")
    ],
    mix: Annotated[str, typer.Option("--mix", help="A mix's YAML file, or the name of a shipped one.")],
    run: RunFolder,
    settings: Set = None,
) -> None:
    """Train on a mix of datasets; the same command resumes exactly.

    On several GPUs: torchrun --nproc-per-node N --no-python -- pairbridge train ...
    """
    # Imported late: torch.
    from pairbridge.pipelines.inference.training_progress import show_training
    from pairbridge.training.bridge_training.loop import train as run_training
    from pairbridge.training.data.ranks import process_group

    config, sources = load("training", training, settings), load("mix", mix)
    run = run.absolute()
    # Under torchrun every process comes here with the same arguments; the first one speaks.
    with process_group() as ranks, show_training(config.steps, silent=not ranks.first) as on_progress:
        result = run_training(config, sources, run / "train", run_root=run, on_progress=on_progress)
    if result.interrupted:
        stop_interrupted(None)
    if ranks.first:
        print(f"step {result.step}: {result.checkpoint}")


def distill(
    teacher: Annotated[
        Path,
        typer.Argument(
            metavar="TEACHER", help="A training's run folder (its newest checkpoint), or a checkpoint's."
        ),
    ],
    config: Annotated[
        str, typer.Option("--config", help="A distillation's YAML file, or the name of a shipped one.")
    ],
    run: Annotated[Path, typer.Option("--run", help="The student's own run folder: train/ goes here.")],
    mix: Annotated[
        str | None,
        typer.Option("--mix", help="Mix to distil on: YAML file or shipped name [default: the teacher's]."),
    ] = None,
    settings: Set = None,
) -> None:
    """Distil a trained bridge into a one- or few-step student.

    It needs source images alone, and the same command resumes it exactly. The student is a model like any
    other: translate, evaluate and publish take its run's folder. On several GPUs as `pairbridge train`.
    """
    # Imported late: torch.
    from pairbridge.pipelines.inference.distilling import run_distillation
    from pairbridge.training.data.ranks import process_group

    sources = load("mix", mix) if mix else None
    with process_group() as ranks:
        result = run_distillation(load("distillation", config, settings), teacher, sources, run)
    if result.interrupted:
        stop_interrupted(None)
    if ranks.first:
        print(f"step {result.step}: {result.checkpoint}")


def evaluate(
    evaluation: Annotated[
        str,
        typer.Argument(metavar="EVALUATION", help="An evaluation's YAML file, or the name of a shipped one."),
    ],
    run: RunFolder,
    settings: Set = None,
) -> None:
    """Evaluate a run's newest checkpoint against baselines.

    On pairs of a held-out split, with confidence intervals.
    """
    # Imported late: torch.
    from pairbridge.pipelines.commands.metrics_view import show_evaluation
    from pairbridge.pipelines.runs.pictures import write_worst_sheet
    from pairbridge.training.evaluation.evaluate import evaluate as run_evaluation

    run = run.absolute()
    config = load("evaluation", evaluation, settings)
    result = run_evaluation(config, run / "train", run / "evaluation", run_root=run)
    show_evaluation(result)
    sheet = write_worst_sheet(result, run / "evaluation")
    if sheet:
        print(f"worst pairs: {sheet}")


def publish(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder (its newest checkpoint), or a checkpoint's."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
) -> None:
    """Export a model as a diffusers pipeline with a model card."""
    # Imported late: torch.
    from pairbridge.pipelines.inference.publishing import publish as publish_model

    print(publish_model(source, out))
