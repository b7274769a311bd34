"""Outdoor maps over a sky of known light: the sun's power, clouds that hide it, a ground lit by both."""

import math

import numpy as np
import pytest

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.lighting.equirect import LUMINANCE, Environment, equirect_directions
from pairbridge.datagen.lighting.outdoor.outdoors import OutdoorMap, draw_outdoor, outdoor_map, sun_direction

WIDTH, HEIGHT = 128, 64
SUN_IRRADIANCE = np.array([90.0, 84.0, 70.0])


def steradians() -> np.ndarray:
    edges = np.sin(np.linspace(math.pi / 2, -math.pi / 2, HEIGHT + 1))
    return (-np.diff(edges) * math.tau / WIDTH)[:, None, None]


def clear_sky(params: dict) -> np.ndarray:
    """A blue sky, pale at the horizon, with a sun of SUN_IRRADIANCE in the texel that holds its middle."""
    directions = equirect_directions(WIDTH, HEIGHT)
    up = np.clip(directions[..., 2:], 0, 1)
    sky = (np.array([3.0, 4.2, 6.5]) * up**0.4 + np.array([7.0, 7.0, 6.5]) * (1 - up) ** 6) * (up > 0)
    row, column = np.unravel_index((directions @ sun_direction(params["sky"])).argmax(), (HEIGHT, WIDTH))
    sky[row, column] += SUN_IRRADIANCE / steradians()[row, 0]
    return sky.astype(np.float32)


def made(number: int, **changes: object) -> OutdoorMap:
    params = draw_outdoor(rng(number, "outdoor")) | changes
    return outdoor_map(params, clear_sky(params))


def clear(number: int, **changes: object) -> OutdoorMap:
    drawn = draw_outdoor(rng(number, "outdoor"))
    sky = drawn["sky"] | {"sun_elevation_rad": 0.7}
    none = drawn["clouds"] | {"coverage": 0.0, "cirrus": 0.0}
    return made(number, weather="clear", clouds=none, sky=sky, place="open", **changes)


def irradiance(pixels: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    up = np.clip(equirect_directions(WIDTH, HEIGHT)[..., 2:], 0, 1)
    shares = up * steradians() * (1 if where is None else where[..., None])
    return (pixels * shares).sum(axis=(0, 1))


def test_a_clear_sky_keeps_the_power_of_its_sun() -> None:
    outdoor = clear(1)
    sun = np.array(outdoor.light["sun_direction"])
    near = equirect_directions(WIDTH, HEIGHT) @ sun > math.cos(math.radians(8))
    around = np.median(outdoor.pixels[near], axis=0)
    level = irradiance(np.maximum(outdoor.pixels - around, 0), near)
    np.testing.assert_allclose(level, SUN_IRRADIANCE * sun[2], rtol=0.05)
    np.testing.assert_allclose(outdoor.light["sun_irradiance"], SUN_IRRADIANCE, rtol=0.05)
    assert outdoor.light["sun_transmittance"] == 1.0


def test_the_brightest_texel_is_where_the_sun_is_stated() -> None:
    outdoor = clear(2)
    brightest = np.unravel_index((outdoor.pixels @ LUMINANCE).argmax(), (HEIGHT, WIDTH))
    towards = equirect_directions(WIDTH, HEIGHT)[brightest]
    assert math.degrees(math.acos(min(towards @ np.array(outdoor.light["sun_direction"]), 1))) < 3


@pytest.mark.parametrize("number", [3, 4])
def test_a_closed_cover_hides_the_sun_and_dims_the_light(number: int) -> None:
    drawn = draw_outdoor(rng(number, "outdoor"))
    sky = drawn["sky"] | {"sun_elevation_rad": 0.7}
    closed = drawn["clouds"] | {"coverage": 1.0, "cirrus": 0.0}
    cover = made(number, weather="overcast", clouds=closed, sky=sky, place="open")
    upper = (cover.pixels[: HEIGHT // 2 - 8] @ LUMINANCE).ravel()
    assert upper.max() < 6 * np.median(upper)
    assert max(cover.light["sun_irradiance"]) == 0
    assert irradiance(cover.pixels).mean() < 0.6 * irradiance(clear(number).pixels).mean()


def test_a_sun_behind_a_cloud_is_as_dim_in_the_map_as_on_the_ground() -> None:
    found = set()
    for number in (0, 1, 2, 3, 4):
        drawn = draw_outdoor(rng(number, "outdoor"))
        half = drawn["clouds"] | {"coverage": 0.5, "cirrus": 0.0}
        sky = drawn["sky"] | {"sun_elevation_rad": 0.8}
        outdoor = made(number, weather="cumulus", clouds=half, sky=sky, place="open", ground="concrete")
        passed = outdoor.light["sun_transmittance"]
        found.add(round(passed))
        sun = np.array(outdoor.light["sun_direction"])
        near = equirect_directions(WIDTH, HEIGHT) @ sun > math.cos(math.radians(6))
        power = ((outdoor.pixels - np.median(outdoor.pixels[near], axis=0)) * steradians())[near].sum(axis=0)
        np.testing.assert_allclose(power, passed * SUN_IRRADIANCE, atol=0.06 * SUN_IRRADIANCE.max())
    assert found == {0, 1}


@pytest.mark.parametrize("number", range(5))
def test_the_ground_sends_back_a_share_of_what_falls_on_it(number: int) -> None:
    outdoor = made(number)
    pixels = outdoor.pixels
    assert np.isfinite(pixels).all()
    assert pixels.min() >= 0
    below = equirect_directions(WIDTH, HEIGHT)[..., 2] < -0.5
    share = pixels[below].mean(axis=0) * math.pi / irradiance(pixels)
    assert 0.01 < share.min() <= share.max() < 0.93
    assert 0.03 < share @ LUMINANCE < 0.9
    assert 0.5 < Environment(pixels).mean_luminance < 40


@pytest.mark.parametrize("place", ["open", "park", "suburb", "street", "square"])
def test_the_seam_is_no_edge(place: str) -> None:
    pixels = np.log(made(5, place=place, weather="cumulus").pixels + 0.01)
    steps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    across = np.abs(pixels[:, 0] - pixels[:, -1]).mean()
    assert across < 1.5 * np.quantile(steps, 0.99)


def test_a_map_is_a_function_of_its_parameters() -> None:
    first, again, other = made(6), made(6), made(7)
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.light == again.light
    assert not np.allclose(first.pixels, other.pixels)
