"""`pairbridge mix | encode | train | distill | evaluate | publish | translate | sample | app`: the models."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import EXIT_PARTIAL, DatasetFolder, Set, stop_interrupted

RunFolder = Annotated[
    Path,
    typer.Option(
        "--run",
        help="The run's folder: `run:dataset` means its dataset/, and train/ and evaluation/ go here.",
    ),
]
Steps = Annotated[
    int, typer.Option(min=1, help="Steps: network evaluations, but with heun, dopri5 and guidance.")
]
SamplerName = Annotated[
    str,
    typer.Option(
        "--sampler",
        "--solver",
        help="Between steps: posterior, euler_maruyama, dbim or reference; of a flow (sigma 0) also euler,"
        " heun or dopri5, which chooses its own steps.",
    ),
]
Guidance = Annotated[
    float,
    typer.Option(
        min=0, help="Strength of the conditions that training withheld now and then; 1: as trained, 0: none."
    ),
]
ClassName = Annotated[
    str | None, typer.Option("--class", help="The class, for a model that was trained with classes.")
]
MixName = Annotated[str, typer.Argument(metavar="MIX", help="A mix's YAML file, or a shipped one's name.")]


def register(app: typer.Typer) -> None:
    for command in (mix, encode, train, distill, evaluate, publish, translate, sample):
        app.command()(command)
    app.command("app")(browser_app)


def mix(
    mix: MixName,
    run: RunFolder = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps to count for.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 16,
    settings: Set = None,
) -> None:
    """Show a mix: exact shares, epochs per source, and which source is exhausted first."""
    from pairbridge.pipelines.commands.mix_view import show_mix
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.training.data.buckets import BucketSequence
    from pairbridge.training.data.mix_config import MixConfig
    from pairbridge.training.data.mix_report import describe_mix

    sources = load_config(find_config("mixes", mix), MixConfig, settings or ())
    # Only the number of samples counts here, not their size.
    buckets = BucketSequence.single(size=8, batch_size=batch_size)
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
    target: Annotated[str, typer.Option(help="What the pairs lead to: image, depth or normal.")] = "image",
    settings: Set = None,
) -> None:
    """Run the autoencoder over a dataset once; a training with `latents: cached` then reads no pixels.

    Autoencoder, sizes and conditions are the training config's. Kill it whenever you like: the same command
    goes on.
    """
    from pairbridge.pipelines.inference.latents import encode_dataset
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.pipelines.runs.training_progress import show_encoding
    from pairbridge.training.bridge_training.training_config import TrainingConfig
    from pairbridge.training.data.targets import TargetKind

    config = load_config(find_config("training", training), TrainingConfig, settings or ())
    with show_encoding() as on_progress:
        folders = encode_dataset(
            config,
            dataset.absolute(),
            recipes=recipe or (),
            split=split,
            target=TargetKind(target),
            on_progress=on_progress,
        )
    for folder in folders:
        print(folder)


def train(
    training: Annotated[
        str, typer.Argument(metavar="TRAINING", help="A training's YAML file, or a shipped one's name.")
    ],
    mix: Annotated[str, typer.Option("--mix", help="A mix's YAML file, or a shipped one's name.")],
    run: RunFolder,
    settings: Set = None,
) -> None:
    """Train on a mix of finished datasets; the same command resumes it exactly.

    On several GPUs: torchrun --nproc-per-node N --no-python -- pairbridge train ...
    """
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.pipelines.runs.training_progress import show_training
    from pairbridge.training.bridge_training.loop import train as run_training
    from pairbridge.training.bridge_training.training_config import TrainingConfig
    from pairbridge.training.data.mix_config import MixConfig
    from pairbridge.training.data.ranks import process_group

    config = load_config(find_config("training", training), TrainingConfig, settings or ())
    sources = load_config(find_config("mixes", mix), MixConfig)
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
            metavar="TEACHER", help="A training's run folder: its newest checkpoint; or a checkpoint."
        ),
    ],
    config: Annotated[
        str,
        typer.Option("--config", help="A distillation's YAML file, or the name of a shipped one."),
    ],
    run: Annotated[Path, typer.Option("--run", help="The student's own run folder: train/ goes here.")],
    mix: Annotated[
        str | None,
        typer.Option(
            "--mix", help="Sources to distil on: a mix's YAML file or name [default: the teacher's]."
        ),
    ] = None,
    settings: Set = None,
) -> None:
    """Make a one- or few-step student of a trained bridge, from source images alone.

    The same command resumes it exactly. The student is a model like any other: translate, evaluate and
    publish take its run's folder.
    """
    from pairbridge.pipelines.inference.distilling import run_distillation
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.training.data.mix_config import MixConfig
    from pairbridge.training.distillation.distillation_config import DistillationConfig

    loaded = load_config(find_config("distillation", config), DistillationConfig, settings or ())
    sources = load_config(find_config("mixes", mix), MixConfig) if mix else None
    result = run_distillation(loaded, teacher.absolute(), sources, run.absolute())
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
    from pairbridge.pipelines.commands.metrics_view import show_evaluation
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.pipelines.runs.pictures import write_worst_sheet
    from pairbridge.training.evaluation.evaluate import evaluate as run_evaluation
    from pairbridge.training.evaluation.evaluation_config import EvaluationConfig

    config = load_config(find_config("evaluation", evaluation), EvaluationConfig, settings or ())
    run = run.absolute()
    result = run_evaluation(config, run / "train", run / "evaluation", run_root=run)
    show_evaluation(result)
    sheet = write_worst_sheet(result, run / "evaluation")
    if sheet:
        print(f"worst pairs: {sheet}")


def publish(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder: its newest checkpoint; or a checkpoint."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
) -> None:
    """Write a model as a folder for others: a diffusers pipeline with a card that says what made it."""
    from pairbridge.pipelines.inference.publishing import publish as publish_model

    print(publish_model(source, out))


def translate(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A published model, a checkpoint's folder, or a run's folder: then its newest checkpoint.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The PNG to write; of a folder of images, the folder.")],
    image: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="The image to translate, of any size, or a folder of images."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            help="Its mask, of the same size: white on the foreground, or on what to remove. For a folder, a"
            " folder of masks named alike.",
        ),
    ] = None,
    light_map: Annotated[
        Path | None, typer.Option("--light-map", help="The lights, for a model that takes them.")
    ] = None,
    foreground: Annotated[
        Path | None,
        typer.Option("--foreground", help="In place of IMAGE: cut out, and pasted on --background."),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option("--background", help="What goes behind it, cropped to its size."),
    ] = None,
    matting: Annotated[
        str, typer.Option(help="What cuts out: grabcut, or birefnet with its weights in the weights folder.")
    ] = "grabcut",
    steps: Steps = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of all noise: of a hole, and between steps.")] = 0,
    sampler: SamplerName = "posterior",
    guidance: Guidance = 1.0,
    class_name: ClassName = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Translate images with a trained model: remove what a mask shows, relight a foreground, and so on.

    Ends with status 2 if images of a folder could not be translated.
    """
    from pairbridge.pipelines.inference.translating import TranslateOptions, run_translate

    options = TranslateOptions(
        model=checkpoint,
        image=image,
        out=out,
        mask=mask,
        light_map=light_map,
        foreground=foreground,
        background=background,
        matting=matting,
        steps=steps,
        seed=seed,
        sampler=sampler,
        guidance=guidance,
        class_name=class_name,
        device=device,
    )
    if run_translate(options, say=print):
        raise typer.Exit(EXIT_PARTIAL)


def sample(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A published model, a checkpoint's or a run's folder.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The folder to make: 0000.png, 0001.png, ..., sheet.png.")
    ],
    size: Annotated[int, typer.Option(min=8, help="Their side in pixels; best that of the training.")],
    count: Annotated[int, typer.Option(min=1, help="Images to make.")] = 16,
    steps: Steps = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise that they start from.")] = 0,
    sampler: SamplerName = "heun",
    guidance: Guidance = 1.0,
    class_name: ClassName = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make images from noise with a flow that was trained to (`bridge.start: noise`)."""
    from pairbridge.pipelines.inference.sampling import SampleOptions, run_sample

    options = SampleOptions(
        model=model,
        out=out,
        count=count,
        size=size,
        steps=steps,
        seed=seed,
        sampler=sampler,
        guidance=guidance,
        class_name=class_name,
        device=device,
    )
    run_sample(options, say=print)


def browser_app(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A published model, a checkpoint's or a run's folder.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, help="Port; 0 takes a free one.")] = 7860,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """The same in a browser, on this machine alone; needs the extra `app`."""
    from pairbridge.pipelines.inference.browser_app import serve

    serve(model, host=host, port=port, device=device)
