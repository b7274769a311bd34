"""A person in the shape of a character add-on's export: pose, mask, hair and size survive the import."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

pytestmark = pytest.mark.render


def test_pose_mask_skin_and_hair_are_as_they_were_saved(
    blender: BlenderClient, written_by: Callable[[str], Path]
) -> None:
    folder = written_by("write_people.py")
    info = blender.load_object(ObjectSpec(path=folder / "person.blend"))
    # The masked lower half of the body is gone, and its 8 corners with it: 8 and a card of 4 are left.
    assert info.num_vertices == 12
    # In metres; the body leans with its bone, so it is wider than it was modelled.
    assert 1.0 < max(info.extent) < 2.2
    assert max(info.extent[:2]) > 0.9
    blender.set_camera(CameraSpec(azimuth_rad=-math.pi / 2, elevation_rad=0.1, fov_x_rad=0.6), (96, 96))
    passes = blender.render(environment_path=folder / "soft.exr", seed=1)
    solid = passes.rgba[..., 3] > 0.99
    # Skin: sRGB (0.8, 0.5, 0.4) as its picture says, and not black for its subsurface.
    skin = solid & (passes.albedo[..., 0] > 1.5 * passes.albedo[..., 2])
    assert skin.mean() > 0.05
    assert passes.rgba[skin][:, :3].mean() > 0.02
    # Hair: every second strip of the card is open.
    row = passes.rgba[: 96 // 2, :, 3]
    changes = np.abs(np.diff((row > 0.5).astype(int), axis=1)).sum(axis=1).max()
    assert changes >= 6
