"""`pairbridge status`: how far a dataset is, once or until it is finished."""

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pairbridge.pipelines.commands.imports import show_imported
from pairbridge.pipelines.commands.options import DatasetFolder, existing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pairbridge.datagen.dataset.verify import StreamStatus

# Of the worker seconds by stage, those that fill a line.
_STAGES_SHOWN = 7
_BAR_WIDTH = 60


def status(
    dataset: DatasetFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until every shard is committed.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per refresh; its keys are stable.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Also list the last failed attempts, and what Ray said of them.")
    ] = False,
    every_s: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds between two refreshes; each lists a store.")
    ] = 2.0,
) -> None:
    """Show how far a dataset is, its speed and ETA.

    Counts come from the shards' sidecars, speed from the run's ledger.
    """
    # Imported late: pydantic and fsspec.
    from pairbridge.datagen.imports.import_manifest import is_import
    from pairbridge.datagen.shards.mirror import local_folder

    folder = local_folder(existing(dataset))
    if is_import(folder):
        show_imported(folder)
        return
    # Imported late: pydantic.
    from pairbridge.pipelines.generation.status import Watched

    looks = _looks(Watched(dataset), every_s if watch else None)
    if as_json:
        for _, state in looks:
            print(json.dumps(state), flush=True)
    elif watch and sys.stdout.isatty():
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            for streams, state in looks:
                live.update(view(streams, state), refresh=True)
    else:
        state = _show_each(looks, watch=watch)
    if faults and not as_json:
        _show_faults(state["run"])


def _looks(
    watched: Any, every_s: float | None
) -> "Iterator[tuple[tuple[StreamStatus, ...], dict[str, Any]]]":
    while True:
        streams, state = watched.look()
        yield streams, state
        if every_s is None or state["complete"]:
            return
        time.sleep(every_s)


def _show_each(
    looks: "Iterator[tuple[tuple[StreamStatus, ...], dict[str, Any]]]", *, watch: bool
) -> dict[str, Any]:
    """The last look as a whole, which is returned; before it a line for each that tells news, where nobody
    sees a picture move.
    """
    # Imported late: rich.
    from pairbridge.pipelines.commands.tables import new_console

    shown = None
    for look in looks:
        line = _progress(look[1])
        if watch and line != shown:
            print(line, flush=True)
        shown = line
    new_console().print(view(*look))
    return look[1]


def _show_faults(run: dict[str, Any] | None) -> None:
    """The last of them, oldest first. Text as it is: a message of Ray may hold anything."""
    # Imported late: rich.
    from rich.text import Text

    # Imported late: rich.
    from pairbridge.pipelines.commands.tables import new_console

    console = new_console()
    for fault in run["last_faults"] if run else ():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fault["unix_time_s"]))
        where = f"{fault['worker']} on {fault['host']}, {fault['shard']} group {fault['group']}"
        console.print(Text(f"{when} {where}: {fault['fault']}; {fault['reason']}; {fault['verdict']}"))
        for line in fault["message"].splitlines():
            console.print(Text(f"    {line.strip()}", style="bright_black"))


def view(streams: "tuple[StreamStatus, ...]", state: dict[str, Any]) -> "RenderableType":
    """Counts, and what the ledger tells, for a terminal. Names are shown as text, whatever they hold."""
    from rich.console import Group
    from rich.text import Text

    # Imported late: rich.
    from pairbridge.pipelines.commands.tables import status_table

    pairs, run = state["pairs"], state["run"]
    settled = pairs["made"] + pairs["quarantined"] + (run["pairs_staged"] if run else 0)
    done = _BAR_WIDTH * settled // pairs["planned"]
    parts: list[RenderableType] = [
        status_table(streams),
        Text.assemble(("━" * done, "green"), ("━" * (_BAR_WIDTH - done), "bright_black")),
        Text(_progress(state)),
    ]
    if run and run["worker_s"]:
        parts.append(Text(_stages(run["worker_s"])))
    if run and run["faults"]:
        faults = ", ".join(f"{count} {name}" for name, count in run["faults"].items())
        parts.append(Text(f"failed attempts: {faults}"))
    if run and run["slowest_assets"]:
        slowest = ", ".join(f"{one['asset']} {one['mean_s']:.1f} s" for one in run["slowest_assets"][:4])
        parts.append(Text(f"slowest assets, seconds a group: {slowest}"))
    if run and run["most_refused_assets"]:
        refused = ", ".join(f"{one['asset']} {one['refused']}" for one in run["most_refused_assets"][:4])
        parts.append(Text(f"most refused assets, draws: {refused}"))
    return Group(*parts)


def _progress(state: dict[str, Any]) -> str:
    # Imported late: rich.
    from pairbridge.pipelines.generation.progress import duration

    pairs, shards, run = state["pairs"], state["shards"], state["run"]
    line = (
        f"shards {shards['committed']}/{shards['planned']}, pairs {pairs['made']}/{pairs['planned']}, "
        f"{pairs['quarantined']} quarantined"
    )
    if state["complete"]:
        return f"{line}: finished"
    if run is None or run["last_event_unix_s"] is None:
        return f"{line}; no ledger here tells of the run"
    rate = "" if run["pairs_per_s"] is None else f", {run['pairs_per_s']:.2f} pairs/s"
    eta = "" if run["left_s"] is None else f", ETA {duration(run['left_s'])}"
    silent = max(0.0, time.time() - run["last_event_unix_s"])
    return f"{line}, {run['pairs_staged']} staged{rate}{eta}; last news {duration(silent)} ago"


def _stages(worker_s: dict[str, float]) -> str:
    whole = sum(worker_s.values())
    shown = list(worker_s.items())[:_STAGES_SHOWN]
    return "workers: " + ", ".join(f"{name} {100 * spent / whole:.0f} %" for name, spent in shown)
