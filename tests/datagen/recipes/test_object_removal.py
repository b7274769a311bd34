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
# A group whose pairs remove what is seen: in the first, one of them stands wholly behind another object.
SEEN = 1


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    made = make(plan_of(RECIPE), SEEN, tmp_path_factory.mktemp("removal"))
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
    for pair, other in zip(pairs, make(plan_of(RECIPE), SEEN, tmp_path, threads=2), strict=True):
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


def test_scenes_have_twins_at_their_share_and_one_of_them_stays() -> None:
    many = {"objects": [5, 8], "groups": {"train": 400}, "hidden": [1, 4], "pairs_per_group": 8, "twins": 0.5}
    plan = plan_of(RECIPE | many)
    with_twins, counts = 0, []
    for group in range(400):
        params = plan.group(plan.streams[0], group).params
        ids = [entry["id"] for entry in params["objects"]]
        assert len({name.partition(":")[0] for name in ids}) >= 3
        twins = [at for at, name in enumerate(ids) if ids.count(name) > 1]
        assert len(twins) in (0, 2)
        with_twins += bool(twins)
        pairs = params["pairs"]
        assert pairs[0]["absent"] == []
        states = {tuple(pair["absent"]) for pair in pairs}
        states |= {tuple(sorted(pair["absent"] + pair["removed"])) for pair in pairs}
        # Five states have ten pairs, and four have six.
        assert len(states) <= 5
        assert len({(tuple(pair["absent"]), tuple(pair["removed"])) for pair in pairs}) == 8
        for pair in pairs:
            assert not set(pair["absent"]) & set(pair["removed"])
            counts.append(len(pair["removed"]))
        if twins:
            first, second = (params["objects"][at] for at in twins)
            assert first["radius"] == second["radius"]
            assert first["yaw_rad"] != second["yaw_rad"]
            gone = {at for pair in pairs for at in pair["removed"]}
            assert len(gone & set(twins)) == len(set(pairs[0]["removed"]) & set(twins)) == 1
    assert with_twins / 400 == pytest.approx(0.5, abs=0.07)
    assert all(counts.count(number) > 0.1 * len(counts) for number in (1, 2, 3, 4))


@pytest.mark.render
def test_a_pair_of_several_objects_removes_them_and_what_they_do(tmp_path: Path) -> None:
    several = RECIPE | {"hidden": [2, 2], "pairs_per_group": 1, "twins": 1.0, "store": ["instance"]}
    (pair,) = make(plan_of(several), SEEN, tmp_path)
    assert not isinstance(pair, Rejected), pair
    meta = pair["meta.json"]
    params = json.loads(meta["params"])
    roles = [entry["role"] for entry in meta["assets"]]
    assert roles.count("removed object") == 2
    assert roles.count("object") == len(params["objects"]) - 2
    kept_twin = [
        at
        for at, entry in enumerate(params["objects"])
        if at not in params["removed"]
        and entry["id"] in {params["objects"][gone]["id"] for gone in params["removed"]}
    ]
    assert len(kept_twin) == 1
    instance = pair["instance.png"]
    removed = np.isin(instance, np.array(params["removed"]) + 1)
    assert pair["mask.png"][removed].all()
    # The object that is alike stays as it was where nothing of the others falls on it.
    twin = (instance == kept_twin[0] + 1) & (pair["effect.png"] == 0)
    assert twin.any()
    difference = np.abs(pair["source.png"].astype(int) - pair["target.png"]).max(axis=2)
    assert difference[twin].mean() < 3
    assert difference[removed].mean() > 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": (1, 5)},
        {"twins": 0.5, "objects": (3, 4)},
        {"objects": (4, 6), "pairs_per_group": 5},
        {"objects": (2, 3)},
        {"walls": (1, 3)},
        {"elevation_deg": (-5, 20)},
        {"radius": (0.0, 1.0)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=r"object|walls|radius|elevation_deg"):
        ObjectRemovalConfig(**wrong)
