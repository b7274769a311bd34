"""From data to a model: `pairbridge mix | encode | train | distill | classifier | evaluate | publish |
export-model`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.commands.options import (
    DatasetFolder,
    MixName,
    Model,
    RunFolder,
    Set,
    folder_option,
    made_folder,
    stop_interrupted,
)


def mix(
    mix: MixName,
    run: RunFolder = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps to forecast.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 16,
    training: Annotated[
        str | None,
        typer.Option(
            "--training",
            help="A training, its YAML file or a shipped name: show what its sizes do to the pictures; its "
            "batch sizes are taken.",
        ),
    ] = None,
    settings: Set = None,
) -> None:
    """Show a mix: shares, epochs, areas kept, what runs out first."""
    # Imported late: numpy, OpenCV and rich.
    from pairbridge.pipelines.commands.mix_view import show_mix, show_pictures
    from pairbridge.training.data.buckets import BucketSequence
    from pairbridge.training.data.mix_report import describe_mix

    sources = load("mix", mix, settings)
    # Without a training only the number of samples counts, not their size.
    buckets = BucketSequence.single(size=1, batch_size=batch_size)
    if training:
        require("train", by="mix --training", otherwise="leave it out")
        # Imported here: torch, for the autoencoder's factor.
        from pairbridge.training.bridge_training.translation_model import training_buckets
        from pairbridge.training.networks.autoencoders import build_autoencoder

        config = load("training", training)
        buckets = training_buckets(config, build_autoencoder(config.autoencoder))
    planned = describe_mix(sources, run_root=run.absolute(), buckets=buckets, num_batches=steps)
    show_mix(planned)
    if training:
        show_pictures(planned)


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
    source: Annotated[
        str | None, typer.Option(help="Field that is translated [default: what the dataset states].")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Field that is made of it [default: what the dataset states].")
    ] = None,
    hole: Annotated[
        str | None, typer.Option(help="visible or noise [default: what the dataset states].")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The `label` of the mix's source, if it has one.")] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Pairs that pass through the autoencoder together.")
    ] = 4,
    settings: Set = None,
) -> None:
    """Cache a dataset's latents; training then reads no pixels.

    For trainings with `latents: cached`, whose config says autoencoder, sizes and conditions. Interrupt it
    at any time: the same command resumes.
    """
    require("train", by="pairbridge encode")
    # Imported late: torch.
    from pairbridge.pipelines.inference.encoding import encode_dataset
    from pairbridge.pipelines.inference.training_progress import show_encoding
    from pairbridge.training.data.role_choice import RoleChoice

    config = load("training", training, settings)
    with show_encoding() as on_progress:
        folders = encode_dataset(
            config,
            dataset,
            recipes=recipe or (),
            split=split,
            roles=RoleChoice(source=source, target=target, hole=hole),
            label=label,
            batch_size=batch_size,
            on_progress=on_progress,
        )
    for folder in folders:
        print(folder)


def train(
    training: Annotated[
        str, typer.Argument(metavar="TRAINING", help="A training's YAML file, or the name of a shipped one.")
    ],
    mix: Annotated[
        str | None, typer.Option("--mix", help="A mix's YAML file, or the name of a shipped one.")
    ] = None,
    run: Annotated[
        Path | None,
        folder_option("--run", help="The run's folder: `run:dataset` means its dataset/, train/ goes here."),
    ] = None,
    settings: Set = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate the memory per GPU, and train nothing.")
    ] = False,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="GPUs of the estimate [default: those of the training's `hardware`, or 1]."),
    ] = None,
    gpu_memory: Annotated[
        float | None,
        typer.Option("--gpu-memory", min=0.1, help="GiB of each that it should fit [default: likewise]."),
    ] = None,
) -> None:
    """Train on a mix of datasets; run it again to resume exactly.

    On several GPUs: torchrun --nproc-per-node N --no-python -- pairbridge train ...
    """
    require("train", by="pairbridge train")
    config = load("training", training, settings)
    if dry_run:
        # Imported late: torch.
        from pairbridge.pipelines.commands.memory_view import show_memory

        show_memory(config, gpus, gpu_memory)
        return
    if mix is None or run is None:
        raise typer.BadParameter("training needs --mix and --run; only --dry-run does without")
    # Imported late: torch.
    from pairbridge.pipelines.inference.training_progress import show_training
    from pairbridge.training.bridge_training.loop import train as run_training
    from pairbridge.training.data.ranks import process_group

    sources, run = load("mix", mix), run.absolute()
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
    run: Annotated[Path, folder_option("--run", help="The student's own run folder: train/ goes here.")],
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
    require("train", by="pairbridge distill")
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


def train_classifier(
    flow: Annotated[
        Path,
        typer.Argument(
            metavar="FLOW", help="A flow's run folder (its newest checkpoint), or a checkpoint's."
        ),
    ],
    run: Annotated[Path, folder_option("--run", help="The classifier's own run folder: train/ goes here.")],
    settings: Set = None,
) -> None:
    """Train a classifier of noisy latents, which guides a flow.

    `pairbridge sample FLOW --class NAME --classifier RUN` guides by it. Pairs, class, autoencoder, path,
    sizes and all other settings are the flow's, unless --set changes them; the same command resumes it
    exactly. On several GPUs as `pairbridge train`.
    """
    require("train", by="pairbridge classifier")
    # Imported late: torch.
    from pairbridge.pipelines.inference.classifying import run_classifier_training
    from pairbridge.training.data.ranks import process_group

    with process_group() as ranks:
        result = run_classifier_training(flow, run, settings or ())
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
    require("train", "report", by="pairbridge evaluate")
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
    out: Annotated[Path, typer.Argument(metavar="OUT", parser=made_folder, help="The folder to make.")],
) -> None:
    """Export a model as a diffusers pipeline with a model card."""
    require("train", by="pairbridge publish")
    # Imported late: torch.
    from pairbridge.pipelines.inference.publishing import publish as publish_model

    print(publish_model(source, out))


class ModelFormat(StrEnum):
    ONNX = "onnx"


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size such as 512x512")
    return int(width), int(height)


def export_model(
    model: Model,
    to: Annotated[
        ModelFormat, typer.Option("--to", help="onnx: one graph, image in, image out, by one evaluation.")
    ],
    out: Annotated[
        Path | None,
        folder_option("--out", help="The folder to make [default: the model's name and the format]."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WxH", help="Fix the image's size [default: any size, any batch]."),
    ] = None,
) -> None:
    """Export a model as one graph, checked against torch.

    Needs the extra `onnx`.
    """
    require("train", "onnx", by="pairbridge export-model")
    # Imported late: torch.
    from pairbridge.pipelines.inference.exporting import export_model as export

    size_WH = _size(size) if size else None
    exported = export(model, out or Path(f"{model.absolute().name}-{to}"), size_WH=size_WH)
    print(exported.path)
    for name, shape in exported.inputs.items():
        print(f"  {name}: {' x '.join(map(str, shape))}")
    sizes = ", ".join("x".join(map(str, one)) for one in exported.checked)
    print(f"differs from torch by at most {exported.difference:.1e} on the [0, 1] scale (B x H x W: {sizes})")
