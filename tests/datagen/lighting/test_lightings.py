"""Lightings made here: soft boxes against closed forms, blends, and a bake that resumes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import exr_attribute, write_exr
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.lighting.baking.baked import bake_lighting, bake_lightings, planned_lightings
from pairbridge.datagen.lighting.baking.studio_rigs import SoftBox, soft_box_cover, studio_rig
from pairbridge.datagen.lighting.equirect import Environment, equirect_directions, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.scene.specs import SkySpec
from pairbridge.datagen.sourcing.sources import build_catalogue


def box(**changes: object) -> SoftBox:
    values = {
        "azimuth_rad": 0.8,
        "elevation_rad": 0.5,
        "half_width": 0.5,
        "half_height": 0.5,
        "roll_rad": 0.3,
        "edge": 0.02,
        "squareness": 2.0,
        "radiance": (1.0, 1.0, 1.0),
    }
    return SoftBox(**(values | changes))


def solid_angle(cover: np.ndarray, directions: np.ndarray) -> float:
    height, width = cover.shape
    row = np.cos(np.arcsin(directions[:, 0, 2])) * (math.tau / width) * (math.pi / height)
    return float((cover * row[:, None]).sum())


@pytest.mark.parametrize(("azimuth_rad", "elevation_rad"), [(0.0, 0.0), (3.1, 0.4), (2.0, 1.2), (5.0, 1.5)])
def test_a_round_box_covers_its_cone_wherever_it_stands(azimuth_rad: float, elevation_rad: float) -> None:
    directions = equirect_directions(1024, 512)
    cover = soft_box_cover(box(azimuth_rad=azimuth_rad, elevation_rad=elevation_rad), directions)
    cone = 2 * math.pi * (1 - math.cos(math.atan(0.5)))
    assert solid_angle(cover, directions) == pytest.approx(cone, rel=0.01)


def test_a_rectangular_box_covers_the_solid_angle_of_a_panel() -> None:
    directions = equirect_directions(1024, 512)
    cover = soft_box_cover(box(half_width=0.7, half_height=0.3, squareness=60.0), directions)
    panel = 4 * math.asin(0.7 * 0.3 / math.sqrt((1 + 0.7**2) * (1 + 0.3**2)))
    assert solid_angle(cover, directions) == pytest.approx(panel, rel=0.02)


def test_rigs_are_functions_of_their_seed_finite_and_high_in_range() -> None:
    first, again, other = (studio_rig(rng(seed, "rig"), 128) for seed in (1, 1, 2))
    assert first.shape == (64, 128, 3)
    assert first.dtype == np.float32
    assert (first == again).all()
    assert not np.allclose(first, other)
    for seed in range(20):
        rig = studio_rig(rng(seed, "rig"), 128)
        assert np.isfinite(rig).all()
        assert rig.min() >= 0
        luminance = Environment(rig)
        # lamps stand out of the room, as they do in a photograph of one
        assert rig.max() > 5 * luminance.picture_luminance


def config(tmp_path: Path, **lightings: object) -> DatasetConfig:
    hdris = tmp_path / "hdris"
    if not hdris.exists():
        hdris.mkdir()
        for name, level in (("dim", 0.2), ("bright", 5.0)):
            write_exr(hdris / f"{name}.exr", (level * (2 + equirect_directions(64, 32))).astype(np.float32))
        (hdris / "catalogue.yaml").write_text("dim: {split: train}\nbright: {split: train}\n")
    return DatasetConfig.model_validate(
        {
            "name": "lit",
            "assets": {"embedded": False, "hdris": [hdris]},
            "lightings": {"width": 128} | lightings,
            "recipes": {"r": {"kind": "relighting_swap"}},
        }
    )


def no_blender():
    raise AssertionError("no sky is asked for, so Blender must not start")


def bake(asked: DatasetConfig, out: Path, blender=no_blender) -> None:
    bake_lightings(asked.seed, asked.lightings, build_catalogue(asked.assets, None), out, blender)


def test_bake_makes_what_the_config_asks_for_and_catalogues_it(tmp_path: Path) -> None:
    asked = config(tmp_path, rigs={"train": 2, "test": 1}, blends={"train": 1})
    bake(asked, tmp_path / "set")
    catalogue = build_catalogue(asked.assets, tmp_path / "set" / "lightings")
    assert [asset.id for asset in catalogue.lightings("rig", "train")] == ["rig-train-000", "rig-train-001"]
    assert [asset.id for asset in catalogue.lightings("rig", "test")] == ["rig-test-000"]
    assert [asset.id for asset in catalogue.lightings("blend", "train")] == ["blend-train-000"]
    for split in SPLITS:
        for asset in catalogue.of("hdri", split):
            assert load_environment(asset.path).mean_luminance > 0
    planned = {
        lighting.id
        for lighting in planned_lightings(asked.seed, asked.lightings, build_catalogue(asked.assets, None))
    }
    assert planned == {path.stem for path in (tmp_path / "set" / "lightings").iterdir()}


def test_an_interrupted_bake_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    asked = config(tmp_path, rigs={"train": 3}, blends={"train": 1})
    calm, rough = tmp_path / "calm" / "lightings", tmp_path / "rough" / "lightings"
    bake(asked, calm.parent)
    bake(asked, rough.parent)
    kept = (rough / "rig-train-001.exr").stat().st_mtime_ns
    (rough / "rig-train-000.exr").unlink()
    (rough / "rig-train-002.exr").write_bytes((calm / "rig-train-002.exr").read_bytes()[:40])
    (rough / "rig-train-007.exr").write_bytes(b"of an older config")
    told = []
    catalogue = build_catalogue(asked.assets, None)
    bake_lightings(
        asked.seed, asked.lightings, catalogue, rough.parent, no_blender, lambda *count: told.append(count)
    )
    assert told == [(0, 2), (1, 2)]
    assert {path.name: path.read_bytes() for path in calm.iterdir()} == {
        path.name: path.read_bytes() for path in rough.iterdir()
    }
    assert (rough / "rig-train-001.exr").stat().st_mtime_ns == kept


def test_another_seed_bakes_other_lightings_in_place(tmp_path: Path) -> None:
    asked = config(tmp_path, rigs={"train": 1})
    bake(asked, tmp_path / "set")
    path = tmp_path / "set" / "lightings" / "rig-train-000.exr"
    before = exr_attribute(path, "pairbridge_parameters")
    bake(asked.model_copy(update={"seed": 9}), tmp_path / "set")
    assert exr_attribute(path, "pairbridge_parameters") != before


def test_a_blend_mixes_its_parents_at_one_exposure(tmp_path: Path) -> None:
    asked = config(tmp_path, blends={"train": 1})
    bake(asked, tmp_path / "set")
    mixed = load_environment(tmp_path / "set" / "lightings" / "blend-train-000.exr")
    # both parents are the same picture at levels 0.2 and 5: metered, they weigh the same
    parent = load_environment(tmp_path / "hdris" / "dim.exr")
    metered = parent.mean_luminance * normalising_factor(parent, picture=1.0, limit=2.5)
    assert mixed.mean_luminance == pytest.approx(metered, rel=0.02)


def test_blends_need_two_parents_in_their_own_split(tmp_path: Path) -> None:
    asked = config(tmp_path, blends={"test": 1})
    with pytest.raises(CatalogueError) as refused:
        bake(asked, tmp_path / "set")
    assert "train 2, validation 0, test 0" in refused.value.cause


def test_planned_lightings_count_before_they_are_baked() -> None:
    asked = DatasetConfig.model_validate(
        {
            "name": "lit",
            "lightings": {"skies": {"train": 2, "test": 1}},
            "recipes": {"r": {"kind": "relighting_swap"}},
        }
    )
    planned = list(
        planned_lightings(asked.seed, asked.lightings, build_catalogue(AssetsConfig(embedded=False), None))
    )
    assert [lighting.id for lighting in planned] == ["sky-train-000", "sky-train-001", "sky-test-000"]
    assert len({str(lighting.params) for lighting in planned}) == 3
    assert all(lighting.asset().lighting == "sky" for lighting in planned)


def test_an_outdoor_map_states_how_high_its_camera_stood_before_and_after_it_is_baked(tmp_path: Path) -> None:
    asked = config(tmp_path, outdoors={"train": 1})
    found = build_catalogue(asked.assets, None)
    (planned,) = planned_lightings(asked.seed, asked.lightings, found)
    path = tmp_path / "set" / "lightings" / f"{planned.id}.exr"
    path.parent.mkdir(parents=True)

    class Overcast:
        def bake_sky(self, sky: SkySpec, width: int, out_path: Path) -> None:
            up = equirect_directions(width, width // 2)[..., 2:]
            write_exr(out_path, np.where(up > 0, [3.0, 4.0, 6.0], 0).astype(np.float32))

    bake_lighting(planned, path, found, Overcast)
    (baked,) = build_catalogue(asked.assets, path.parent).lightings("outdoor", "train")
    assert 1.2 <= baked.camera_height_m <= 1.8
    assert baked.camera_height_m == planned.asset().camera_height_m
    light = json.loads(exr_attribute(path, "pairbridge_light"))
    assert math.hypot(*light["sun_direction"]) == pytest.approx(1)


@pytest.mark.render
def test_a_sky_is_baked_with_its_sun_over_a_ground_it_lights(tmp_path: Path) -> None:
    asked = config(tmp_path, skies={"train": 1})

    def blender():
        return open_blender(
            asked.workbench, scratch_dir=tmp_path, log_path=tmp_path / "blender.log", threads=1
        )

    bake(asked, tmp_path / "a", blender)
    bake(asked, tmp_path / "b", blender)
    baked = [tmp_path / name / "lightings" / "sky-train-000.exr" for name in ("a", "b")]
    assert baked[0].read_bytes() == baked[1].read_bytes()
    pixels = load_environment(baked[0]).pixels
    assert pixels.shape == (64, 128, 3)
    params = json.loads(exr_attribute(baked[0], "pairbridge_parameters"))
    directions = equirect_directions(128, 64)
    sun = directions[np.unravel_index(pixels[..., 1].argmax(), (64, 128))]
    texel_rad = math.pi / 64
    assert math.asin(sun[2]) == pytest.approx(params["sky"]["sun_elevation_rad"], abs=texel_rad)
    up = np.maximum(directions[..., 2], 0)
    weight = np.cos(np.arcsin(directions[..., 2])) * (math.tau / 128) * (math.pi / 64)
    irradiance = ((up * weight)[..., None] * pixels).sum(axis=(0, 1))
    ground = pixels[directions[..., 2] < -0.5].mean(axis=0)
    expected = np.array(params["ground"]["albedo"]) * irradiance / math.pi
    # mottled around its albedo, so equal to a factor
    assert 0.6 < (ground / expected).min() <= (ground / expected).max() < 1.7
