"""What several commands share: their options, how they end, and how they show progress."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.shards.object_store import is_url

EXIT_PARTIAL = 2
EXIT_INTERRUPTED = 130

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change one key of the configuration; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]

AcceptQuarantine = Annotated[
    bool,
    typer.Option(
        "--accept-quarantine",
        help="End with status 0 though pairs are in quarantine: for job systems, which would try again.",
    ),
]

RequireKnownLicences = Annotated[
    bool,
    typer.Option(
        "--require-known-licences", help="Refuse a dataset that lists an asset whose licence is not known."
    ),
]


def place(text: str) -> str | Path:
    """A folder, or the URL of an object store, which a Path would garble."""
    return text if is_url(text) else Path(text)


DatasetFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET", parser=place, help="A dataset's folder (it holds dataset.json), or its s3:// URL."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Ray workers, each with its own Blender [default: one a core]."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="An existing Ray cluster, such as `auto` [default: one of its own, here]."
    ),
]


def usable_cores() -> int:
    """Cores that this process may run on: fewer than the machine's in a container."""
    return len(os.sched_getaffinity(0))


def stop_interrupted(error: PairbridgeError | None, drop: Sequence[str] = ()) -> NoReturn:
    """Say what is kept and which command goes on from there, and end with status 130.

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
