"""What the plan knows about a group's cost before it is made: picture, objects' files, and what is read once.

Generic on purpose: it looks for what every recipe's parameters have (`size_WH`, `receivers`, ids of assets),
so recipes of the user's own are reckoned like ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import GroupSpec, Stream
from pairbridge.pipelines.attempts.holes import texts

_MEGA = 1e6
# A picture that a ground fills, and in relighting a second render without it, beside one that objects fill a
# part of: 3.5 times the seconds in 97 groups of people and in 63 of objects.
_WITH_GROUND = 3.5
# Of a picture in memory, float32 RGB, per byte of a captured lighting's file (half floats, compressed).
_MEMORY_PER_FILE_BYTE = 3


@dataclass(frozen=True, slots=True)
class Features:
    """One group, as far as its cost can be told from the plan."""

    recipe: str
    pairs: int
    megapixels: float  # of one picture
    load: float  # the same, `_WITH_GROUND` times where a ground or a room is rendered with the objects
    object_mb: tuple[tuple[str, float], ...]  # megabytes of the objects' files, by suffix
    read_once: tuple[tuple[str, str], ...]  # (kind, id) of lightings and photographs, which a worker keeps

    @property
    def total_mb(self) -> float:
        return sum(megabytes for _, megabytes in self.object_mb)


def features(plan: DatasetPlan, spec: GroupSpec) -> Features:
    """The features of one planned group."""
    params = spec.params
    config = plan.recipes[spec.stream.recipe_id].config
    width, height = params.get("size_WH") or getattr(config, "size_WH", (0, 0))
    megapixels = math.prod((width, height)) / _MEGA
    object_mb: dict[str, float] = {}
    read_once: dict[tuple[str, str], None] = {}
    for asset_id in texts(params):
        asset = plan.catalogue.find(asset_id)
        if asset is None or asset.path is None:
            continue
        if asset.kind == "object":
            suffix = asset.path.suffix.lower()
            object_mb[suffix] = object_mb.get(suffix, 0.0) + asset.path.stat().st_size / _MEGA
        else:
            read_once[(asset.kind, asset.id)] = None
    return Features(
        recipe=spec.stream.recipe_id,
        pairs=len(spec.keys),
        megapixels=megapixels,
        load=megapixels * (_WITH_GROUND if _has_ground(params) else 1.0),
        object_mb=tuple(sorted(object_mb.items())),
        read_once=tuple(read_once),
    )


def _has_ground(params: Any) -> bool:
    """Whether a scene's receivers are among the parameters, wherever a recipe keeps its scene."""
    if isinstance(params, Mapping):
        return bool(params.get("receivers")) or any(map(_has_ground, params.values()))
    return isinstance(params, list | tuple) and any(map(_has_ground, params))


def later_group(plan: DatasetPlan, stream: Stream, number: int) -> GroupSpec:
    """A group of the stream's own law that the run never makes: the `number`-th after its last."""
    return plan.group(stream, stream.num_groups + number)


def lighting_bytes(catalogue: Catalogue, asset_id: str, baked_width: int) -> float:
    """Memory that a lighting takes in a worker, about."""
    asset = catalogue.get(asset_id)
    if asset.lighting != "hdri":
        return baked_width * baked_width / 2 * 12
    return asset.path.stat().st_size * _MEMORY_PER_FILE_BYTE
