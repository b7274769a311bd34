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
from pairbridge.datagen.lighting.baking.baked import LightingsConfig
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
    """Names of the recipes that this pool makes; every recipe belongs to exactly one pool."""
    workers: PositiveInt
    """Number of workers."""
    cpus: PositiveInt = 1
    """CPU cores of each worker, and threads of its Blender."""
    gpus: NonNegativeFloat = 0.0
    """GPUs of each worker; with 0.25, four workers share one."""
    resources: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Custom Ray resources of each worker, by name: {spot: 1}."""
    placement: Literal["pack", "spread"] = "pack"
    """Placement of workers: fill one machine after the other, or spread them over all machines."""


class ExecutionConfig(ProcessLimits):
    """How the work is done. Nothing here can change a byte, so nothing here is part of a digest."""

    join_timeout_s: NonNegativeFloat = 900.0
    """How long to wait for the first machine of a cluster (`--address`) that has room for a worker, in
    seconds: one that grows with the demand boots it and fetches the image first. The others join while pairs
    are made."""
    workers_per_gpu: PositiveInt | None = None
    """Number of workers that share one GPU; null: as many as there are. One alone leaves a card idle most of
    the time, two to four fill it; each needs its part of the card's memory."""
    stop_after_given_up: PositiveInt = 10
    """Number of groups given up in a row, after crashes or timeouts or for a broken asset each (groups of one
    asset count once), that stops the run: then a driver, a library, a disk or a machine is broken, not the
    assets. None of them is quarantined."""
    pools: dict[str, PoolConfig] = Field(default_factory=dict)
    """Pools of workers by name, such as render workers beside model workers. Without any, all workers make
    everything, and `--workers` of them share the cluster's cores and GPUs equally."""


class DatasetConfig(FrozenModel):
    """A dataset: what it is made from, how, and how much of it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the dataset, of [a-z0-9_-]; every sample states it."""
    seed: NonNegativeInt = 0
    """Random seed of everything that is drawn."""
    assets: AssetsConfig = AssetsConfig()
    """Objects, environment maps and photographs to make pairs from."""
    lightings: LightingsConfig = LightingsConfig()
    """Environment maps that are made for this dataset: skies, studio lights and blends."""
    render: RenderSettings = RenderSettings()
    """Settings of Blender's renderer, Cycles."""
    view: ViewTransform = ViewTransform()
    """Transform from linear light to 8-bit sRGB."""
    groups_per_shard: PositiveInt = 250
    """Number of groups in each shard, the file that is committed at once: such that it has 1 to 4 GB, as 250
    groups of four pairs of 512x512 pixels do. `pairbridge plan` prints the expected size."""
    recipes: Annotated[dict[str, AnyRecipeConfig], Field(min_length=1)]
    """Recipes by name, [a-z0-9_-]; each is one way of making pairs and fills shards of its own."""
    execution: ExecutionConfig = ExecutionConfig()
    """Workers, timeouts and pools; nothing here changes a byte of the dataset."""

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
            object_folders=self.assets.read_by_blender,
        )

    def content(self) -> dict[str, Any]:
        """The config as JSON without what cannot change a byte: execution, and places of assets and renderer.

        Assets are in the catalogue, with hashes; the renderer's version is among the recorded ones.
        """
        full = self.model_dump(mode="json", exclude={"execution": True, "render": {"python"}})
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
