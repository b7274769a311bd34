"""Which object a group shows: one of the user's files or one of a family, a person or a thing."""

import numpy as np

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.specs import ObjectSpec

HUMAN = "human"  # the tag that makes an asset a person


class ObjectShares(FrozenModel):
    """What every recipe that renders objects has. Each share holds in splits where both kinds exist."""

    objects_share: Fraction = 0.5
    """Fraction of objects that come from the user's folders; the rest are embedded families."""
    humans_share: Fraction | None = None
    """Fraction of objects that are tagged `human` in a catalogue, mannequins included. Null: people are drawn
    like any other object."""


def require_objects(catalogue: Catalogue, split: Split, recipe: str) -> None:
    """Raise CatalogueError unless the split has an object of any sort."""
    if not catalogue.of("object", split):
        catalogue.require("family", split, recipe)


def draw_object(draw: np.random.Generator, catalogue: Catalogue, split: Split, shares: ObjectShares) -> str:
    """The id of one object: a file's, or `family:seed`."""
    objects, families = catalogue.of("object", split), catalogue.of("family", split)
    if shares.humans_share is not None:
        people = _sort(catalogue, split, human=True)
        things = _sort(catalogue, split, human=False)
        if any(people) and any(things):
            objects, families = people if draw.random() < shares.humans_share else things
    if objects and (not families or draw.random() < shares.objects_share):
        return objects[draw.integers(len(objects))].id
    family = families[draw.integers(len(families))]
    return f"{family.id}:{draw.integers(2**31)}"


def object_spec(object_id: str, workbench: Workbench) -> ObjectSpec:
    """What Blender is asked to load for the id that `draw_object` gave."""
    name, _, seed = object_id.partition(":")
    if seed:
        return ObjectSpec(family=name, seed=int(seed))
    asset = workbench.catalogue.get(name)
    return ObjectSpec(path=asset.path, up=asset.up)


def _sort(catalogue: Catalogue, split: Split, *, human: bool) -> tuple[tuple[Asset, ...], tuple[Asset, ...]]:
    objects, families = (catalogue.tagged(kind, split, HUMAN, tagged=human) for kind in ("object", "family"))
    return objects, families
