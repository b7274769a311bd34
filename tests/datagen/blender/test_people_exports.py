"""People in the shapes of character add-ons' exports: pose, mask, clothes, eyes, hair and size survive the
import."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.imaging.colour import linear_colour
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, PlacedObject, RenderedPasses, SceneSpec

pytestmark = pytest.mark.render

FILES = ("mpfb.blend", "humgen.blend", "character.glb", "character.fbx")
# The colours of write_characters.py, in which the pictures of its parts are.
PARTS = {
    "skin": (0.8, 0.5, 0.4),
    "shirt": (0.1, 0.6, 0.2),
    "trousers": (0.1, 0.15, 0.6),
    "iris": (0.9, 0.85, 0.1),
    "hair": (0.7, 0.05, 0.05),
    "brow": (0.6, 0.05, 0.6),
}


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


@pytest.fixture(scope="module")
def characters(written_by: Callable[[str], Path]) -> Path:
    return written_by("write_characters.py")


def looked_at(blender: BlenderClient, folder: Path, *, head: bool) -> tuple[RenderedPasses, np.ndarray]:
    """From the front, the whole person or the head alone, and for each pixel the number of its part, -1 where
    none is."""
    close = {"fill": 5.0, "offset": (0.0, -2.0)} if head else {"fill": 0.95}
    front = CameraSpec(azimuth_rad=-math.pi / 2, elevation_rad=0.02, fov_x_rad=0.5, **close)
    blender.set_camera(front, (128, 128))
    passes = blender.render(environment_path=folder / "soft.exr", seed=1)
    colours = np.array([linear_colour(colour) for colour in PARTS.values()])
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    return passes, np.where(passes.rgba[..., 3] > 0.9, (passes.albedo @ colours.T).argmax(axis=-1), -1)


def lit(passes: RenderedPasses, chosen: np.ndarray) -> float:
    """How much light a part gets: what it shows over what it would show under white light."""
    return float(passes.rgba[chosen][:, :3].sum() / passes.albedo[chosen].sum())


def assert_seen(part: np.ndarray, **least: float) -> None:
    """That each of these parts takes at least so much of the frame."""
    shares = {kind: float((part == number).mean()) for number, kind in enumerate(PARTS)}
    assert all(shares[kind] > share for kind, share in least.items()), shares


@pytest.mark.parametrize("name", FILES)
def test_every_part_of_a_person_is_seen_in_its_pose(
    blender: BlenderClient, characters: Path, name: str
) -> None:
    person = PlacedObject(
        object=ObjectSpec(path=characters / name),
        size_m=1.75,
        size_from="person",
        pose="upright",
        never_lies=True,
        standing=True,
    )
    (info,) = blender.load_scene(SceneSpec(objects=(person,)))
    # Arms that were modelled in a T of 1.6 m hang at 70 degrees, as in the middle of the animation.
    assert info.extent[0] == pytest.approx(0.886, abs=0.01)
    # Each of the formats is in metres.
    assert info.size_m == pytest.approx(info.extent[2], rel=1e-3)
    assert 1.55 < info.size_m < 1.9
    assert info.ground_mm == pytest.approx(0, abs=1e-3)
    passes, part = looked_at(blender, characters, head=False)
    assert_seen(part, shirt=0.05, trousers=0.05, skin=0.02)
    # Down to the sole.
    assert np.argwhere(part == 2)[:, 0].max() == np.argwhere(passes.rgba[..., 3] > 0.9)[:, 0].max()


@pytest.mark.parametrize("name", FILES)
def test_eyes_are_seen_through_their_cornea_and_cards_have_their_holes(
    blender: BlenderClient, characters: Path, name: str
) -> None:
    blender.load_object(ObjectSpec(path=characters / name))
    passes, part = looked_at(blender, characters, head=True)
    assert_seen(part, iris=0.03, skin=0.2, brow=0.02)
    assert lit(passes, part == 3) > 0.5 * lit(passes, part == 0)
    brow = part == 5
    # Two strips of the card are closed, and through the hole between them one sees the forehead.
    rows = np.flatnonzero(brow.sum(axis=1) > 0.8 * brow.sum(axis=1).max())
    row = part[rows[len(rows) // 2]]
    between = row[np.flatnonzero(row == 5).min() : np.flatnonzero(row == 5).max()]
    assert np.isin(between, (0, 4)).any()
    hole = np.zeros_like(brow)
    columns = np.flatnonzero(row == 5)
    gap = columns[np.diff(columns, append=columns[-1] + 1) > 2][0]
    hole[rows[len(rows) // 2], gap + 3 : gap + 6] = True
    ahead = np.array([0.0, -1.0, 0.0])
    assert np.abs(passes.normal[brow] - ahead).max(axis=-1).mean() < 0.05
    assert np.abs(passes.normal[hole & (part == 0)] - ahead).max(axis=-1).min(initial=1.0) > 0.03
    if name.endswith(".blend"):
        # Hair of curves, and of particles; all of it is in the frame that is as high as the person.
        assert_seen(part, hair=0.03)
        whole, _ = looked_at(blender, characters, head=False)
        assert not whole.rgba[0, :, 3].any()


def test_skin_keeps_its_subsurface(blender: BlenderClient, characters: Path) -> None:
    spread = []
    for name in ("character.glb", "humgen.blend"):
        blender.load_object(ObjectSpec(path=characters / name))
        passes, part = looked_at(blender, characters, head=True)
        skin = passes.rgba[part == 0][:, :3] / passes.albedo[part == 0]
        spread.append(float(np.std(skin[:, 0] / skin[:, 2])))
    # Red goes farther beneath skin than blue: 0.25 of spread, where the surroundings alone make 0.11.
    assert spread[1] > 1.6 * spread[0]
