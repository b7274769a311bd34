"""Interiors: rooms drawn by seed, and what is rendered of one in the light of its windows and lamps."""

import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.lighting.baking.baked import bake_interior
from pairbridge.datagen.lighting.equirect import LUMINANCE, equirect_directions
from pairbridge.datagen.lighting.indoor.interiors import (
    closed_seam,
    draw_interior,
    interior_light,
    interior_spec,
)

TRAIN = ["chair", "vase", "books"]


def test_rooms_are_functions_of_their_seed_and_hold_families_of_their_split_alone() -> None:
    for number in range(30):
        params = draw_interior(rng(number, "interior"), TRAIN)
        first, again = (interior_spec(params, rng(params["seed"], "room")) for _ in range(2))
        assert first == again
        assert {prop.family for prop in first.props} <= set(TRAIN)
        assert not interior_spec({**params, "families": []}, rng(params["seed"], "room")).props


def test_the_camera_stands_free_and_windows_are_within_their_walls() -> None:
    for number in range(40):
        params = draw_interior(rng(number, "interior"), TRAIN)
        spec = interior_spec(params, rng(params["seed"], "room"))
        x, y, z = spec.camera
        assert 1.2 <= z <= 1.7
        assert min(x, y, spec.size[0] - x, spec.size[1] - y) > 0.85
        for block in spec.blocks:
            # Above a rug one stands, below a lamp too.
            if block.at[2] - block.size[2] / 2 < 1.9 and block.size[2] > 0.1:
                reach = math.hypot(block.size[0], block.size[1]) / 2
                assert math.hypot(block.at[0] - x, block.at[1] - y) > min(0.15, reach)
        for window in spec.windows:
            length = spec.size[0] if window.wall % 2 == 0 else spec.size[1]
            assert 0 < window.middle_m - window.width_m / 2 < window.middle_m + window.width_m / 2 < length
            assert window.sill_m + window.height_m < spec.size[2]


def test_a_denoised_panorama_closes_and_keeps_its_energy() -> None:
    azimuth = np.linspace(0.9, 1.1, 200)[None, :, None]
    panorama = np.broadcast_to(azimuth, (100, 200, 3)).astype(np.float32)
    closed = closed_seam(panorama)
    assert abs(closed[:, 0] - closed[:, -1]).max() < 0.01
    assert closed.mean() == pytest.approx(panorama.mean(), rel=0.01)


@pytest.mark.render
def test_a_room_is_lit_by_the_window_that_it_shows(tmp_path: Path) -> None:
    params = draw_interior(rng(2, "interior"), ["vase"]) | {"hour": "day", "width": 96, "room": "bedroom"}
    # Without a sun whose patch on the floor could outshine the window.
    params["outside"] |= {"weather": "overcast"}
    settings, limits = RenderSettings(), ProcessLimits()
    (tmp_path / "scratch").mkdir()
    with BlenderClient(
        settings, scratch_dir=tmp_path / "scratch", log_path=tmp_path / "log", threads=1, limits=limits
    ) as blender:
        pixels, light = bake_interior(params, blender)
        again, _ = bake_interior(params, blender)
    assert pixels.tobytes() == again.tobytes()
    spec = interior_spec(params, rng(params["seed"], "room"))
    assert light == interior_light(spec)
    luminance, directions = pixels @ LUMINANCE, equirect_directions(96, 48)
    windows = np.array(light["windows"])
    through = max(
        float(np.median(luminance[directions @ window > math.cos(math.radians(6))])) for window in windows
    )
    assert through > 4 * np.median(luminance)
    # The light's own direction: luminance above the walls', by solid angle.
    weight = np.maximum(luminance - 2 * np.median(luminance), 0)[..., None] * np.sqrt(
        1 - directions[..., 2:] ** 2
    )
    dominant = (directions * weight).sum(axis=(0, 1))
    dominant /= np.linalg.norm(dominant)
    lights = np.array([*light["windows"], *light["lamps"]])
    assert (lights @ dominant).max() > math.cos(math.radians(40))
