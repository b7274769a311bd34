"""The shipped dataset `shapes`, a few pairs of it, without Ray: the shape is the family of the object."""

from functools import cache
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.recipes.user_recipe import open_own_recipe
from pairbridge.datagen.shards.sample import Pair
from pairbridge.pipelines.reading.config_files import find_config, load_config
from tests.support.toy_relighting import write_toy_dataset

SHAPES = ("cross", "disc", "ring", "square", "triangle")
SHAPE = {"field": "shape", "classes": SHAPES, "read": "assets.object", "dropout": 0.15}


@cache
def _recipe() -> Any:
    return open_own_recipe(load_config(find_config("datasets", "shapes"), DatasetConfig).recipes["shapes"])


def _params(seed: int) -> dict[str, Any]:
    return _recipe().plan_group(rng(1, "shapes", seed), "train", None)


def shape_of(seed: int) -> str:
    return _params(seed)["shape"]


def shape_pair(seed: int) -> Pair:
    return _recipe().make_pair(_params(seed), 0, None)


def write_shapes(folder: Path, splits: dict[str, int]) -> Path:
    """A finished dataset of one recipe, `shapes`."""
    return write_toy_dataset(folder, "shapes", splits, make_pair=shape_pair, family=shape_of, per_object=1)
