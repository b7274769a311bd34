"""`pairbridge doctor | calibrate`: this machine, and models that work on photographs, examined."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.commands.options import Set, folder_option, usable_cores


def doctor(
    out: Annotated[Path, typer.Option("--out", help="Where output would go; its disk is examined.")] = Path(),
    python: Annotated[
        Path | None,
        typer.Option("--python", help="The interpreter with bpy, as `render.python` of a dataset's config."),
    ] = None,
) -> None:
    """Check this machine, and say what to do about each lack.

    Ends with status 1 if something is missing.
    """
    from rich.text import Text

    # Imported late: rich, and all that is looked for.
    from pairbridge.pipelines.checks.doctor import State, examine
    from pairbridge.pipelines.commands.tables import new_console

    styles = {State.OK: "green", State.NOTE: "yellow", State.FAILED: "bold red"}
    console = new_console()
    failed, limits = 0, set()
    for name, check in examine(out, python):
        failed += check.state is State.FAILED
        limits |= {name} if check.state is State.NOTE else set()
        console.print(Text.assemble((f"{check.state:<8}", styles[check.state]), f"{name:<15}", check.found))
        if check.remedy:
            console.print(Text(f"{'':<23}-> {check.remedy}"))
    if failed:
        console.print(f"\n{failed} of the above must be mended before everything works.")
        raise typer.Exit(1)
    if limits & {"extras", "bpy", "ray"}:
        console.print("\nThis environment reads datasets; the notes above say what it takes to make them.")
    else:
        console.print("\nThis machine can do the whole job: `pairbridge demo` runs it.")


def calibrate(
    out: Annotated[Path, folder_option("--out", help="The folder for the table and the pictures.")],
    config: Annotated[
        str,
        typer.Argument(metavar="[CONFIG]", help="A calibration's YAML file, or the name of a shipped one."),
    ] = "default",
    settings: Set = None,
) -> None:
    """Measure a matting model and a relighter on known answers.

    Both work on rendered photographs whose ground truth is known, and are compared with the embedded
    placeholders, with several ways of pasting and with doing nothing. Writes calibration.md, calibration.json
    and calibration.png.
    """
    from rich.console import Console

    # Imported late: rich, and Blender's client.
    from pairbridge.pipelines.checks.calibration import calibrate as run_calibration
    from pairbridge.pipelines.checks.calibration_report import write_calibration

    chosen = load("calibration", config, settings)
    out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("opening models") as status:
        found = run_calibration(
            chosen, threads=usable_cores(), log_path=out / "blender.log", on_progress=status.update
        )
    print(write_calibration(found, chosen, out))
    print(f"pictures: {out / 'calibration.png'}")
