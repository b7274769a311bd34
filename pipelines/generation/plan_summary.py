"""A dataset before it is made: its layout, its size on disk, and the parameters of any one group."""

import math
from typing import Any

import numpy as np

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Catalogue
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.manifest import declared_field
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.lighting.environment_maps import MAP_SIZE_WH
from pairbridge.datagen.recipes.base import Recipe
from pairbridge.datagen.shards.fields import FieldKind, FieldSpec
from pairbridge.datagen.shards.layout import GroupSpec, Stream

# Measured on the shipped demo and on 512x512 renders: PNG bytes per pixel of one colour image, and what a
# sample takes beside its pictures (meta.json, tar headers, padding).
PNG_BYTES_PER_PIXEL = 1.9
MASK_BYTES_PER_PIXEL = 0.1
BYTES_BESIDE_IMAGES = 5000


def asset_counts(catalogue: Catalogue) -> dict[str, list[int]]:
    """How many assets each split has, in the order of SPLITS, by kind; of every kind that is there at all."""
    counts = {
        kind: [len(catalogue.of(kind, split)) for split in SPLITS]
        for kind in ("family", "object", "photo", "material", "scene")
    }
    for lighting in LIGHTING_KINDS:
        counts[f"{lighting} lighting"] = [len(catalogue.lightings(lighting, split)) for split in SPLITS]
    return {kind: of_splits for kind, of_splits in counts.items() if any(of_splits)}


def estimated_bytes(plan: DatasetPlan) -> int:
    """Disk space of the finished shards, to within about a third."""
    return sum(
        stream.num_pairs * _pair_bytes(stream, plan.recipes[stream.recipe_id]) for stream in plan.streams
    )


def estimated_shard_bytes(plan: DatasetPlan, stream: Stream) -> int:
    """Of a full shard of the stream, to within about a third."""
    groups = min(stream.groups_per_shard, stream.num_groups)
    pair_bytes = _pair_bytes(stream, plan.recipes[stream.recipe_id])
    return groups * stream.pairs_per_group * pair_bytes


def named_group(plan: DatasetPlan, name: str | None) -> GroupSpec:
    """The group called `recipe/split/number`; None is the first of the first stream. Raises ConfigError."""
    if name is None:
        return plan.group(plan.streams[0], 0)
    recipe_id, _, rest = name.partition("/")
    split, _, number = rest.partition("/")
    stream = plan.stream(recipe_id, split) if split in SPLITS else None
    if stream is None or not number.isdecimal() or int(number) >= stream.num_groups:
        first = plan.streams[0]
        example = f"{first.recipe_id}/{first.split}/{first.num_groups - 1}"
        raise ConfigError(
            f"the plan has no group {name!r}",
            consequence="there are no parameters to show",
            remedy=f"write recipe/split/number, e.g. {example}",
        )
    return plan.group(stream, int(number))


def as_plain(plan: DatasetPlan, group: GroupSpec) -> dict[str, Any]:
    """The plan and one of its groups, as JSON: counts of assets by kind and split, streams, bytes."""
    return {
        "name": plan.config.name,
        "seed": plan.config.seed,
        "assets": {
            kind: dict(zip(SPLITS, of_splits, strict=True))
            for kind, of_splits in asset_counts(plan.catalogue).items()
        },
        "streams": [
            {
                "recipe": stream.recipe_id,
                "kind": stream.kind,
                "split": stream.split,
                "groups": stream.num_groups,
                "pairs": stream.num_pairs,
                "shards": stream.num_shards,
            }
            for stream in plan.streams
        ],
        "estimated_bytes": estimated_bytes(plan),
        "group": {
            "name": f"{group.stream.recipe_id}/{group.stream.split}/{group.group}",
            "keys": list(group.keys),
            "params": group.params,
        },
    }


def _pair_bytes(stream: Stream, recipe: Recipe) -> int:
    # Recipes whose groups differ in size know the mean.
    config = recipe.config
    pixels = config.mean_pixels if hasattr(config, "mean_pixels") else math.prod(config.size_WH)
    specs = {name: declared_field(recipe, name) for name in stream.fields}
    return BYTES_BESIDE_IMAGES + round(sum(_field_bytes(name, spec, pixels) for name, spec in specs.items()))


def _field_bytes(name: str, spec: FieldSpec, pixels: float) -> float:
    if spec.dtype is None:
        return 0
    if name.endswith(".npy"):
        count = pixels if spec.kind.has_pixels_of_the_view else math.prod(MAP_SIZE_WH)
        return count * spec.channels * np.dtype(spec.dtype).itemsize
    is_colour = spec.kind is FieldKind.IMAGE and spec.channels == 3
    return pixels * (PNG_BYTES_PER_PIXEL if is_colour else MASK_BYTES_PER_PIXEL)
