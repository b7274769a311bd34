"""What a recipe is: one way of making pairs, as a pure plan and an effectful make.

`plan` chooses everything there is to choose and touches nothing; `make` does what it is told with the help
of a `Workbench`. Between the two lies a JSON value, so that a group can be planned in one process and made in
another, twice, in any order, with the same bytes.
"""

from collections.abc import Callable
from typing import Any, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.blender.interpreter import bpy_version
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.core.versions import recorded_versions
from pairbridge.datagen.imaging.quality import Gates
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class RecipeConfig(FrozenModel):
    """What every recipe has; each adds its own keys and narrows `kind` to its name."""

    kind: str
    """Selects the recipe."""
    groups: dict[Split, NonNegativeInt] = Field(default_factory=dict)
    """Number of groups in each split; a split that is left out has none."""
    pairs_per_group: PositiveInt = 1
    """Pairs that are made from one group, which is what is loaded or rendered together."""
    gates: Gates = Gates()
    """Filters: a pair beyond one of these limits is refused and drawn again."""
    redraws: int = Field(3, ge=0, le=100)
    """How often refused pairs are drawn again, each time from a random stream of their own. A pair that is
    refused in the last draw too is quarantined."""


class Recipe(Protocol):
    """One way of making pairs. An instance holds only its config and is cheap to build."""

    kind: str
    config: RecipeConfig
    fields: tuple[str, ...]  # the file suffixes of every sample, sorted
    roles: Roles  # which of them is source, target, mask and condition by default
    # Beside these it may have `declares`, the FieldSpec of every field that FIELDS does not have.

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless `split` has the assets this recipe needs."""

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Everything one group is made from, as JSON-able parameters. Pure; below a millisecond.

        `seed` is the dataset's, or that of a redraw: all that is drawn is keyed by it.
        """

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """The group's pairs in order, `pairs_per_group` of them; a refused pair is its Rejected.

        Raises AssetError or Rejected when the whole group falls.
        `pairbridge.datagen.imaging.quality.check_pair` is applied to
        what comes back, and `pairbridge.datagen.dataset.redraw` draws refused pairs again.
        """


def each_pair(count: int, make: Callable[[int], Pair]) -> list[Pair | Rejected]:
    """`make` of each number up to `count`; where it raises Rejected, that stands in the pair's place."""
    made: list[Pair | Rejected] = []
    for number in range(count):
        try:
            made.append(make(number))
        except Rejected as refused:
            made.append(refused)
    return made


def sample_meta(
    spec: GroupSpec,
    pair: int,
    workbench: Workbench,
    *,
    assets: list[tuple[str, str]],
    mask_source: str,
    relighter: str,
    params: dict[str, Any],
) -> dict[str, Any]:
    """The `meta.json` of one sample. Its top-level keys are the same for every sample of every recipe.

    `assets` lists (role, asset id), objects as `family:seed`. `params` are the recipe's free parameters;
    they are stored as one canonical JSON string, because Hugging Face `datasets` silently drops keys the
    first sample lacks. Nothing here may come from a clock, a host or an attempt.
    """
    entries = []
    for role, asset_id in assets:
        asset = workbench.catalogue.get(asset_id)
        entries.append(
            {
                "role": role,
                "id": asset_id,
                "sha256": asset.sha256,
                "licence": asset.licence,
                "author": asset.author,
                "converted_from": workbench.converted_from(asset_id),
            }
        )
    return {
        "key": spec.keys[pair],
        "dataset": workbench.settings.dataset,
        "recipe": spec.stream.recipe_id,
        "kind": spec.stream.kind,
        "split": spec.stream.split,
        "group": spec.group,
        "pair": pair,
        "draw": spec.draw,
        "seed": workbench.settings.seed,
        "assets": entries,
        "mask_source": mask_source,
        "relighter": relighter,
        "versions": recorded_versions(bpy_version(workbench.settings.render.python)),
        "params": canonical_json(params).decode(),
    }
