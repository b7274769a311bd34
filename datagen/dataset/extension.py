"""What may change about a dataset that has been begun: its number of samples, upwards; and, asked for by
name, its list of assets.

Samples keep their place and their bytes: a group's parameters do not depend on how many groups there are, and
neither does a shard's digest. The list of assets is frozen in dataset.json, because every draw depends on all
of it. An extension leaves every group planned so far to the old list and lets those that come later draw from
the new one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.json_digest import changed_fields
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import AssetEntry, DatasetManifest
from pairbridge.datagen.dataset.plan import Extension

_BAKED = frozenset({"sky", "rig", "blend", "outdoor", "interior"})


@dataclass(frozen=True, slots=True)
class FrozenAssets:
    """The assets a run may use, and how they came in. Lightings baked for the dataset are not among them."""

    catalogue: Catalogue  # every asset of the dataset, extensions included
    first: Catalogue  # those of the first run: what blends are made of
    extensions: tuple[Extension, ...]
    unused: tuple[str, ...]  # ids of files that joined the folders since, and are not taken in


def refused_changes(there: dict[str, Any], config: DatasetConfig) -> list[str]:
    """What forbids `config` to go on with a dataset that was made by `there` (a manifest's `config`), in
    words. Raised numbers of groups are no reason.
    """
    now = config.content()
    changes = changed_fields(_without_groups(there), _without_groups(now))
    for recipe_id in sorted(there["recipes"].keys() & now["recipes"].keys()):
        old, new = (content["recipes"][recipe_id].get("groups", {}) for content in (there, now))
        changes += [
            f"recipes.{recipe_id}.groups.{split}: {old[split]} there, {new.get(split, 0)} now (may only grow)"
            for split in sorted(old)
            if new.get(split, 0) < old[split]
        ]
    return changes


def first_assets(found: Catalogue) -> FrozenAssets:
    """The assets of a dataset that is just begun: all there are."""
    return FrozenAssets(found, found, (), ())


def frozen_assets(found: Catalogue, manifest: DatasetManifest, *, extend: bool) -> FrozenAssets:
    """The assets of a dataset that has been begun; `extend` takes in what joined the folders since.

    Raises CatalogueError if an asset that the dataset lists has gone or changed.
    """
    listed = {asset.id: asset for asset in manifest.assets if asset.lighting not in _BAKED}
    there = {asset.id: asset for asset in found.assets}
    changes = list(_changed(listed, there, {left.id: left.reason for left in found.left_out}))
    if changes:
        raise CatalogueError(
            f"assets have changed since this dataset was begun: {'; '.join(changes[:8])}"
            + (f"; and {len(changes) - 8} more" if len(changes) > 8 else ""),
            consequence="samples made now would not fit those made before; nothing was touched",
            remedy="restore the files and catalogue entries, or generate into a new folder",
        )
    new = tuple(asset_id for asset_id in sorted(there) if asset_id not in listed)
    extensions = manifest_extensions(manifest)
    if new and extend:
        planned = {
            f"{split}-{recipe_id}": entry.groups
            for recipe_id, recipe in manifest.recipes.items()
            for split, entry in recipe.splits.items()
        }
        extensions = (*extensions, Extension(frozenset(new), planned))
        new = ()
    return FrozenAssets(
        catalogue=Catalogue(
            tuple(there[asset_id] for asset_id in sorted(there) if asset_id not in new), found.left_out
        ),
        first=Catalogue(tuple(there[asset_id] for asset_id, asset in listed.items() if asset.since == 0)),
        extensions=extensions,
        unused=new,
    )


def manifest_extensions(manifest: DatasetManifest) -> tuple[Extension, ...]:
    """The extensions that dataset.json records, oldest first."""
    return tuple(
        Extension(
            frozenset(asset.id for asset in manifest.assets if asset.since == number),
            dict(entry.first_groups),
        )
        for number, entry in enumerate(manifest.extensions, start=1)
    )


def _changed(
    listed: dict[str, AssetEntry], there: dict[str, Asset], left_out: dict[str, str]
) -> Iterator[str]:
    for asset_id, entry in sorted(listed.items()):
        asset = there.get(asset_id)
        if asset is None:
            reason = left_out.get(asset_id)
            yield f"{asset_id} is gone" if reason is None else f"{asset_id} cannot be used now: {reason}"
            continue
        old = entry.model_dump(mode="json", exclude={"since", "fingerprint"})
        new = {name: value for name, value in asset.record().items() if name != "fingerprint"}
        yield from (f"{asset_id}: {change}" for change in changed_fields(old, new))


def _without_groups(content: dict[str, Any]) -> dict[str, Any]:
    recipes = {
        recipe_id: {name: value for name, value in recipe.items() if name != "groups"}
        for recipe_id, recipe in content["recipes"].items()
    }
    return {**content, "recipes": recipes}
