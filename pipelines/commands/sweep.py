"""`pairbridge sweep`: one run trained and judged over a grid, and a page of plots."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import (
    Address,
    DryRun,
    Set,
    Workers,
    stop_interrupted,
    usable_cores,
)


def register(app: typer.Typer) -> None:
    app.command()(sweep)


def sweep(
    config: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep's YAML file, or the name of a shipped one.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The folder in which the base run's own folder is made.")
    ] = Path("runs"),
    workers: Workers = None,
    address: Address = None,
    settings: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Train and judge a run over a grid of sigma, NFE, pixel weight, times or synthetic share, and plot it.

    Resumable: what is done and has not changed is skipped. --set takes keys of the sweep, and
    run.training.KEY (and so on) for its base run.
    """
    from pairbridge.pipelines.generation.stopping import Interrupted
    from pairbridge.pipelines.runs.run import TrainingInterrupted
    from pairbridge.pipelines.sweeps.sweep import dry_run_sweep, execute_sweep, load_sweep

    loaded = load_sweep(config, out, settings or ())
    if dry_run:
        dry_run_sweep(loaded)
        return
    try:
        page = execute_sweep(
            loaded, workers=workers or loaded.run.config.workers or usable_cores(), address=address
        )
    except (Interrupted, TrainingInterrupted) as error:
        stop_interrupted(error)
    except KeyboardInterrupt:
        stop_interrupted(None)
    print(page)
