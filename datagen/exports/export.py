"""`export_dataset`: one call for every layout."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pairbridge.datagen.core.atomic_files import folder_atomically
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, refuse_unknown_licences
from pairbridge.datagen.exports.energon import export_energon
from pairbridge.datagen.exports.finished import FinishedDataset, open_finished
from pairbridge.datagen.exports.huggingface import export_huggingface
from pairbridge.datagen.exports.image_folders import export_folders

PROVENANCE_NAME = "provenance.json"

Layout = Literal["folders", "hf", "energon"]
_EXPORTERS: dict[Layout, Callable[[FinishedDataset, Path], None]] = {
    "folders": export_folders,
    "hf": export_huggingface,
    "energon": export_energon,
}


def export_dataset(
    dataset: str | Path, layout: Layout, out: Path, *, require_known_licences: bool = False
) -> int:
    """Write the finished dataset, a folder or an URL, as the new folder `out`; returns the number of pairs.

    `out` appears whole or not at all; after a kill the same call begins again. Besides the layout's files it
    holds a README.md, and the dataset.json as provenance.json: assets, licences, config and versions. Raises
    ConfigError for a dataset that is not finished or a folder that exists, and, where it is asked for, for
    one that lists assets of unknown licence; ShardError for damage; OSError where `out` cannot be written.
    """
    finished = open_finished(dataset)
    if require_known_licences:
        refuse_unknown_licences(str(dataset), finished.manifest.assets)
    with folder_atomically(out) as folder:
        _EXPORTERS[layout](finished, folder)
        shutil.copyfile(finished.folder / MANIFEST_NAME, folder / PROVENANCE_NAME)
    return finished.num_pairs
