"""The plan is pure, complete and cheap, and no split borrows from another."""

import json
import math
import pickle
import time
import tracemalloc
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.core.errors import CatalogueError, ConfigError
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, Extension, make_plan
from tests.support.planning_cost import cost_in_streams


def asset(asset_id: str, kind: str, split: str, **more: object) -> Asset:
    return Asset(
        id=asset_id, kind=kind, split=split, licence="CC0-1.0", author="x", source="x", sha256="0", **more
    )


def catalogue(num_hdris: int = 5, num_objects: int = 0) -> Catalogue:
    assets = []
    for split in SPLITS:
        assets += [
            asset(f"family{i}-{split}", "family", split, family=f"family{i}-{split}") for i in range(4)
        ]
        assets += [asset(f"hdri{i}-{split}", "hdri", split, lighting="hdri") for i in range(num_hdris)]
        assets += [asset(f"sky-{split}-{i:03d}", "hdri", split, lighting="sky") for i in range(2)]
        assets += [asset(f"object{i}-{split}", "object", split) for i in range(num_objects)]
    return Catalogue(tuple(assets))


def plan_of(found: Catalogue | None = None, *, seed: int = 7, **recipe: object) -> DatasetPlan:
    recipe = {"kind": "relighting_swap", "groups": {"train": 45, "test": 7}, "pairs_per_group": 3} | recipe
    config = DatasetConfig.model_validate(
        {"name": "demo", "seed": seed, "groups_per_shard": 20, "recipes": {"re-light": recipe}}
    )
    return make_plan(config, found or catalogue())


def test_layout_covers_every_pair_once_in_named_shards() -> None:
    plan = plan_of()
    shards = list(plan.shards())
    assert [(shard.name, shard.num_groups) for shard in shards] == [
        ("train-re-light-000000", 20),
        ("train-re-light-000001", 20),
        ("train-re-light-000002", 5),
        ("test-re-light-000000", 7),
    ]
    keys = [key for shard in shards for group in shard.groups for key in plan.group(shard.stream, group).keys]
    assert len(keys) == len(set(keys)) == plan.num_pairs == 52 * 3
    assert plan.num_groups == 52
    assert keys[4] == "re-light-train-00000004"
    assert keys[-1] == "re-light-test-00000020"
    assert plan.streams[0].num_shards == 3
    assert plan.streams[0].fields == ("mask.png", "meta.json", "source.png", "target.png")


def test_shards_are_found_by_name_and_others_refused() -> None:
    plan = plan_of()
    for shard in plan.shards():
        assert plan.shard(shard.name) == shard
    for name in (
        "train-re-light-000003",
        "train-re-light-0",
        "validation-re-light-000000",
        "x",
        "train-re-light-",
    ):
        with pytest.raises(ConfigError, match="no shard"):
            plan.shard(name)
    assert plan.stream("re-light", "test").num_groups == 7
    with pytest.raises(ConfigError, match="no groups"):
        plan.stream("re-light", "validation")


# What a plan costs is another test's.
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 44), min_size=1, max_size=10), st.integers(0, 2**32))
def test_a_group_does_not_depend_on_order_subset_or_process_state(groups: list[int], seed: int) -> None:
    whole, again = plan_of(seed=seed), plan_of(seed=seed)
    stream = whole.streams[0]
    expected = {group: whole.group(stream, group) for group in range(45)}
    for group in groups:
        assert again.group(again.streams[0], group) == expected[group]


def test_parameters_survive_json_and_every_group_differs() -> None:
    plan = plan_of()
    texts = [json.dumps(plan.group(plan.streams[0], group).params) for group in range(45)]
    assert len(set(texts)) == 45
    assert json.loads(texts[0]) == plan.group(plan.streams[0], 0).params


def test_a_plan_in_another_process_draws_from_what_there_was_when_its_groups_were_planned() -> None:
    found = catalogue()
    old = plan_of(found)
    new = [asset(f"late{i}-{split}", "hdri", split, lighting="hdri") for i in range(3) for split in SPLITS]
    extension = Extension(frozenset(each.id for each in new), {"train-re-light": 45, "test-re-light": 7})
    grown = make_plan(old.config, Catalogue((*found.assets, *new)), (extension,))
    elsewhere = pickle.loads(pickle.dumps(grown))
    for stream in old.streams:
        for group, draw in ((0, 0), (6, 0), (6, 2)):
            assert elsewhere.group(stream, group, draw) == old.group(stream, group, draw)
    assert elsewhere.digests == grown.digests


def test_more_groups_or_another_recipe_move_no_existing_group() -> None:
    few, many = plan_of(), plan_of(groups={"train": 450, "validation": 3, "test": 70})
    for split in ("train", "test"):
        for group in range(7):
            assert few.group(few.stream("re-light", split), group).params == (
                many.group(many.stream("re-light", split), group).params
            )


def test_ranges_and_distinctness_of_a_relighting_group() -> None:
    plan = plan_of(groups={"train": 400}, lightings_per_group=4, pairs_per_group=12)
    for group in range(0, 400, 7):
        params = plan.group(plan.streams[0], group).params
        pairs = [(pair["a"], pair["b"]) for pair in params["pairs"]]
        assert sorted(pairs) == [(a, b) for a in range(4) for b in range(4) if a != b]
        assert len({lighting["id"] for lighting in params["lightings"]}) == 4
        for pair in params["pairs"]:
            assert 0.45 <= pair["strength"] <= 2.2
            assert all(0.7 <= channel <= 1.3 for channel in pair["tint"])
        # A 35-mm equivalent states the diagonal's angle; a square's half side is its half diagonal / sqrt(2).
        focal_mm = math.hypot(36, 24) / 2 / math.sqrt(2) / math.tan(params["camera"]["fov_x_rad"] / 2)
        assert any(named / 1.06 <= focal_mm * (1 + 1e-9) <= named * 1.0601 for named in (26, 35, 50, 85))
        assert 0 <= params["cycles_seed"] < 2**31
        assert params["objects"][0]["id"].partition(":")[0].endswith("-train")


def test_a_field_of_view_takes_the_place_of_the_lenses_and_moves_nothing_else() -> None:
    stated, lenses = plan_of(fov_deg=[25, 50]), plan_of()
    for group in range(45):
        params, others = (plan.group(plan.streams[0], group).params for plan in (stated, lenses))
        assert math.radians(25) <= params["camera"].pop("fov_x_rad") <= math.radians(50)
        del others["camera"]["fov_x_rad"]
        assert params["camera"].keys() == others["camera"].keys()
        assert params["pairs"] == others["pairs"]
        assert params["lightings"] == others["lightings"]


def test_strength_is_log_uniform_and_families_are_uniform() -> None:
    plan = plan_of(groups={"train": 2000})
    drawn = [plan.group(plan.streams[0], group).params for group in range(2000)]
    logs = [math.log(pair["strength"]) for params in drawn for pair in params["pairs"]]
    middle = (math.log(0.45) + math.log(2.2)) / 2
    spread = (math.log(2.2) - math.log(0.45)) / math.sqrt(12)
    assert sum(logs) / len(logs) == pytest.approx(middle, abs=4 * spread / math.sqrt(len(logs)))
    counts = Counter(params["objects"][0]["id"].partition(":")[0] for params in drawn)
    assert len(counts) == 4
    assert max(abs(count - 500) for count in counts.values()) < 4 * math.sqrt(2000 * 0.25 * 0.75)


def test_a_lone_lighting_comes_at_rotations_that_differ() -> None:
    plan = plan_of(catalogue(num_hdris=1))
    for group in range(45):
        lightings = plan.group(plan.streams[0], group).params["lightings"]
        assert {lighting["id"] for lighting in lightings} == {"hdri0-train"}
        angles = sorted(lighting["rotation_rad"] for lighting in lightings)
        gaps = [b - a for a, b in zip(angles, [*angles[1:], angles[0] + math.tau], strict=True)]
        assert min(gaps) > math.tau / 6 - 1e-9


def test_user_objects_take_their_share() -> None:
    plan = plan_of(catalogue(num_objects=3), groups={"train": 2000}, objects_share=0.25)
    chosen = [plan.group(plan.streams[0], group).params["objects"][0]["id"] for group in range(2000)]
    share = sum(name.startswith("object") for name in chosen) / 2000
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 2000))
    assert all((":" in name) == name.startswith("family") for name in chosen)


def test_lighting_kinds_follow_their_weights_and_a_split_can_have_its_own() -> None:
    plan = plan_of(
        groups={"train": 1000, "test": 50},
        lightings_per_group=2,
        pairs_per_group=1,
        lighting_kinds={"hdri": 3, "sky": 1},
        lighting_kinds_of_split={"test": {"hdri": 1}},
    )
    used = {
        split: [
            lighting["id"]
            for group in range(count)
            for lighting in plan.group(plan.stream("re-light", split), group).params["lightings"]
        ]
        for split, count in (("train", 1000), ("test", 50))
    }
    share = sum(name.startswith("sky") for name in used["train"]) / 2000
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 2000))
    assert all(name.startswith("hdri") for name in used["test"])


def test_no_group_uses_an_asset_of_another_split() -> None:
    plan = plan_of(catalogue(num_objects=2), lighting_kinds={"hdri": 1, "sky": 1})
    for stream in plan.streams:
        for group in range(stream.num_groups):
            params = plan.group(stream, group).params
            names = [params["objects"][0]["id"], *(lighting["id"] for lighting in params["lightings"])]
            assert {plan.catalogue.get(name).split for name in names} == {stream.split}


def test_a_plan_whose_split_is_empty_is_refused_with_the_counts() -> None:
    lacking = Catalogue(tuple(a for a in catalogue().assets if (a.split, a.lighting) != ("test", "hdri")))
    with pytest.raises(CatalogueError) as refused:
        plan_of(lacking)
    assert "train 5, validation 5, test 0" in refused.value.cause
    plan_of(lacking, groups={"train": 3})
    with pytest.raises(CatalogueError, match="hdri/rig"):
        plan_of(lighting_kinds={"hdri": 1, "rig": 0.1})
    without_objects = Catalogue(tuple(a for a in catalogue().assets if a.kind == "hdri"))
    with pytest.raises(CatalogueError, match="family"):
        plan_of(without_objects)


def test_digest_follows_content_and_nothing_else() -> None:
    base = plan_of().digest
    assert plan_of().digest == base
    assert plan_of(seed=8).digest != base
    assert plan_of(tint=0.2).digest != base
    assert plan_of(catalogue(num_hdris=6)).digest != base
    config = plan_of().config.model_dump(mode="json")
    config["execution"] = {"request_timeout_s": 999.0}
    assert make_plan(DatasetConfig.model_validate(config), catalogue()).digest == base


def test_the_layout_of_a_million_groups_is_fast_and_takes_constant_memory() -> None:
    plan = plan_of(groups={"train": 1_000_000})
    start = time.perf_counter()
    count = sum(shard.num_groups for shard in plan.shards())
    took_s = time.perf_counter() - start
    assert count == 1_000_000
    assert took_s < 1.0
    tracemalloc.start()
    for _ in islice(plan.shards(), 40_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    assert plan.shard("train-re-light-049999").first_group == 999_980


def test_a_groups_parameters_cost_little_more_than_their_random_streams() -> None:
    plan = plan_of(catalogue(num_hdris=2000, num_objects=5000), groups={"train": 1_000_000})
    stream = plan.streams[0]
    # A plan has some 20 streams, so that one key's draws move no other's; it costs as much as 53. A look
    # through the catalogue would take several times as much.
    assert cost_in_streams(lambda number: plan.group(stream, 500_000 + number)) < 100
