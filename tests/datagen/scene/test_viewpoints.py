"""How cameras are drawn: lenses, compositions, fronts and the focus that explains a soft background."""

import math

import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.blender.child.camera_framing import frame
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.recipes.geometry import GeometryConfig
from pairbridge.datagen.recipes.scene_draws import RenderedConfig
from pairbridge.datagen.recipes.shadow_generation import ShadowGenerationConfig
from pairbridge.datagen.scene.specs import CameraSpec, from_json
from pairbridge.datagen.scene.viewpoints import (
    CameraDraws,
    draw_viewpoint,
    field_of_view,
    held_elevation,
    least_defocus,
)

PLANS = 1000
PINHOLE = {"composition": {"centred": 1}, "front_share": 0, "roll_deg": 0, "defocus": None}


def catalogue(front: float | None = None) -> Catalogue:
    common = {"split": "train", "licence": "CC0-1.0", "author": "x", "source": "x", "sha256": "0"}
    return Catalogue(
        (
            Asset(id="thing", kind="family", family="thing", front=front, **common),
            *(Asset(id=f"map{number}", kind="hdri", lighting="hdri", **common) for number in range(3)),
        )
    )


def cameras(front: float | None = None, **recipe: object) -> list[dict]:
    recipe = {"kind": "relighting_swap", "groups": {"train": PLANS}, "size_WH": [96, 96]} | recipe
    config = DatasetConfig.model_validate({"name": "it", "seed": 4, "recipes": {"it": recipe}})
    plan = make_plan(config, catalogue(front))
    return [plan.group(plan.streams[0], group).params["camera"] for group in range(PLANS)]


def seen(camera: dict) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of an object in its frame, in fractions of a side from the middle."""
    points = np.random.default_rng(0).normal(size=(200, 3)) * (0.4, 0.3, 0.6)
    points /= np.linalg.norm(points, axis=1).max()
    pose, _, _ = frame(points, from_json(CameraSpec, camera), (96, 96))
    local = np.c_[points, np.ones(len(points))] @ np.linalg.inv(np.array(pose.camera_to_world)).T
    place = local[:, :2] / -local[:, 2:3] / math.tan(pose.fov_x_rad / 2) / 2
    return place.min(axis=0), place.max(axis=0)


def test_compositions_have_their_shares_and_objects_their_places() -> None:
    bounds = [seen(camera) for camera in cameras()]
    cut = [max(np.max(high), -np.min(low)) > 0.5 for low, high in bounds]
    assert np.mean(cut) == pytest.approx(0.15, abs=0.035)
    middles = np.array([np.abs(low + high) / 2 for low, high in bounds])
    on_thirds = (np.abs(middles[:, 0] - 1 / 6) < 0.07) & ~np.array(cut)
    assert np.mean(on_thirds) == pytest.approx(0.5, abs=0.05)
    # In pinned configs every middle lies within 0.05; now they spread.
    assert np.std([(low + high) / 2 for low, high in bounds], axis=0).min() > 0.1
    plain = [seen(camera) for camera in cameras(camera=PINHOLE, fov_deg=[25, 50])[:50]]
    assert np.abs([(low + high) / 2 for low, high in plain]).max() < 0.06


def test_what_is_cut_is_cut_by_one_side_by_its_share() -> None:
    for camera in cameras(camera={"composition": {"cut": 1}, "cut": [0.1, 0.2]})[:200]:
        low, high = seen(camera)
        beyond = np.maximum(np.r_[high - 0.5, -0.5 - low], 0) / np.tile(high - low, 2)
        assert 0.1 - 1e-6 <= beyond.max() <= 0.2 + 1e-6
        assert beyond.max() == pytest.approx(max(map(abs, camera["beyond"])), abs=1e-6)


def test_what_stands_on_a_third_is_whole() -> None:
    for camera in cameras(camera={"composition": {"thirds": 1}})[:300]:
        low, high = seen(camera)
        assert low.min() > -0.5
        assert high.max() < 0.5


@pytest.mark.parametrize(("front", "share", "near"), [(-90, 1.0, 1.0), (-90, 0.6, 0.75), (None, 1.0, 0.37)])
def test_fronts_are_seen_as_often_as_stated(front: float | None, share: float, near: float) -> None:
    drawn = cameras(front, camera={"front_share": share, "front_spread_deg": 20})
    aside = [abs(math.remainder(camera["azimuth_rad"] + math.pi / 2, math.tau)) for camera in drawn]
    # Within 67 degrees: all that are drawn about the front, and 0.37 of those that are drawn all around.
    assert np.mean(np.array(aside) < math.radians(67)) == pytest.approx(near, abs=0.04)


@pytest.mark.parametrize("config", [GeometryConfig, ShadowGenerationConfig])
def test_a_key_of_a_recipes_camera_leaves_its_others_as_they_are(config: type[RenderedConfig]) -> None:
    own = config(groups={"train": 1}).camera
    assert own.model_dump() != CameraDraws().model_dump()
    assert config(groups={"train": 1}, camera={"roll_deg": own.roll_deg}).camera == own


def test_a_lens_has_the_angle_of_its_diagonal_whatever_the_aspect() -> None:
    for size_WH in ((600, 400), (400, 600), (500, 500), (1000, 250)):
        half = math.tan(field_of_view(50, size_WH) / 2)
        diagonal = math.hypot(half, half * size_WH[1] / size_WH[0])
        assert diagonal == pytest.approx(math.hypot(36, 24) / 2 / 50)
    assert math.degrees(field_of_view(50, (36, 24))) == pytest.approx(39.6, abs=0.05)


def test_lenses_rolls_and_focus_are_drawn_by_their_weights() -> None:
    config = CameraDraws(focal_mm={24: 1, 100: 3}, roll_deg=2, defocus=(0.01, 0.04))
    drawn = [
        draw_viewpoint(np.random.default_rng(seed), config, fill=0.7, size_WH=(36, 24))
        for seed in range(PLANS)
    ]
    long = np.mean([view["fov_x_rad"] < math.radians(40) for view in drawn])
    assert long == pytest.approx(0.75, abs=0.04)
    rolls = np.degrees([view["roll_rad"] for view in drawn])
    assert rolls.std() == pytest.approx(2, rel=0.08)
    assert abs(rolls.mean()) < 0.2
    focus = np.array([view["defocus"] for view in drawn])
    assert focus.min() >= 0.01
    assert focus.max() <= 0.04
    assert np.median(focus) == pytest.approx(0.02, rel=0.05)


def test_a_map_with_a_texel_for_each_pixel_needs_no_blur_and_a_coarse_one_hides_its_texels() -> None:
    fov_x_rad = math.radians(45)
    assert least_defocus(4096, fov_x_rad, 512) == 0
    blur_px = least_defocus(1024, fov_x_rad, 512) * 512
    texel_px = 512 / (1024 / 8)
    assert texel_px < blur_px < 2 * texel_px
    # The blur belongs to the map and the lens, not to how many pixels are made of it.
    assert least_defocus(1024, fov_x_rad, 1024) == least_defocus(1024, fov_x_rad, 512)


def test_a_stated_field_of_view_takes_the_place_of_the_lens() -> None:
    angles = np.degrees([camera["fov_x_rad"] for camera in cameras(fov_deg=[30, 40])])
    assert angles.min() >= 30
    assert angles.max() <= 40
    assert angles.std() > 2


def test_what_is_farther_than_an_arm_is_seen_from_the_height_of_eyes_or_of_who_sits() -> None:
    """A chair's middle at 0.45 m, its camera 2.4 m away: eyes at 1.4 to 1.65 m look down by 23 to 30°."""
    tighter = math.tan(math.radians(20))
    fill = 0.6 * 0.9 / 2.4 / tighter
    look = {"size_m": 0.9, "fill": fill, "fov_x_rad": math.radians(40), "size_WH": (300, 300)}
    look["within_rad"] = (0.0, 1.5)
    seen = [held_elevation(np.random.default_rng(seed), **look) for seed in range(PLANS)]
    heights = 0.45 + 2.4 * np.sin(np.array(seen))
    assert heights.min() >= 0.5
    assert heights.max() <= 1.65
    assert np.mean(heights > 1.4 - 1e-9) == pytest.approx(0.4, abs=0.05)
    # Of those the recipe takes what its range has.
    steep = look | {"within_rad": (0.4, 0.6)}
    assert all(0.4 <= held_elevation(np.random.default_rng(seed), **steep) <= 0.6 for seed in range(50))
    # A mug's camera is a hand's breadth away, and anywhere.
    assert held_elevation(np.random.default_rng(0), **look | {"size_m": 0.1}) is None
    # Long lenses are far away and see it from the side.
    far = held_elevation(np.random.default_rng(0), **look | {"fov_x_rad": math.radians(10)})
    assert 0 < far < seen[0] / 3


def test_cameras_are_held_in_their_share_of_the_scenes_that_stand_and_within_the_recipes_range() -> None:
    limits = {"standing_elevation_deg": [5, 60], "standing": 1.0, "camera": {"focal_mm": {50: 1}}}
    never, always = (
        [
            camera["elevation_rad"]
            for camera in cameras(**limits | {"camera": {"focal_mm": {50: 1}, "held_share": held}})
        ]
        for held in (0.0, 1.0)
    )
    assert np.mean(np.equal(never, always)) < 0.7
    for drawn in (never, always):
        assert math.radians(5) <= min(drawn) <= max(drawn) <= math.radians(60)
    floating = [
        [camera["elevation_rad"] for camera in cameras(standing=0.0, camera={"held_share": held})]
        for held in (0, 1)
    ]
    assert floating[0] == floating[1]
