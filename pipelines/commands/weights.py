"""`pairbridge weights list | check | fetch`: published models, their licences, and what the folder holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands.options import command_group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    # Imported late: rich.
    from pairbridge.datagen.models.weights.weight_folders import ModelCheck
    from pairbridge.datagen.models.weights.weights_manifest import Model

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", help="Holds a folder for each model [default: $PAIRBRIDGE_WEIGHTS, else ./weights]."
    ),
]


def list_models() -> None:
    """List every model that can be used, with its licence and pinned revision. Needs no network."""
    # Imported late: rich.
    from pairbridge.datagen.models.weights.weights_manifest import MODELS
    from pairbridge.pipelines.commands.tables import new_console

    new_console().print(_listing(licences_first(MODELS)))


def check(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    folder: Folder = None,
) -> None:
    """Compare model files in a folder with the manifest; reads every byte, needs no network.

    Ends with status 1 if a file is damaged, or if a model that was named is not complete.
    """
    # Here, as in all commands: only what runs is imported (rich among it).
    from pairbridge.datagen.models.weights.weight_folders import (
        FileState,
        check_model,
        find_model,
        weights_root,
    )
    from pairbridge.datagen.models.weights.weights_manifest import MODELS
    from pairbridge.pipelines.commands.tables import new_console

    root = folder or weights_root()
    console = new_console()
    console.print(f"weights folder: {root}")
    wanted = [find_model(model_id) for model_id in models] if models else list(MODELS)
    failed = False
    for found in (check_model(model, root) for model in licences_first(wanted)):
        if found.is_absent and not models:
            continue
        damaged = any(checked.finding is FileState.DAMAGED for checked in found.files)
        failed |= damaged or (bool(models) and not found.is_usable)
        for line in _report(found):
            console.print(line)
    if not models and not any((root / model.id).is_dir() for model in MODELS):
        console.print(
            "no model is there: the embedded stand-ins work without, and are named in what they make"
        )
    if failed:
        raise typer.Exit(1)


def fetch(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Ids from `weights list`.")],
    folder: Folder = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="Commit (40 hex digits) of a model for which no pin is known."),
    ] = None,
    non_commercial: Annotated[
        bool,
        typer.Option("--accept-non-commercial", help="Fetch models whose licence forbids commercial use."),
    ] = False,
) -> None:
    """Download models from the Hugging Face hub at their pinned revision. The one command that goes online.

    Only the files of the manifest, and no code. What arrives is checked, and recorded beside the files.
    """
    require("models", only=("huggingface_hub",), by="weights fetch", consequence="nothing was downloaded")
    # Imported late: rich.
    from pairbridge.datagen.models.weights.weight_folders import find_model, weights_root
    from pairbridge.pipelines.commands.tables import new_console
    from pairbridge.pipelines.inference.weights_fetch import fetch_model, revision_of

    console = new_console()
    wanted = licences_first([find_model(model_id) for model_id in models])
    root = (folder or weights_root()).absolute()
    # Everything that can be refused is refused before the first byte is fetched.
    commits = {
        model.id: revision_of(model, revision, accept_non_commercial=non_commercial) for model in wanted
    }
    for model in wanted:
        console.print(f"{model.id}: {model.terms}")
    for model in wanted:
        console.print(f"{model.id}: {model.repository} at {commits[model.id]} -> {root / model.id}")
        fetch_model(model, root, commits[model.id])
        console.print(f"{model.id}: complete")


def licences_first(models: "Iterable[Model]") -> "list[Model]":
    """Those that may not be used commercially come first, so that nobody meets them last."""
    return sorted(models, key=lambda model: model.commercial_use)


def _listing(models: "Iterable[Model]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("model", "licence", "what for", "hub", "revision"):
        table.add_column(title, overflow="fold")
    for model in models:
        style = "" if model.commercial_use else "bold red"
        table.add_row(
            model.id,
            Text(model.terms, style=style),
            model.purpose,
            model.repository,
            model.revision[:12] if model.revision else "ask with --revision",
        )
    return table


def _report(found: "ModelCheck") -> "Iterable[str]":
    state = "usable" if found.is_usable else "absent" if found.is_absent else "incomplete or damaged"
    yield f"\n{found.model.id}: {state}"
    yield f"  licence: {found.model.terms}"
    for checked in found.files:
        detail = f" ({checked.detail})" if checked.detail else ""
        yield f"  {checked.finding:<9} {checked.file.path}{detail}"
    for name in found.unsafe:
        yield f"  ignored   {name}: it could run code, and is never loaded"


group = command_group(
    "Published models: licences, checks and downloads.", list=list_models, check=check, fetch=fetch
)
