"""Lightings: measuring, averaging, resampling, and files that are broken."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import exr_attribute, write_exr
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.lighting.equirect import (
    Environment,
    background,
    equirect_directions,
    lighting_copy,
    load_environment,
    sample_directions,
)
from pairbridge.datagen.lighting.exposure import normalising_factor


def smooth(width: int = 256) -> np.ndarray:
    """A lighting whose value is a known function of direction."""
    directions = equirect_directions(width, width // 2)
    return (1.5 + directions).astype(np.float32)


def look_at(azimuth_rad: float, elevation_rad: float) -> np.ndarray:
    """camera_to_world of a camera that looks along the given direction, Z up."""
    forward = np.array(
        [
            math.cos(elevation_rad) * math.cos(azimuth_rad),
            math.cos(elevation_rad) * math.sin(azimuth_rad),
            math.sin(elevation_rad),
        ]
    )
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(right, forward), -forward], axis=1)
    return pose


def test_mean_luminance_weights_rows_by_solid_angle() -> None:
    assert Environment(np.full((64, 128, 3), 0.7, np.float32)).mean_luminance == pytest.approx(0.7)
    upper = np.zeros((64, 128, 3), np.float32)
    upper[:32] = 1
    assert Environment(upper).mean_luminance == pytest.approx(0.5)
    # a cap of 30 degrees about the pole covers (1 - cos 30) / 2 of the sphere, though a sixth of the rows
    cap = np.zeros((192, 384, 3), np.float32)
    cap[:32] = 1
    assert Environment(cap).mean_luminance == pytest.approx((1 - math.cos(math.radians(30))) / 2, rel=1e-3)


def test_normalising_meters_the_picture_and_bounds_the_light() -> None:
    flat = Environment(np.full((64, 128, 3), 3.0, np.float32))
    assert normalising_factor(flat, picture=0.4, limit=1.0) * 3 == pytest.approx(0.4)
    sunny = np.full((64, 128, 3), 0.1, np.float32)
    sunny[10, 20] = 2e4
    sun = Environment(sunny)
    assert sun.picture_luminance == pytest.approx(0.1, rel=1e-3)
    factor = normalising_factor(sun, picture=0.4, limit=1.0)
    assert factor * sun.mean_luminance == pytest.approx(1.0)
    twice = Environment(sunny * 2)
    assert normalising_factor(twice, picture=0.4, limit=1.0) == pytest.approx(factor / 2)


def test_lighting_copy_keeps_the_energy_of_a_sun() -> None:
    pixels = np.full((512, 1024, 3), 0.2, np.float32)
    pixels[100:102, 400:402] = 3e4
    small = lighting_copy(Environment(pixels), 256)
    assert small.shape == (128, 256, 3)
    assert small.mean() == pytest.approx(pixels.mean(), rel=1e-5)
    np.testing.assert_allclose(lighting_copy(Environment(small), 256), small, rtol=1e-5)


def test_a_turned_copy_shows_the_lighting_where_the_background_does() -> None:
    pixels = np.random.default_rng(5).random((64, 128, 3), np.float32)
    pixels[20, 37] = 500
    lighting, column = Environment(pixels), math.tau / 64
    plain = lighting_copy(lighting, 64)
    # By whole columns it is the plain copy, moved; a whole turn changes nothing.
    for columns in (0, 1, 17, 64, -5):
        turned = lighting_copy(lighting, 64, columns * column)
        np.testing.assert_allclose(turned, np.roll(plain, columns, axis=1), rtol=1e-4, atol=1e-4)
    # By half of one, each column shares its light between two.
    half = lighting_copy(lighting, 64, 0.5 * column)
    assert half.mean() == pytest.approx(plain.mean(), rel=1e-6)
    shared = np.roll(pixels, 1, axis=1).reshape(32, 2, 64, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(half, shared, rtol=1e-4, atol=1e-4)
    # The sun stands where a camera would see it.
    turned = lighting_copy(lighting, 64, 1.1)
    row, column_of_sun = np.unravel_index(turned.sum(-1).argmax(), turned.shape[:2])
    direction = equirect_directions(64, 32)[row, column_of_sun]
    cos, sin = math.cos(1.1), math.sin(1.1)
    seen = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ direction
    sun = equirect_directions(128, 64)[20, 37]
    assert math.acos(min(float(seen @ sun), 1.0)) < math.tau / 64


def test_a_lighting_smaller_than_its_copy_keeps_its_mean() -> None:
    pixels = np.random.default_rng(6).random((16, 32, 3), np.float32)
    copy = lighting_copy(Environment(pixels), 256, 0.7)
    assert copy.shape == (128, 256, 3)
    assert copy.mean() == pytest.approx(pixels.mean(), rel=0.02)


def test_samples_return_texels_at_their_own_directions() -> None:
    pixels = np.random.default_rng(3).random((32, 64, 3), np.float32)
    found = sample_directions(pixels, equirect_directions(64, 32))
    assert np.abs(found - pixels).max() < 1e-4


def test_samples_are_continuous_across_the_seam() -> None:
    pixels = smooth(64)
    angles = math.pi + np.linspace(-0.1, 0.1, 81)
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)[None]
    found = sample_directions(pixels, ring)[0]
    assert np.abs(found - (1.5 + ring[0])).max() < 0.01
    assert np.abs(np.diff(found, axis=0)).max() < 0.01


@pytest.mark.parametrize("rotation_deg", [0.0, 75.0, 200.0])
def test_background_is_the_lighting_along_each_ray(rotation_deg: float) -> None:
    pose, fov, rotation = look_at(0.7, 0.3), math.radians(50), math.radians(rotation_deg)
    seen = background(Environment(smooth(1024)), pose, fov, (96, 64), rotation)
    assert seen.shape == (64, 96, 3)
    half = math.tan(fov / 2)
    x = ((np.arange(96) + 0.5) / 96 * 2 - 1) * half
    y = (1 - (np.arange(64) + 0.5) / 64 * 2) * half * 64 / 96
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], -1.0), axis=-1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ pose[:3, :3].T
    cos, sin = math.cos(rotation), math.sin(rotation)
    turned = np.stack(
        [cos * rays[..., 0] - sin * rays[..., 1], sin * rays[..., 0] + cos * rays[..., 1], rays[..., 2]],
        axis=-1,
    )
    assert np.abs(seen - (1.5 + turned)).max() < 5e-3


def test_background_of_a_detailed_lighting_is_averaged_not_aliased() -> None:
    checks = np.indices((1024, 2048)).sum(axis=0) % 2
    fine = Environment(np.repeat(checks[..., None], 3, axis=2).astype(np.float32))
    seen = background(fine, look_at(0.2, 0.0), math.radians(90), (48, 48), 0.0)
    assert seen.mean() == pytest.approx(0.5, abs=0.01)
    assert seen.std() < 0.03


def test_written_lightings_come_back_with_their_attributes_and_equal_bytes(tmp_path: Path) -> None:
    pixels = smooth(64) * 1e5
    first, second = tmp_path / "a.exr", tmp_path / "b.exr"
    write_exr(first, pixels, {"made_from": '{"a":1}'})
    write_exr(second, pixels, {"made_from": '{"a":1}'})
    assert first.read_bytes() == second.read_bytes()
    assert (load_environment(first).pixels == pixels).all()
    assert exr_attribute(first, "made_from") == '{"a":1}'
    assert exr_attribute(first, "absent") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.exr", "b.exr"]


def test_radiance_files_load_and_negative_light_becomes_zero(tmp_path: Path) -> None:
    pixels = smooth(64)
    cv2.imwrite(str(tmp_path / "a.hdr"), pixels[..., ::-1])
    assert load_environment(tmp_path / "a.hdr").pixels == pytest.approx(pixels, rel=0.02)
    write_exr(tmp_path / "b.exr", pixels - 2)
    assert load_environment(tmp_path / "b.exr").pixels.min() == 0


@pytest.mark.parametrize(
    ("name", "fault", "reason"),
    [
        ("empty.exr", "empty_file", "damaged"),
        ("noise.exr", "damaged", "damaged"),
        ("cut.exr", "damaged", "damaged"),
        ("infinite.exr", "not_finite", "infinities"),
        ("nan.exr", "not_finite", "NaN"),
        ("tiny.exr", "not_equirectangular", "1x1"),
        ("square.exr", "not_equirectangular", "64x64"),
        ("black.exr", "black", "black"),
        ("nova.exr", "out_of_range", "1e+12"),
        ("empty.hdr", "damaged", "it is empty"),
        ("noise.hdr", "damaged", "does not begin as"),
    ],
)
def test_broken_lightings_are_named(tmp_path: Path, name: str, fault: str, reason: str) -> None:
    path = tmp_path / name
    if name.startswith("empty"):
        path.write_bytes(b"")
    elif name.startswith("noise"):
        path.write_bytes(np.random.default_rng(4).bytes(5000))
    elif name == "cut.exr":
        write_exr(tmp_path / "whole.exr", np.random.default_rng(5).random((64, 128, 3), np.float32))
        path.write_bytes((tmp_path / "whole.exr").read_bytes()[:20000])
    elif name in ("infinite.exr", "nan.exr", "nova.exr"):
        pixels = smooth(64)
        pixels[3, 4] = {"infinite": np.inf, "nan": np.nan, "nova": 1e12}[path.stem]
        write_exr(path, pixels)
    elif name == "square.exr":
        write_exr(path, np.ones((64, 64, 3), np.float32))
    elif name == "tiny.exr":
        write_exr(path, np.ones((1, 1, 3), np.float32))
    else:
        write_exr(path, np.zeros((4, 8, 3), np.float32))
    with pytest.raises(AssetError) as refused:
        load_environment(path)
    assert refused.value.fault == fault
    assert name in refused.value.cause
    assert reason in refused.value.cause
