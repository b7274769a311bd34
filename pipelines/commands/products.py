"""`pairbridge export`: finished datasets for others."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import DatasetFolder


class Layout(StrEnum):
    FOLDERS = "folders"
    HF = "hf"


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    dataset: DatasetFolder,
    to: Annotated[
        Layout,
        typer.Option("--to", help="folders: source/, target/, mask/, meta/; hf: parquet for `load_dataset`."),
    ],
    out: Annotated[Path, typer.Option("--out", help="A new folder; it appears when all of it is written.")],
) -> None:
    """Write a finished dataset in the layout of another trainer. Images keep their bytes."""
    from datagen.exports.export import export_dataset

    print(f"{export_dataset(dataset, to.value, out)} pairs in {out}")
