"""`pairbridge calibrate`: the configured matting model and relighter on photographs whose answer is known."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import Set, usable_cores


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    out: Annotated[Path, typer.Option("--out", help="The folder for the table and the pictures.")],
    config: Annotated[
        str,
        typer.Argument(metavar="[CONFIG]", help="A calibration's YAML file, or a shipped one's name."),
    ] = "default",
    settings: Set = None,
) -> None:
    """Judge a matting model, a relighter and ways to paste on rendered photographs, beside the stand-ins and
    doing nothing.

    Writes calibration.md, calibration.json and calibration.png.
    """
    from rich.console import Console

    from pairbridge.pipelines.checks.calibration import CalibrationConfig
    from pairbridge.pipelines.checks.calibration import calibrate as run_calibration
    from pairbridge.pipelines.checks.calibration_report import write_calibration
    from pairbridge.pipelines.reading.config_files import find_config, load_config

    chosen = load_config(find_config("calibration", config), CalibrationConfig, settings or ())
    out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("opening models") as status:
        found = run_calibration(
            chosen, threads=usable_cores(), log_path=out / "blender.log", on_progress=status.update
        )
    print(write_calibration(found, chosen, out))
    print(f"pictures: {out / 'calibration.png'}")
