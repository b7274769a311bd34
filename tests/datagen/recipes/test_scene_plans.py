"""Plans of the recipes that arrange scenes: pure, JSON-able, quick, and within one split."""

import json
import math

import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import build_manifest
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.scene.specs import RECEIVER_REACH
from pairbridge.datagen.scene.surface_draws import METRES_A_UNIT
from tests.support.planning_cost import cost_in_streams

KINDS = {
    "relighting_swap": {"objects": [1, 3], "standing": 0.5, "flip": 0.5},
    "object_removal": {},
    "shadow_generation": {},
    "controllable_relighting": {},
    "geometry": {},
}


def catalogue() -> Catalogue:
    common = {"licence": "CC0-1.0", "author": "x", "source": "x", "sha256": "0"}
    assets = []
    for split in SPLITS:
        names = [f"family{number}-{split}" for number in range(5)]
        assets += [Asset(id=name, kind="family", split=split, family=name, **common) for name in names]
        assets += [
            Asset(id=f"hdri{number}-{split}", kind="hdri", split=split, lighting="hdri", **common)
            for number in range(500)
        ]
        assets.append(Asset(id=f"rig-{split}", kind="hdri", split=split, lighting="rig", **common))
    return Catalogue(tuple(assets))


def with_materials() -> Catalogue:
    common = {"kind": "material", "licence": "CC0-1.0", "author": "x", "source": "x", "sha256": "0"}
    oaks = [Asset(id=f"oak-{split}", split=split, size_m=1.5, **common) for split in SPLITS]
    tars = [Asset(id=f"tar-{split}", split=split, **common) for split in SPLITS]
    return Catalogue((*catalogue().assets, *oaks, *tars))


def plan_of(kind: str, seed: int = 7, there: Catalogue | None = None, **keys: object) -> DatasetPlan:
    recipe = {"kind": kind, "groups": {"train": 1000, "test": 20}, "sizes": {}} | KINDS[kind] | keys
    config = DatasetConfig.model_validate({"name": "scenes", "seed": seed, "recipes": {"it": recipe}})
    return make_plan(config, there or catalogue())


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_is_planned_alone_and_as_json(kind: str) -> None:
    plan, again = plan_of(kind), plan_of(kind)
    stream = plan.streams[0]
    for group in (0, 7, 999):
        params = plan.group(stream, group).params
        assert json.loads(json.dumps(params)) == params
        assert params == again.group(again.streams[0], group).params
        assert params != plan_of(kind, seed=8).group(stream, group).params


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_takes_assets_of_its_split_alone(kind: str) -> None:
    plan = plan_of(kind)
    for stream in plan.streams:
        for group in range(20):
            text = json.dumps(plan.group(stream, group).params)
            others = [split for split in SPLITS if split != stream.split]
            assert f"-{stream.split}" in text
            assert not any(f"-{split}" in text for split in others)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"controllable_relighting"}))
def test_grounds_and_walls_show_the_users_materials_in_their_size(kind: str) -> None:
    plan, bare = plan_of(kind, there=with_materials(), materials_share=0.5), plan_of(kind)
    stream = plan.streams[0]
    mapped, surfaces = [], 0
    for group in range(300):
        params, as_before = (one.group(stream, group).params for one in (plan, bare))
        for receiver, procedural in zip(params["receivers"], as_before["receivers"], strict=True):
            surface = receiver["surface"]
            # All else stays as it is without materials, and so do surfaces that show none.
            assert receiver | {"surface": 0} == procedural | {"surface": 0}
            surfaces += procedural["surface"]["kind"] != "plain"
            if surface["material"] is None:
                assert surface == procedural["surface"]
                continue
            mapped.append(surface["material"])
            width_m = surface["cell"] * METRES_A_UNIT
            assert width_m == pytest.approx(1.5) if "oak" in surface["material"] else 1 <= width_m <= 2
            assert receiver["azimuth_rad"] is None or surface["turn_rad"] == 0
        assert params | {"receivers": 0} == as_before | {"receivers": 0}
    assert set(mapped) == {"oak-train", "tar-train"}
    assert len(mapped) / surfaces == pytest.approx(0.55, abs=0.15)
    stated = {entry.id: entry.size_m for entry in build_manifest(plan).assets if entry.kind == "material"}
    assert {"oak-train": 1.5, "tar-train": None}.items() <= stated.items()


def test_removal_groups_stand_in_the_users_rooms() -> None:
    common = {"kind": "scene", "licence": "CC0-1.0", "author": "x", "source": "x", "sha256": "0"}
    rooms = Catalogue(
        (*catalogue().assets, *(Asset(id=f"hall-{split}", split=split, **common) for split in SPLITS))
    )
    plan = plan_of("object_removal", there=rooms, scenes_share=0.5, scene_lights=0.5)
    bare = plan_of("object_removal")
    lights, own = [], []
    for group in range(300):
        params, as_before = (one.group(one.streams[0], group).params for one in (plan, bare))
        scene = params.pop("scene", None)
        if scene is None:
            assert params == as_before
            continue
        assert scene["id"] == "hall-train"
        lights.append(scene["lights"])
        own.append(scene["own"])
        assert params == as_before | {"receivers": [], "lamps": []}
    assert len(lights) / 300 == pytest.approx(0.5, abs=0.1)
    assert np.mean(lights) == pytest.approx(0.5, abs=0.15)
    assert np.mean(own) == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_groups_parameters_cost_nothing_beside_its_renders(kind: str) -> None:
    plan = plan_of(kind)
    stream = plan.streams[0]
    # 45 to 72, up to 25 of them the streams themselves: a few milliseconds, beside seconds of renders.
    assert cost_in_streams(lambda number: plan.group(stream, number)) < 130


@pytest.mark.parametrize("kind", KINDS)
def test_each_group_has_a_size_of_the_mix(kind: str) -> None:
    plan = plan_of(kind)
    sizes = {tuple(plan.group(plan.streams[0], group).params["size_WH"]) for group in range(50)}
    assert len(sizes) > 20
    assert all(side % 8 == 0 for size in sizes for side in size)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"shadow_generation"}))
def test_a_split_may_have_lightings_of_its_own(kind: str) -> None:
    plan = plan_of(kind, lighting_kinds_of_split={"test": {"rig": 1}})
    for stream in plan.streams:
        for group in range(20):
            text = json.dumps(plan.group(stream, group).params)
            assert ("rig-" in text, "hdri" in text) == (stream.split == "test", stream.split == "train")


def corners(receiver: dict) -> np.ndarray:
    """The corners of a planned ground or wall, (4, 3)."""
    if receiver["azimuth_rad"] is None:
        return RECEIVER_REACH * np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
    azimuth = receiver["azimuth_rad"]
    foot = receiver["distance"] * np.array([math.cos(azimuth), math.sin(azimuth), 0])
    along = RECEIVER_REACH * np.array([-math.sin(azimuth), math.cos(azimuth), 0])
    up = np.array([0, 0, RECEIVER_REACH])
    return np.array([foot - along, foot + along, foot + along + up, foot - along + up])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("shadow_generation", {}),
        ("shadow_generation", {"lamp_distance": [3, 3], "lamp_elevation_deg": [1, 90]}),
        ("object_removal", {"lamp_share": 1.0}),
    ],
)
def test_the_light_of_every_lamp_reaches_all_of_every_receiver(kind: str, keys: dict) -> None:
    plan = plan_of(kind, **keys)
    for group in range(1000):
        params = plan.group(plan.streams[0], group).params
        for lamp in params["lamps"]:
            towards = np.array(lamp["direction"])
            for receiver in params["receivers"]:
                # A disc lights what is before its plane, and a plane's farthest point is a corner.
                assert (corners(receiver) @ towards < lamp["distance"]).all()
                if receiver["azimuth_rad"] is not None:
                    # A wall that turned its back to the lamp would put the whole room in its shadow.
                    azimuth = receiver["azimuth_rad"]
                    assert towards @ [math.cos(azimuth), math.sin(azimuth), 0] < 0


def test_lamps_are_as_large_in_the_sky_as_the_keys_say() -> None:
    plan = plan_of("shadow_generation", lamp_distance=[5, 9], lamp_diameter=[0.5, 4])
    widths = [
        lamp["diameter"] / lamp["distance"]
        for group in range(500)
        for lamp in plan.group(plan.streams[0], group).params["lamps"]
    ]
    assert 0.5 / 9 <= min(widths) < 0.07
    assert 0.6 < max(widths) <= 4 / 5
