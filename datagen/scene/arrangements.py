"""How the objects of a scene lie and what they are to each other: drawn here, come true in `settle`."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from pairbridge.datagen.core.random_draws import weighted
from pairbridge.datagen.scene.object_sizes import FamilyFacts
from pairbridge.datagen.scene.specs import Relation

# What is put on another object is at most this many times as large as that.
_UPPER = 1.1
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


def draw_relations(
    rng: np.random.Generator, objects: Sequence[Joining], weights: Mapping[Relation, float]
) -> list[dict[str, Any]]:
    """For each object the keys of a PlacedObject that say what it is to one before it: none for the first. Of
    the relations that are possible, each is as often as its weight.
    """
    planned: list[dict[str, Any]] = [{}]
    ordered = {relation: weights.get(relation, 0.0) for relation in get_args(Relation)}
    for number in range(1, len(objects)):
        here, there = objects[number], objects[:number]
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
            "leaning": [
                at
                for at, other in enumerate(there)
                if here.facts.leans
                and not (here.free or other.free)
                and planned[at].get("relation") not in HELD
            ],
        }
        possible = {relation: ordered[relation] if holders[relation] else 0.0 for relation in ordered}
        # A config may ask for stacks alone, which not everything can be.
        relation = weighted(rng, possible if sum(possible.values()) > 0 else {"touching": 1.0})
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


def free_first(order: list[int], objects: Sequence[Mapping[str, Any]]) -> list[int]:
    """`order`, changed only so that nothing comes before what rests on it: an order to take things away
    in."""
    left, taken = list(order), []
    while left:
        holding: Set[int] = {objects[at]["of"] for at in left if objects[at].get("relation") in HELD}
        taken.append(next(at for at in left if at not in holding))
        left.remove(taken[-1])
    return taken
