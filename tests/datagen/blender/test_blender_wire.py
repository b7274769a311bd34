"""What crosses the process border, without a process."""

import dataclasses
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.blender.blender_errors import (
    BlenderCrashed,
    BlenderRequestFailed,
    BlenderTimedOut,
    BlenderUnavailable,
)
from pairbridge.datagen.blender.panorama import SUN_DIAMETER_RAD, join, plan_panorama
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.blender.wire import decode_line, encode_line
from pairbridge.datagen.lighting.equirect import equirect_directions
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, SkySpec, from_json


@pytest.mark.parametrize(
    "error",
    [
        BlenderCrashed(signal="SIGSEGV", phase="render", log_tail="boom"),
        BlenderTimedOut(phase="load_scene", timeout_s=3.5, log_tail="zzz"),
        BlenderUnavailable("no GPU", consequence="nothing", remedy="buy one"),
        BlenderRequestFailed("no", consequence="nothing", remedy="ask again"),
    ],
)
def test_errors_survive_the_way_between_processes(error) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_values_survive_the_pipe() -> None:
    for value in (
        CameraSpec(azimuth_rad=0.1, elevation_rad=-0.2, fov_x_rad=0.5, offset=(0.1, -0.1)),
        SkySpec(sun_elevation_rad=0.3, sun_rotation_rad=1 / 3, air=0.1),
        ObjectSpec(family="chair", seed=0),
    ):
        assert from_json(type(value), decode_line(encode_line(dataclasses.asdict(value)))) == value


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"family": "chair"},
        {"seed": 0},
        {"path": Path("a.glb"), "seed": 1},
        {"path": Path("a"), "family": "b"},
    ],
)
def test_an_object_is_a_family_with_a_seed_or_a_path(wrong: dict) -> None:
    with pytest.raises(ValueError, match="a family with a seed, or a path"):
        ObjectSpec(**wrong)


def test_render_settings_refuse_unknown_keys_and_change() -> None:
    with pytest.raises(ValidationError, match="sample_count"):
        RenderSettings(sample_count=3)
    with pytest.raises(ValidationError, match="frozen"):
        RenderSettings().samples = 3
    assert RenderSettings(**json.loads(RenderSettings(samples=7).model_dump_json())).samples == 7


@pytest.mark.parametrize("elevation_deg", [-0.2, 0.0, 2.0, 45.0, 80.0, 89.6, 90.0])
@pytest.mark.parametrize("rotation_rad", [0.0, 1.234, math.pi, 6.0])
def test_the_window_holds_every_texel_that_can_see_the_sun(elevation_deg: float, rotation_rad: float) -> None:
    width, height = 512, 256
    sky = SkySpec(sun_elevation_rad=math.radians(elevation_deg), sun_rotation_rad=rotation_rad)
    plan = plan_panorama(sky, width)
    azimuth = math.pi / 2 - rotation_rad  # Blender's sun starts at +Y and turns clockwise
    elevation = sky.sun_elevation_rad
    sun = [
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    ]
    angle = np.arccos(np.clip(equirect_directions(width, height) @ sun, -1, 1))
    window = np.zeros((height, width, 1))
    left, top, right, bottom = plan.window
    window[top:bottom, left:right] = 1
    inside = join(plan, np.zeros_like(window), window)[..., 0] > 0
    assert inside[angle < SUN_DIAMETER_RAD / 2 + 0.5 * math.tau / width].all()
    assert abs(plan.sky.sun_rotation_rad) <= math.pi / width + 1e-12
