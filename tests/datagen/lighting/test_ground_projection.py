"""The ground of an environment map as a plane: closed forms of its geometry, its light and its shadow."""

import math

import numpy as np
import pytest

from pairbridge.datagen.lighting.equirect import Environment, background, equirect_directions
from pairbridge.datagen.lighting.ground_projection import (
    LARGEST_ALBEDO,
    ProjectedGround,
    camera_rays,
    catcher,
    faded_ground,
    fading,
    ground_picture,
    ground_points,
    looked_up,
    placed_ground,
    plane_depth,
    receiver_albedo,
    receiver_gain,
    shadow,
    sun_of,
    upward_irradiance,
    within,
)
from pairbridge.datagen.scene.specs import CameraPose

SIZE = (48, 36)
BOUNDS = ((-0.5, -0.5, 0.0), (0.5, 0.5, 1.0))


def pose(elevation_deg: float = 12.0, distance: float = 5.0) -> CameraPose:
    """From azimuth 0, at the origin."""
    elevation = math.radians(elevation_deg)
    backward = np.array([math.cos(elevation), 0.0, math.sin(elevation)])
    right = np.array([0.0, 1.0, 0.0])
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(backward, right), backward, distance * backward], axis=1)
    return CameraPose(
        camera_to_world=tuple(map(tuple, matrix.tolist())), fov_x_rad=math.radians(40), distance=distance
    )


def ground(**changes: float) -> ProjectedGround:
    return placed_ground(
        pose(), **({"height": 4.0, "stand_off": 0.8, "rotation_rad": 0.7, "seed": 1} | changes)
    )


def smooth_map(width: int = 256) -> np.ndarray:
    """Radiance that is linear in the direction, positive everywhere."""
    directions = equirect_directions(width, width // 2)
    return (1.5 + directions @ np.array([[0.5, 0.0, 0.2], [0.0, 0.4, 0.1], [0.6, 0.3, 0.9]])).astype(
        np.float32
    )


def with_sun(elevation_deg: float, azimuth_deg: float, strength: float = 4000.0) -> np.ndarray:
    pixels = np.full((128, 256, 3), 0.3, np.float32)
    row, column = round((90 - elevation_deg) / 180 * 128), round((180 - azimuth_deg) / 360 * 256)
    pixels[row - 1 : row + 1, column - 1 : column + 1] = strength
    return pixels


def test_a_pixel_goes_to_the_ground_and_to_the_map_and_back() -> None:
    flat, view = ground(), pose()
    position = np.array(view.camera_to_world)[:3, 3]
    rays = camera_rays(view, SIZE, slice(0, SIZE[1]))
    points, meets = ground_points(rays, position)
    assert meets[-1].all()
    assert not meets[0].any()
    near = meets & (np.linalg.norm(points - position[:2], axis=-1) < flat.beyond[0])
    assert near.sum() > 100
    directions = looked_up(flat, position, points)[near]
    # From the map's camera that direction meets the ground again, at the point that the pixel shows.
    again, _ = ground_points(directions, np.array(flat.centre))
    np.testing.assert_allclose(again, points[near], atol=1e-9)
    seen = np.concatenate([points[near], np.zeros((near.sum(), 1))], axis=-1) - position
    np.testing.assert_allclose(np.cross(seen, rays[near]), 0, atol=1e-9)


def test_the_hand_over_has_no_seam_and_ends_in_the_map_at_infinity() -> None:
    flat, position = ground(), np.array(pose().camera_to_world)[:3, 3]
    # Outwards from below the map's camera, elevation rises to the horizon without a jump and without turning.
    away = np.geomspace(2.0, 4 * flat.beyond[1], 4000)
    points = position[:2] - away[:, None] * np.array([1.0, 0.0])
    directions = looked_up(flat, position, points)
    rise = np.arctan2(directions[:, 2], np.hypot(directions[:, 0], directions[:, 1]))
    assert (np.diff(rise) > 0).all()
    assert np.abs(np.diff(rise)).max() < 0.01
    far = away > flat.beyond[1]
    seen = np.concatenate([points, np.zeros((len(points), 1))], axis=-1) - position
    np.testing.assert_allclose(directions[far], seen[far])


def test_the_sky_and_the_horizon_are_the_photographs() -> None:
    environment, view = Environment(smooth_map()), pose(4.0)
    picture = ground_picture(environment, ground(), view, SIZE)
    plain = background(environment, np.array(view.camera_to_world), view.fov_x_rad, SIZE, 0.7)
    horizon = int(np.argmax(plane_depth(view, SIZE, math.inf).max(axis=1) > 0))
    assert 3 < horizon < SIZE[1] - 3
    np.testing.assert_allclose(picture[: horizon - 1], plain[: horizon - 1], rtol=2e-3)


def test_one_radiance_everywhere_gives_itself_and_the_largest_albedo() -> None:
    pixels = np.full((64, 128, 3), 0.6, np.float32)
    np.testing.assert_allclose(upward_irradiance(pixels), 0.6 * math.pi, rtol=1e-6)
    gain = receiver_gain(pixels)
    # Under it a ground that shows as much reflects everything, which no receiver does.
    np.testing.assert_allclose(0.6 * np.array(gain), 1, rtol=1e-5)
    np.testing.assert_allclose(receiver_albedo(pixels, gain), LARGEST_ALBEDO)
    picture = ground_picture(Environment(pixels), ground(), pose(), SIZE)
    sky = plane_depth(pose(), SIZE, math.inf) == 0
    np.testing.assert_allclose(picture[sky], 0.6, rtol=1e-5)
    # Its detail has no bias, and is faint where the map has none.
    assert np.log(picture[~sky] / 0.6).mean() == pytest.approx(0, abs=0.01)
    assert 0 < np.log(picture[~sky] / 0.6).std() < 0.1


def test_a_ground_half_as_bright_as_its_light_has_half_the_albedo() -> None:
    pixels = np.full((64, 128, 3), 1.0, np.float32)
    pixels[32:] = 0.3
    np.testing.assert_allclose(receiver_albedo(pixels[40], receiver_gain(pixels)), 0.3, rtol=1e-5)


def test_the_same_ground_has_the_same_detail_from_every_camera_and_another_seed_another() -> None:
    environment = Environment(np.full((64, 128, 3), 0.6, np.float32))
    once = ground_picture(environment, ground(), pose(40.0), SIZE)
    np.testing.assert_array_equal(once, ground_picture(environment, ground(), pose(40.0), SIZE))
    other = ground_picture(environment, ground(seed=2), pose(40.0), SIZE)
    assert np.corrcoef(once[..., 0].ravel(), other[..., 0].ravel())[0, 1] < 0.5


@pytest.mark.parametrize(("elevation_deg", "azimuth_deg"), [(30.0, 40.0), (60.0, -120.0)])
def test_the_receiver_reaches_along_the_shadow_of_the_maps_sun(
    elevation_deg: float, azimuth_deg: float
) -> None:
    pixels = with_sun(elevation_deg, azimuth_deg)
    sun, share = sun_of(pixels)
    assert share > 0.5
    towards = [math.cos(math.radians(azimuth_deg)), math.sin(math.radians(azimuth_deg))]
    assert math.degrees(math.asin(sun[2])) == pytest.approx(elevation_deg, abs=2)
    assert np.dot(sun[:2] / np.linalg.norm(sun[:2]), towards) > 0.995
    spec = catcher(pixels, ground(), BOUNDS)
    # The tip of the shadow of the highest point lies well within; as far on the other side does not.
    length = BOUNDS[1][2] / math.tan(math.radians(elevation_deg))
    assert within(spec, -length * np.array(towards)) < 0.75
    assert np.dot(spec.centre, towards) < 0
    soft = catcher(np.full((128, 256, 3), 0.3, np.float32), ground(), BOUNDS)
    assert soft.axes[0] == soft.axes[1]


def test_a_shadow_is_kept_and_what_nobody_sees_is_exactly_one() -> None:
    view, spec = pose(30.0), catcher(with_sun(60, 0), ground(), BOUNDS)
    alpha = np.zeros(SIZE[::-1], np.float32)
    alpha[10:20, 20:28] = 1
    caught = np.full((*SIZE[::-1], 3), 1.005, np.float32)
    caught[18:26, 20:28] = 0.4
    factor = shadow(caught, alpha, spec, view)
    assert factor.dtype == np.float32
    points, _ = ground_points(
        camera_rays(view, SIZE, slice(0, SIZE[1])), np.array(view.camera_to_world)[:3, 3]
    )
    inner = (caught[..., 0] < 1) & (within(spec, points) < 0.6) & (alpha == 0)
    assert inner.sum() > 10
    np.testing.assert_allclose(factor[inner], 0.4, atol=1e-6)
    assert (factor[(caught[..., 0] > 1) & (alpha == 0)] == 1).all()
    # Behind the edge of an object the ground is as dark as beside it, not as bright as the render's nothing.
    assert factor[19, 24, 0] < 0.7


def test_a_procedural_ground_goes_over_into_what_is_beyond() -> None:
    share = fading(pose(8.0), SIZE, (6.0, 30.0))[..., 0]
    assert (share[0] == 1).all()
    assert (share[-1] == 0).all()
    assert (np.diff(share, axis=0) <= 1e-6).all()


def test_what_stands_on_a_ground_that_fades_stays_and_the_horizon_becomes_what_is_beyond() -> None:
    height, width = SIZE[::-1]
    foreground = np.zeros((height, width, 4), np.float32)
    foreground[4:30, 20:28] = (0.8, 0.6, 0.4, 1.0)
    picture = np.where(foreground[..., 3:] > 0, foreground[..., :3], np.float32(0.9))
    faded = faded_ground(picture, foreground, 0.2, pose(8.0), (6.0, 30.0))
    np.testing.assert_array_equal(faded[4:30, 20:28], picture[4:30, 20:28])
    np.testing.assert_allclose(faded[0, :20], 0.2, atol=1e-6)
    np.testing.assert_array_equal(faded[-1], picture[-1])
    assert (np.diff(faded[:, 0, 0]) >= -1e-6).all()
    assert faded_ground(picture, foreground, 0.2, pose(8.0), None) is picture


def test_a_ground_seen_from_below_is_refused() -> None:
    with pytest.raises(ValueError, match="from above"):
        ProjectedGround(centre=(0.0, 0.0, 0.0), rotation_rad=0.0, beyond=(1.0, 2.0))
