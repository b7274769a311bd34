"""A ground that only takes shadows, rendered: what it leaves of the light, and where it changes nothing."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.lighting.ground_projection import catcher, placed_ground, shadow, sun_of
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    ObjectSpec,
    PlacedObject,
    ReceiverSpec,
    SceneSpec,
    SurfaceSpec,
)
from tests.support.ball_file import write_ball

pytestmark = pytest.mark.render

SIZE = (72, 54)
VIEW = CameraSpec(azimuth_rad=-math.pi / 2, elevation_rad=0.6, fov_x_rad=0.7, fill=0.35)


def overcast() -> np.ndarray:
    """A sky of one radiance over a ground that shows three tenths of it."""
    pixels = np.full((64, 128, 3), 1.0, np.float32)
    pixels[32:] = 0.3
    return pixels


def sunny(azimuth_deg: float) -> np.ndarray:
    """A dim sky with a sun 40 degrees high, over a dark ground."""
    pixels = np.full((64, 128, 3), 0.2, np.float32)
    pixels[32:] = 0.1
    row, column = round(50 / 180 * 64), round((180 - azimuth_deg) / 360 * 128)
    pixels[row, column] = 2400.0
    return pixels


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> PlacedObject:
    path = write_ball(tmp_path_factory.mktemp("ball") / "ball.obj", material="Kd 0.4 0.4 0.4\nKs 0 0 0")
    return PlacedObject(object=ObjectSpec(path=path), standing=True)


def caught(
    blender: BlenderClient, ball: PlacedObject, pixels: np.ndarray, folder: Path
) -> tuple[np.ndarray, np.ndarray, CameraPose]:
    """The shadow's factor (H, W), the object's alpha and the camera."""
    write_exr(folder / "light.exr", pixels)
    blender.load_scene(SceneSpec(objects=(ball,), catches=True))
    pose = blender.set_camera(VIEW, SIZE)
    ground = placed_ground(pose, height=5.0, stand_off=0.5, rotation_rad=0.0, seed=1)
    spec = catcher(pixels, ground, blender.loaded.bounds)
    passes = blender.render(environment_path=folder / "light.exr", seed=5, catcher=spec)
    alpha = passes.rgba[..., 3]
    assert not passes.rgba[alpha == 0].any()
    np.testing.assert_array_equal(alpha, np.minimum(passes.coverage.sum(axis=0), 1))
    return shadow(passes.caught, alpha, spec, pose).mean(axis=-1), alpha, pose


def place_of(pose: CameraPose, point: tuple[float, float, float]) -> np.ndarray:
    """Pixel coordinates (column, row) of a world point."""
    local = np.linalg.inv(np.array(pose.camera_to_world)) @ np.array([*point, 1.0])
    shown = pose.intrinsics(SIZE) @ np.array([local[0], -local[1], -local[2]])
    return shown[:2] / shown[2]


def test_an_overcast_sky_leaves_a_soft_shadow_at_the_contact_alone(
    blender: BlenderClient, ball: PlacedObject, tmp_path: Path
) -> None:
    factor, alpha, pose = caught(blender, ball, overcast(), tmp_path)
    open_ground = alpha == 0
    column, row = place_of(pose, (0.0, -0.7, 0.0)).astype(int)
    assert open_ground[row, column]
    # The cosine-weighted share of the sky that a ball of radius 1 hides 0.7 away from its contact:
    # (r / d)^2 times the cosine of its middle's angle, about.
    distance = math.hypot(0.7, 1.0)
    expected = 1 - min((1 / distance) ** 2, 1) * (1 / distance)
    assert factor[row, column] == pytest.approx(expected, abs=0.12)
    assert (factor[0] == 1).all()
    assert (factor[:, 0] == 1).all()
    assert factor[open_ground].max() <= 1.02


@pytest.mark.parametrize("azimuth_deg", [20.0, 160.0])
def test_the_shadow_falls_away_from_the_maps_sun(
    blender: BlenderClient, ball: PlacedObject, tmp_path: Path, azimuth_deg: float
) -> None:
    pixels = sunny(azimuth_deg)
    factor, alpha, pose = caught(blender, ball, pixels, tmp_path)
    sun, share = sun_of(pixels)
    assert share > 0.6
    # The middle of the ball throws its shadow here, and as far towards the sun there is none.
    length = 1.0 / math.tan(math.asin(sun[2]))
    away = -length * sun[:2] / np.linalg.norm(sun[:2])
    column, row = place_of(pose, (*away.tolist(), 0.0)).astype(int)
    assert alpha[row, column] == 0
    assert factor[row, column] < 0.45
    column, row = place_of(pose, (*(-1.4 * away).tolist(), 0.0)).astype(int)
    assert factor[row, column] > 0.75


def test_the_shadow_is_that_of_a_diffuse_plane_of_the_same_albedo(
    blender: BlenderClient, ball: PlacedObject, tmp_path: Path
) -> None:
    factor, alpha, _ = caught(blender, ball, overcast(), tmp_path)
    grey = (0.3, 0.3, 0.3)
    plain = SurfaceSpec(kind="plain", colour=grey, accent=grey, roughness=1.0)
    blender.load_scene(SceneSpec(objects=(ball,), receivers=(ReceiverSpec(surface=plain),)))
    blender.set_camera(VIEW, SIZE)
    request = {"environment_path": tmp_path / "light.exr", "seed": 5}
    whole = blender.render(**request).rgba[..., :3].mean(axis=-1)
    bare = blender.render(**request, hidden=(0,)).rgba[..., :3].mean(axis=-1)
    near = (alpha == 0) & (factor < 0.9)
    assert near.sum() > 30
    assert (whole / bare)[near] == pytest.approx(factor[near], abs=0.1)
    assert np.abs((whole / bare)[near] - factor[near]).mean() < 0.03


def test_a_ground_that_takes_shadows_is_the_only_one(ball: PlacedObject) -> None:
    grey = (0.3, 0.3, 0.3)
    plain = ReceiverSpec(surface=SurfaceSpec(kind="plain", colour=grey, accent=grey, roughness=1.0))
    with pytest.raises(ValueError, match="hide"):
        dataclasses.replace(SceneSpec(objects=(ball,), catches=True), receivers=(plain,))
