"""The environment map of a light says what Cycles makes of that light on a white ball."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.environment_maps import environment_map, irradiance, lamp_map
from pairbridge.datagen.lighting.equirect import lighting_copy, load_environment
from pairbridge.datagen.scene.specs import CameraSpec, LampSpec, ObjectSpec, RenderedPasses
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.ball_file import write_ball

pytestmark = pytest.mark.render

CAMERA = CameraSpec(azimuth_rad=0.6, elevation_rad=0.5, fov_x_rad=math.radians(25), fill=0.9)
# So far away that all of the ball sees it as its middle does.
LAMP = LampSpec(position=(-100.0, 300.0, 400.0), diameter=200.0, colour=(0.9, 0.6, 0.3))


@pytest.fixture(scope="module")
def ball(
    open_client: Callable[..., BlenderClient], tmp_path_factory: pytest.TempPathFactory
) -> tuple[BlenderClient, np.ndarray]:
    """A Blender that shows a white ball, and its camera's matrix."""
    folder = tmp_path_factory.mktemp("ball")
    client = open_client(RenderSettings(samples=64))
    client.load_object(ObjectSpec(path=write_ball(folder / "ball.obj", "Kd 1 1 1\nKs 0 0 0", rings=48)))
    pose = client.set_camera(CAMERA, (40, 40))
    return client, np.array(pose.camera_to_world)


def white_ball(passes: RenderedPasses, camera_to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radiance (N, 3) and normals (N, 3) in camera coordinates of the pixels that the ball fills."""
    inside = passes.rgba[..., 3] > 0.999
    assert inside.sum() > 500
    return passes.rgba[inside][:, :3], passes.shading_normal[inside] @ camera_to_world[:3, :3]


@pytest.mark.parametrize(("hdri", "turn_rad"), [("sunset", 2.0), ("studio", 0.3)])
def test_the_irradiance_of_a_map_is_that_of_a_rendered_white_ball(
    ball: tuple[BlenderClient, np.ndarray], tmp_path: Path, hdri: str, turn_rad: float
) -> None:
    blender, camera_to_world = ball
    environment = load_environment(build_catalogue(AssetsConfig(), None).get(hdri).path)
    turned = lighting_copy(environment, 256, turn_rad)
    write_exr(tmp_path / f"{hdri}.exr", turned)
    passes = blender.render(environment_path=tmp_path / f"{hdri}.exr", seed=1)
    shown, normals = white_ball(passes, camera_to_world)
    expected = irradiance(environment_map(turned, camera_to_world), normals) / math.pi
    assert shown.mean(axis=0) == pytest.approx(expected.mean(axis=0), rel=0.02)
    # And it lies where the map has it.
    assert np.abs(shown - expected).mean() < 0.02 * expected.mean()


def test_a_lamp_of_a_map_lights_as_the_rendered_one(
    ball: tuple[BlenderClient, np.ndarray], files: Path
) -> None:
    blender, camera_to_world = ball
    passes = blender.render(environment_path=files / "soft.exr", seed=1, strength=0.0, lamps=(LAMP,))
    shown, normals = white_ball(passes, camera_to_world)
    expected = irradiance(lamp_map(LAMP, camera_to_world), normals) / math.pi
    assert shown.mean(axis=0) == pytest.approx(expected.mean(axis=0), rel=0.02)
    assert np.abs(shown - expected).mean() < 0.02 * expected.mean()
