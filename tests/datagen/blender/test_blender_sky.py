"""Baked skies against the live sky and against the sun's place in it."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.blender.exr_passes import read_passes
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.equirect import (
    LUMINANCE,
    equirect_directions,
    lighting_copy,
    load_environment,
)
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, SkySpec

pytestmark = pytest.mark.render

WIDTH = 512


def solid_angle_weights() -> np.ndarray:
    """Steradians of each texel of a panorama, (H, 1)."""
    edges = np.sin(np.linspace(math.pi / 2, -math.pi / 2, WIDTH // 2 + 1))
    return (-np.diff(edges) * math.tau / WIDTH)[:, None]


def bake(blender: BlenderClient, path: Path, **sky: float) -> np.ndarray:
    blender.bake_sky(SkySpec(**sky), WIDTH, path)
    return load_environment(path).pixels


def test_an_object_under_the_baked_sky_looks_as_under_the_live_one(
    blender: BlenderClient, files: Path, tmp_path: Path
) -> None:
    sky = SkySpec(sun_elevation_rad=0.6, sun_rotation_rad=2.5, altitude_m=300.0, air=1.2, dust=2.0)
    camera = CameraSpec(azimuth_rad=0.7, elevation_rad=0.5, fov_x_rad=0.7)
    live = tmp_path / "live.exr"
    command = [sys.executable, str(Path(__file__).with_name("direct_sky.py")), str(files / "box.obj")]
    command += [json.dumps(dataclasses.asdict(value)) for value in (sky, camera)]
    subprocess.run([*command, "96", str(live)], check=True, timeout=120, stdout=subprocess.DEVNULL)
    expected = read_passes(str(live), 0.0, 0).rgba

    blender.bake_sky(sky, WIDTH, tmp_path / "baked.exr")
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    blender.set_camera(camera, (96, 96))
    # As recipes do: a copy as wide as the importance map.
    copy = lighting_copy(load_environment(tmp_path / "baked.exr"), RenderSettings().lighting_copy_width)
    write_exr(tmp_path / "copy.exr", copy)
    baked = blender.render(environment_path=tmp_path / "copy.exr", seed=1).rgba

    inside = expected[..., 3] == 1
    a, b = expected[inside][:, :3], baked[inside][:, :3]
    # A lit and a shaded side must be seen, or direction would not be tested.
    assert a.max() / a.min() > 3
    np.testing.assert_allclose(b.mean(axis=0), a.mean(axis=0), rtol=0.02)
    scale = 1 / np.percentile(a, 99)
    a, b = (np.clip(image * scale, 0, 1) ** (1 / 2.2) for image in (a, b))
    assert -10 * math.log10(np.mean((a - b) ** 2)) > 30


@pytest.mark.parametrize(
    ("elevation_deg", "rotation_rad"), [(3.0, 0.0), (35.0, 1.57), (35.0, 4.71238898), (88.0, 2.0)]
)
def test_the_sun_is_where_blender_puts_it_with_one_energy_at_every_rotation(
    blender: BlenderClient, tmp_path: Path, elevation_deg: float, rotation_rad: float
) -> None:
    elevation = math.radians(elevation_deg)
    pixels = bake(blender, tmp_path / "sky.exr", sun_elevation_rad=elevation, sun_rotation_rad=rotation_rad)
    azimuth = math.pi / 2 - rotation_rad
    sun = [
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    ]
    directions = equirect_directions(WIDTH, WIDTH // 2)
    power = (pixels @ LUMINANCE) * solid_angle_weights()
    near = directions @ sun > math.cos(math.radians(2))
    centroid = (directions * np.where(near, power, 0)[..., None]).sum(axis=(0, 1))
    assert math.degrees(math.acos(centroid @ sun / np.linalg.norm(centroid))) < 0.15
    # 2 degrees hold the disc: far from it the sky is thousands of times dimmer.
    assert pixels[near].max() > 300 * pixels[~near & (directions[..., 2] > 0)].mean()

    turned = bake(
        blender, tmp_path / "turned.exr", sun_elevation_rad=elevation, sun_rotation_rad=rotation_rad + 0.777
    )
    turned_power = (turned @ LUMINANCE) * solid_angle_weights()
    assert turned_power.sum() == pytest.approx(power.sum(), rel=0.01)


def test_equal_skies_give_equal_bytes_after_other_work(
    blender: BlenderClient, files: Path, tmp_path: Path
) -> None:
    sky = {"sun_elevation_rad": 0.2, "sun_rotation_rad": 1.0, "ozone": 2.0}
    bake(blender, tmp_path / "a.exr", **sky)
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    bake(blender, tmp_path / "other.exr", sun_elevation_rad=1.0, sun_rotation_rad=0.0)
    bake(blender, tmp_path / "b.exr", **sky)
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()
