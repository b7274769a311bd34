"""What `verify` counts: distinct objects, lightings and sizes, from a dataset's own files."""

import math

import numpy as np
import pytest

from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.variety import VarietyCount, nominal_side
from pairbridge.datagen.scene.frame_sizes import SizeMix
from pairbridge.datagen.shards.sample import encode_field


def test_objects_lightings_lamps_and_sizes_are_counted_once() -> None:
    count = VarietyCount()
    for number, (width, height) in enumerate([(64, 64), (128, 32), (32, 128), (64, 64)]):
        meta = {
            "assets": [
                {"role": "object", "id": f"mug:{number % 2}"},
                {"role": "removed object", "id": "vase:1"},
                {"role": "lighting of the source", "id": "city"},
            ],
            "params": canonical_json(
                {"lights": [{"direction": [0, 0, 1], "amplitude": number % 3}]}
            ).decode(),
        }
        target = encode_field("target.png", np.zeros((height, width, 3), np.uint8))
        count.add({"target.png": target}, meta)
    variety = count.result()
    assert (variety.objects, variety.lightings) == (3, 1 + 3)
    assert variety.budgets == (64,)
    assert variety.aspects == (0.25, 4.0)


def test_depth_and_normals_have_the_size_of_their_source() -> None:
    count = VarietyCount()
    source = encode_field("source.png", np.zeros((32, 128, 3), np.uint8))
    count.add({"source.png": source, "depth.npy": b""}, {"assets": []})
    assert (count.result().budgets, count.result().aspects) == ((64,), (4.0, 4.0))


@pytest.mark.parametrize("side", [96, 128, 192, 256, 512, 768, 1024])
def test_rounded_sizes_of_one_budget_have_one_nominal_side(side: int) -> None:
    mix = SizeMix(budgets={side: 1.0})
    sizes = [mix.draw(rng(seed, "size")) for seed in range(200)]
    assert {nominal_side(math.prod(size)) for size in sizes} == {side}
