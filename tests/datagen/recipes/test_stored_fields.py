"""Fields that recipes store beside their pairs: they agree with the pictures and with each other."""

import json
import math
from typing import Any

import numpy as np
import pytest

from pairbridge.datagen.blender.families import FAMILIES
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.lighting.environment_maps import irradiance
from pairbridge.datagen.recipes.relighting_swap import RelightingSwapConfig
from pairbridge.datagen.recipes.stored_fields import CATEGORIES
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.sample import Pair
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.ball_file import write_ball

pytestmark = pytest.mark.render

SURFACES = ["albedo", "depth", "normal", "roughness", "metallic", "instance", "category"]
LIGHTS = ["light_source", "light_target"]
LOOSE = {"black": 1.0, "blown": 1.0, "blown_frame": 1.0, "level": [0, 255], "contrast": 0, "difference": 0.0}
OPEN = {"coverage": [0, 1], "border": 1}
# What equations between light, albedo and picture presume: one place in a pixel, and no camera's own gains,
# noise and curve, which pictures have and fields have not.
EXACT = {"camera": {"composition": {"centred": 1}, "defocus": None}, "finish": None}
# A ball alone, which nothing else lights.
SWAP = {
    "kind": "relighting_swap",
    "standing": 0.0,
    "lightings_per_group": 2,
    "pairs_per_group": 1,
    "flip": 1.0,
}
RECIPES: dict[str, dict[str, Any]] = {
    "swap": {**SWAP, **EXACT, "store": [*SURFACES, *LIGHTS, "plate", "foreground", "delit"]},
    "standing": {
        **SWAP,
        "standing": 1.0,
        "grounds": {"procedural": 1.0},
        "fill": [0.3, 0.3],
        "store": ["plate", "instance", "delit"],
    },
    "photograph": {
        **SWAP,
        "standing": 1.0,
        "grounds": {"photograph": 1.0},
        "fill": [0.3, 0.3],
        "store": [*SURFACES, "plate", "foreground", "delit"],
    },
    "shadow": {
        "kind": "shadow_generation",
        "pairs_per_group": 1,
        "smallest_shadow": 0.0,
        "store": ["plate", "light_target", "roughness", "depth"],
    },
    "lamps": {
        "kind": "controllable_relighting",
        **EXACT,
        "pairs_per_group": 1,
        "smallest_difference": 0.0,
        "lamp_distance": 200,
        "lamp_diameter": [20, 60],
        "store": [*LIGHTS, "albedo", "normal"],
    },
    "removal": {
        "kind": "object_removal",
        "pairs_per_group": 1,
        "smallest_visible": 0.0,
        "most_hidden": 1.0,
        "min_distinct_objects": 1,
        "objects": [2, 2],
        "lamp_share": 1.0,
        "store": ["instance", "category", "plate", "light_target", "effect_shadow", "effect_light"],
    },
    "geometry": {"kind": "geometry", "store": ["instance", "albedo", "light_source"]},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """One pair of each recipe, made by one Blender; nearly all of their objects are one coloured ball."""
    folder = tmp_path_factory.mktemp("stored")
    balls = folder / "balls"
    balls.mkdir()
    write_ball(balls / "ball.obj", "Kd 0.8 0.5 0.3\nKs 0 0 0\nPr 0.7\nPm 0.0", rings=48)
    (balls / "catalogue.yaml").write_text("ball: {split: train, licence: CC0-1.0}\n")
    every = {"groups": {"train": 1}, "size_WH": [48, 48], "objects_share": 1.0, "gates": LOOSE | OPEN}
    config = DatasetConfig.model_validate(
        {
            "name": "stored",
            "seed": 5,
            "assets": {"objects": [str(balls)]},
            "render": {"samples": 32},
            "recipes": {name: every | recipe for name, recipe in RECIPES.items()},
        }
    )
    plan = make_plan(config, build_catalogue(config.assets, None))
    made: dict[str, Pair] = {}
    with Workbench(
        config.workbench,
        plan.catalogue,
        scratch_dir=folder / "scratch",
        threads=1,
        log_path=folder / "blender.log",
    ) as workbench:
        for stream in plan.streams:
            recipe = plan.recipes[stream.recipe_id]
            (pair,) = recipe.make(plan.group(stream, 0), workbench)
            assert not isinstance(pair, Rejected), pair
            assert tuple(sorted(pair)) == recipe.fields
            for name, spec in recipe.declares.items():
                assert spec.problem(pair[name]) is None
            made[stream.recipe_id] = pair
    return made


def linear(picture: np.ndarray) -> np.ndarray:
    """Linear light of an 8-bit picture, exact below the view transform's shoulder (IEC 61966-2-1)."""
    value = picture / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def middle(pair: Pair) -> np.ndarray:
    """Pixels that the ball fills, and where its geometry is known."""
    return (pair["mask.png"] == 255) & (np.linalg.norm(pair["normal.npy"].astype(float), axis=2) > 0.9)


def test_albedo_times_the_shading_of_the_light_is_the_target(pairs: dict[str, Pair]) -> None:
    pair = pairs["swap"]
    inside = middle(pair)
    assert inside.sum() > 400
    normals = pair["normal.npy"][inside].astype(float)
    shading = irradiance(pair["light_target.npy"].astype(float), normals) / math.pi
    expected, shown = linear(pair["albedo.png"])[inside] * shading, linear(pair["target.png"])[inside]
    plain = (expected < 0.7).all(axis=1) & (shown < 0.7).all(axis=1)
    assert plain.mean() > 0.5
    assert shown[plain].mean(axis=0) == pytest.approx(expected[plain].mean(axis=0), rel=0.02)
    assert np.abs(shown - expected)[plain].mean() < 0.04 * expected[plain].mean()


def test_the_light_of_the_source_has_its_strength_and_tint(pairs: dict[str, Pair]) -> None:
    pair = pairs["swap"]
    inside = middle(pair)
    normals = pair["normal.npy"][inside].astype(float)
    shading = irradiance(pair["light_source.npy"].astype(float), normals) / math.pi
    expected, shown = linear(pair["albedo.png"])[inside] * shading, linear(pair["foreground.png"])[inside]
    plain = (expected < 0.7).all(axis=1) & (shown < 0.7).all(axis=1)
    assert plain.mean() > 0.3
    assert shown[plain].mean(axis=0) == pytest.approx(expected[plain].mean(axis=0), rel=0.02)
    params = json.loads(pair["meta.json"]["params"])
    assert abs(math.log(params["strength"])) > 0.1


def test_the_source_is_the_foreground_over_the_plate(pairs: dict[str, Pair]) -> None:
    pair = pairs["swap"]
    outside = pair["mask.png"] == 0
    for name in ("source.png", "target.png"):
        assert (pair[name][outside] == pair["plate.png"][outside]).all()
    assert (pair["foreground.png"][outside] == 0).all()
    filled = pair["mask.png"] == 255
    assert (pair["source.png"][filled] == pair["foreground.png"][filled]).all()


def test_a_delit_object_has_its_albedo_times_the_level_of_even_light(pairs: dict[str, Pair]) -> None:
    pair = pairs["swap"]
    inside = middle(pair)
    level = RelightingSwapConfig.model_fields["picture_level"].default
    expected, shown = level * linear(pair["albedo.png"])[inside], linear(pair["delit.png"])[inside]
    assert shown.mean(axis=0) == pytest.approx(expected.mean(axis=0), rel=0.03)
    assert np.abs(shown - expected).max() < 0.05


@pytest.mark.parametrize("name", ["swap", "standing", "photograph"])
def test_the_rest_of_a_delit_picture_is_the_targets(pairs: dict[str, Pair], name: str) -> None:
    pair = pairs[name]
    outside = pair["mask.png"] == 0
    assert (pair["delit.png"][outside] == pair["target.png"][outside]).all()
    assert (pair["delit.png"][~outside] != pair["target.png"][~outside]).mean() > 0.5


@pytest.mark.parametrize("name", ["standing", "photograph", "shadow"])
def test_a_plate_is_the_target_outside_the_effect_of_the_objects(pairs: dict[str, Pair], name: str) -> None:
    pair = pairs[name]
    same = (pair["plate.png"] == pair["target.png"]).all(axis=2)
    assert same.mean() > 0.2
    # The objects are gone from it, and what they did to the ground.
    assert not same[pair["mask.png"] == 255].all()
    assert (~same & (pair["mask.png"] == 0)).sum() > 20


def test_surfaces_are_those_of_the_object(pairs: dict[str, Pair]) -> None:
    pair = pairs["swap"]
    inside, outside = middle(pair), pair["mask.png"] == 0
    assert pair["roughness.png"][inside] == pytest.approx(round(0.7 * 255), abs=1)
    assert (pair["metallic.png"][inside] == 0).all()
    assert np.abs(linear(pair["albedo.png"])[inside] - [0.8, 0.5, 0.3]).max() < 0.01
    assert (pair["instance.png"][inside] == 1).all()
    assert (pair["category.png"][inside] == CATEGORIES.index("object of a file")).all()
    for name in ("roughness.png", "instance.png", "category.png", "depth.npy", "albedo.png"):
        assert (pair[name][outside] == 0).all()
    # A ball of radius 1 around the origin: its nearest point is one unit nearer than its middle.
    camera = np.array(json.loads(pair["meta.json"]["params"])["camera_to_world"])
    assert pair["depth.npy"][inside].min() == pytest.approx(np.linalg.norm(camera[:3, 3]) - 1, abs=0.05)


def test_a_grounds_roughness_and_depth_are_there_too(pairs: dict[str, Pair]) -> None:
    pair = pairs["shadow"]
    below = np.zeros_like(pair["mask.png"], bool)
    below[-4:] = True
    ground = below & (pair["mask.png"] == 0)
    assert (pair["depth.npy"][ground] > 0).all()
    assert (pair["roughness.png"][ground] > 0).all()


def test_a_photographed_ground_has_the_surfaces_of_its_receiver(pairs: dict[str, Pair]) -> None:
    pair = pairs["photograph"]
    params = json.loads(pair["meta.json"]["params"])
    camera, K = np.array(params["camera_to_world"]), np.array(params["K"])
    bare = pair["mask.png"] == 0
    bare[:-6] = False
    assert bare.sum() > 100
    rows, columns = np.nonzero(bare)
    rays = np.linalg.inv(K) @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    world = camera[:3, :3] @ (rays * np.array([1, -1, -1])[:, None] * pair["depth.npy"][bare])
    np.testing.assert_allclose(world[2] + camera[2, 3], 0, atol=1e-3)
    assert (pair["normal.npy"][bare].astype(float) @ camera[:3, :3].T)[:, 2] == pytest.approx(1, abs=2e-3)
    assert (pair["roughness.png"][bare] == 255).all()
    assert (pair["metallic.png"][bare] == 0).all()
    assert (pair["instance.png"][bare] == 0).all()
    assert (pair["albedo.png"][bare] > 0).all()
    # What the ground shows is the albedo under one irradiance: the two are proportional.
    shown, albedo = (
        linear(pair["plate.png"])[bare].mean(axis=1),
        linear(pair["albedo.png"])[bare].mean(axis=1),
    )
    assert np.corrcoef(shown, albedo)[0, 1] > 0.95


def test_lamps_are_in_the_environment_map_of_the_target(pairs: dict[str, Pair]) -> None:
    pair = pairs["lamps"]
    inside = middle(pair)
    normals = pair["normal.npy"][inside].astype(float)
    shading = irradiance(pair["light_target.npy"].astype(float), normals) / math.pi
    expected, shown = linear(pair["albedo.png"])[inside] * shading, linear(pair["target.png"])[inside]
    plain = (expected < 0.7).all(axis=1) & (shown < 0.7).all(axis=1)
    assert plain.mean() > 0.3
    assert shown[plain].mean(axis=0) == pytest.approx(expected[plain].mean(axis=0), rel=0.03)


def test_a_shadows_map_has_its_lamp_and_its_surroundings(pairs: dict[str, Pair]) -> None:
    pair = pairs["shadow"]
    params = json.loads(pair["meta.json"]["params"])
    (lamp,) = params["lights"]
    seen = pair["light_target.npy"].astype(float)
    faced = irradiance(seen, np.array(lamp["direction"])) / math.pi
    assert faced == pytest.approx(params["ambient"] + np.array(lamp["radiance"]), rel=0.02)
    assert seen.min() == pytest.approx(params["ambient"], rel=0.01)


def test_instances_of_a_room_are_where_its_objects_are_seen(pairs: dict[str, Pair]) -> None:
    pair = pairs["removal"]
    params = json.loads(pair["meta.json"]["params"])
    (index,) = params["removed"]
    removed = pair["instance.png"] == index + 1
    assert (pair["visible.png"][removed] > 80).all()
    assert removed[pair["visible.png"] > 180].all()
    assert set(np.unique(pair["instance.png"])) <= {0, 1, 2}
    assert ((pair["category.png"] > 0) == (pair["instance.png"] > 0)).all()
    assert pair["light_target.npy"].max() > 1


def test_shadows_are_where_a_removal_brightens_and_light_where_it_darkens(pairs: dict[str, Pair]) -> None:
    pair = pairs["removal"]
    shadow, light = (pair[f"effect_{name}.png"] > 0 for name in ("shadow", "light"))
    beside = (pair["effect.png"] > 0) & (pair["visible.png"] == 0)
    assert not (shadow & light).any()
    assert ((shadow | light) <= beside).all()
    assert (shadow | light)[beside].mean() > 0.98
    change = (linear(pair["source.png"]) - linear(pair["target.png"])) @ [0.2126, 0.7152, 0.0722]
    assert shadow.sum() > 20
    assert change[shadow].mean() < -0.005
    assert not light.any() or change[light].mean() > 0


def test_every_family_has_a_category_of_its_own() -> None:
    assert set(FAMILIES) <= set(CATEGORIES)
    assert len(set(CATEGORIES)) == len(CATEGORIES)
