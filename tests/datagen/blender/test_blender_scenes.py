"""Scenes of several objects, receivers and lamps: what each render shows, and that it repeats to the bit."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.blender.wire import decode_line, encode_line
from pairbridge.datagen.imaging.compositing import over_linear, own_part
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    LampSpec,
    ObjectSpec,
    PlacedObject,
    ReceiverSpec,
    RenderedPasses,
    SceneSpec,
    SurfaceSpec,
    from_json,
)
from tests.support.ball_file import write_ball

pytestmark = pytest.mark.render

WHITE = SurfaceSpec(kind="plain", colour=(0.8, 0.8, 0.8), accent=(0.8, 0.8, 0.8), roughness=1.0)
GROUND = ReceiverSpec(surface=WHITE)
LAMP = LampSpec(position=(3.0, -3.0, 4.0), diameter=0.6)
VIEW = CameraSpec(azimuth_rad=-math.pi / 2, elevation_rad=0.45, fov_x_rad=0.7, fill=0.7)


@pytest.fixture(scope="module")
def balls(files: Path, tmp_path_factory: pytest.TempPathFactory) -> SceneSpec:
    """Two spheres on the ground, the first half hidden behind the second."""
    folder = tmp_path_factory.mktemp("balls")
    path = write_ball(folder / "ball.obj", material="Kd 0.4 0.4 0.4\nKs 0 0 0")
    write_exr(folder / "dim.exr", np.full((8, 16, 3), 0.1, np.float32))
    return SceneSpec(
        objects=tuple(
            PlacedObject(object=ObjectSpec(path=path), x=x, y=y, radius=0.6, yaw_rad=0.3, standing=True)
            for x, y in ((0.3, 0.7), (-0.3, -0.7))
        ),
        receivers=(GROUND,),
    )


@pytest.fixture(scope="module")
def scene(blender: BlenderClient, balls: SceneSpec) -> CameraPose:
    blender.load_scene(balls)
    return blender.set_camera(VIEW, (64, 48))


def render(blender: BlenderClient, balls: SceneSpec, **request: object) -> RenderedPasses:
    light = balls.objects[0].object.path.with_name("dim.exr")
    defaults = {"environment_path": light, "seed": 5, "lamps": (LAMP,)}
    return blender.render(**(defaults | request))


def bits(passes: RenderedPasses) -> list[bytes]:
    names = ("rgba", "noisy", "coverage", "depth", "normal", "albedo")
    return [getattr(passes, name).tobytes() for name in names]


def test_scenes_survive_the_pipe(balls: SceneSpec) -> None:
    walled = dataclasses.replace(
        balls, receivers=(GROUND, ReceiverSpec(surface=WHITE, azimuth_rad=1.0, distance=3.0))
    )
    objects = tuple(
        dataclasses.replace(placed, object=ObjectSpec(family="mug", seed=1)) for placed in walled.objects
    )
    walled = dataclasses.replace(walled, objects=objects)
    assert from_json(SceneSpec, decode_line(encode_line(dataclasses.asdict(walled)))) == walled


def test_a_render_repeats_to_the_bit_whatever_was_hidden_held_out_or_switched_off_before(
    blender: BlenderClient, scene: CameraPose, balls: SceneSpec
) -> None:
    first = bits(render(blender, balls))
    for between in (
        {"hidden": (0,)},
        {"hidden": (0, 1)},
        {"receivers": "holdout"},
        {"lamps": ()},
        {"lamps": (LAMP, dataclasses.replace(LAMP, position=(-3.0, 0.0, 3.0)))},
        {"strength": 0.0},
    ):
        assert bits(render(blender, balls, **between)) != first
        assert bits(render(blender, balls)) == first, between
    blender.silhouette(0, seed=5)
    assert bits(render(blender, balls)) == first
    blender.load_scene(balls)
    blender.set_camera(VIEW, (64, 48))
    assert bits(render(blender, balls)) == first


def test_coverage_silhouette_and_holdout_agree(
    blender: BlenderClient, scene: CameraPose, balls: SceneSpec
) -> None:
    whole = render(blender, balls)
    behind, before = whole.coverage
    # The one in front is seen whole, the other in part; together they are what the held-out ground leaves.
    np.testing.assert_allclose(before, blender.silhouette(1, seed=5), atol=2e-3)
    alone = blender.silhouette(0, seed=5)
    assert 0.3 < behind.sum() / alone.sum() < 0.9
    assert (behind <= alone + 2e-3).all()
    objects = render(blender, balls, receivers="holdout")
    np.testing.assert_allclose(behind + before, objects.rgba[..., 3], atol=2e-3)
    assert not objects.rgba[objects.rgba[..., 3] == 0].any()
    # Held out, the ground still lights them: where an object fills a pixel, the picture is the same.
    full = (behind == 1) | (before == 1)
    np.testing.assert_array_equal(objects.noisy[full], whole.noisy[full])
    gone = render(blender, balls, hidden=(1,))
    np.testing.assert_allclose(gone.coverage[0], alone, atol=2e-3)
    assert not gone.coverage[1].any()


def test_the_part_of_objects_in_a_picture_is_what_the_held_out_ground_leaves(
    blender: BlenderClient, scene: CameraPose, balls: SceneSpec
) -> None:
    whole = render(blender, balls)
    held_out = render(blender, balls, receivers="holdout").rgba
    alpha = np.minimum(whole.coverage.sum(axis=0), 1)
    edge = (alpha > 0) & (alpha < 1)
    found = own_part(over_linear(whole.rgba, np.full(3, 0.1, np.float32)), alpha)
    off = np.abs(found - held_out[..., :3])[edge].mean()
    assert off < 0.15 * held_out[edge][:, :3].mean()
    # Of what the edges show, a share of alpha is not what is the objects'.
    assert off < 0.8 * np.abs(alpha[..., None] * whole.rgba[..., :3] - held_out[..., :3])[edge].mean()


def test_standing_objects_touch_the_ground(
    blender: BlenderClient, scene: CameraPose, balls: SceneSpec
) -> None:
    matrix = np.array(scene.camera_to_world)
    depth = render(blender, balls, hidden=(0,)).depth
    # The nearest point of the sphere of radius 0.6 at (-0.3, -0.7) lies on the line to its centre.
    centre = np.array([-0.3, -0.7, 0.6, 1.0])
    local = np.linalg.inv(matrix) @ centre
    focal = 64 / 2 / math.tan(scene.fov_x_rad / 2)
    column = int(32 + focal * local[0] / -local[2])
    row = int(24 - focal * local[1] / -local[2])
    nearest = -local[2] * (1 - 0.6 / np.linalg.norm(local[:3]))
    assert depth[row, column] == pytest.approx(nearest, abs=0.01)


def test_a_lamp_gives_a_white_surface_at_the_origin_its_colour(
    blender: BlenderClient, balls: SceneSpec
) -> None:
    small = dataclasses.replace(balls.objects[0], radius=0.1, x=0.5, y=0.0)
    blender.load_scene(SceneSpec(objects=(small,), receivers=(GROUND,)))
    camera = dataclasses.replace(VIEW, elevation_rad=1.4, fill=0.15, offset=(0.3, 0.0))
    pose = blender.set_camera(camera, (64, 64))
    local = np.linalg.inv(np.array(pose.camera_to_world)) @ [0.0, 0.0, 0.0, 1.0]
    focal = 32 / math.tan(pose.fov_x_rad / 2)
    column, row = int(32 + focal * local[0] / -local[2]), int(32 - focal * local[1] / -local[2])
    # The ground sees the lamp 60 degrees from its normal.
    lamp = LampSpec(position=(-4 * math.sin(math.pi / 3), 0.0, 2.0), diameter=0.2, colour=(2.0, 1.0, 0.5))
    rgba = render(blender, balls, lamps=(lamp,), strength=0.0).rgba
    patch = rgba[row - 1 : row + 2, column - 1 : column + 2, :3].reshape(-1, 3).mean(axis=0)
    # "plain" darkens its colour by up to 6 percent in clouds.
    np.testing.assert_allclose(patch, 0.8 * 0.5 * np.array([2.0, 1.0, 0.5]), rtol=0.08)


def test_objects_of_real_sizes_keep_them_beside_each_other(blender: BlenderClient, balls: SceneSpec) -> None:
    small, large = (
        dataclasses.replace(placed, size_m=size_m, size_from="drawn", x=x)
        for placed, size_m, x in zip(balls.objects, (0.1, 0.4), (-3.0, 3.0), strict=True)
    )
    blender.load_scene(SceneSpec(objects=(small, large), receivers=(GROUND,)))
    # A ball of 10 cm has the radius that its place says; of a ball its half diameter is that radius.
    assert blender.loaded.metres_per_unit == pytest.approx(0.05 / small.radius, rel=1e-3)
    assert [info.size_m for info in blender.loaded.objects] == [0.1, 0.4]
    blender.set_camera(dataclasses.replace(VIEW, elevation_rad=0.02), (96, 48))
    coverage = render(blender, balls).coverage.sum(axis=(1, 2))
    assert coverage[1] / coverage[0] == pytest.approx(16, rel=0.5)


@pytest.mark.parametrize(
    ("suffix", "believed"), [(".glb", True), (".usdc", True), (".fbx", True), (".obj", False)]
)
def test_files_in_metres_have_the_size_that_they_state(
    blender: BlenderClient, written: Path, suffix: str, believed: bool
) -> None:
    placed = PlacedObject(object=ObjectSpec(path=written / f"box{suffix}"), size_m=0.5, size_from="drawn")
    [info] = blender.load_scene(SceneSpec(objects=(placed,)))
    assert (info.size_m, info.size_from) == ((pytest.approx(3.0), "file") if believed else (0.5, "drawn"))
