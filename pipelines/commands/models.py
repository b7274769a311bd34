"""`pairbridge mix | train | evaluate | translate`: from datasets to a judged model and its use."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Set, stop_interrupted

RunFolder = Annotated[
    Path,
    typer.Option(
        "--run",
        help="The run's folder: `run:dataset` means its dataset/, and train/ and evaluation/ go here.",
    ),
]
MixName = Annotated[str, typer.Argument(metavar="MIX", help="A mix's YAML file, or a shipped one's name.")]


def register(app: typer.Typer) -> None:
    for command in (mix, train, evaluate, translate):
        app.command()(command)


def mix(
    mix: MixName,
    run: RunFolder = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps to count for.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 16,
    settings: Set = None,
) -> None:
    """Show a mix: exact shares, epochs per source, and which source is exhausted first."""
    from pipelines.commands.mix_view import show_mix
    from pipelines.config_files import find_config, load_config
    from training.buckets import BucketSequence
    from training.mix_config import MixConfig
    from training.mix_report import describe_mix

    sources = load_config(find_config("mixes", mix), MixConfig, settings or ())
    # Only the number of samples counts here, not their size.
    buckets = BucketSequence.single(size=8, batch_size=batch_size)
    show_mix(describe_mix(sources, run_root=run.absolute(), buckets=buckets, num_batches=steps))


def train(
    training: Annotated[
        str, typer.Argument(metavar="TRAINING", help="A training's YAML file, or a shipped one's name.")
    ],
    mix: Annotated[str, typer.Option("--mix", help="A mix's YAML file, or a shipped one's name.")],
    run: RunFolder,
    settings: Set = None,
) -> None:
    """Train on a mix of finished datasets; the same command resumes it exactly."""
    from pipelines.config_files import find_config, load_config
    from pipelines.training_progress import show_training
    from training.config import TrainingConfig
    from training.loop import train as run_training
    from training.mix_config import MixConfig

    config = load_config(find_config("training", training), TrainingConfig, settings or ())
    sources = load_config(find_config("mixes", mix), MixConfig)
    run = run.absolute()
    with show_training(config.steps) as on_progress:
        result = run_training(config, sources, run / "train", run_root=run, on_progress=on_progress)
    if result.interrupted:
        stop_interrupted(None)
    print(f"step {result.step}: {result.checkpoint}")


def evaluate(
    evaluation: Annotated[
        str, typer.Argument(metavar="EVALUATION", help="An evaluation's YAML file, or a shipped one's name.")
    ],
    run: RunFolder,
    settings: Set = None,
) -> None:
    """Judge the newest checkpoint of a run on held-out pairs, beside baselines."""
    from pipelines.commands.metrics_view import show_evaluation
    from pipelines.config_files import find_config, load_config
    from pipelines.worst_cases import write_worst_sheet
    from training.evaluation import evaluate as run_evaluation
    from training.evaluation_config import EvaluationConfig

    config = load_config(find_config("evaluation", evaluation), EvaluationConfig, settings or ())
    run = run.absolute()
    result = run_evaluation(config, run / "train", run / "evaluation", run_root=run)
    show_evaluation(result)
    sheet = write_worst_sheet(result, run / "evaluation")
    if sheet:
        print(f"worst pairs: {sheet}")


def translate(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint's folder, or a run's folder: then its newest."
        ),
    ],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to translate, of any size.")],
    out: Annotated[Path, typer.Option("--out", help="The PNG to write.")],
    mask: Annotated[
        Path | None, typer.Option("--mask", help="Its mask, of the same size: white on the foreground.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Network evaluations.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise; one step draws none.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Translate one image with a trained model."""
    from pipelines.translation import translate_file

    translate_file(checkpoint, image, out, mask=mask, steps=steps, seed=seed, device=device)
    print(out)
