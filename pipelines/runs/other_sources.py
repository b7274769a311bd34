"""What a run mixes or is judged on that it did not make: imports, and datasets of other runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.training.data.mix_config import dataset_folder
from pairbridge.training.data.pairs import open_store, splits_of


@dataclass(frozen=True, slots=True)
class OtherSource:
    """A recipe of a folder that is not the run's dataset, and the splits of it that are used."""

    name: str
    folder: Path
    recipe: str
    splits: tuple[str, ...]


def other_sources(run: Run) -> list[OtherSource]:
    """Each recipe once, under the name by which it is first used: in the mix, else in the evaluation."""
    used = [(source.name, source.path, source.recipe, source.split) for source in run.mix.sources]
    used += [
        (source.name, source.path, source.recipe, run.evaluation.split) for source in run.evaluation.sources
    ]
    found: dict[tuple[Path, str], tuple[str, list[str]]] = {}
    for name, path, recipe, split in used:
        folder = dataset_folder(path, run.folder)
        if folder.resolve() != run.dataset_dir.resolve():
            found.setdefault((folder, recipe), (name, []))[1].append(split)
    return [
        OtherSource(name, folder, recipe, tuple(dict.fromkeys(splits)))
        for (folder, recipe), (name, splits) in found.items()
    ]


def describe(source: OtherSource) -> dict[str, Any]:
    """What it is, how many pairs each of its splits holds, and under which licences."""
    pairs = {
        split: len(open_store(source.folder, source.recipe, split))
        for split in sorted(splits_of(source.folder, source.recipe))
    }
    common = {"name": source.name, "folder": source.folder.name, "recipe": source.recipe, "pairs": pairs}
    if is_import(source.folder):
        manifest = ImportManifest.from_folder(source.folder)
        return {
            **common,
            "kind": manifest.kind,
            "layout": manifest.layout["kind"],
            "licences": [manifest.licence],
            "authors": [manifest.author],
            "refused": manifest.rejected,
        }
    made = DatasetManifest.from_folder(source.folder)
    return {
        **common,
        "kind": made.recipes[source.recipe].kind,
        "layout": "pairbridge",
        "licences": sorted({asset.licence for asset in made.assets}),
        "authors": sorted({asset.author for asset in made.assets}),
        "refused": 0,
    }
