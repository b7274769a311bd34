"""Materials of the user's maps on receivers: size, colours, roughness, and which way their normals point."""

import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import (
    MAPPED,
    CameraSpec,
    ObjectSpec,
    PlacedObject,
    ReceiverSpec,
    RenderedPasses,
    SceneSpec,
    SurfaceSpec,
)
from tests.support.tiny_materials import BLENDERKIT, level, two_halves, write_material

pytestmark = pytest.mark.render

# From above, x to the right and y up the picture; the ground's middle two units are 48 pixels.
FROM_ABOVE = CameraSpec(azimuth_rad=-math.pi / 2, elevation_rad=1.55, fov_x_rad=0.3, fill=1.0)
SIDE = 48


def seen(blender: BlenderClient, files: Path, albedo: Path, **surface: object) -> RenderedPasses:
    """The ground alone, with the material whose albedo is given."""
    spec = SurfaceSpec(
        kind=MAPPED,
        colour=(1.0, 1.0, 1.0),
        accent=(1.0, 1.0, 1.0),
        roughness=1.0,
        material=str(albedo),
        **surface,
    )
    box = PlacedObject(object=ObjectSpec(path=files / "box.obj"), radius=1.4, standing=True)
    blender.load_scene(SceneSpec(objects=(box,), receivers=(ReceiverSpec(surface=spec),)))
    blender.set_camera(FROM_ABOVE, (SIDE, SIDE))
    return blender.render(environment_path=files / "soft.exr", seed=1, hidden=(0,))


def test_a_picture_has_its_size_on_the_ground_and_its_colours_are_decoded(
    blender: BlenderClient, files: Path, tmp_path: Path
) -> None:
    names = {"albedo": "floor_Color.png", "gloss": "floor_gloss.png", "ao": "floor_ao.png"}
    halves = two_halves((188, 0, 0), (0, 0, 188))
    maps = {"albedo": halves, "gloss": level(64), "ao": level(255)}
    folder = write_material(tmp_path, names, **maps)
    passes = seen(blender, files, folder / "floor_Color.png", cell=2.0)
    # A cell begins at the middle of the ground: red, then blue a unit further.
    row = passes.albedo[SIDE // 2]
    turns = np.flatnonzero(np.diff(np.argmax(row[:, [0, 2]], axis=1)))
    assert len(turns) >= 2
    widths = np.diff(turns)
    once = seen(blender, files, folder / "floor_Color.png", cell=1.0)
    finer = np.flatnonzero(np.diff(np.argmax(once.albedo[SIDE // 2][:, [0, 2]], axis=1)))
    assert np.mean(widths) == pytest.approx(2 * np.mean(np.diff(finer)), rel=0.15)
    # sRGB 188 is a reflectance of 0.5; dielectrics add a little gloss.
    assert row[:, 0].max() == pytest.approx(0.5, abs=0.06)
    # Gloss 64 of 255 is a roughness of 0.75.
    assert passes.roughness.mean() == pytest.approx(0.749, abs=0.01)
    assert passes.metallic.max() == 0


def test_both_conventions_of_normal_maps_say_the_same_and_turn_with_the_ground(
    blender: BlenderClient, files: Path, tmp_path: Path
) -> None:
    to_the_top = {"normal": level((128, 200, 233)), "normal_dx": level((128, 55, 233))}
    found = {}
    for role, name in (("normal", "a_NormalGL.png"), ("normal_dx", "a_NormalDX.png")):
        folder = tmp_path / role
        write_material(folder, {"albedo": "a_Color.png", role: name}, **to_the_top)
        found[role] = seen(blender, files, folder / "a_Color.png").shading_normal.mean(axis=(0, 1))
    expected = np.array([0, 200 / 127.5 - 1, 233 / 127.5 - 1])
    np.testing.assert_allclose(found["normal"], expected / np.linalg.norm(expected), atol=0.03)
    np.testing.assert_allclose(found["normal_dx"], found["normal"], atol=0.02)
    turned = seen(blender, files, tmp_path / "normal" / "a_Color.png", turn_rad=-math.pi / 2)
    # The pattern is turned counterclockwise by a quarter: its top points to -x.
    np.testing.assert_allclose(
        turned.shading_normal.mean(axis=(0, 1)), found["normal"][[1, 0, 2]] * [-1, 1, 1], atol=0.03
    )


def test_a_relief_without_a_normal_map_is_a_bump(blender: BlenderClient, files: Path, tmp_path: Path) -> None:
    names = {"albedo": "a_Color.png", "displacement": "a_Displacement.png"}
    folder = write_material(tmp_path, names, displacement=two_halves(0, 255))
    passes = seen(blender, files, folder / "a_Color.png", cell=1.0)
    assert np.abs(passes.shading_normal[..., 0]).max() > 0.05
    assert np.abs(passes.normal[..., 0]).max() < 1e-3


def test_a_map_that_blender_cannot_read_is_refused_by_its_name(
    blender: BlenderClient, files: Path, tmp_path: Path
) -> None:
    folder = write_material(tmp_path, BLENDERKIT)
    (folder / BLENDERKIT["gloss"]).write_bytes(b"no picture")
    with pytest.raises(AssetError, match="Glossiness"):
        seen(blender, files, folder / BLENDERKIT["albedo"])
