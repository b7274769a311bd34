"""Cycles' depth of field against the thin lens, and the blurred background against Cycles' own."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.lighting.defocused import defocused_background, defocused_ground, disc
from pairbridge.datagen.lighting.equirect import Environment
from pairbridge.datagen.scene.specs import CameraPose, CameraSpec, ObjectSpec

# A large card far away, whose right edge is seen upright, and a small one near: the lens is focused between.
CARDS = """v -1.4 2 -0.7
v 0 2 -0.7
v 0 2 0.7
v -1.4 2 0.7
v 0.5 -1 -0.1
v 0.7 -1 -0.1
v 0.7 -1 0.1
v 0.5 -1 0.1
f 1 2 3 4
f 5 6 7 8
"""
DEFOCUS = 0.12


@pytest.mark.render
def test_an_edge_is_as_wide_as_the_thin_lens_makes_it(blender: BlenderClient, tmp_path: Path) -> None:
    (tmp_path / "cards.obj").write_text(CARDS)
    write_exr(tmp_path / "even.exr", np.ones((8, 16, 3), np.float32))
    view = {"azimuth_rad": -math.pi / 2, "elevation_rad": 0.0, "fov_x_rad": 0.6, "fill": 0.9}
    blender.load_object(ObjectSpec(path=tmp_path / "cards.obj", up="z"))
    widths = []
    for defocus in (0.0, DEFOCUS):
        pose = blender.set_camera(CameraSpec(**view, defocus=defocus), (160, 120))
        passes = blender.render(environment_path=tmp_path / "even.exr", seed=2)
        # Rows between the ends of the far card's edge.
        alpha = passes.rgba[45:75, :110, 3].mean(axis=0)
        falls = np.clip(-np.diff(alpha[20:]), 0, None)
        at = np.arange(len(falls))
        middle = (falls * at).sum() / falls.sum()
        widths.append(math.sqrt((falls * (at - middle) ** 2).sum() / falls.sum()))
        far = passes.depth[60, 40]
    sharp, soft = widths
    assert far > pose.focus_distance
    diameter_px = DEFOCUS * 160 * (far - pose.focus_distance) / far
    assert diameter_px > 4
    # The spread of a disc's projection is a quarter of its diameter; the pixel's filter adds its own.
    assert math.sqrt(soft**2 - sharp**2) == pytest.approx(diameter_px / 4, rel=0.1)
    assert sharp < 0.7


@pytest.mark.render
def test_the_background_is_blurred_as_cycles_blurs_it(blender: BlenderClient, tmp_path: Path) -> None:
    (tmp_path / "cards.obj").write_text(CARDS)
    pixels = np.full((256, 512, 3), 0.1, np.float32)
    pixels[100:150:10] = (0.9, 0.5, 0.2)
    pixels[:, ::24] = (0.2, 0.4, 0.9)
    write_exr(tmp_path / "grid.exr", pixels)
    blender.load_object(ObjectSpec(path=tmp_path / "cards.obj", up="z"))
    camera = CameraSpec(
        azimuth_rad=0.5, elevation_rad=0.1, fov_x_rad=0.9, fill=0.3, roll_rad=0.1, defocus=0.07
    )
    pose = blender.set_camera(camera, (96, 72))
    opaque = blender.render_opaque(environment_path=tmp_path / "grid.exr", seed=1)
    empty = blender.render(environment_path=tmp_path / "grid.exr", seed=1).rgba[..., 3] == 0
    assert 0.5 < empty.mean() < 0.99
    seen = defocused_background(Environment(pixels), pose, (96, 72), 0.0)
    pinhole = dataclasses.replace(pose, defocus=0.0)
    sharp = defocused_background(Environment(pixels), pinhole, (96, 72), 0.0)
    error, without = (np.abs(picture - opaque)[empty].mean() for picture in (seen, sharp))
    assert error < 0.02
    assert error < without / 4


@pytest.mark.render
def test_the_lens_is_the_same_under_every_lighting(blender: BlenderClient, tmp_path: Path) -> None:
    (tmp_path / "cards.obj").write_text(CARDS)
    for number in range(2):
        write_exr(tmp_path / f"{number}.exr", np.full((8, 16, 3), 1.0 + number, np.float32))
    blender.load_object(ObjectSpec(path=tmp_path / "cards.obj", up="z"))
    blender.set_camera(CameraSpec(azimuth_rad=-1, elevation_rad=0.2, fov_x_rad=0.6, defocus=0.1), (48, 48))
    first, other = (
        blender.render(environment_path=tmp_path / f"{number}.exr", seed=4).rgba[..., 3]
        for number in range(2)
    )
    assert first.tobytes() == other.tobytes()
    assert ((first > 0.05) & (first < 0.95)).sum() > 20


@pytest.mark.parametrize("diameter_px", [0.6, 1.0, 3.3, 12.0, 25.5])
def test_a_disc_has_the_spread_of_a_disc(diameter_px: float) -> None:
    kernel = disc(diameter_px)
    at = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    spread = math.sqrt((kernel.sum(axis=0) * at**2).sum())
    # A pixel that is partly covered counts from its middle: a twelfth of a pixel's square.
    assert spread**2 == pytest.approx((diameter_px / 4) ** 2, abs=0.1)


def test_a_ground_is_sharp_where_the_lens_is_focused_and_soft_as_its_depth_says() -> None:
    pose = CameraPose(
        camera_to_world=tuple(map(tuple, np.eye(4).tolist())),
        fov_x_rad=0.6,
        distance=4.0,
        defocus=0.1,
        focus_distance=4.0,
    )
    point = np.zeros((81, 81, 3), np.float32)
    point[40, 40] = 1.0
    for depth, diameter_px in ((4.0, 0.0), (8.0, 4.05), (0.0, 8.1)):
        seen = defocused_ground(point, np.full((81, 81), depth, np.float32), pose)
        assert seen[..., 0].sum() == pytest.approx(1, abs=1e-5)
        at = np.arange(81) - 40
        spread = (seen[..., 0].sum(axis=0) * at**2).sum()
        assert spread == pytest.approx((diameter_px / 4) ** 2, rel=0.25, abs=0.02)
