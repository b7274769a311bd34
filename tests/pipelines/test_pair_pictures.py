"""What a preview shows of a pair's arrays."""

import numpy as np

from pipelines.pair_pictures import depth_picture, normal_picture, pair_pictures


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
    found = pair_pictures(pair)
    assert list(found) == ["source", "target", "mask"]
    assert found["source"].any()  # the reader's noise
    geometry = {"depth.npy": np.ones((4, 4), np.float32), "source.png": image, "light.png": image}
    assert list(pair_pictures(geometry)) == ["source", "depth", "light"]
