"""The dataset configuration: one frozen value from which, with the catalogue, everything else follows."""

import re
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.blender.client import ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.baked import LightingsConfig
from pairbridge.datagen.recipes import RECIPES
from pairbridge.datagen.recipes.workbench import WorkbenchSettings

AnyRecipeConfig = Annotated[
    reduce(or_, (model for model, _ in RECIPES.values())),
    Field(discriminator="kind"),
]

_RECIPE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\Z")


class PoolConfig(FrozenModel):
    """Workers that make some of the recipes, and what each of them takes from a Ray cluster."""

    recipes: tuple[str, ...] = Field(min_length=1)
    """ids; every recipe belongs to exactly one pool."""
    workers: PositiveInt
    cpus: PositiveInt = 1
    """Also the threads of its Blender."""
    gpus: NonNegativeFloat = 0.0
    """0.25: four workers share a GPU."""
    resources: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Of Ray, by name, such as {spot: 1}."""
    placement: Literal["pack", "spread"] = "pack"
    """pack: fill one machine after the other; spread: as many machines as there are."""


class ExecutionConfig(ProcessLimits):
    """How the work is done. Nothing here can change a byte, so nothing here is part of a digest."""

    join_timeout_s: NonNegativeFloat = 120.0
    """For the machines of a cluster (`--address`) to join: a job's driver often starts before its workers."""
    workers_per_gpu: PositiveInt | None = None
    """Workers that share one GPU. One alone leaves a card idle most of the time (5 to 20 % used, by others'
    reports), two to four fill it; each needs its share of the card's memory. null: as many as come."""
    stop_after_given_up: PositiveInt = 10
    """So many groups given up after crashes or time-outs, none finished between them, are no bad luck with
    assets: a driver, a library or a machine is broken. The run stops, and none of them is quarantined."""
    pools: dict[str, PoolConfig] = Field(default_factory=dict)
    """Render workers beside model workers, by name; left out, all workers make everything, and `--workers` of
    them share the cluster's cores and GPUs equally."""


class DatasetConfig(FrozenModel):
    """A dataset: what it is made from, how, and how much of it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    seed: NonNegativeInt = 0
    assets: AssetsConfig = AssetsConfig()
    lightings: LightingsConfig = LightingsConfig()
    render: RenderSettings = RenderSettings()
    view: ViewTransform = ViewTransform()
    groups_per_shard: PositiveInt = 20
    recipes: Annotated[dict[str, AnyRecipeConfig], Field(min_length=1)]
    execution: ExecutionConfig = ExecutionConfig()

    @field_validator("recipes")
    @classmethod
    def _recipe_ids(cls, recipes: dict[str, Any]) -> dict[str, Any]:
        for recipe_id in recipes:
            if not _RECIPE_ID.match(recipe_id):
                raise ValueError(
                    f"recipe id {recipe_id!r}: use 1 to 40 of [a-z0-9_-], starting with a letter or digit; "
                    "it becomes part of every key"
                )
        return recipes

    @model_validator(mode="after")
    def _pools_share_out_the_recipes(self) -> "DatasetConfig":
        named = [recipe_id for pool in self.execution.pools.values() for recipe_id in pool.recipes]
        unknown = sorted(set(named) - set(self.recipes))
        left = sorted(set(self.recipes) - set(named))
        if unknown:
            raise ValueError(f"execution.pools names {unknown[0]!r}, which is no recipe of this dataset")
        if named and (left or len(set(named)) != len(named)):
            what = f"{left[0]!r} is in none" if left else "a recipe is in two"
            raise ValueError(f"execution.pools: every recipe belongs to exactly one pool, and {what}")
        return self

    @property
    def workbench(self) -> WorkbenchSettings:
        """What recipes work with, of all this."""
        return WorkbenchSettings(
            dataset=self.name,
            seed=self.seed,
            render=self.render,
            view=self.view,
            limits=self.execution,
            photo_rules=self.assets.photo_rules,
            object_rules=self.assets.object_rules,
            addons=self.assets.addons,
        )

    def content(self) -> dict[str, Any]:
        """The config as JSON without what cannot change a byte: execution, and the place of asset folders.

        What lies in the folders is in the catalogue, with its hashes.
        """
        full = self.model_dump(mode="json", exclude={"execution": True})
        kept = ("embedded", "families", "photo_rules", "object_rules")
        full["assets"] = {name: full["assets"][name] for name in kept} | {
            "addons": [
                {"name": addon.name, "imports": dict(sorted(addon.imports.items()))}
                for addon in self.assets.addons
            ]
        }
        return full

    def identity(self) -> dict[str, Any]:
        """`content()` without the numbers of groups: what a sample, wherever it is in the plan, is made by.

        A dataset that grows keeps it, and with it the digests in its shards.
        """
        content = self.content()
        for recipe in content["recipes"].values():
            del recipe["groups"]
        return content

    @property
    def digest(self) -> str:
        """Hex digest of `identity()`."""
        return digest(self.identity())
