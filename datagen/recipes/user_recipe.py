"""A recipe of the user's own: a class in a file, or behind an entry point, named in the dataset's config.

    recipes:
      vignette:
        kind: own
        recipe: my_recipe.py:Vignette   # beside the YAML file; or the name of an entry point, see below
        groups: {train: 100}
        settings: {strength: [0.3, 0.9]}

The file's text becomes part of the config when that is read: of its digest, of dataset.json, and of what
travels to workers on other machines, which need no copy of the file. So the file stands alone: it may import
installed packages, but no neighbour. A recipe of several files is a package with an entry point in the group
`pairbridge.recipes`, installed on every machine; the text of its module is compared there.

The class is an `OwnRecipe`, or anything that fulfils `pairbridge.datagen.recipes.base.Recipe` and is made
from an `OwnRecipeConfig`. docs/recipes.md writes one.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt, ValidationError, model_validator

from pairbridge.datagen.assets.catalogue import Catalogue, Split
from pairbridge.datagen.core.errors import ConfigError, Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.user_code import own_class
from pairbridge.datagen.recipes.base import Recipe, RecipeConfig, sample_meta
from pairbridge.datagen.shards.sample import Pair

if TYPE_CHECKING:
    from pairbridge.datagen.dataset.plan import GroupSpec
    from pairbridge.datagen.recipes.workbench import Workbench

ENTRY_POINTS = "pairbridge.recipes"


class OwnRecipeConfig(RecipeConfig):
    """The keys of a recipe of the user's own; those it invents itself are under `settings`."""

    kind: Literal["own"] = "own"
    """Selects a recipe of your own."""
    recipe: str
    """Class of the recipe: path/to/file.py:Class, of which only the file's name is kept, or the name of an
    entry point."""
    size_WH: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Width and height of every image, in pixels."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the recipe's own, checked by its class's `Settings`."""
    code: str = ""
    """Text of the recipe's module, filled in from `recipe`."""

    @model_validator(mode="before")
    @classmethod
    def _with_code(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("code") or not isinstance(values.get("recipe"), str):
            return values
        if ".py:" not in values["recipe"]:
            return values | {"code": _installed_path(values["recipe"]).read_text()}
        path, _, name = values["recipe"].rpartition(":")
        try:
            code = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the recipe's file {path} cannot be read ({error})") from error
        return values | {"recipe": f"{Path(path).name}:{name}", "code": code}

    @model_validator(mode="after")
    def _usable(self) -> "OwnRecipeConfig":
        try:
            _recipe_class(self)(self)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"settings.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return self


class OwnRecipe:
    """The base of a recipe of the user's own: it plans and makes pair by pair, and writes `meta.json`.

    A subclass sets `fields` (the file suffixes of every sample; add to `descriptions` what
    `pairbridge.datagen.dataset.manifest.FIELD_DESCRIPTIONS` does not describe), and writes `plan_group` and
    `make_pair`.
    """

    fields: tuple[str, ...] = ("mask.png", "meta.json", "source.png", "target.png")
    descriptions: ClassVar[dict[str, str]] = {}
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

    def make(self, spec: "GroupSpec", workbench: "Workbench") -> list[Pair | Rejected]:
        """`make_pair` for each pair of the group."""
        workbench.phase("make")
        made: list[Pair | Rejected] = []
        for number in range(self.config.pairs_per_group):
            try:
                pair = self.make_pair(spec.params, number, workbench)
            except Rejected as refused:
                made.append(refused)
                continue
            meta = sample_meta(
                spec,
                number,
                workbench,
                assets=self.assets(spec.params),
                mask_source=self.mask_source,
                relighter="none",
                params=spec.params,
            )
            made.append({**pair, "meta.json": meta})
        return made

    def plan_group(self, draw: np.random.Generator, split: Split, catalogue: Catalogue) -> dict[str, Any]:
        """Everything one group is made from, as JSON-able parameters. Pure: all chance comes from `draw`."""
        raise NotImplementedError

    def make_pair(self, params: dict[str, Any], number: int, workbench: "Workbench") -> Pair:
        """The fields of pair `number` of a group, without meta.json. Raise Rejected to draw it again."""
        raise NotImplementedError

    def assets(self, params: dict[str, Any]) -> list[tuple[str, str]]:
        """(role, asset id) of what the group uses: for licences, and the proof that no split leaks."""
        raise NotImplementedError


def open_own_recipe(config: OwnRecipeConfig) -> Recipe:
    """The recipe of a config, its class made from the text that the config holds."""
    return _recipe_class(config)(config)


def _recipe_class(config: OwnRecipeConfig) -> type:
    if ".py:" in config.recipe:
        file_name, _, name = config.recipe.rpartition(":")
        found = own_class(file_name, config.code, name)
    else:
        installed = _installed_path(config.recipe)
        if installed.read_text() != config.code:
            raise ConfigError(
                f"the recipe {config.recipe!r} installed here ({installed}) is not the one of the config",
                consequence="pairs of two versions of a recipe would be mixed in one dataset",
                remedy="install the same version of its package on every machine, or start a new dataset",
            )
        found = _entry_point(config.recipe).load()
    if not isinstance(found, type) or not callable(getattr(found, "make", None)):
        raise ValueError(f"{config.recipe} is no class with a `make`; see docs/recipes.md")
    return found


def _entry_point(name: str) -> importlib.metadata.EntryPoint:
    found = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    if not found:
        known = sorted(entry.name for entry in importlib.metadata.entry_points(group=ENTRY_POINTS))
        raise ValueError(
            f"recipe {name!r} is neither path/to/file.py:Class nor an entry point of {ENTRY_POINTS} "
            f"(installed here: {', '.join(known) or 'none'})"
        )
    return next(iter(found))


def _installed_path(name: str) -> Path:
    spec = importlib.util.find_spec(_entry_point(name).module)
    if spec is None or spec.origin is None:
        raise ValueError(f"the module of recipe {name!r} has no source file here")
    return Path(spec.origin)
