"""The `pairbridge` command. Importing it is quick: what a command needs is imported when it runs.

Exit status: 0 done, 1 an error with cause and remedy, 2 done but some pairs are in quarantine (or, as for
every program, a wrong command line), 130 interrupted and resumable.
"""

import sys

import typer

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.pipelines.commands import (
    assets,
    calibrate,
    datasets,
    guiding,
    imports,
    machine,
    models,
    products,
    runs,
    sweep,
    watching,
    weights,
)

app = typer.Typer(
    name="pairbridge",
    help="Make paired image data with Blender and photographs, and train latent bridge models on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    runs,
    datasets,
    watching,
    products,
    assets,
    imports,
    models,
    guiding,
    sweep,
    calibrate,
    machine,
    weights,
):
    group.register(app)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except PairbridgeError as error:
        print(
            f"error: {error.cause}\n  consequence: {error.consequence}\n  remedy: {error.remedy}",
            file=sys.stderr,
        )
        sys.exit(1)
