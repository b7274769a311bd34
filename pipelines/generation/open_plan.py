"""Opening a plan: assets found, terms of models shown, environment maps baked, and all of it checked against
the dataset that is there already. Running one is `pairbridge.pipelines.generation.generate`.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from pairbridge.datagen.assets.catalogue import AssetsConfig, Catalogue
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.extension import first_assets, frozen_assets, refused_changes
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.lighting.baking.baked import bake_lightings, planned_lightings
from pairbridge.datagen.models.weights.model_terms import model_terms
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
from pairbridge.pipelines.shelves.shelf import LIGHTINGS_NAME
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

_SHOWN = 8
_BETWEEN_LINES_S = 15.0


@dataclass(frozen=True, slots=True)
class OpenedPlan:
    """A plan whose every asset has a file. `unused_assets` joined the folders after the dataset was begun:
    nothing is made of them."""

    plan: DatasetPlan
    unused_assets: tuple[str, ...]


def open_plan(config: DatasetConfig, out: str | Path, *, extend_assets: bool = False) -> OpenedPlan:
    """The plan of a dataset in `out`, with every environment map baked in `out/lightings`, where a run finds
    it again. With `extend_assets`, files that joined the asset folders since are taken in.

    The caller holds the folder's lock. Raises ConfigError if the folder holds a dataset of another config,
    CatalogueError if one of its assets has changed or gone.
    """
    out = Path(out)
    show_model_terms(config.recipes.values())
    # Before anything is baked: that would replace the environment maps of the other config.
    manifest = begun_dataset(config, out)
    settled = {asset.id: asset for asset in manifest.assets} if manifest else {}
    found = build_catalogue(config.assets, None, settled, bpy_folder=bpy_folder(config.render.python))
    show_refused(found)
    show_one_sided(config.assets, found)
    assets = frozen_assets(found, manifest, extend=extend_assets) if manifest else first_assets(found)
    (out / LOGS_NAME).mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch:

        def blender() -> BlenderClient:
            log_path = out / LOGS_NAME / "lightings.log"
            return open_blender(
                config.workbench, scratch_dir=scratch, log_path=log_path, threads=os.cpu_count() or 1
            )

        bake_lightings(config.seed, config.lightings, assets.first, out, blender, _BakingLines())
    baked = build_catalogue(
        config.assets, out / LIGHTINGS_NAME, settled, bpy_folder=bpy_folder(config.render.python)
    )
    used = tuple(asset for asset in baked.assets if asset.id not in assets.unused)
    catalogue = Catalogue(used, baked.left_out)
    return OpenedPlan(make_plan(config, catalogue, assets.extensions), assets.unused)


class _BakingLines:
    """A line on standard error every quarter of a minute: hundreds of maps take hours, rooms most of them."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _BETWEEN_LINES_S

    def __call__(self, baked: int, of: int) -> None:
        if time.monotonic() >= self._next_s:
            print(f"environment maps: {baked} of {of} baked", file=sys.stderr)
            self._next_s = time.monotonic() + _BETWEEN_LINES_S


def plan_before_baking(config: DatasetConfig) -> DatasetPlan:
    """The plan of a config whose lightings need not be baked yet. Raises ConfigError and CatalogueError.

    Layout, keys and parameters are final; only the digests will differ, since a lighting without a file
    has no hash.
    """
    found = build_catalogue(config.assets, None, bpy_folder=bpy_folder(config.render.python))
    show_one_sided(config.assets, found)
    lightings = [planned.asset() for planned in planned_lightings(config.seed, config.lightings, found)]
    return make_plan(config, Catalogue((*found.assets, *lightings), found.left_out))


def begun_dataset(config: DatasetConfig, out: Path) -> DatasetManifest | None:
    """The record of the dataset in `out`, None where there is none. Raises ConfigError if it is of a config
    that `config` cannot go on with.
    """
    if not (out / MANIFEST_NAME).exists():
        return None
    manifest = DatasetManifest.from_folder(out)
    changes = refused_changes(manifest.config, config)
    if changes:
        raise ConfigError(
            f"{out} holds a dataset of another configuration: {'; '.join(changes)}",
            consequence="shards of two configurations in one folder would repeat or lose samples",
            remedy="generate into a new folder, or restore the configuration that made this one",
        )
    return manifest


def show_refused(catalogue: Catalogue) -> None:
    """Files that cannot be used, a line on standard error for each of the first few: nothing is drawn from
    them."""
    refused = [left for left in catalogue.left_out if left.refused]
    for left in refused[:_SHOWN]:
        print(f"left out: {left.reason}", file=sys.stderr)
    if refused:
        print(
            f"{len(refused)} asset files are left out; dataset.json and `pairbridge assets check` say which",
            file=sys.stderr,
        )


def show_model_terms(recipes: Iterable[BaseModel]) -> None:
    """The terms of each published model that recipes' matting models and relighters name, a line each on
    standard error, before it is used."""
    for model_id, terms in model_terms(recipe.model_dump(mode="json") for recipe in recipes):
        print(f"uses {model_id}: {terms}", file=sys.stderr)


def show_one_sided(config: AssetsConfig, catalogue: Catalogue) -> None:
    """A line on standard error for each kind of the user's files that are all in the train split."""
    for kind, below in config.folders.items():
        own = [
            asset.split
            for asset in catalogue.assets
            if asset.kind == kind and asset.path and any(map(asset.path.is_relative_to, below))
        ]
        if own and set(own) == {"train"}:
            print(
                f"all {len(own)} of your {kind} files are in the train split: an evaluation says nothing of "
                "them; to hold some out, write `split: test` for them in their folder's catalogue.yaml",
                file=sys.stderr,
            )
