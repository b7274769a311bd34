"""How commands print: one console and one kind of table, legible in a pipe as on a terminal. Here too:
what a dataset holds.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pairbridge.datagen.dataset.verify import StreamStatus


def new_console(least_columns: int = 0) -> Console:
    """Nothing is cut to the terminal's width: a longer line wraps there, and is whole in a pipe."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.width = max(console.width, least_columns)
    return console


def new_table(*headings: str, left: int = 1, title: str | None = None) -> Table:
    """The first `left` columns are text, the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right", no_wrap=True)
    return table


def show_status(streams: "Collection[StreamStatus]") -> None:
    """Planned and committed counts; nothing where there are no streams."""
    if streams:
        new_console().print(status_table(streams))


def status_table(streams: "Iterable[StreamStatus]") -> Table:
    """Planned and committed counts, a row for each recipe and split."""
    table = new_table("recipe", "split", "pairs", "planned", "in quarantine", "shards", left=2)
    for stream in streams:
        counts = (stream.pairs_made, stream.pairs_planned, stream.holes)
        shards = f"{stream.shards_committed}/{stream.shards_planned}"
        table.add_row(stream.recipe, stream.split, *map(str, counts), shards)
    return table


def show_variety(streams: "Collection[StreamStatus]") -> None:
    """Distinct objects, lightings and sizes, as `verify` counted them; nothing where there are no streams."""
    if not streams:
        return
    table = new_table("recipe", "split", "objects", "lightings", "sizes", "aspect", left=2)
    for stream in streams:
        variety = stream.variety
        if variety is None or variety.aspects is None:
            continue
        low, high = variety.aspects
        sizes = " ".join(f"{side}²" for side in variety.budgets)
        aspect = f"{low:.2f} to {high:.2f}" if high > low else f"{low:.2f}"
        counts = (variety.objects, variety.lightings)
        table.add_row(stream.recipe, stream.split, *map(str, counts), sizes, aspect)
    new_console().print(table)
