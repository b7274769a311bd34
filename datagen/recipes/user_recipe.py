"""A recipe of the user's own: a class in a file, or behind an entry point, named in the dataset's config.

    recipes:
      vignette:
        kind: own
        recipe: my_recipe.py:Vignette   # see pairbridge.datagen.core.user_code
        groups: {train: 100}
        settings: {strength: [0.3, 0.9]}

The class is an `OwnRecipe`, or anything that fulfils `pairbridge.datagen.recipes.base.Recipe` and is made
from an `OwnRecipeConfig`. docs/recipes.md writes one.
"""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import PositiveInt, ValidationError, model_validator

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.datagen.recipes.base import Recipe, RecipeConfig, each_pair, sample_meta
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import FieldSpec, Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class OwnRecipeConfig(UserCode, RecipeConfig):
    """The keys of a recipe of the user's own; those it invents itself are under `settings`."""

    named_by: ClassVar[str] = "recipe"
    group: ClassVar[str] = "pairbridge.recipes"
    method: ClassVar[str] = "make"

    kind: Literal["own"] = "own"
    """Selects this variant."""
    recipe: str
    """The recipe's class: path/to/file.py:Class, or the name of an entry point."""
    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Width and height of the images in pixels."""

    @model_validator(mode="after")
    def _takes_settings(self) -> "OwnRecipeConfig":
        try:
            open_own_recipe(self)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"settings.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return self


class OwnRecipe:
    """The base of a recipe of the user's own: it plans and makes pair by pair, and writes `meta.json`.

    A subclass sets `fields` (the file suffixes of every sample; `declares` says what those hold that
    `pairbridge.datagen.shards.fields.FIELDS` does not have), `roles` where they are not source, target and
    mask, and writes `plan_group` and `make_pair`.
    """

    fields: tuple[str, ...] = ("mask.png", "meta.json", "source.png", "target.png")
    declares: ClassVar[dict[str, FieldSpec]] = {}
    roles: ClassVar[Roles] = Roles()
    mask_source = "own recipe"

    class Settings(FrozenModel):
        """What `settings` may hold; overridden by a subclass that has any."""

    def __init__(self, config: OwnRecipeConfig) -> None:
        self.config = config
        self.kind = config.recipe
        self.fields = tuple(sorted(self.fields))
        self.settings = self.Settings(**config.settings)

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless `split` has the assets this recipe needs: see `catalogue.require`."""

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """`plan_group` with the group's own random stream."""
        return self.plan_group(rng(seed, recipe_id, split, group), split, catalogue)

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """`make_pair` for each pair of the group."""
        workbench.phase("make")

        def whole(number: int) -> Pair:
            pair = self.make_pair(spec.params, number, workbench)
            meta = sample_meta(
                spec,
                number,
                workbench,
                assets=self.assets(spec.params),
                mask_source=self.mask_source,
                relighter="none",
                params=spec.params,
            )
            return {**pair, "meta.json": meta}

        return each_pair(self.config.pairs_per_group, whole)

    def plan_group(self, draw: np.random.Generator, split: Split, catalogue: Catalogue) -> dict[str, Any]:
        """Everything one group is made from, as JSON-able parameters. Pure: all chance comes from `draw`."""
        raise NotImplementedError

    def make_pair(self, params: dict[str, Any], number: int, workbench: Workbench) -> Pair:
        """The fields of pair `number` of a group, without meta.json. Raise Rejected to draw it again."""
        raise NotImplementedError

    def assets(self, params: dict[str, Any]) -> list[tuple[str, str]]:
        """(role, asset id) of what the group uses: for licences, and the proof that no split leaks."""
        raise NotImplementedError


def open_own_recipe(config: OwnRecipeConfig) -> Recipe:
    """The recipe of a config, its class made from the text that the config holds."""
    return config.load()(config)
