"""Which objects a group shows (one of the user's files or one of a family, a person or a thing), and how
large they are."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from pairbridge.datagen.assets.catalogue import HUMAN, Asset, Catalogue
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, Range, Weights
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.arrangements import (
    Joining,
    carrier_size,
    draw_pose,
    draw_relations,
    draw_wishes,
    wished_size,
)
from pairbridge.datagen.scene.object_sizes import (
    PERSON,
    UNKNOWN,
    FamilyFacts,
    SizeWindow,
    facts_of,
    range_beside,
)
from pairbridge.datagen.scene.specs import ObjectSpec, Relation

# Tries to find an object of a size that fits the others; a catalogue may have none.
_TRIES = 24


class ObjectShares(FrozenModel):
    """What every recipe that renders objects has. Each share holds in splits where both kinds exist."""

    objects_share: Fraction = 0.5
    """Fraction of objects that come from the user's folders; the rest are embedded families."""
    humans_share: Fraction | None = None
    """Fraction of objects that are tagged `human` in a catalogue, mannequins included. Null: people are drawn
    like any other object."""
    scale: Literal["real", "equal"] = "real"
    """real: every object has a size in metres (its family's, `size_m` of its catalogue entry, its file's
    where the format is in metres, else drawn), a scene's objects and the pattern of its floor keep those
    sizes, and the first object's bounding sphere has the radius 1. equal: every object fills a sphere of
    about radius 1, a chair as a mug."""
    size_ratio: float = Field(4.0, ge=1)
    """How many times larger the largest object of a scene may be than its smallest, as far as the catalogue
    has such objects; with `scale: real`. At 4 a mug stands by a teapot and a teapot by a chair."""
    lying: Fraction | None = 0.2
    """Fraction of objects that are in any of their stable poses, each as often as it comes to rest so, in
    place of the one nearest to upright; of families that never lie (chairs, lamps, plants) none. Null: as
    their files have them, balanced or not. With `scale: real`."""
    arrangement: Weights[Relation] = Field(
        default_factory=lambda: {"apart": 0.3, "touching": 0.35, "stacked": 0.25, "leaning": 0.1}
    )
    """Relative weights of what each further object of a scene is to one before it: apart from it, touching
    it, on top of it, or leaning against it or a wall. Objects are chosen for it (what is long or flat leans,
    boxes, books, chairs, tins and mugs carry), and what finds no level place or no balance touches instead;
    with `scale: real`."""


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


def draw_scene_objects(
    draw: np.random.Generator,
    of_sizes: np.random.Generator,
    catalogue: Catalogue,
    split: Split,
    shares: ObjectShares,
    count: int,
) -> list[dict[str, Any]]:
    """`draw_objects`, and how they lie and stand to each other."""
    of_rest, of_wishes = of_sizes.spawn(2)
    drawn = draw_objects(draw, of_sizes, of_wishes, catalogue, split, shares, count)
    return draw_rest(of_rest, catalogue, shares, drawn)


def draw_objects(
    draw: np.random.Generator,
    of_sizes: np.random.Generator,
    of_wishes: np.random.Generator,
    catalogue: Catalogue,
    split: Split,
    shares: ObjectShares,
    count: int,
    min_distinct: int = 1,
) -> list[dict[str, Any]]:
    """The `count` objects of a scene, of at least `min_distinct` families or files: {"id"}, and with real
    sizes "size_m" and "size_from" ("family", "catalogue", "person" or "drawn"), and of all but the first the
    "relation" to one before it that it was chosen for. Sizes come from `of_sizes`, relations from
    `of_wishes`.
    """
    drawn: list[dict[str, Any]] = []
    there: list[Joining] = []
    wished = draw_wishes(of_wishes, count, shares.arrangement)
    while len(drawn) < count:
        sorts = {entry["id"].partition(":")[0] for entry in drawn}
        # Until enough sorts are there, a sort that is there already is drawn again; the catalogue has enough.
        taken = sorts if len(sorts) < min_distinct else set()
        if shares.scale == "equal":
            drawn.append({"id": _draw_other(draw, catalogue, split, shares, taken)})
            continue
        wish = wished[len(drawn)]
        window = SizeWindow.beside([one.size_m for one in there], shares.size_ratio)
        chosen, under = None, False
        for _ in range(_TRIES):
            object_id = _draw_other(draw, catalogue, split, shares, taken)
            asset = catalogue.get(object_id)
            facts, (size_m, size_from) = _facts(asset), _sizes_of(asset, there[0].size_m if there else None)
            found = wished_size(wish, facts, size_m, there, window)
            # Where nothing can carry it, the first object is put on what comes.
            under = found is None and wish == "stacked" and len(there) == 1 and not there[0].facts.carries
            if under:
                found = carrier_size(facts, size_m, there[0], window)
            # What only fits is kept until something does what is wished.
            if found is not None or chosen is None or not chosen[0].holds_some_of(chosen[2]):
                chosen = (found or window, object_id, size_m, size_from, facts)
            if found is not None:
                break
            under = False
        fitting, object_id, size_m, size_from, facts = chosen
        entry = {"id": object_id, "size_m": fitting.draw(of_sizes, size_m), "size_from": size_from}
        if under:
            drawn, there = [entry, drawn[0] | {"relation": wish}], [Joining(entry["size_m"], facts), there[0]]
            continue
        drawn.append(entry if wish is None else entry | {"relation": wish})
        there.append(Joining(entry["size_m"], facts))
    return drawn


def draw_rest(
    of_rest: np.random.Generator,
    catalogue: Catalogue,
    shares: ObjectShares,
    objects: list[dict[str, Any]],
    free: tuple[int, ...] = (),
) -> list[dict[str, Any]]:
    """`objects` with how each lies and what it is to one before it; those numbered in `free` neither rest on
    others nor hold any. Objects without sizes stay as they are.
    """
    if shares.scale == "equal":
        return objects
    facts = [_facts(catalogue.get(entry["id"])) for entry in objects]
    joining = [
        Joining(entry["size_m"], fact, number in free)
        for number, (entry, fact) in enumerate(zip(objects, facts, strict=True))
    ]
    # A twin has the relation of the other, the first object none.
    wished = [entry.get("relation") if number else None for number, entry in enumerate(objects)]
    relations = draw_relations(of_rest, joining, shares.arrangement, wished)
    return [
        {name: value for name, value in entry.items() if name != "relation"}
        | draw_pose(of_rest, fact, shares.lying, relation.get("relation"))
        | relation
        for entry, fact, relation in zip(objects, facts, relations, strict=True)
    ]


def _facts(asset: Asset) -> FamilyFacts:
    if asset.family is not None:
        return facts_of(asset.family)
    return PERSON if HUMAN in asset.tags else UNKNOWN


def radii_by_size(objects: list[dict[str, Any]], drawn: list[float]) -> list[float]:
    """The radii of bounding spheres in world units: 1 for the first object and, for the others, about what
    their sizes make of it; the `drawn` ones where objects have no size.
    """
    if "size_m" not in objects[0]:
        return drawn
    return [1.0, *(entry["size_m"] / objects[0]["size_m"] for entry in objects[1:])]


def _draw_other(
    draw: np.random.Generator, catalogue: Catalogue, split: Split, shares: ObjectShares, taken: set[str]
) -> str:
    while (drawn := draw_object(draw, catalogue, split, shares)).partition(":")[0] in taken:
        pass
    return drawn


def _sizes_of(asset: Asset, first_m: float | None) -> tuple[Range, str]:
    """The least and largest size of an asset's objects, and where that is from."""
    if asset.size_m is not None:
        return (asset.size_m, asset.size_m), "catalogue"
    if asset.family is not None:
        return facts_of(asset.family).size_m, "family"
    return (PERSON.size_m, "person") if HUMAN in asset.tags else (range_beside(first_m), "drawn")


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
