"""Rooms from files: where objects stand in them, from where they are seen, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.errors import AssetError, Rejected
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, PlacedObject, RoomSpec, SceneSpec
from tests.support.rendered_recipes import make_groups, plan_of

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


def test_a_thing_of_the_room_that_carries_nothing_can_be_removed(blender: BlenderClient, rooms: Path) -> None:
    mug = PlacedObject(
        object=ObjectSpec(family="mug", seed=4), standing=True, size_m=0.12, size_from="family"
    )
    view = CameraSpec(azimuth_rad=0.3, elevation_rad=0.5, fov_x_rad=0.7, fill=0.25)
    request = {"environment_path": rooms / "soft.exr", "seed": 3}
    chosen = set()
    for seed in range(4):
        room = RoomSpec(path=rooms / "own.blend", seed=seed, lights=True, own=True)
        blender.load_scene(SceneSpec(objects=(mug,), room=room))
        blender.set_camera(view, SIZE_WH)
        again = blender.set_camera(view, SIZE_WH)
        assert again == blender.set_camera(view, SIZE_WH)
        chosen.add(blender.room["own"])
    assert chosen == {"cup", "cube"}
    full = blender.render(**request)
    assert full.coverage.shape[0] == 2
    assert full.coverage[1].sum() > 4
    without = blender.render(**request, hidden=(1,))
    assert without.coverage[1].max() == 0
    changed = np.abs(full.noisy - without.noisy).max(axis=-1)
    assert changed[full.coverage[1] > 0.9].min() > 0
    assert without.rgba[..., 3].mean() > 0.9
    # The mug stays where it was, and what is removed is the thing alone.
    np.testing.assert_array_equal(without.coverage[0], np.maximum(without.coverage[0], full.coverage[0]))
    np.testing.assert_allclose(blender.silhouette(1, seed=3), full.coverage[1], atol=0.35)
    # One that is marked goes first.
    for seed in range(3):
        marked = RoomSpec(path=rooms / "own.glb", seed=seed, lights=True, own=True)
        blender.load_scene(SceneSpec(objects=(mug,), room=marked))
        blender.set_camera(view, SIZE_WH)
        assert blender.room["own"] == "removable cup"
    # Not asked for, all of it belongs to the room.
    enter(blender, rooms / "own.blend")
    assert "own" not in blender.room
    assert blender.render(**request).coverage.shape[0] == 1


def test_a_pair_of_removal_takes_a_thing_of_the_room_away_and_says_so(rooms: Path, tmp_path: Path) -> None:
    (rooms / "catalogue.yaml").write_text('"*": {split: test}\n')
    recipe = {
        "kind": "object_removal",
        "groups": {"test": 4},
        "size_WH": [96, 72],
        "objects": [1, 1],
        "min_distinct_objects": 1,
        "pairs_per_group": 1,
        "scenes_share": 1.0,
        "scene_lights": 1.0,
        "scene_objects": 1.0,
        "fill": [0.25, 0.25],
        "camera": {"composition": {"centred": 1}},
        "smallest_visible": 0.001,
        "most_hidden": 0.9,
        "finish": None,
        "store": ["instance", "plate"],
    }
    plan = plan_of(recipe, families=["mug"], scenes=[str(rooms / "own.blend")])
    pairs = [pair for (pair,) in make_groups(plan, range(4), tmp_path) if not isinstance(pair, Rejected)]
    assert pairs
    for pair in pairs:
        params = json.loads(pair["meta.json"]["params"])
        assert params["scene"]["own"]
        assert params["room"]["own"] in ("cup", "cube")
        assert (params["absent"], params["removed"]) == ([], [1])
        seen = pair["visible.png"] > 200
        assert seen.sum() > 4
        assert np.abs(pair["source.png"].astype(int) - pair["target.png"])[seen].mean() > 8
        # The mug stays, in the target and as the only instance; in the plate neither is there.
        mug = pair["instance.png"] == 1
        assert mug.any()
        assert set(np.unique(pair["instance.png"])) == {0, 1}
        assert np.abs(pair["plate.png"].astype(int) - pair["target.png"])[mug & ~seen].mean() > 4
        assert (pair["plate.png"] == pair["target.png"]).all(axis=2)[seen & ~mug].mean() > 0.5
