"""A relighting group rendered for real: what its pairs share, where they differ, and that it repeats."""

import json
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.lighting.equirect import load_environment
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.sample import Pair, encode_field
from pairbridge.datagen.sourcing.sources import build_catalogue

CONFIG = {
    "name": "demo",
    "seed": 3,
    "assets": {"families": ["vase"]},
    "render": {"samples": 4},
    "recipes": {
        "relighting": {
            "kind": "relighting_swap",
            "standing": 0.0,
            "groups": {"train": 4},
            "size_WH": [72, 64],
            "lightings_per_group": 2,
            "pairs_per_group": 2,
            "strength": [1.0, 1.0],
            "tint": 0.0,
            # All but JPEG, whose blocks at the mask's edge mix what is inside with what is not.
            "finish": {"noise": 1, "vignette": 1, "white_balance": 1, "tone": 1, "jpeg": 0},
        }
    },
}


def plan_of(**recipe: object) -> DatasetPlan:
    config = DatasetConfig.model_validate(
        CONFIG | {"recipes": {"relighting": CONFIG["recipes"]["relighting"] | recipe}}
    )
    return make_plan(config, build_catalogue(config.assets, None))


def make(plan: DatasetPlan, group: int, root: Path, *, threads: int = 1) -> list[Pair | Rejected]:
    phases = []
    with Workbench(
        plan.config.workbench,
        plan.catalogue,
        scratch_dir=root / "scratch",
        threads=threads,
        log_path=root / "blender.log",
        phase=phases.append,
    ) as workbench:
        made = plan.recipes["relighting"].make(plan.group(plan.streams[0], group), workbench)
    assert phases[0] == "load"
    assert "render" in phases
    return made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `pairs` were made."""
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def pairs(root: Path) -> list[Pair]:
    """Those of the first group of the plain plan."""
    made = make(plan_of(), 0, root)
    assert not [pair for pair in made if isinstance(pair, Rejected)]
    return made


@pytest.mark.render
def test_both_directions_share_foregrounds_and_each_pair_its_background(pairs: list[Pair]) -> None:
    plan = plan_of()
    first, second = pairs
    for pair in (first, second):
        assert sorted(pair) == list(plan.streams[0].fields)
        assert pair["source.png"].shape == (64, 72, 3)
        outside = pair["mask.png"] == 0
        assert (pair["source.png"][outside] == pair["target.png"][outside]).all()
    assert (first["mask.png"] == second["mask.png"]).all()
    inside = first["mask.png"] == 255
    assert inside.sum() > 100
    # without strength and tint, the foreground pasted in one direction is the target's in the other
    assert (first["source.png"][inside] == second["target.png"][inside]).all()
    assert (second["source.png"][inside] == first["target.png"][inside]).all()
    assert np.abs(first["source.png"][inside].astype(int) - first["target.png"][inside]).mean() > 3


@pytest.mark.render
def test_a_group_repeats_to_the_byte_in_another_process_with_other_threads(tmp_path: Path) -> None:
    plan = plan_of(strength=[0.45, 2.2], tint=0.3)
    once = make(plan, 1, tmp_path / "a")
    again = make(plan, 1, tmp_path / "b", threads=2)
    for pair, other in zip(once, again, strict=True):
        for field in plan.streams[0].fields:
            assert encode_field(field, pair[field]) == encode_field(field, other[field])


@pytest.mark.render
def test_strength_acts_on_the_source_foreground_alone(pairs: list[Pair], tmp_path: Path) -> None:
    for pair, other in zip(pairs, make(plan_of(strength=[2.0, 2.0]), 0, tmp_path), strict=True):
        assert (pair["target.png"] == other["target.png"]).all()
        inside = pair["mask.png"] == 255
        assert other["source.png"][inside].mean() > 1.1 * pair["source.png"][inside].mean()


@pytest.mark.render
def test_provenance_names_every_asset_and_no_clock_or_host(pairs: list[Pair], root: Path) -> None:
    plan = plan_of()
    spec = plan.group(plan.streams[0], 0)
    for number, pair in enumerate(pairs):
        meta = pair["meta.json"]
        assert list(meta) == [
            *("key", "dataset", "recipe", "kind", "split", "group", "pair", "draw", "seed", "assets"),
            *("mask_source", "relighter", "versions", "params"),
        ]
        assert meta["key"] == spec.keys[number]
        roles = {entry["role"]: entry for entry in meta["assets"]}
        assert roles["object"]["id"] == spec.params["objects"][0]["id"]
        assert roles["lighting of the target"]["licence"] == "CC0-1.0"
        assert all(len(entry["sha256"]) == 64 for entry in meta["assets"])
        params = json.loads(meta["params"])
        assert params["lighting_b"]["id"] == roles["lighting of the target"]["id"]
        assert params["lighting_a"]["factor"] > 0
        assert str(root) not in json.dumps(meta)


STANDING = {"standing": 1.0, "objects": [2, 2], "flip": 1.0, "size_WH": [80, 56]}


@pytest.mark.render
@pytest.mark.parametrize("kind", ["photograph", "procedural"])
def test_standing_objects_change_and_their_ground_and_shadow_stay(kind: str, tmp_path: Path) -> None:
    pairs = make(plan_of(**STANDING, grounds={kind: 1.0}), 0, tmp_path)
    for pair in pairs:
        assert pair["source.png"].shape == (56, 80, 3)
        outside, inside = pair["mask.png"] == 0, pair["mask.png"] == 255
        assert outside.any()
        assert (pair["source.png"][outside] == pair["target.png"][outside]).all()
        assert np.abs(pair["source.png"][inside].astype(int) - pair["target.png"][inside]).mean() > 3
        params = json.loads(pair["meta.json"]["params"])
        assert len(params["objects"]) == 2
        assert params["ground"]["kind"] == kind
        assert len(params["receivers"]) == (kind == "procedural")
        assert params["lighting_a"]["flipped"]
    # Without strength and tint, each foreground is the other target's.
    first, second = pairs
    inside = first["mask.png"] == 255
    assert (first["source.png"][inside] == second["target.png"][inside]).all()


@pytest.mark.render
def test_a_mirrored_lighting_is_mirrored_in_light_and_background(tmp_path: Path) -> None:
    plan = plan_of()
    with Workbench(
        plan.config.workbench,
        plan.catalogue,
        scratch_dir=tmp_path / "s",
        threads=1,
        log_path=tmp_path / "log",
    ) as workbench:
        plain, mirrored = (workbench.environment("studio", mirrored=flag) for flag in (False, True))
        assert (plain.pixels[:, ::-1] == mirrored.pixels).all()
        copies = [workbench.lighting_copy("studio", 0.0, mirrored=flag) for flag in (False, True)]
        small, turned = (load_environment(path).pixels for path in copies)
        np.testing.assert_allclose(small[:, ::-1], turned, rtol=1e-3)


def test_groups_have_sizes_of_their_own_where_a_mix_is_given() -> None:
    plan = plan_of(groups={"train": 300}, sizes={"budgets": {96: 1, 128: 1}, "aspect": [0.25, 4.0]})
    sizes = {tuple(plan.group(plan.streams[0], group).params["size_WH"]) for group in range(300)}
    aspects = [width / height for width, height in sizes]
    assert min(aspects) < 0.3
    assert max(aspects) > 3.3


@pytest.mark.render
@pytest.mark.parametrize("standing", [0.0, 1.0])
def test_with_everything_a_camera_adds_the_source_is_the_target_outside_the_mask(
    tmp_path: Path, standing: float
) -> None:
    finish = {"noise": 1, "vignette": 1, "white_balance": 1, "tone": 1, "jpeg": 1}
    plan = plan_of(finish=finish, camera={"defocus": [0.04, 0.04]}, standing=standing, size_WH=[48, 48])
    first, second = make(plan, 0, tmp_path)
    for pair in (first, second):
        outside = pair["mask.png"] == 0
        assert (pair["source.png"][outside] == pair["target.png"][outside]).all()
    # One lens and one seed: the two targets, under different lightings, have one alpha.
    assert (first["mask.png"] == second["mask.png"]).all()
    assert ((first["mask.png"] > 0) & (first["mask.png"] < 255)).any()
    params = json.loads(first["meta.json"]["params"])
    assert params["defocus"] >= 0.04
    assert all(params["finish"][name] is not None for name in ("iso", "vignette", "kelvin", "jpeg_quality"))
