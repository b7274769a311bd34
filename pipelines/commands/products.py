"""`pairbridge export | merge`: what is made of finished datasets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import (
    DatasetFolder,
    RequireKnownLicences,
    existing,
    folder_option,
    place,
)


class ExportLayout(StrEnum):
    FOLDERS = "folders"
    HF = "hf"
    ENERGON = "energon"


OutFolder = Annotated[
    Path, folder_option("--out", help="A new folder; it appears when all of it is written.")
]


def export(
    dataset: DatasetFolder,
    to: Annotated[
        ExportLayout,
        typer.Option(
            "--to",
            help="folders: source/, target/, mask/, meta/; hf: parquet for `load_dataset`; "
            "energon: prepared for megatron-energon.",
        ),
    ],
    out: OutFolder,
    known_licences: RequireKnownLicences = False,
) -> None:
    """Write a finished dataset in another trainer's layout.

    Images keep their bytes.
    """
    # Imported late: numpy, and what reads shards.
    from pairbridge.datagen.core.disk_errors import disk_errors
    from pairbridge.datagen.exports.export import export_dataset

    with disk_errors(out.absolute().parent):
        count = export_dataset(existing(dataset), to.value, out, require_known_licences=known_licences)
    print(f"{count} pairs in {out}")


def merge(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET...", parser=place, help="Finished datasets: folders or s3:// URLs."),
    ],
    out: OutFolder,
) -> None:
    """Merge datasets that have no recipe in common.

    Shards are linked or copied as they are. An asset that is in different splits of two of them is refused:
    it would leak.
    """
    # Imported late: numpy, and what reads shards.
    from pairbridge.datagen.core.disk_errors import disk_errors
    from pairbridge.datagen.exports.merge import merge_datasets

    with disk_errors(out.absolute().parent):
        manifest = merge_datasets([existing(dataset) for dataset in datasets], out)
    print(f"{out}: {len(manifest.recipes)} recipes of {len(manifest.parts)} datasets")
