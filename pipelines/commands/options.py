"""What several commands share: their options, the configurations that they name, and how they end."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pairbridge.datagen.core.errors import PairbridgeError

EXIT_PARTIAL = 2
EXIT_INTERRUPTED = 130


def place(text: str) -> str | Path:
    """A folder, or the URL of an object store, which a Path would garble."""
    # Imported late: fsspec, as long as half of --help.
    from pairbridge.datagen.shards.object_store import is_url

    return text if is_url(text) else Path(text)


Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change one key of the configuration; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
AcceptQuarantine = Annotated[
    bool,
    typer.Option(
        "--accept-quarantine",
        help="End with status 0 although pairs are in quarantine: for job systems that retry failures.",
    ),
]
RequireKnownLicences = Annotated[
    bool,
    typer.Option("--require-known-licences", help="Refuse a dataset with an asset of unknown licence."),
]
DatasetFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET", parser=place, help="A dataset's folder (it holds dataset.json), or its s3:// URL."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Ray workers, each with its own Blender [default: one per core]."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="A running Ray cluster, such as `auto` [default: a new one, here]."),
]
MixName = Annotated[
    str, typer.Argument(metavar="MIX", help="A mix's YAML file, or the name of a shipped one.")
]
RunFolder = Annotated[
    Path,
    typer.Option(
        "--run",
        help="The run's folder: `run:dataset` means its dataset/, and train/ and evaluation/ go here.",
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A published model, a checkpoint's folder, or a run's folder (its newest checkpoint).",
    ),
]
OutImages = Annotated[
    Path, typer.Option("--out", help="The PNG to write; for a folder of images, the folder to write.")
]
Mask = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        help="The image's mask, of its size: white on the foreground, or on what to remove. For a folder of"
        " images, a folder of masks with the same names.",
    ),
]
LightMap = Annotated[
    Path | None,
    typer.Option("--light-map", help="The light map image, for a model conditioned on one."),
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Steps = Annotated[
    int,
    typer.Option(
        min=1,
        help="Sampling steps: one network evaluation (NFE) each, except with heun, dopri5 and guidance.",
    ),
]
SamplerName = Annotated[
    str,
    typer.Option(
        "--sampler",
        "--solver",
        help="posterior, euler_maruyama, dbim or reference; for a flow (sigma 0) also euler, heun, or dopri5"
        " with adaptive steps.",
    ),
]
Guidance = Annotated[
    float,
    typer.Option(
        min=0,
        help="Classifier-free guidance scale, for a model trained with condition dropout; 1: none, 0:"
        " unconditional.",
    ),
]
ClassName = Annotated[str | None, typer.Option("--class", help="Class label, for a class-conditional model.")]


def command_group(summary: str, **commands: Any) -> typer.Typer:
    """A command with commands of its own, by name."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help=summary,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # Without it typer makes a group of one command that command itself.
    group.callback()(lambda: None)
    for name, command in commands.items():
        group.command(name)(command)
    return group


def usable_cores() -> int:
    """Cores that this process may run on: fewer than the machine's in a container."""
    return len(os.sched_getaffinity(0))


def end_if_damaged(findings: Sequence[Any]) -> None:
    """List findings with their remedies and end with status 1; nothing where there are none."""
    for finding in findings:
        print(f"{finding.where}: {finding.problem}\n  remedy: {finding.remedy}")
    if findings:
        print(f"{len(findings)} problems")
        raise typer.Exit(1)


def stop_interrupted(error: PairbridgeError | None, drop: Sequence[str] = ()) -> NoReturn:
    """Say what is kept and which command resumes, and end with status 130.

    Options named in `drop`, with the value after them, are left out of that command: they ask for a fresh
    start.
    """
    arguments = list(sys.argv[1:])
    for option in drop:
        while option in arguments:
            position = arguments.index(option)
            del arguments[position : position + 2]
        arguments = [argument for argument in arguments if not argument.startswith(f"{option}=")]
    cause = f"{error.cause}; {error.consequence}" if error else "nothing half-written was left"
    print(f"\ninterrupted: {cause}", file=sys.stderr)
    print(f"  resume with: pairbridge {shlex.join(arguments)}", file=sys.stderr)
    raise typer.Exit(EXIT_INTERRUPTED)
