"""Shadow pairs rendered for real: where source and target differ, and what their light maps say."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.recipes.shadow_generation import ShadowGenerationConfig
from pairbridge.datagen.shards.sample import Pair, encode_field
from tests.support.rendered_recipes import make, plan_of

RECIPE = {
    "kind": "shadow_generation",
    "groups": {"train": 4},
    "size_WH": [72, 64],
    "lamp_diameter": [0.2, 0.2],
    "intensity": [1.0, 1.0],
    "ambient": [0.15, 0.15],
    "textured": 0.0,
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    made = make(plan_of(RECIPE, families=["vase"]), 0, tmp_path_factory.mktemp("shadows"))
    assert not [pair.cause for pair in made if isinstance(pair, Rejected)]
    return made


@pytest.mark.render
def test_the_source_lacks_the_shadow_and_is_the_target_elsewhere(pairs: list[Pair]) -> None:
    for pair in pairs:
        source, target, mask = (pair[f"{name}.png"] for name in ("source", "target", "mask"))
        assert source.shape == target.shape == (64, 72, 3)
        ground = mask == 0
        change = source.astype(int).mean(axis=2) - target.astype(int).mean(axis=2)
        # A shadow darkens; what the object reflects may lighten a little beside it.
        assert change[ground].max() > 40
        assert (change[ground] > 20).sum() > 5 * (change[ground] < -20).sum()
        assert (source == target).all(axis=2)[ground].mean() > 0.3
        # The object itself is lit alike in both.
        assert (source == target)[mask == 255].all()


@pytest.mark.render
def test_shadows_fall_away_from_the_lamp(pairs: list[Pair]) -> None:
    for pair in pairs:
        light = json.loads(pair["meta.json"]["params"])["lights"][0]
        change = pair["source.png"].astype(int).mean(axis=2) - pair["target.png"].astype(int).mean(axis=2)
        shadow = (change > 20) & (pair["mask.png"] == 0)
        to_shadow = np.argwhere(shadow).mean(axis=0) - np.argwhere(pair["mask.png"] > 127).mean(axis=0)
        # The lamp's sideways direction and the shadow's are opposite, where either is marked.
        sideways = light["direction"][0]
        if abs(sideways) > 0.3 and abs(to_shadow[1]) > 2:
            assert np.sign(to_shadow[1]) == -np.sign(sideways)


@pytest.mark.render
def test_the_light_map_is_the_one_of_the_lamp_in_the_meta(pairs: list[Pair]) -> None:
    for pair in pairs:
        lights = json.loads(pair["meta.json"]["params"])["lights"]
        rebuilt = encode_light_map([MapLight.from_params(light) for light in lights], (72, 64), grey=True)
        assert (rebuilt == pair["light.png"]).all()
        assert pair["light.png"].max() > 240
        _, _, _, peak = cv2.minMaxLoc(pair["light.png"])
        assert np.sign(2 * peak[0] - 71) == np.sign(lights[0]["direction"][0])


@pytest.mark.render
def test_a_group_repeats_to_the_byte(pairs: list[Pair], tmp_path: Path) -> None:
    again = make(plan_of(RECIPE, families=["vase"]), 0, tmp_path, threads=2)
    for pair, other in zip(pairs, again, strict=True):
        assert sorted(pair) == ["light.png", "mask.png", "meta.json", "source.png", "target.png"]
        for field in pair:
            assert encode_field(field, pair[field]) == encode_field(field, other[field]), field


@pytest.mark.parametrize(
    "wrong",
    [
        {"lamp_elevation_deg": (-5, 40)},
        {"elevation_deg": (-10, 40)},
        {"lamp_distance": (1, 4)},
        {"lamp_diameter": (2, 1)},
    ],
)
def test_impossible_ranges_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=r"lamp|elevation"):
        ShadowGenerationConfig(**wrong)
