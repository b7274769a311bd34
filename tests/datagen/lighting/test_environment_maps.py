"""Small environment maps in camera coordinates: energy, places, lamps and encoding, against closed forms."""

import math

import numpy as np
import pytest

from pairbridge.datagen.lighting.environment_maps import (
    environment_map,
    irradiance,
    lamp_map,
    map_directions,
    stored_light,
)
from pairbridge.datagen.scene.specs import LampSpec
from pairbridge.datagen.shards.sample import decode_field, encode_field


def camera(azimuth: float, elevation: float) -> np.ndarray:
    """Camera to world of a camera in that direction of the origin, without roll, by cross products."""
    back = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    return matrix


LOOKS = [camera(0.4, 0.3), camera(3.9, -0.2), camera(-1.7, 1.4)]


def directions_in_world(height: int) -> np.ndarray:
    """Of an equirectangular image, from the convention that scene/specs.py states."""
    u = (np.arange(2 * height) + 0.5) / (2 * height)
    v = 1 - (np.arange(height) + 0.5) / height
    azimuth, elevation = (0.5 - u) * math.tau, (v - 0.5) * math.pi
    cosine = np.cos(elevation)[:, None]
    up = np.broadcast_to(np.sin(elevation)[:, None], (height, 2 * height))
    return np.stack([cosine * np.cos(azimuth), cosine * np.sin(azimuth), up], axis=-1)


def solid_angles(height: int) -> np.ndarray:
    rows = (np.arange(height) + 0.5) * math.pi / height
    exact = 2 * np.sin(rows) * math.sin(math.pi / height / 2) * math.pi / height
    return np.broadcast_to(exact[:, None, None], (height, 2 * height, 1))


@pytest.mark.parametrize("look", LOOKS)
def test_light_of_one_radiance_gives_a_map_of_it(look: np.ndarray) -> None:
    seen = environment_map(np.full((128, 256, 3), 0.7, np.float32), look)
    assert np.abs(seen[1:-1] / 0.7 - 1).max() < 0.03


@pytest.mark.parametrize("look", LOOKS)
def test_energy_is_kept_in_solid_angle_whatever_the_camera(look: np.ndarray) -> None:
    pixels = np.random.default_rng(3).gamma(0.2, 1, (96, 192, 3)).astype(np.float32)
    pixels[:2, 5] = 4000
    seen = environment_map(pixels, look)
    before = (pixels * solid_angles(96)).sum((0, 1))
    assert (seen * solid_angles(32)).sum((0, 1)) == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("look", LOOKS)
def test_a_sun_stands_where_the_camera_has_it(look: np.ndarray) -> None:
    world = directions_in_world(128)
    pixels = np.zeros((128, 256, 3), np.float32)
    pixels[34, 71] = (9000, 6000, 3000)
    seen = environment_map(pixels, look)
    x, y, z = look[:3, :3].T @ world[34, 71]
    at_u, at_v = 0.5 + math.atan2(x, -z) / math.tau, 0.5 - math.asin(y) / math.pi
    row, column = np.unravel_index(seen[..., 0].argmax(), seen.shape[:2])
    assert abs((column + 0.5) / 64 - at_u) < 1 / 64
    assert abs((row + 0.5) / 32 - at_v) < 1 / 32
    # And it lights a surface that faces it with the power it had.
    power = pixels[34, 71] * solid_angles(128)[34, 71]
    assert irradiance(seen, np.array([x, y, z])) == pytest.approx(power, rel=0.01)


def test_what_the_camera_sees_is_in_the_middle_and_its_right_is_right() -> None:
    middle = map_directions()[15:17, 31:33].mean(axis=(0, 1))
    assert middle == pytest.approx([0, 0, -1], abs=0.01)
    assert map_directions()[16, 48, 0] > 0.99
    assert map_directions()[0, :, 1].min() > 0.99


def test_irradiance_is_the_integral_over_the_full_image() -> None:
    pixels = np.random.default_rng(4).gamma(0.1, 1, (64, 128, 3)).astype(np.float32)
    normals = np.random.default_rng(5).normal(size=(20, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosines = np.maximum(normals @ directions_in_world(64).reshape(-1, 3).T, 0)
    exact = cosines @ (pixels * solid_angles(64)).reshape(-1, 3)
    for look in LOOKS:
        mapped = irradiance(environment_map(pixels, look), normals @ look[:3, :3])
        assert mapped == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(("distance", "diameter"), [(4.0, 0.3), (4.0, 4.0), (1000.0, 250.0)])
@pytest.mark.parametrize("look", LOOKS)
def test_a_lamp_is_its_disc(distance: float, diameter: float, look: np.ndarray) -> None:
    towards = np.array([2.0, -1.0, 2.0]) / 3
    lamp = LampSpec(position=tuple(distance * towards), diameter=diameter, colour=(1.0, 0.5, 0.25))
    seen = lamp_map(lamp, look)
    # Of a disc that faces a surface: pi L sin² of its angular radius, with L pi r² / d² = pi x colour.
    faced = math.pi * np.array(lamp.colour) * distance**2 / (distance**2 + diameter**2 / 4)
    normal = look[:3, :3].T @ towards
    assert irradiance(seen, normal) == pytest.approx(faced, rel=0.01)
    assert irradiance(seen, -normal) == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_sun_and_a_dark_room_survive_one_file() -> None:
    radiance = np.geomspace(1e-4, 6e4, 3000).astype(np.float32)
    again = decode_field("light.npy", encode_field("light.npy", stored_light(radiance)))
    assert again.dtype == np.float16
    assert np.abs(again / radiance - 1).max() < 6e-4
    assert np.isfinite(stored_light(np.array([1e9]))).all()
