"""The plan: (config, catalogue) -> shards -> groups -> pairs. Pure arithmetic; no file, no clock, no worker.

A stream is one recipe in one split. Its groups are numbered from 0, its shards are fixed ranges of groups,
and the parameters of a group are drawn on demand from generators keyed by (seed, recipe, split, group). So
the layout of a million groups costs a loop over its shards, and any group can be planned alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.core.seeds import root_seed
from pairbridge.datagen.core.splits import SPLITS, Split
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.recipes import RECIPES
from pairbridge.datagen.recipes.base import Recipe
from pairbridge.datagen.shards.layout import GroupSpec, ShardSpec, Stream


@dataclass(frozen=True)
class Extension:
    """Assets that joined a dataset already begun: groups before `first_groups` do not draw from them."""

    asset_ids: frozenset[str]
    first_groups: dict[str, int]  # by the stream's name; a stream that is not named draws from them at once


@dataclass(frozen=True)
class DatasetPlan:
    """A whole dataset before anything is made. Build it with `make_plan`, which checks it first."""

    config: DatasetConfig
    catalogue: Catalogue  # every asset; early groups draw from a part of it where `extensions` say so
    extensions: tuple[Extension, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # What is cached is left behind: a recipe of the user's own comes from the text in the config, and its
        # class is in no module that another process could import.
        return {"config": self.config, "catalogue": self.catalogue, "extensions": self.extensions}

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        return {
            recipe_id: RECIPES[config.kind][1](config) for recipe_id, config in self.config.recipes.items()
        }

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """In the order of the config, within a recipe train, validation, test; empty ones left out."""
        return tuple(
            Stream(
                recipe_id=recipe_id,
                kind=recipe.kind,
                split=split,
                num_groups=recipe.config.groups[split],
                pairs_per_group=recipe.config.pairs_per_group,
                groups_per_shard=self.config.groups_per_shard,
                fields=recipe.fields,
            )
            for recipe_id, recipe in self.recipes.items()
            for split in SPLITS
            if recipe.config.groups.get(split, 0) > 0
        )

    def shards(self) -> Iterator[ShardSpec]:
        """Every shard, stream by stream. A generator: memory does not grow with the plan."""
        for stream in self.streams:
            for index in range(stream.num_shards):
                yield stream.shard(index)

    def shard(self, name: str) -> ShardSpec:
        """The shard of this name. Raises ConfigError if the plan has none."""
        for stream in self.streams:
            index = stream.number_of(name)
            if index is not None:
                return stream.shard(index)
        raise ConfigError(
            f"the plan has no shard {name!r}",
            consequence="it cannot be made or checked",
            remedy="run `pairbridge plan` on the dataset config; it lists the shards",
        )

    def stream(self, recipe_id: str, split: Split) -> Stream:
        """The stream of one recipe and split. Raises ConfigError if it is empty or unknown."""
        for stream in self.streams:
            if (stream.recipe_id, stream.split) == (recipe_id, split):
                return stream
        raise ConfigError(
            f"the plan has no groups for recipe {recipe_id!r} in split {split!r}",
            consequence="there is nothing to make, train on or evaluate there",
            remedy=f"set recipes.{recipe_id}.groups.{split} in the dataset config",
        )

    def group(self, stream: Stream, group: int, draw: int = 0) -> GroupSpec:
        """The parameters of one group; pure, so any order, subset or process gives the same.

        `draw` counts from 0; a redraw has a root seed of its own, so that no recipe needs to know of it.
        """
        recipe = self.recipes[stream.recipe_id]
        catalogue = self._catalogues[self._generation(stream, group)]
        seed = root_seed(self.config.seed, "redraw", draw) if draw else self.config.seed
        params = recipe.plan(seed, stream.recipe_id, stream.split, group, catalogue)
        return GroupSpec(stream=stream, group=group, params=params, keys=stream.keys(group), draw=draw)

    @property
    def num_groups(self) -> int:
        return sum(stream.num_groups for stream in self.streams)

    @property
    def num_pairs(self) -> int:
        return sum(stream.num_pairs for stream in self.streams)

    @property
    def digest(self) -> str:
        """Hex digest of all that can change a byte of a sample: config without the numbers of groups, and
        catalogue with hashes.
        """
        return self.digests[-1]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The digest as it was before any extension, and after each."""
        identity = self.config.identity()
        return tuple(
            digest({"config": identity, "catalogue": catalogue.digest}) for catalogue in self._catalogues
        )

    def shard_digest(self, shard: ShardSpec) -> str:
        """The digest that the last group of the shard falls under."""
        return self.digests[self._generation(shard.stream, shard.groups[-1])]

    @cached_property
    def _catalogues(self) -> tuple[Catalogue, ...]:
        """What there was to draw from before any extension, and after each."""
        catalogues = [self.catalogue]
        for extension in reversed(self.extensions):
            older = (asset for asset in catalogues[0].assets if asset.id not in extension.asset_ids)
            catalogues.insert(0, Catalogue(tuple(older)))
        return tuple(catalogues)

    def _generation(self, stream: Stream, group: int) -> int:
        return sum(group >= extension.first_groups.get(stream.name, 0) for extension in self.extensions)


def make_plan(
    config: DatasetConfig, catalogue: Catalogue, extensions: tuple[Extension, ...] = ()
) -> DatasetPlan:
    """The plan of a dataset. Raises CatalogueError, with the counts, if a split it needs is empty."""
    plan = DatasetPlan(config, catalogue, extensions)
    for stream in plan.streams:
        plan.recipes[stream.recipe_id].check(catalogue, stream.split)
    return plan
