"""What a preview shows of a pair's arrays."""

from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.fields import FIELDS, HoleContent, Roles, light_map_field
from pairbridge.pipelines.pages.inspection import inspect_samples
from pairbridge.pipelines.pages.pair_pictures import (
    depth_picture,
    label_picture,
    light_picture,
    normal_picture,
    pair_pictures,
)
from pairbridge.pipelines.runs.pictures import shown_pairs
from tests.support.tiny_dataset import TinyDataset, TinyRecipe


def test_near_is_bright_far_is_dark_and_what_is_not_valid_is_black() -> None:
    depth = np.linspace(1, 5, 100, dtype=np.float32).reshape(10, 10)
    depth[0, 0] = 0
    shown = depth_picture(depth)
    assert shown[0, 0] == 0
    assert shown[0, 1] == 255
    assert shown[-1, -1] == 40
    assert (np.diff(shown[1:].ravel().astype(int)) <= 0).all()
    assert (depth_picture(np.zeros((3, 3), np.float32)) == 0).all()


def test_normals_are_shown_by_the_usual_colours() -> None:
    normals = np.array([[[0, 0, 1], [1, 0, 0], [0, -1, 0], [0, 0, 0]]], np.float16)
    np.testing.assert_array_equal(
        normal_picture(normals), [[[128, 128, 255], [255, 128, 128], [128, 0, 128], [0, 0, 0]]]
    )


def test_pictures_come_in_the_order_people_look_for() -> None:
    image, mask = np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 255, np.uint8)
    pair = {"meta.json": {"params": '{"fill_seed": 3}'}, "mask.png": mask, "target.png": image}
    found = pair_pictures(pair, FIELDS, Roles(source="target", hole=HoleContent.NOISE))
    assert list(found) == ["source", "target", "mask"]
    assert found["source"].any()  # the reader's noise
    geometry = {"depth.npy": np.ones((4, 4), np.float32), "source.png": image, "light.png": image}
    fields = {**FIELDS, "light.png": light_map_field(3)}
    assert list(pair_pictures(geometry, fields, Roles())) == ["source", "depth", "light"]
    with pytest.raises(ShardError, match=r"depth\.npy: it is float64, and float32 is stated"):
        pair_pictures({"depth.npy": np.ones((4, 4))}, fields, Roles())


def test_labels_differ_in_colour_and_light_shows_its_low_range() -> None:
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    colours = label_picture(labels).reshape(-1, 3)
    assert not colours[0].any()
    assert len(np.unique(colours[:40], axis=0)) == 40
    light = np.array([[[0, 1, 9]]], np.float16)
    np.testing.assert_array_equal(light_picture(light), [[[0, 255, 255]]])


def test_reports_and_inspection_show_geometry_where_there_is_no_target(tmp_path: Path) -> None:
    recipes = {"views": TinyRecipe(groups={"train": 2, "test": 1}, kind="geometry")}
    dataset = TinyDataset(recipes=recipes).write(tmp_path / "dataset")
    (pairs,) = shown_pairs(dataset, ["views"], 3).values()
    assert [pair.split for pair in pairs] == ["train", "train", "test"]
    assert all(len(np.unique(pair.target)) > 10 for pair in pairs)
    assert all(pair.source.shape == pair.target.shape for pair in pairs)
    inspect_samples(dataset, None, tmp_path / "out", 2)
    written = {
        path.name.partition(".")[2] for path in (tmp_path / "out").iterdir() if "sheet" not in path.name
    }
    assert written == {"depth.npy", "mask.png", "meta.json", "normal.npy", "source.png"}
