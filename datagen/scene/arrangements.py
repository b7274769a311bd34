"""How the objects of a scene lie and what they are to each other: drawn here, come true in `settle`."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from pairbridge.datagen.core.random_draws import Range, weighted
from pairbridge.datagen.scene.object_sizes import FamilyFacts, SizeWindow
from pairbridge.datagen.scene.specs import Relation

# What is put on another object is at most this many times as large as that.
_UPPER = 1.1
# What something leans on is at least so large, in sizes of its own, as far as a scene has such an object.
_HOLDER = 0.7
# Of what leans where there is a wall, and has a large enough object to lean on.
_ON_WALL = 0.6
# Between things that stand apart, in sizes of the smaller one.
_GAP = (0.1, 0.8)
_TILT_RAD = (math.radians(7), math.radians(18))
# Relations in which one object holds another up.
HELD = ("stacked", "leaning")


@dataclass(frozen=True, slots=True)
class Joining:
    """What a plan knows of one object: its size in metres, what its family does, whether it is to stay free
    of others (neither on nor against one, nor carrying one)."""

    size_m: float
    facts: FamilyFacts
    free: bool = False


def draw_pose(
    rng: np.random.Generator, facts: FamilyFacts, lying: float | None, relation: Relation | None
) -> dict[str, Any]:
    """The keys of a PlacedObject that say how it lies. With the chance `lying` it is in any of its stable
    poses, if its family lies at all, and always if it does not stand, but for what leans; None leaves it as
    its file has it.
    """
    u, chance = float(rng.random()), float(rng.random())
    if lying is None:
        return {}
    if relation != "leaning" and facts.lies and (chance < lying or not facts.stands):
        return {"pose": "stable", "pose_u": u}
    return {"pose": "upright", "never_lies": not facts.lies}


def draw_wishes(
    rng: np.random.Generator, count: int, weights: Mapping[Relation, float]
) -> list[Relation | None]:
    """What each object of a scene is to be to one before it, by weight; None for the first. Objects are then
    chosen so that it can come true (`wished_size`)."""
    ordered = {relation: weights.get(relation, 0.0) for relation in get_args(Relation)}
    return [None, *(weighted(rng, ordered) for _ in range(count - 1))]


def wished_size(
    wish: Relation | None, facts: FamilyFacts, size_m: Range, there: Sequence[Joining], window: SizeWindow
) -> SizeWindow | None:
    """Of what sizes in `window` an object must be that is to do what a scene wishes of it beside those that
    are `there`; None where no size of its range `size_m` does."""
    match wish:
        case "stacked":
            tops = [other.size_m for other in there if other.facts.carries]
            window = window.within(high_m=_UPPER * max(tops, default=0.0))
        case "leaning" if not facts.leans:
            return None
    return window if window.holds_some_of(size_m) else None


def carrier_size(facts: FamilyFacts, size_m: Range, upper: Joining, window: SizeWindow) -> SizeWindow | None:
    """The same for an object that is to be under the only one that is there."""
    window = window.within(low_m=upper.size_m / _UPPER)
    return window if facts.carries and window.holds_some_of(size_m) else None


def draw_relations(
    rng: np.random.Generator,
    objects: Sequence[Joining],
    weights: Mapping[Relation, float],
    wished: Sequence[Relation | None],
) -> list[dict[str, Any]]:
    """For each object the keys of a PlacedObject that say what it is to one before it: none for the first. It
    is what was `wished` of it, where that is possible, else one of the possible relations by weight.
    """
    planned: list[dict[str, Any]] = [{}]
    ordered = {relation: weights.get(relation, 0.0) for relation in get_args(Relation)}
    for number in range(1, len(objects)):
        here, there = objects[number], objects[:number]
        leans_on = [
            at
            for at, other in enumerate(there)
            if here.facts.leans and not (here.free or other.free) and planned[at].get("relation") not in HELD
        ]
        large = [at for at in leans_on if there[at].size_m >= _HOLDER * here.size_m]
        holders: dict[Relation, list[int]] = {
            "apart": list(range(number)),
            "touching": list(range(number)),
            "stacked": [
                at
                for at, other in enumerate(there)
                if other.facts.carries
                and not (here.free or other.free)
                # Nothing is put on what only leans.
                and planned[at].get("relation") != "leaning"
                and here.size_m <= _UPPER * other.size_m
            ],
            "leaning": large or leans_on,
        }
        possible = {relation: ordered[relation] if holders[relation] else 0.0 for relation in ordered}
        # A config may ask for stacks alone, which not everything can be.
        relation = weighted(rng, possible if sum(possible.values()) > 0 else {"touching": 1.0})
        wish = wished[number]
        if wish is not None and holders[wish]:
            relation = wish
        of = holders[relation][rng.integers(len(holders[relation]))]
        planned.append(
            {
                "relation": relation,
                "of": of,
                "bearing_rad": float(rng.uniform(0, math.tau)),
                "gap_m": float(rng.uniform(*_GAP)) * min(here.size_m, objects[of].size_m),
                "tilt_rad": float(rng.uniform(*_TILT_RAD)),
                "place_u": float(rng.random()),
            }
        )
    return planned


def lean_on_wall(objects: list[dict[str, Any]], walls_rad: Sequence[float]) -> list[dict[str, Any]]:
    """A plan's objects, of which one that leans may do so on one of the walls in these directions: where it
    has nothing else that is large enough, always."""
    for number, entry in enumerate(objects):
        if entry.get("relation") != "leaning" or not walls_rad:
            continue
        large = objects[entry["of"]]["size_m"] >= _HOLDER * entry["size_m"]
        share = entry["place_u"] / (_ON_WALL if large else 1.0)
        if share < 1:
            wall_rad = walls_rad[int(share * len(walls_rad))]
            return [*objects[:number], entry | {"wall_rad": wall_rad}, *objects[number + 1 :]]
    return objects


def free_first(order: list[int], objects: Sequence[Mapping[str, Any]]) -> list[int]:
    """`order`, changed only so that nothing comes before what rests on it: an order to take things away
    in."""
    left, taken = list(order), []
    while left:
        holding: Set[int] = {objects[at]["of"] for at in left if objects[at].get("relation") in HELD}
        taken.append(next(at for at in left if at not in holding))
        left.remove(taken[-1])
    return taken
