"""The camera's closed form against projected vertices."""

import math

import numpy as np
import pytest

from pairbridge.datagen.blender.child.camera_framing import frame, nearest_ground
from pairbridge.datagen.scene.specs import CameraSpec


def project(vertices: np.ndarray, pose, size_WH: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Frame coordinates in [-0.5, 0.5] of a pinhole without lens shift, and depths."""
    local = np.c_[vertices, np.ones(len(vertices))] @ np.linalg.inv(np.array(pose.camera_to_world)).T
    depth = -local[:, 2]
    half_x = math.tan(pose.fov_x_rad / 2)
    half_y = half_x * size_WH[1] / size_WH[0]
    return np.stack([local[:, 0] / depth / half_x, local[:, 1] / depth / half_y], axis=1) / 2, depth


@pytest.mark.parametrize("seed", range(40))
def test_the_tighter_side_is_filled_and_the_bounds_are_centred_on_the_offset(seed: int) -> None:
    draw = np.random.default_rng(seed)
    vertices = draw.normal(size=(200, 3)) * draw.uniform(0.1, 1, 3)
    vertices /= np.linalg.norm(vertices, axis=1).max()
    camera = CameraSpec(
        azimuth_rad=draw.uniform(0, math.tau),
        elevation_rad=draw.uniform(-1.5, 1.5),
        fov_x_rad=draw.uniform(0.2, 1.6),
        fill=draw.uniform(0.3, 0.9),
        offset=(draw.uniform(-0.2, 0.2), draw.uniform(-0.2, 0.2)),
    )
    size_WH = [(256, 256), (512, 128), (96, 320)][seed % 3]
    pose, nearest, farthest = frame(vertices, camera, size_WH)
    points, depth = project(vertices, pose, size_WH)
    low, high = points.min(axis=0), points.max(axis=0)
    assert (high - low).max() == pytest.approx(camera.fill, abs=1e-9)
    np.testing.assert_allclose((low + high) / 2, camera.offset, atol=1e-9)
    assert nearest == pytest.approx(depth.min())
    assert farthest == pytest.approx(depth.max())


def test_the_camera_looks_back_from_its_direction_with_a_level_horizon() -> None:
    camera = CameraSpec(azimuth_rad=0.7, elevation_rad=0.3, fov_x_rad=0.6, offset=(0.1, 0.05))
    vertices = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    matrix = np.array(frame(vertices, camera, (64, 64))[0].camera_to_world)
    direction = [math.cos(0.3) * math.cos(0.7), math.cos(0.3) * math.sin(0.7), math.sin(0.3)]
    np.testing.assert_allclose(matrix[:3, 2], direction, atol=1e-12)
    assert matrix[2, 0] == 0
    assert matrix[2, 1] > 0
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


def test_a_flat_object_seen_edge_on_still_gets_a_camera_in_front_of_it() -> None:
    vertices = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0.2, 0, 0]])
    camera = CameraSpec(azimuth_rad=0.0, elevation_rad=0.0, fov_x_rad=0.6)
    _, nearest, _ = frame(vertices, camera, (64, 64))
    assert nearest > 0


@pytest.mark.parametrize(
    "wrong", [{"elevation_rad": math.pi / 2}, {"fov_x_rad": 0.0}, {"fov_x_rad": 3.2}, {"fill": 0.0}]
)
def test_views_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be positive|no meaning"):
        CameraSpec(**{"azimuth_rad": 0.0, "elevation_rad": 0.0, "fov_x_rad": 0.6} | wrong)


def test_the_nearest_ground_of_a_frame_is_where_its_lower_edge_meets_it() -> None:
    box = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], float)
    for elevation_deg in (5, 30, 80):
        camera = CameraSpec(azimuth_rad=0.7, elevation_rad=math.radians(elevation_deg), fov_x_rad=1.0)
        pose, _, _ = frame(box, camera, (64, 96))
        height = pose.camera_to_world[2][3]
        half_y = math.atan(math.tan(0.5) * 96 / 64)
        # The lower edge looks down by elevation + half the vertical field; depth is along the axis.
        expected = height / math.sin(math.radians(elevation_deg) + half_y) * math.cos(half_y)
        assert nearest_ground(pose, (64, 96)) == pytest.approx(expected)
    below = CameraSpec(azimuth_rad=0.0, elevation_rad=math.radians(-60), fov_x_rad=0.3)
    assert nearest_ground(frame(box - [0, 0, 9], below, (64, 64))[0], (64, 64)) > 0


def test_a_rolled_camera_frames_alike_and_sees_the_horizon_rise_on_its_right() -> None:
    vertices = np.random.default_rng(3).uniform(-0.5, 0.5, (80, 3))
    camera = CameraSpec(azimuth_rad=0.7, elevation_rad=0.3, fov_x_rad=0.6, roll_rad=0.2, offset=(0.1, 0.05))
    pose, _, _ = frame(vertices, camera, (96, 64))
    points, _ = project(vertices, pose, (96, 64))
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, camera.offset, atol=1e-9)
    assert (high - low).max() == pytest.approx(camera.fill, abs=1e-9)
    right = np.array([-math.sin(0.7), math.cos(0.7), 0.0])
    # Two points of one height, side by side.
    ends, _ = project(np.array([-0.1 * right, 0.1 * right]), pose, (96, 96))
    assert math.atan2(*(ends[1] - ends[0])[::-1]) == pytest.approx(0.2, abs=1e-9)


def test_the_lens_is_focused_before_the_middle_of_what_it_sees() -> None:
    vertices = np.random.default_rng(3).uniform(-0.5, 0.5, (80, 3))
    camera = CameraSpec(azimuth_rad=0.7, elevation_rad=0.3, fov_x_rad=0.6, defocus=0.05)
    pose, nearest, farthest = frame(vertices, camera, (96, 64))
    assert pose.focus_distance == pytest.approx(nearest + (farthest - nearest) / 3)
    # The thin lens: a point at infinity spreads over the aperture in the plane that is sharp.
    across = 2 * pose.focus_distance * math.tan(0.3)
    assert 2 * pose.aperture_radius / across == pytest.approx(0.05)
