"""`pairbridge run | demo`: the whole job in one command."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import (
    EXIT_PARTIAL,
    AcceptQuarantine,
    Address,
    DryRun,
    Set,
    Workers,
    stop_interrupted,
    usable_cores,
)

RunsFolder = Annotated[Path, typer.Option("--out", help="The folder in which the run's own folder is made.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Start afresh from: generate, verify, train, evaluate or report; old work is moved aside.",
    ),
]


def register(app: typer.Typer) -> None:
    for command in (demo, run):
        app.command()(command)


def run(
    config: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's YAML file, or the name of a shipped one.")
    ],
    out: RunsFolder = Path("runs"),
    workers: Workers = None,
    address: Address = None,
    from_stage: From = None,
    accept_quarantine: AcceptQuarantine = False,
    settings: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Generate, verify, train, evaluate and report. Kill it whenever you like: the same command goes on.

    --set takes dataset.KEY, mix.KEY, training.KEY, evaluation.KEY, and the run's own keys. Ends with
    status 2 if some pairs are in quarantine, 130 if interrupted.
    """
    quarantined = _execute(config, out, workers, address, from_stage, settings, dry_run)
    if quarantined and not accept_quarantine:
        raise typer.Exit(EXIT_PARTIAL)


def demo(
    out: RunsFolder = Path("runs"),
    workers: Workers = None,
    from_stage: From = None,
    settings: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Run the shipped demo: the whole job on small real parts, within a quarter of an hour on two cores."""
    _execute("demo", out, workers, None, from_stage, settings, dry_run)


def _execute(
    config: str,
    out: Path,
    workers: int | None,
    address: str | None,
    from_stage: str | None,
    settings: list[str] | None,
    dry_run: bool,
) -> int:
    """Pairs in quarantine."""
    from pairbridge.pipelines.commands.metrics_view import show_run
    from pairbridge.pipelines.generation.stopping import Interrupted
    from pairbridge.pipelines.runs.run import TrainingInterrupted, execute
    from pairbridge.pipelines.runs.run import dry_run as foresee
    from pairbridge.pipelines.runs.run_config import load_run

    loaded = load_run(config, out, settings or ())
    if dry_run:
        foresee(loaded, forced_from=from_stage)
        return 0
    try:
        execute(
            loaded,
            workers=workers or loaded.config.workers or usable_cores(),
            address=address,
            forced_from=from_stage,
        )
    except (Interrupted, TrainingInterrupted) as error:
        stop_interrupted(error, drop=["--from"])
    except KeyboardInterrupt:
        stop_interrupted(None, drop=["--from"])
    return show_run(loaded.folder)
