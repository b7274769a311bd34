"""dataset.json: what a dataset folder promises to hold, written before the first shard.

It is a pure function of the plan and the installed versions, so that an interrupted run, resumed, writes
the same bytes; from it alone `verify` recomputes every shard and key that must exist.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from pairbridge.datagen.assets.licences import unknown_licences
from pairbridge.datagen.blender.interpreter import bpy_version
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, changed_fields
from pairbridge.datagen.core.limits import MAX_DATASET_JSON_BYTES
from pairbridge.datagen.core.record_files import read_record
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.core.versions import recorded_versions
from pairbridge.datagen.shards.fields import FIELDS, FieldSpec, Roles, check_roles, stem_of
from pairbridge.datagen.shards.records import FieldName, RecipeId

if TYPE_CHECKING:  # training reads manifests and has no use for the recipes
    from pairbridge.datagen.dataset.plan import DatasetPlan
    from pairbridge.datagen.recipes.base import Recipe

MANIFEST_NAME = "dataset.json"
MANIFEST_FORMAT = "pairbridge-dataset/2"


class SplitEntry(FrozenModel):
    """Planned numbers of one recipe in one split; holes count as planned."""

    groups: PositiveInt
    pairs: PositiveInt
    shards: PositiveInt


class RecipeEntry(FrozenModel):
    """One recipe: its samples all have exactly `fields`, and its shards are `<split>-<id>-<index>`."""

    kind: str
    pairs_per_group: PositiveInt
    redraws: NonNegativeInt = 0
    """Draws of a group after its first, for pairs that a gate refused."""
    fields: dict[FieldName, FieldSpec]
    roles: Roles
    """Which field plays which part, where a mix does not say otherwise."""
    splits: dict[Split, SplitEntry]

    @model_validator(mode="after")
    def _roles_have_fields(self) -> Self:
        check_roles(self.roles, self.fields)
        return self

    def spec_of(self, stem: str) -> FieldSpec | None:
        """The declaration of a field by its name without suffix; None if there is none."""
        return next((spec for name, spec in self.fields.items() if stem_of(name) == stem), None)


class AssetEntry(FrozenModel):
    """One asset the dataset may have drawn from."""

    id: str
    kind: str
    split: Split
    licence: str
    author: str
    source: str
    sha256: str
    beside: str = ""
    """Number and digest of the files that an object's file refers to; empty where there are none."""
    family: str | None
    lighting: str | None
    tags: tuple[str, ...] = ()
    group: str = ""
    """What it is one and the same with under other names; a group is in one split."""
    fingerprint: str = ""
    """What a picture looks like, for finding it under another name."""
    up: str | None = None
    """The axis that is up in an object's file, y or z; null where the file itself states it."""
    camera_height_m: float | None = None
    """How far above its ground an environment map was taken, in metres; null where nobody knows."""
    size_m: float | None = None
    """The longest side of an object, or the width of a material's picture, in metres; null where nobody
    stated it."""
    front: float | None = None
    """The azimuth in degrees that an object's or a family's front looks to; null where none is stated."""
    since: NonNegativeInt = 0
    """The number of the extension that brought it in."""


class RefusedEntry(FrozenModel):
    """A file of the asset folders that the dataset does not draw from, since it cannot be used."""

    id: str
    kind: str
    sha256: str
    fault: str
    reason: str


class ExtensionEntry(FrozenModel):
    """Assets that joined later: groups before `first_groups`, by stream, do not draw from them."""

    plan_digest: str
    first_groups: dict[str, NonNegativeInt]


class PlanEntry(FrozenModel):
    """What a plan was made from: shards fall under its digests."""

    name: str
    seed: NonNegativeInt
    config: dict[str, Any]
    config_digest: str
    plan_digest: str
    view: dict[str, Any]
    groups_per_shard: PositiveInt
    extensions: tuple[ExtensionEntry, ...] = ()
    versions: dict[str, str]

    def plan_digest_at(self, stream: str, group: int) -> str:
        """The plan digest of a shard of `stream` (`<split>-<recipe>`) whose last group is `group`."""
        past = [entry.plan_digest for entry in self.extensions if group >= entry.first_groups.get(stream, 0)]
        return past[-1] if past else self.plan_digest


class PartEntry(PlanEntry):
    """A dataset that was merged into this one, with the recipes that came from it."""

    recipes: tuple[RecipeId, ...] = Field(min_length=1)


class DatasetManifest(PlanEntry):
    """The content of dataset.json. What is stated of one plan holds for all recipes, unless there are
    `parts`: then each recipe falls under the plan of its own (`pairbridge.datagen.exports.merge`).
    """

    format: Literal["pairbridge-dataset/2"] = MANIFEST_FORMAT
    recipes: dict[RecipeId, RecipeEntry] = Field(min_length=1)
    assets: tuple[AssetEntry, ...]
    refused_assets: tuple[RefusedEntry, ...] = ()
    """What the asset folders held beside, when the dataset was last worked on."""
    parts: tuple[PartEntry, ...] = ()

    @model_validator(mode="after")
    def _every_recipe_has_one_part(self) -> Self:
        named = sorted(recipe for part in self.parts for recipe in part.recipes)
        if self.parts and named != sorted(self.recipes):
            raise ValueError(f"parts: they name the recipes {named}, there are {sorted(self.recipes)}")
        return self

    def plan_of(self, recipe_id: str) -> PlanEntry:
        """The plan that a recipe's shards fall under."""
        return next((part for part in self.parts if recipe_id in part.recipes), self)

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_folder(cls, dataset_dir: Path) -> Self:
        """Raises ShardError if dataset.json is missing or is not one of ours."""
        return read_record(cls, dataset_dir / MANIFEST_NAME, MAX_DATASET_JSON_BYTES, _unusable)


def assets_of_unknown_licence(assets: Iterable[AssetEntry]) -> list[AssetEntry]:
    """Those whose licence cannot be ranked, so that nobody knows what the dataset may be used for."""
    listed = list(assets)
    unknown = set(unknown_licences(asset.licence for asset in listed))
    return [asset for asset in listed if asset.licence in unknown]


def refuse_unknown_licences(dataset: str, assets: Iterable[AssetEntry]) -> None:
    """Raise ConfigError, with the names, if an asset's licence cannot be ranked."""
    unknown = [f"{asset.id} ({asset.licence or 'none'})" for asset in assets_of_unknown_licence(assets)]
    if unknown:
        raise ConfigError(
            f"{dataset} lists {len(unknown)} assets of unknown licence: {', '.join(unknown[:8])}"
            + (" and more" if len(unknown) > 8 else ""),
            consequence="under which terms it may be passed on is not known, and known ones were asked for",
            remedy="state their SPDX licences in the catalogue.yaml of their folder, leave out those with "
            "none, and generate anew",
        )


def build_manifest(plan: "DatasetPlan") -> DatasetManifest:
    """The manifest of a plan, with the versions installed here and the renderer's.

    Raises ConfigError for a recipe with a field that is declared nowhere, BlenderUnavailable for a renderer
    that cannot work.
    """
    return DatasetManifest(
        name=plan.config.name,
        seed=plan.config.seed,
        config=plan.config.content(),
        config_digest=plan.config.digest,
        plan_digest=plan.digests[0],
        view=plan.config.view.model_dump(mode="json"),
        groups_per_shard=plan.config.groups_per_shard,
        recipes={
            recipe_id: RecipeEntry(
                kind=recipe.kind,
                pairs_per_group=recipe.config.pairs_per_group,
                redraws=recipe.config.redraws,
                fields={field: declared_field(recipe, field) for field in recipe.fields},
                roles=recipe.roles,
                splits={
                    stream.split: SplitEntry(
                        groups=stream.num_groups, pairs=stream.num_pairs, shards=stream.num_shards
                    )
                    for stream in plan.streams
                    if stream.recipe_id == recipe_id
                },
            )
            for recipe_id, recipe in plan.recipes.items()
        },
        assets=tuple(
            AssetEntry(**asset.record(), since=_since(asset.id, plan)) for asset in plan.catalogue.assets
        ),
        refused_assets=tuple(
            RefusedEntry(**left.record()) for left in plan.catalogue.left_out if left.refused
        ),
        extensions=tuple(
            ExtensionEntry(plan_digest=plan_digest, first_groups=extension.first_groups)
            for extension, plan_digest in zip(plan.extensions, plan.digests[1:], strict=True)
        ),
        versions=recorded_versions(bpy_version(plan.config.render.python)),
    )


def write_manifest(dataset_dir: Path, manifest: DatasetManifest) -> None:
    """Write dataset.json, or replace the one that is there by one with more groups or another extension.

    Raises ConfigError, naming the changed fields, if the folder belongs to another plan or other versions.
    """
    path = dataset_dir / MANIFEST_NAME
    if not path.exists():
        write_atomically(path, [manifest.to_json()])
        return
    there = DatasetManifest.from_folder(dataset_dir)
    if there == manifest:
        return
    changes = changed_fields(_fixed_part(there), _fixed_part(manifest))
    if not changes:
        write_atomically(path, [manifest.to_json()])
    else:
        raise ConfigError(
            f"{path} was written for another dataset: {'; '.join(changes)}",
            consequence="shards of two plans, or of two versions, would be mixed in one folder",
            remedy="generate into a new folder, or restore the configuration and versions that made this one",
        )


def _fixed_part(manifest: DatasetManifest) -> dict[str, Any]:
    """What neither growth nor an extension nor, of fingerprints, another processor changes; that the numbers
    only grow is checked with the config (`pairbridge.datagen.dataset.extension`).
    """
    content = manifest.model_dump(mode="json", exclude={"config", "extensions", "refused_assets"})
    for recipe in content["recipes"].values():
        del recipe["splits"]
    content["assets"] = {
        asset["id"]: asset | {"fingerprint": ""} for asset in content["assets"] if not asset["since"]
    }
    return content


def _since(asset_id: str, plan: "DatasetPlan") -> int:
    numbers = (
        number for number, extension in enumerate(plan.extensions, 1) if asset_id in extension.asset_ids
    )
    return next(numbers, 0)


def declared_field(recipe: "Recipe", field: str) -> FieldSpec:
    """What a recipe's field holds. Raises ConfigError if that is declared nowhere."""
    known = {**FIELDS, **getattr(recipe, "declares", {})}
    if field not in known:
        raise ConfigError(
            f"recipe kind {recipe.kind} makes the field {field}, of which nothing is declared",
            consequence="readers would not know what it holds",
            remedy="add it to the recipe's `declares`, or to FIELDS (pairbridge.datagen.shards.fields)",
        )
    return known[field]


def _unusable(path: Path, why: str) -> ShardError:
    return ShardError(
        f"{path} is not a usable dataset description: {why}",
        consequence="which shards must exist, and what they hold, is not known",
        remedy="point at a folder that `pairbridge generate` made; run it again if dataset.json was lost",
    )
