"""The drawn shapes of configs/datasets/shapes.yaml: pairs that agree outside the mask, kinds that differ."""

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.recipes.user_recipe import open_own_recipe
from pairbridge.pipelines.reading.config_files import find_config, load_config


def test_a_shape_is_on_its_mask_and_nowhere_else() -> None:
    recipe = open_own_recipe(load_config(find_config("datasets", "shapes"), DatasetConfig).recipes["shapes"])
    shares: dict[str, list[float]] = {}
    for group in range(40):
        params = recipe.plan_group(rng(1, "shapes", group), "train", None)
        radius = params["pairs"][0]["radius"]
        pair = recipe.make_pair(params, 0, None)
        again = recipe.make_pair(params, 0, None)
        assert all(np.array_equal(pair[field], again[field]) for field in pair)
        outside, inside = pair["mask.png"] == 0, pair["mask.png"] == 255
        assert np.array_equal(pair["target.png"][outside], pair["source.png"][outside])
        assert (pair["source.png"][inside] != pair["target.png"][inside]).any(axis=1).all()
        covered = float(pair["mask.png"].mean()) / 255 / radius**2
        shares.setdefault(params["shape"], []).append(covered)
    areas = {
        "cross": 4 * 0.32 * 1 * 2 - 4 * 0.32**2,
        "disc": np.pi,
        "ring": np.pi * (1 - 0.4**2),
        "square": 4 * 0.8**2,
        "triangle": 3 * 3**0.5 / 4,
    }
    for kind, area in areas.items():
        np.testing.assert_allclose(shares[kind], area, rtol=0.03)
