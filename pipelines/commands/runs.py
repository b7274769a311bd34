"""`pairbridge demo | run | compare | sweep`: the whole job in one command, two of them, a grid of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands import options

RunsFolder = Annotated[
    Path, options.folder_option("--out", help="The folder in which the run's own folder is made.")
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Start afresh from generate, verify, train, evaluate or report; old work is moved aside.",
    ),
]


def demo(
    out: RunsFolder = Path("runs"),
    workers: options.Workers = None,
    from_stage: From = None,
    settings: options.Set = None,
    dry_run: options.DryRun = False,
) -> None:
    """Run the shipped demo: the whole job, small, within minutes.

    It takes up to a quarter of an hour on two cores.
    """
    run("demo", out, workers, None, from_stage, True, settings, dry_run)


def run(
    config: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's YAML file, or the name of a shipped one.")
    ],
    out: RunsFolder = Path("runs"),
    workers: options.Workers = None,
    address: options.Address = None,
    from_stage: From = None,
    accept_quarantine: options.AcceptQuarantine = False,
    settings: options.Set = None,
    dry_run: options.DryRun = False,
) -> None:
    """Generate, verify, train, evaluate and report; resumable.

    Interrupt it at any time: the same command resumes. --set takes dataset.KEY, mix.KEY, training.KEY,
    evaluation.KEY, and the run's own keys. Ends with status 2 if pairs are in quarantine, 130 if interrupted.
    """
    require("generate", "train", "report", by="pairbridge run")
    # Imported late: torch and ray.
    from pairbridge.pipelines.commands.metrics_view import show_run
    from pairbridge.pipelines.runs.run import dry_run as foresee
    from pairbridge.pipelines.runs.run import execute
    from pairbridge.pipelines.runs.run_config import load_run

    loaded = load_run(config, out, settings or ())
    if dry_run:
        foresee(loaded, forced_from=from_stage)
        return
    workers = workers or loaded.config.workers or options.usable_cores()
    with _resumable(drop=["--from"]):
        execute(loaded, workers=workers, address=address, forced_from=from_stage)
    if show_run(loaded.folder) and not accept_quarantine:
        raise typer.Exit(options.EXIT_PARTIAL)


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="The folder of another one.")],
    out: Annotated[
        Path,
        typer.Option("--out", parser=options.made_file, metavar="FILE", help="The page to write."),
    ] = Path("comparison.html"),
) -> None:
    """Compare two finished runs on one page.

    Metrics with paired differences (OTHER minus RUN), outputs on the same pairs side by side, losses, and
    what the configurations differ in.
    """
    # Imported late: torch.
    from pairbridge.pipelines.runs.comparison import compare_runs

    compare_runs(first, second, out)
    print(out)


def sweep(
    config: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep's YAML file, or the name of a shipped one.")
    ],
    out: RunsFolder = Path("runs"),
    workers: options.Workers = None,
    address: options.Address = None,
    settings: options.Set = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train and evaluate over a grid of hyperparameters; plot.

    They are sigma, NFE, weight of the pixel loss, timesteps and share of synthetic data. Resumable: what is
    done and unchanged is skipped. --set takes keys of the sweep, and run.training.KEY (and so on) for its
    base run.
    """
    require("generate", "train", "report", by="pairbridge sweep")
    # Imported late: torch and ray.
    from pairbridge.pipelines.sweeps.sweep import dry_run_sweep, execute_sweep, load_sweep

    loaded = load_sweep(config, out, settings or ())
    if dry_run:
        dry_run_sweep(loaded)
        return
    with _resumable():
        workers = workers or loaded.run.config.workers or options.usable_cores()
        page = execute_sweep(loaded, workers=workers, address=address)
    print(page)


@contextmanager
def _resumable(drop: Sequence[str] = ()) -> Iterator[None]:
    """Ends the command where the body is interrupted: with status 130 and the command that resumes."""
    # Imported late: torch and ray.
    from pairbridge.pipelines.generation.stopping import Interrupted
    from pairbridge.pipelines.runs.run import TrainingInterrupted

    try:
        yield
    except (Interrupted, TrainingInterrupted) as error:
        options.stop_interrupted(error, drop=drop)
    except KeyboardInterrupt:
        options.stop_interrupted(None, drop=drop)
