"""The view transform against its closed form and against an independent sRGB implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2xyz, xyz2rgb

from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from pairbridge.datagen.imaging.view import ViewTransform


def closed_form(x: float, exposure: float, shoulder: float) -> int:
    y = exposure * x
    z = y if y <= shoulder else shoulder + (1 - shoulder) * (1 - np.exp(-(y - shoulder) / (1 - shoulder)))
    return round(255 * (12.92 * z if z <= 0.0031308 else 1.055 * z ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize(("exposure", "shoulder"), [(1.0, 0.8), (0.5, 0.0), (2.0, 0.95)])
def test_matches_the_closed_form_written_in_its_docstring(exposure: float, shoulder: float) -> None:
    light = np.concatenate([np.linspace(0, 1.5, 301), [0.0031308, 5.0, 1e5]])
    image = ViewTransform(exposure=exposure, shoulder=shoulder).apply(light.astype(np.float32))
    expected = [closed_form(x, exposure, shoulder) for x in light]
    # float32 against float64 may fall on either side of a rounding boundary
    assert np.abs(image.astype(int) - expected).max() <= 1
    assert (image == expected).mean() > 0.99


def test_paper_is_no_light_of_the_scene() -> None:
    """White paper is 255 at any exposure; a render on it keeps its colours, and its edge is between the
    two."""
    rgba = np.zeros((1, 4, 4), np.float32)
    rgba[0, 1] = [3.0, 0.5, 0.1, 1.0]
    rgba[0, 2] = rgba[0, 1] / 2
    for exposure in (0.5, 1.0, 2.0):
        view = ViewTransform(exposure=exposure)
        image = view.apply_on_paper(rgba, 1.0)
        assert (image[0, [0, 3]] == 255).all()
        inside = view.apply(rgba[:, :, :3])[0, 1]
        assert (image[0, 1] == inside).all()
        half = srgb_encode((srgb_decode(inside / 255.0) + 1) / 2)
        np.testing.assert_allclose(image[0, 2] / 255, half, atol=0.005)
    assert (ViewTransform().apply_on_paper(rgba, 0.2)[0, 0] == round(255 * srgb_encode(np.array(0.2)))).all()


def test_srgb_encode_agrees_with_scikit_image() -> None:
    encoded = np.random.default_rng(1).random((64, 64, 3))
    linear = srgb_decode(encoded)
    assert np.allclose(srgb_encode(linear), encoded, atol=1e-6)
    # scikit-image goes through XYZ; its matrices are inverse to each other, so only the curve is left
    matrix = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    assert np.allclose(rgb2xyz(encoded), linear @ matrix.T, atol=1e-4)
    assert np.allclose(xyz2rgb(linear @ matrix.T), srgb_encode(linear), atol=1e-3)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20), st.floats(0, 0.99))
def test_more_light_is_never_darker_and_black_stays_black(values: list[float], shoulder: float) -> None:
    image = ViewTransform(shoulder=shoulder).apply(np.sort(np.array([0.0, *values], np.float32)))
    assert image[0] == 0
    assert (np.diff(image.astype(int)) >= 0).all()


def test_the_shoulder_joins_without_a_kink() -> None:
    view = ViewTransform(shoulder=0.5)
    step = 1e-3
    below, at, above = (
        srgb_decode(view.apply(np.full(1, x, np.float32)) / 255.0)[0] for x in (0.4, 0.5, 0.6)
    )
    assert at - below == pytest.approx(0.1, abs=6 * step)
    assert 0.08 < above - at < 0.1


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20), st.floats(1, 64))
def test_the_filmic_curve_keeps_black_grey_and_white_and_never_turns_back(
    values: list[float], white: float
) -> None:
    view = ViewTransform(curve="filmic", white=white)
    image = view.apply(np.sort(np.array([0.0, *values, 1e7], np.float32)))
    assert (image[0], image[-1]) == (0, 255)
    assert (np.diff(image.astype(int)) >= 0).all()
    assert view.apply(np.float32([white]))[0] == 255
    grey = ViewTransform().apply(np.float32([0.18]))[0]
    assert abs(int(view.apply(np.float32([0.18]))[0]) - int(grey)) <= 1


def test_the_filmic_curve_has_a_toe_and_room_in_the_highlights() -> None:
    film, plain = ViewTransform(curve="filmic"), ViewTransform()
    light = np.float32([0.02, 1.0, 2.0, 3.0])
    dark, *bright = film.apply(light).astype(int)
    assert dark < plain.apply(light)[0] - 3
    assert np.diff(bright).min() > 8
    assert np.diff(plain.apply(light)[1:].astype(int)).max() < 12
