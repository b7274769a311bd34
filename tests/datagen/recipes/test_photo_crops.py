"""Crops of photographs: inside the frame, of the right shape, and around their subject."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.recipes.photo_crops import crop_box, plan_crop, subject_box, take_alpha, take_crop

shares = st.floats(0, 1)
sides = st.integers(64, 900)


@given(
    photo=st.tuples(sides, sides), size=st.tuples(sides, sides), scale=st.floats(0.3, 1), x=shares, y=shares
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_crop_lies_in_the_photograph_and_has_the_pairs_aspect(photo, size, scale, x, y) -> None:
    left, top, width, height = crop_box({"scale": scale, "x": x, "y": y}, photo, size)
    assert 0 <= left <= left + width <= photo[0]
    assert 0 <= top <= top + height <= photo[1]
    # To within the rounding of each side to whole pixels.
    assert abs(width - height * size[0] / size[1]) <= 1 + size[0] / size[1]


@given(
    scale=st.floats(0.3, 1),
    x=shares,
    y=shares,
    left=st.integers(0, 500),
    top=st.integers(0, 300),
    width=st.integers(10, 300),
    height=st.integers(10, 300),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_subject_that_fits_is_in_the_crop(scale, x, y, left, top, width, height) -> None:
    assume(left + width <= 640 and top + height <= 480)
    box = crop_box(
        {"scale": scale, "x": x, "y": y}, (640, 480), (128, 128), subject=(left, top, width, height)
    )
    for start, length, at, size in ((left, width, box[0], box[2]), (top, height, box[1], box[3])):
        assert size >= 0.75 * length - 1
        inside = min(start + length, at + size) - max(start, at)
        if size >= length:
            assert inside == length
        else:
            assert inside >= 0.69 * size - 1


def test_a_photograph_that_is_too_small_is_refused() -> None:
    crop = plan_crop(rng(0, "crop"), (0.6, 1.0))
    with pytest.raises(Rejected, match=r"enlarged 5\.12 times"):
        crop_box(crop, (100, 200), (512, 512), max_enlargement=2)
    # Large enough for the factor, but not for the planned share of it: the crop grows to what it may be.
    assert crop_box({**crop, "scale": 0.6}, (256, 300), (512, 512), max_enlargement=2)[2:] == (256, 256)


def test_a_crop_of_the_pairs_own_size_is_not_resampled() -> None:
    image = rng(1, "crop").integers(0, 256, (90, 120, 3), np.uint8)
    cut = take_crop(image, (30, 20, 64, 48), (64, 48), flip=False)
    assert (cut == image[20:68, 30:94]).all()
    assert (take_crop(image, (30, 20, 64, 48), (64, 48), flip=True) == cut[:, ::-1]).all()


def test_image_and_alpha_stay_in_register() -> None:
    alpha = np.zeros((90, 120), np.uint8)
    alpha[30:60, 40:90] = 255
    image = np.repeat(alpha[..., None], 3, axis=2)
    for size in ((32, 32), (200, 200)):
        box = (25, 10, 70, 70)
        cut, mask = take_crop(image, box, size, flip=True), take_alpha(alpha, box, size, flip=True)
        assert np.abs(cut[..., 0].astype(int) - mask).mean() < 3
        assert ((cut[..., 0] > 127) == (mask > 127)).mean() > 0.98
    assert subject_box(alpha) == (40, 30, 50, 30)
