"""Removal pairs rendered for real: what their masks say, and where source and target are one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.core.errors import CatalogueError, Rejected
from pairbridge.datagen.imaging.filters import grown
from pairbridge.datagen.recipes.object_removal import ObjectRemovalConfig
from pairbridge.datagen.shards.sample import Pair, encode_field
from tests.support.rendered_recipes import make, plan_of

RECIPE = {
    "kind": "object_removal",
    "groups": {"train": 50},
    "size_WH": [96, 72],
    "objects": [4, 5],
    "pairs_per_group": 2,
    "smallest_visible": 0.002,
    "most_hidden": 0.9,
}
SIZE_HW = (72, 96)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    made = make(plan_of(RECIPE), 0, tmp_path_factory.mktemp("removal"))
    assert not [pair.cause for pair in made if isinstance(pair, Rejected)]
    return made


@pytest.mark.render
def test_outside_the_dilated_effect_the_source_is_the_target(pairs: list[Pair]) -> None:
    reach = round(ObjectRemovalConfig.model_fields["effect_dilation"].default * min(SIZE_HW))
    for pair in pairs:
        changed = grown(pair["effect.png"] > 0, reach) > 0
        same = (pair["source.png"] == pair["target.png"]).all(axis=2)
        assert same[~changed].all()
        assert (~changed).mean() > 0.1
        seen = pair["visible.png"] > 200
        assert np.abs(pair["source.png"].astype(int) - pair["target.png"])[seen].mean() > 8


@pytest.mark.render
def test_the_masks_nest_and_cover_the_object(pairs: list[Pair]) -> None:
    for pair in pairs:
        visible, amodal, mask, effect = (
            pair[f"{name}.png"] for name in ("visible", "amodal", "mask", "effect")
        )
        assert visible.shape == amodal.shape == mask.shape == effect.shape == SIZE_HW
        assert (visible <= amodal.astype(int) + 2).all()
        assert set(np.unique(mask)) <= {0, 255}
        assert mask[visible > 0].all()
        assert effect[visible > 0].all()
        # The shadow lies outside the region to remove: learning to remove it is the point of these pairs.
        assert (effect[mask == 0] > 0).any()


@pytest.mark.render
def test_the_effect_is_a_few_whole_regions(pairs: list[Pair]) -> None:
    """At 4 samples a pixel, a sixteenth of what is shipped."""
    for pair in pairs:
        effect = pair["effect.png"]
        assert set(np.unique(effect)) <= {0, 255}
        seen = cv2.connectedComponents((pair["visible.png"] > 0).astype(np.uint8))[0] - 1
        assert cv2.connectedComponents(effect)[0] - 1 <= seen + 6
        _, _, holes, _ = cv2.connectedComponentsWithStats(255 - effect, connectivity=4)
        assert holes[:, cv2.CC_STAT_AREA].min() >= 0.001 * effect.size


@pytest.mark.render
def test_both_pairs_share_the_room_and_repeat_to_the_byte(pairs: list[Pair], tmp_path: Path) -> None:
    params = [json.loads(pair["meta.json"]["params"]) for pair in pairs]
    assert params[0]["objects"] == params[1]["objects"]
    assert params[0]["removed"] != params[1]["removed"]
    assert params[0]["fill_seed"] != params[1]["fill_seed"]
    for pair, other in zip(pairs, make(plan_of(RECIPE), 0, tmp_path, threads=2), strict=True):
        for field in pair:
            assert encode_field(field, pair[field]) == encode_field(field, other[field]), field


@pytest.mark.render
def test_scenes_have_enough_distinct_objects_and_a_split_without_them_is_refused() -> None:
    plan = plan_of(RECIPE)
    for group in range(50):
        params = plan.group(plan.streams[0], group).params
        ids = [entry["id"] for entry in params["objects"]]
        assert 4 <= len(ids) <= 5
        assert len({name.partition(":")[0] for name in ids}) >= 3
        walls = [receiver for receiver in params["receivers"] if receiver["azimuth_rad"] is not None]
        assert 1 <= len(walls) <= 2
        for wall in walls:
            facing = np.array([np.cos(wall["azimuth_rad"]), np.sin(wall["azimuth_rad"])])
            for entry in params["objects"]:
                assert facing @ [entry["x"], entry["y"]] + entry["radius"] < wall["distance"]
    with pytest.raises(CatalogueError, match="3 distinct objects"):
        plan_of(RECIPE, families=["mug", "vase"])


@pytest.mark.parametrize(
    "wrong", [{"objects": (2, 3)}, {"walls": (1, 3)}, {"elevation_deg": (-5, 20)}, {"radius": (0.0, 1.0)}]
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=r"object|walls|radius|elevation_deg"):
        ObjectRemovalConfig(**wrong)
