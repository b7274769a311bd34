"""Smooth metal and glass get a wider lighting copy, by a stated rule, down to a roughness of 0.05."""

import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.families import object_parts
from pairbridge.datagen.blender.materials.material_kinds import sharpest
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.equirect import Environment, lighting_copy
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec


def test_a_texel_of_the_copy_is_never_wider_than_the_lobe_of_the_smoothest_material() -> None:
    settings = RenderSettings()
    for roughness in np.linspace(0.04, 1.0, 97):
        width = settings.lighting_copy_width_for(float(roughness))
        # GGX falls to half at tan(h) = 0.644 alpha; the reflection turns by twice the half vector's angle.
        alpha = roughness**2
        lobe_rad = 2 * 2 * math.atan(alpha * math.sqrt(math.sqrt(2) - 1))
        assert math.tau / width < 1.02 * lobe_rad
        assert width >= settings.lighting_copy_width
        # No wider than it has to be.
        assert width == settings.lighting_copy_width or math.tau / (width - 32) > 0.98 * lobe_rad
    assert settings.lighting_copy_width_for(1.0) == settings.lighting_copy_width
    assert settings.lighting_copy_width_for(0.05) == 992
    assert settings.lighting_copy_width_for(0.0) == settings.lighting_copy_width_for(0.01) == 2048


def sphere(folder: Path, *, roughness: float, metallic: float) -> Path:
    """A Wavefront OBJ of a smooth sphere with one Principled material."""
    rings, sides = 24, 48
    lines, normals = ["mtllib skin.mtl"], []
    for ring in range(rings + 1):
        for side in range(sides):
            theta, phi = math.pi * ring / rings, math.tau * side / sides
            point = (math.sin(theta) * math.cos(phi), math.cos(theta), math.sin(theta) * math.sin(phi))
            lines.append("v {:.6f} {:.6f} {:.6f}".format(*point))
            normals.append("vn {:.6f} {:.6f} {:.6f}".format(*point))
    lines += [*normals, "usemtl skin", "s 1"]
    for ring in range(rings):
        for side in range(sides):
            here, beside = ring * sides + side + 1, ring * sides + (side + 1) % sides + 1
            corners = (beside, beside + sides, here + sides, here)
            lines.append("f " + " ".join(f"{corner}//{corner}" for corner in corners))
    folder.mkdir()
    (folder / "sphere.obj").write_text("\n".join(lines) + "\n")
    (folder / "skin.mtl").write_text(f"newmtl skin\nKd 0.8 0.8 0.8\nPr {roughness}\nPm {metallic}\n")
    return folder / "sphere.obj"


def client(root: Path, **settings: object) -> BlenderClient:
    return BlenderClient(
        RenderSettings(**settings),
        scratch_dir=root,
        log_path=root / "blender.log",
        threads=2,
        limits=ProcessLimits(request_timeout_s=300),
    )


@pytest.mark.render
def test_the_smoothest_metal_of_a_scene_is_found(tmp_path: Path) -> None:
    with client(tmp_path) as blender:
        for roughness, metallic, expected in ((0.05, 1.0, 0.05), (0.3, 1.0, 0.3), (0.05, 0.0, 1.0)):
            path = sphere(tmp_path / f"{roughness}-{metallic}", roughness=roughness, metallic=metallic)
            blender.load_object(ObjectSpec(path=path))
            assert blender.smoothest == pytest.approx(expected, abs=1e-6)
        for seed in (1, 2):
            # The nodes of an embedded object paint its roughness; what it states counts.
            blender.load_object(ObjectSpec(family="mug", seed=seed))
            stated = min(sharpest(part.material) for part in object_parts("mug", seed))
            assert blender.smoothest == pytest.approx(stated, abs=1e-6)


def lamps() -> np.ndarray:
    """A room with many small lamps: what a copy that is too coarse would smear, (512, 1024, 3)."""
    room = np.full((512, 1024, 3), 0.15, np.float32)
    for row in range(40, 480, 40):
        for column in range(20 + row % 80, 1020, 64):
            room[row : row + 3, column : column + 3] = 6.0
    return room


@pytest.mark.long
@pytest.mark.render
def test_the_wider_copy_shows_a_mirror_what_the_full_file_does(tmp_path: Path) -> None:
    path = sphere(tmp_path / "mirror", roughness=0.05, metallic=1.0)
    seen = {}
    rule = RenderSettings().lighting_copy_width_for(0.05)
    for width in (1024, rule, 160):
        # The map is never narrower than the rule says, and as wide as a wider copy.
        with client(tmp_path, samples=512, lighting_copy_width=width) as blender:
            blender.load_object(ObjectSpec(path=path))
            blender.set_camera(CameraSpec(azimuth_rad=0.0, elevation_rad=0.2, fov_x_rad=0.6), (96, 96))
            assert blender.smoothest == pytest.approx(0.05, abs=1e-6)
            copy = tmp_path / f"{width}.exr"
            write_exr(copy, lighting_copy(Environment(lamps()), width))
            passes = blender.render(environment_path=copy, seed=3)
            seen[width] = np.clip(passes.rgba[..., :3], 0, 1)[passes.rgba[..., 3] > 0.5]

    def loss_db(width: int) -> float:
        return float(-10 * np.log10(((seen[width] - seen[1024]) ** 2).mean()))

    assert loss_db(rule) > 42
    assert loss_db(160) < loss_db(rule) - 8


@pytest.mark.render
def test_glass_has_one_alpha_under_every_light_and_lets_light_to_what_is_below(tmp_path: Path) -> None:
    glass = next(
        seed
        for seed in range(200)
        if any(part.material.kind == "glass" and part.name == "body" for part in object_parts("vase", seed))
    )
    found = []
    with client(tmp_path, samples=16) as blender:
        blender.load_object(ObjectSpec(family="vase", seed=glass))
        blender.set_camera(CameraSpec(azimuth_rad=0.4, elevation_rad=0.3, fov_x_rad=0.6), (48, 48))
        for number, level in enumerate((0.2, 1.0)):
            light = lamps() if number else np.full((32, 64, 3), level, np.float32)
            path = tmp_path / f"light{number}.exr"
            write_exr(path, light)
            found.append(blender.render(environment_path=path, seed=5))
    first, second = found
    np.testing.assert_array_equal(first.rgba[..., 3], second.rgba[..., 3])
    np.testing.assert_array_equal(first.depth, second.depth)
    inside = first.rgba[..., 3] > 0.999
    assert inside.mean() > 0.05
    # A furnace: clear glass gives on what it gets, no more, and is not black inside.
    shown = first.rgba[..., :3][inside].mean(axis=1) / 0.2
    assert np.percentile(shown, 95) < 1.1
    assert np.median(shown) > 0.3
