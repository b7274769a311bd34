"""How commands print: one console and one kind of table, legible in a pipe as on a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table


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
