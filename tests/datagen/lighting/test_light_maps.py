"""Light maps against the geometry that they stand for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairbridge.datagen.lighting.light_maps import (
    SIGMA,
    MapLight,
    encode_light_map,
    light_map,
    place_in_map,
)
from tests.support.light_places import direction_of

WHITE = (1.0, 1.0, 1.0)


def light(direction=(0.0, 0.0, 1.0), spread_rad=0.0, colour=WHITE) -> MapLight:
    return MapLight(direction=direction, spread_rad=spread_rad, colour=colour)


@given(st.floats(0, math.tau), st.floats(0.0, 3.1))
def test_places_and_directions_are_inverse(angle: float, off_axis: float) -> None:
    direction = (
        math.sin(off_axis) * math.cos(angle),
        math.sin(off_axis) * math.sin(angle),
        math.cos(off_axis),
    )
    u, v = place_in_map(direction)
    assert math.hypot(u, v) <= 1 + 1e-9
    assert direction_of(u, v) == pytest.approx(direction, abs=1e-6)


def test_equal_solid_angles_take_equal_areas() -> None:
    draw = np.random.default_rng(0)
    normals = draw.normal(size=(20_000, 3))
    places = [place_in_map(tuple(n)) for n in normals / np.linalg.norm(normals, axis=1, keepdims=True)]
    radii = np.hypot(*np.array(places).T)
    # Uniform over the disc: the share within a radius r is r squared.
    for radius in (0.3, 0.5, 0.71, 0.9):
        assert (radii < radius).mean() == pytest.approx(radius**2, abs=0.012)


@pytest.mark.parametrize("size_WH", [(128, 128), (200, 80), (64, 160)])
def test_the_peak_is_at_the_light_with_its_amplitude_and_width(size_WH: tuple[int, int]) -> None:
    width, height = size_WH
    direction = direction_of(0.4, -0.3)
    image = light_map([light(direction, spread_rad=0.3, colour=(0.5, 0.25, 1.0))], size_WH)
    assert image.shape == (height, width, 3)
    row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
    assert ((column + 0.5) / width * 2 - 1, 1 - (row + 0.5) / height * 2) == pytest.approx(
        (0.4, -0.3), abs=2 / min(size_WH)
    )
    np.testing.assert_allclose(image[row, column], [0.5, 0.25, 1.0], rtol=0.03)
    # Second moment along the row, over the mass: the variance, in units of half the image.
    u = (np.arange(width) + 0.5) / width * 2 - 1
    mass = image[row, :, 0] / image[row, :, 0].sum()
    assert (mass * (u - 0.4) ** 2).sum() == pytest.approx(SIGMA**2 + 0.15**2, rel=0.05)


def test_lights_add_and_clip_and_none_is_black() -> None:
    a, b = light((1.0, 0.0, 0.0), colour=(0.6, 0.0, 0.0)), light((-1.0, 0.0, 0.0), colour=(0.0, 0.4, 0.0))
    both = light_map([a, b], (64, 64))
    np.testing.assert_allclose(both, light_map([a], (64, 64)) + light_map([b], (64, 64)), atol=1e-6)
    assert light_map([a, a], (64, 64)).max() == 1
    assert not light_map([], (8, 8)).any()


def test_grey_maps_have_one_channel_and_parameters_come_back() -> None:
    params = {"direction": [0.0, 0.6, 0.8], "spread_rad": 0.2, "amplitude": [0.5, 0.5, 0.5]}
    lights = [MapLight.from_params(params)]
    grey = encode_light_map(lights, (32, 24), grey=True)
    colour = encode_light_map(lights, (32, 24), grey=False)
    assert (grey.shape, grey.dtype, colour.shape) == ((24, 32), np.uint8, (24, 32, 3))
    assert (colour == grey[..., None]).all()


@pytest.mark.parametrize(
    "wrong",
    [{"direction": (1.0, 1.0, 0.0)}, {"colour": (1.2, 0.0, 0.0)}, {"spread_rad": -0.1}],
)
def test_impossible_lights_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"unit vector|must lie"):
        light(**wrong)
