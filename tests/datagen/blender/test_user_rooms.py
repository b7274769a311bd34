"""Rooms from files: where objects stand in them, from where they are seen, and what is refused."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, PlacedObject, RoomSpec, SceneSpec

pytestmark = pytest.mark.render

VIEW = CameraSpec(azimuth_rad=0.3, elevation_rad=0.35, fov_x_rad=0.7, fill=0.6)
SIZE_WH = (64, 48)


@pytest.fixture(scope="module")
def rooms(written_by: Callable[[str], Path]) -> Path:
    return written_by("write_rooms.py")


def enter(blender: BlenderClient, path: Path, *, seed: int = 1, lights: bool = True, size_m: float = 0.12):
    """A mug in the room, seen; how the room was put around it."""
    mug = PlacedObject(
        object=ObjectSpec(family="mug", seed=4), standing=True, size_m=size_m, size_from="family"
    )
    blender.load_scene(SceneSpec(objects=(mug,), room=RoomSpec(path=path, seed=seed, lights=lights)))
    pose = blender.set_camera(VIEW, SIZE_WH)
    return pose, blender.room


@pytest.mark.parametrize("name", ["room.glb", "room.blend"])
def test_objects_stand_on_the_floor_or_the_table_and_the_camera_is_inside(
    name: str, blender: BlenderClient, rooms: Path
) -> None:
    heights = set()
    for seed in range(6):
        pose, how = enter(blender, rooms / name, seed=seed)
        x, y, z = how["place"]
        heights.add(round(z, 2))
        # From the world to the room: the objects' origin is the place.
        turn, unit = how["turn_rad"], how["units_per_world_unit"]
        cx, cy, cz = unit * np.array(pose.camera_to_world)[:3, 3]
        eye = (
            x + math.cos(turn) * cx + math.sin(turn) * cy,
            y - math.sin(turn) * cx + math.cos(turn) * cy,
            z + cz,
        )
        assert abs(eye[0]) < 2
        assert abs(eye[1]) < 2.5
        assert 0 < eye[2] < 2.6
    assert heights <= {0.0, 0.75}
    assert 0.75 in heights


def test_a_marked_place_is_where_objects_stand(blender: BlenderClient, rooms: Path) -> None:
    _, how = enter(blender, rooms / "marked.glb", seed=5)
    np.testing.assert_allclose(how["place"], (0.2, 0.0, 0.75), atol=1e-3)


def test_a_room_is_seen_behind_the_object_and_its_lamps_can_be_switched(
    blender: BlenderClient, rooms: Path
) -> None:
    request = {"environment_path": rooms / "soft.exr", "seed": 3, "strength": 0.05}
    enter(blender, rooms / "room.glb")
    lit = blender.render(**request)
    assert lit.rgba[..., 3].mean() > 0.9  # closed, but for its window
    assert 0.05 < lit.coverage[0].mean() < 0.6
    # Six walls of a known colour: nothing of the room counts as the object.
    outline = blender.silhouette(0, seed=3)
    np.testing.assert_allclose(outline, lit.coverage[0], atol=0.35)
    assert np.abs(outline - lit.coverage[0]).mean() < 0.02
    again = blender.render(**request)
    np.testing.assert_array_equal(lit.noisy, again.noisy)
    gone = blender.render(**request, hidden=(0,))
    assert gone.coverage[0].max() == 0
    assert gone.rgba[..., 3].mean() > 0.9
    enter(blender, rooms / "room.glb", lights=False)
    dark = blender.render(**request)
    assert dark.rgba[..., :3].mean() < 0.5 * lit.rgba[..., :3].mean()


def test_equal_seeds_give_equal_rooms_in_any_order(blender: BlenderClient, rooms: Path) -> None:
    first = enter(blender, rooms / "room.glb", seed=2)
    enter(blender, rooms / "room.blend", seed=9)
    assert enter(blender, rooms / "room.glb", seed=2) == first


def test_a_room_without_space_is_refused_by_its_name(blender: BlenderClient, rooms: Path) -> None:
    with pytest.raises(AssetError, match=r"cupboard\.glb") as refused:
        enter(blender, rooms / "cupboard.glb", size_m=0.6)
    assert refused.value.fault == "no_place"
    with pytest.raises(AssetError) as refused:
        enter(blender, rooms / "cupboard.glb", size_m=0.22)
    assert refused.value.fault == "no_view"
