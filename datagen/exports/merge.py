"""Several finished datasets as one: their shards, byte for byte, under one dataset.json.

Keys, shard names and meta.json stay as they are, so every recipe comes from one part and keeps the plan of
that part, which `verify` holds its shards against. Assets are united; what would leak between splits of
different parts is refused.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from pairbridge.datagen.core.atomic_files import folder_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.leakage import refuse_leaks
from pairbridge.datagen.dataset.manifest import (
    DatasetManifest,
    PartEntry,
    PlanEntry,
    write_manifest,
)
from pairbridge.datagen.dataset.verify import manifest_streams
from pairbridge.datagen.exports.finished import FinishedDataset, check_metas, link_or_copy, open_finished
from pairbridge.datagen.shards.commit import check_tar_bytes, write_quarantine
from pairbridge.datagen.shards.layout import sidecar_path, tar_path
from pairbridge.datagen.shards.reader import open_shard


def merge_datasets(datasets: Sequence[str | Path], out: Path) -> DatasetManifest:
    """Make the new folder `out` from finished datasets, folders or URLs; returns its manifest.

    Shards are hard-linked where that is possible, otherwise copied, after their sha256 was compared. `out`
    appears whole or not at all, and is a function of the parts and its own name. Raises ConfigError for a
    part that is not finished, a recipe that two parts have, an asset in two splits, or a folder that exists;
    ShardError for damage.
    """
    parts = [open_finished(dataset) for dataset in datasets]
    names = [str(dataset) for dataset in datasets]
    manifest = merged_manifest(out.name, [part.manifest for part in parts], names)
    with folder_atomically(out) as folder:
        (folder / "shards").mkdir()
        write_manifest(folder, manifest)
        for part in parts:
            _take_shards(part, folder / "shards")
        write_quarantine(folder)
        write_card(folder)
    return manifest


def merged_manifest(
    name: str, manifests: Sequence[DatasetManifest], places: Sequence[str]
) -> DatasetManifest:
    """dataset.json of the whole; pure. `places` name the parts in errors."""
    _refuse_common_recipes(manifests, places)
    refuse_leaks(manifests, places)
    parts = [part for manifest in manifests for part in _parts(manifest)]
    assets = {
        (asset.id, asset.sha256, asset.licence): asset.model_copy(update={"since": 0})
        for manifest in manifests
        for asset in manifest.assets
    }
    return DatasetManifest(
        name=name,
        seed=0,
        config={
            "name": name,
            "recipes": {id: recipe for part in parts for id, recipe in part.config["recipes"].items()},
        },
        config_digest=digest([part.config_digest for part in parts]),
        plan_digest=digest([part.plan_digest for part in parts]),
        view=parts[0].view,
        groups_per_shard=parts[0].groups_per_shard,
        recipes={id: recipe for manifest in manifests for id, recipe in manifest.recipes.items()},
        assets=tuple(assets[key] for key in sorted(assets)),
        refused_assets=tuple(entry for manifest in manifests for entry in manifest.refused_assets),
        versions=parts[0].versions,
        parts=tuple(parts),
    )


def _parts(manifest: DatasetManifest) -> Iterator[PartEntry]:
    """What was merged is merged from its own parts."""
    if manifest.parts:
        yield from manifest.parts
    else:
        plan = {name: getattr(manifest, name) for name in PlanEntry.model_fields}
        yield PartEntry(**plan, recipes=tuple(sorted(manifest.recipes)))


def _take_shards(part: FinishedDataset, shards_dir: Path) -> None:
    there = part.folder / "shards"
    for stream in manifest_streams(part.manifest):
        for index in range(stream.num_shards):
            shard = open_shard(tar_path(there, stream.shard(index).name))
            shard.fetch()
            check_tar_bytes(shard.path, shard.sha256)
            check_metas(shard)
            for path in (shard.path, sidecar_path(there, shard.name)):
                link_or_copy(path, shards_dir / path.name)


def _refuse_common_recipes(manifests: Sequence[DatasetManifest], places: Sequence[str]) -> None:
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for manifest, place in zip(manifests, places, strict=True):
        for recipe_id in manifest.recipes:
            owners[recipe_id].append(place)
    common = [f"{recipe} ({', '.join(of)})" for recipe, of in sorted(owners.items()) if len(of) > 1]
    if common:
        raise ConfigError(
            f"recipes of one id in several parts: {'; '.join(common)}",
            consequence="their keys and shards have the same names; one would stand for the other",
            remedy="give the recipe another id in the config of one of them and generate that anew; or leave "
            "them apart: a mix takes any number of datasets as sources",
        )
