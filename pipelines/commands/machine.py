"""`pairbridge doctor`."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    out: Annotated[Path, typer.Option("--out", help="Where output would go; its disk is examined.")] = Path(),
) -> None:
    """Examine this machine, and say for each lack what to do. Ends with status 1 if something is missing."""
    from rich.console import Console
    from rich.text import Text

    from pairbridge.pipelines.checks.doctor import State, examine

    styles = {State.OK: "green", State.NOTE: "yellow", State.FAILED: "bold red"}
    console = Console(soft_wrap=True, highlight=False)
    failed = 0
    for check in examine(out):
        failed += check.state is State.FAILED
        console.print(
            Text.assemble((f"{check.state:<8}", styles[check.state]), f"{check.name:<15}", check.found)
        )
        if check.remedy:
            console.print(Text(f"{'':<23}-> {check.remedy}"))
    if failed:
        console.print(f"\n{failed} of the above must be mended before everything works.")
        raise typer.Exit(1)
    console.print("\nThis machine can do the whole job: `pairbridge demo` runs it.")
