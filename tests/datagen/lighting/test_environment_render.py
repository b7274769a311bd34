"""The background computed in NumPy is the one Cycles renders."""

import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.equirect import background, lighting_copy, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec
from pairbridge.datagen.sourcing.sources import build_catalogue

TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"


@pytest.mark.render
@pytest.mark.parametrize(
    ("hdri", "rotation_rad", "azimuth_rad", "elevation_rad", "fov_deg", "size_WH"),
    [("forest", 1.1, 0.4, 0.3, 40, (128, 96)), ("interior", 4.0, 2.0, -0.4, 70, (96, 128))],
)
def test_a_composite_matches_an_opaque_render(
    tmp_path: Path,
    hdri: str,
    rotation_rad: float,
    azimuth_rad: float,
    elevation_rad: float,
    fov_deg: float,
    size_WH: tuple[int, int],
) -> None:
    from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits

    path = build_catalogue(AssetsConfig(), None).get(hdri).path
    environment = load_environment(path)
    factor = normalising_factor(environment, picture=0.4, limit=1.0)
    (tmp_path / "object.obj").write_text(TETRAHEDRON)
    camera = CameraSpec(
        azimuth_rad=azimuth_rad, elevation_rad=elevation_rad, fov_x_rad=math.radians(fov_deg), fill=0.3
    )
    settings = RenderSettings(samples=64, max_bounces=1, diffuse_bounces=1)
    with BlenderClient(
        settings, scratch_dir=tmp_path, log_path=tmp_path / "log", threads=1, limits=ProcessLimits()
    ) as blender:
        blender.load_object(ObjectSpec(path=tmp_path / "object.obj"))
        pose = blender.set_camera(camera, size_WH)
        write_exr(tmp_path / "turned.exr", lighting_copy(environment, 1024, rotation_rad))
        request = {"environment_path": tmp_path / "turned.exr", "seed": 1}
        opaque = blender.render_opaque(**request)
        rgba = blender.render(**request).rgba
    seen = background(environment, np.array(pose.camera_to_world), pose.fov_x_rad, size_WH, rotation_rad)
    view = ViewTransform()
    expected = view.apply(factor * opaque).astype(float)
    composite = view.apply(factor * over_linear(rgba, seen))
    empty = rgba[..., 3] == 0
    assert 0.5 < empty.mean() < 0.99
    psnr_background = 10 * math.log10(255**2 / np.mean((expected - composite)[empty] ** 2))
    psnr_all = 10 * math.log10(255**2 / np.mean((expected - composite) ** 2))
    # what is left is the pixel filter (1.5 pixels wide against a box) and Cycles' own noise
    assert psnr_background > 35
    assert psnr_all > 33
