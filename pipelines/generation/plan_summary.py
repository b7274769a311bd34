"""A dataset before it is made: its layout, its size on disk, and the parameters of any one group."""

import math

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Catalogue
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.recipes.base import RecipeConfig
from pairbridge.datagen.shards.layout import GroupSpec, Stream

# Measured on the shipped demo and on 512x512 renders: PNG bytes per pixel of one colour image, and what a
# sample takes beside its pictures (meta.json, tar headers, padding).
PNG_BYTES_PER_PIXEL = 1.9
MASK_BYTES_PER_PIXEL = 0.1
BYTES_BESIDE_IMAGES = 5000
COLOUR_IMAGES = ("source.png", "target.png")


def asset_counts(catalogue: Catalogue) -> dict[str, list[int]]:
    """How many assets each split has, in the order of SPLITS, by kind; of every kind that is there at all."""
    counts = {
        kind: [len(catalogue.of(kind, split)) for split in SPLITS] for kind in ("family", "object", "photo")
    }
    for lighting in LIGHTING_KINDS:
        counts[f"{lighting} lighting"] = [len(catalogue.lightings(lighting, split)) for split in SPLITS]
    return {kind: of_splits for kind, of_splits in counts.items() if any(of_splits)}


def estimated_bytes(plan: DatasetPlan) -> int:
    """Disk space of the finished shards, to within about a third."""
    return sum(
        stream.num_pairs * _pair_bytes(stream, plan.recipes[stream.recipe_id].config)
        for stream in plan.streams
    )


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


def _pair_bytes(stream: Stream, recipe: RecipeConfig) -> int:
    # Recipes whose groups differ in size know the mean.
    pixels = recipe.mean_pixels if hasattr(recipe, "mean_pixels") else math.prod(recipe.size_WH)
    colour = sum(field in COLOUR_IMAGES for field in stream.fields)
    masks = sum(field.endswith(".png") for field in stream.fields) - colour
    bytes_per_pixel = colour * PNG_BYTES_PER_PIXEL + masks * MASK_BYTES_PER_PIXEL
    return round(pixels * bytes_per_pixel) + BYTES_BESIDE_IMAGES
