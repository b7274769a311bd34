"""Makes one group and redraws the pairs that a quality gate rejected: still a function of the plan alone.

Pair p of a group comes from the first draw in which pair p passes every gate; each draw has a root seed of
its own (`DatasetPlan.group`). So bytes do not depend on who made the group, or on how often it was begun. A
broken asset is no matter of luck and is not drawn again: it costs its own samples, by name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pairbridge.datagen.core.errors import AssetError, Rejected
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.imaging.quality import check_pair
from pairbridge.datagen.recipes.base import Recipe
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pair that one draw of its group did not give, and why."""

    key: str
    spec: GroupSpec  # of that draw
    error: Rejected | AssetError


@dataclass(frozen=True, slots=True)
class MadeGroup:
    """What became of each planned pair, in order, and every draw that a gate refused on the way there."""

    outcomes: list[tuple[str, Pair] | Refusal]
    rejected: list[Refusal]  # by draw, then in the order of the pairs; those that ended in a refusal included


def make_group(
    plan: DatasetPlan,
    spec: GroupSpec,
    workbench: Workbench,
    on_draw: Callable[[GroupSpec], None] = lambda spec: None,
) -> MadeGroup:
    """Make the group of `spec`, a first draw; `on_draw` is told of each draw before it is made.

    Raises what the recipe raises that is neither AssetError nor Rejected.
    """
    recipe = plan.recipes[spec.stream.recipe_id]
    settled: dict[str, tuple[str, Pair] | Refusal] = {}
    rejected: list[Refusal] = []
    for draw in range(recipe.config.redraws + 1):
        current = plan.group(spec.stream, spec.group, draw) if draw else spec
        on_draw(current)
        for key, made in zip(spec.keys, _judged(recipe, current, workbench), strict=True):
            if key in settled:
                continue
            if isinstance(made, Rejected):
                rejected.append(Refusal(key, current, made))
            else:
                settled[key] = Refusal(key, current, made) if isinstance(made, AssetError) else (key, made)
        if len(settled) == len(spec.keys):
            break
    last = {refusal.key: refusal for refusal in rejected}
    return MadeGroup([settled.get(key) or last[key] for key in spec.keys], rejected)


def _judged(recipe: Recipe, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected | AssetError]:
    try:
        made = recipe.make(spec, workbench)
    except (AssetError, Rejected) as error:
        return [error] * len(spec.keys)
    return [_checked(pair, recipe) for pair in made]


def _checked(pair: Pair | Rejected | AssetError, recipe: Recipe) -> Pair | Rejected | AssetError:
    if isinstance(pair, Rejected | AssetError):
        return pair
    try:
        check_pair(pair, recipe.config.gates)
    except Rejected as refused:
        return refused
    return pair
