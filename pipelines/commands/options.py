"""What several commands share: their options, the configurations that they name, and how they end."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError

EXIT_PARTIAL = 2
EXIT_INTERRUPTED = 130

# The start of an URL whose second slash is missing. One letter is a drive.
_SCHEME = re.compile(r"[a-z][a-z0-9+]+:(?=/)")


def place(given: str | Path) -> str | Path:
    """A folder, or the URL of an object store, which a Path would garble. Raises ConfigError for an URL that
    lacks a slash, which would name a folder `s3:`.
    """
    # Imported late: fsspec, as long as half of --help.
    from pairbridge.datagen.shards.object_store import is_url

    # An option's default is a Path.
    text = str(given)
    if is_url(text):
        return text
    if scheme := _SCHEME.match(text):
        raise ConfigError(
            f"{text} is neither a folder nor an URL",
            consequence=f"a folder named {scheme[0]} would be meant, which nobody has",
            remedy=f"write {scheme[0]}//{text[scheme.end() :].lstrip('/')}",
        )
    return Path(text)


def made_place(text: str) -> str | Path:
    """A folder that can be written to, or an URL. Raises ConfigError otherwise."""
    given = place(text)
    return given if isinstance(given, str) else _writable(given)


def made_folder(text: str) -> Path:
    """A folder of this machine that can be written to; it need not be there yet. Raises ConfigError."""
    return _writable(_of_this_machine(text))


def made_file(text: str) -> Path:
    """A file (or a folder) of this machine whose folder can be written to. Raises ConfigError."""
    given = _of_this_machine(text)
    _writable(given if given.is_dir() else given.parent)
    return given


def existing(given: str | Path) -> str | Path:
    """A dataset's folder, which is there, or an URL. Raises ConfigError otherwise."""
    if isinstance(given, Path) and not given.exists():
        raise ConfigError(
            f"{given} does not exist",
            consequence="there is nothing to read",
            remedy="name the folder that `pairbridge generate` or `pairbridge import` made",
        )
    return given


def folder_option(name: str, *, help: str) -> Any:
    """An option that names a folder to write to."""
    return typer.Option(name, parser=made_folder, metavar="FOLDER", help=help)


def _of_this_machine(text: str) -> Path:
    given = place(text)
    if isinstance(given, str):
        raise ConfigError(
            f"{text} is the URL of an object store",
            consequence="this is written to a disk",
            remedy="name a folder of this machine, and copy it to the store afterwards",
        )
    return given


def _writable(folder: Path) -> Path:
    """`folder`, which is one or can become one."""
    there = folder.absolute()
    while not (there.exists() or there.is_symlink()):
        there = there.parent
    if there.is_symlink() and not there.exists():
        fault, remedy = "is a link to nothing", f"make {there.resolve()}, or remove the link"
    elif not there.is_dir():
        fault, remedy = "is a file, not a folder", "name another folder, or move the file away"
    elif not os.access(there, os.W_OK | os.X_OK):
        fault, remedy = "does not take files from this user", f"name another folder, or chmod u+w {there}"
    else:
        return folder
    raise ConfigError(f"{there} {fault}", consequence=f"{folder} cannot be written", remedy=remedy)


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
        metavar="DATASET",
        parser=place,
        help="A dataset's folder (it holds dataset.json), or its s3:// URL.",
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
    folder_option(
        "--run",
        help="The run's folder: `run:dataset` means its dataset/, and train/ and evaluation/ go here.",
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A published model, a checkpoint's folder, a run's folder (its newest checkpoint), or"
        " `reference`, the relighting model of the package.",
    ),
]
OutImages = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=made_file,
        metavar="PLACE",
        help="The PNG to write; for a folder of images, the folder to write.",
    ),
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
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        metavar="FIELD=FILE",
        help="Another input that the model was trained with, by its field, such as light_target=my.hdr: an"
        " image, or an equirectangular .hdr or .exr file, in whose middle the camera looks. May be repeated;"
        " for a folder of images, a folder of files with the same names.",
    ),
]
TurnLight = Annotated[
    float,
    typer.Option(
        "--turn-light",
        metavar="DEGREES",
        help="Turns environment maps of --condition about the vertical: at 90, what the camera looked at"
        " lights from the right. light_source, the light that the image was taken in, stays.",
    ),
]
Matting = Annotated[
    str, typer.Option(help="Matting model: grabcut, or birefnet with its weights in the weights folder.")
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Precision = Annotated[
    Literal["fp32", "bf16"],
    typer.Option(help="Of the network and the decoder; bf16 is faster where the hardware has it."),
]
BatchSize = Annotated[
    int,
    typer.Option(min=1, help="Images of a folder in one forward pass, where they are of one size."),
]
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


def stop_started_again() -> NoReturn:
    """Say that a command that keeps nothing of its work was interrupted, and end with status 130."""
    print(
        f"\ninterrupted: nothing half-written was left; again with: pairbridge {shlex.join(sys.argv[1:])}",
        file=sys.stderr,
    )
    raise typer.Exit(EXIT_INTERRUPTED)
