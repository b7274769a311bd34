"""What a white ball shows of an environment map, as the numbers that a network is given."""

import math

import numpy as np
import pytest
import torch

from pairbridge.datagen.lighting.environment_maps import irradiance, map_directions
from pairbridge.training.data.condition_specs import IRRADIANCE_PLANES, ConditionConfig
from pairbridge.training.data.targets import light_planes
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.conditions import encode_condition
from pairbridge.training.networks.irradiance import irradiance_numbers, logarithm_of

X, Y, Z = 1, 2, 3


def numbers(radiance: np.ndarray) -> np.ndarray:
    """(9, 3) of a linear map (H, W, 3)."""
    planes = torch.from_numpy(light_planes(radiance))[None].permute(0, 3, 1, 2)
    return irradiance_numbers(planes)[0].numpy().reshape(9, 3)


def ball(found: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The radiance (..., 3) of a white ball with these unit normals (..., 3)."""
    x, y, z = np.moveaxis(normals, -1, 0)
    mean = np.exp(found[0])
    polynomials = [x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y]
    return mean + mean.mean() * np.einsum("k...,kc->...c", np.array(polynomials), found[1:])


def gradients(seed: int) -> np.ndarray:
    """A map of broad, coloured lights."""
    draw = np.random.default_rng(seed)
    total = np.full((32, 64, 3), 0.1)
    for axis in draw.normal(size=(3, 3)):
        towards = np.maximum(map_directions() @ (axis / np.linalg.norm(axis)), 0)
        total += draw.uniform(0, 3, 3) * towards[..., None] ** 3
    return total


def test_even_light_is_its_mean_alone() -> None:
    even = np.broadcast_to([2.0, 1.0, 0.5], (32, 64, 3))
    np.testing.assert_allclose(numbers(even)[0], np.log([2, 1, 0.5]), atol=1e-5)
    np.testing.assert_allclose(numbers(even)[1:], 0, atol=3e-3)


@pytest.mark.parametrize("axis", [X, Y, Z])
def test_a_cosine_lobe_has_the_numbers_of_its_closed_form(axis: int) -> None:
    """max(d . axis, 0) lights a white ball with 1/4 + n . axis / 3 + 5/64 P_2(n . axis)."""
    lobe = np.maximum(map_directions()[..., axis - 1], 0)[..., None] * np.array([1.0, 1.0, 1.0])
    found = numbers(lobe)
    np.testing.assert_allclose(found[0], math.log(1 / 4), atol=3e-3)
    linear = np.zeros((3, 3))
    linear[axis - 1] = 4 / 3
    np.testing.assert_allclose(found[1:4], linear, atol=5e-3)
    # P_2 along z is (3 z^2 - 1) / 2; along x and y it is -(3 z^2 - 1) / 4 +- 3 (x^2 - y^2) / 4.
    second = 5 / 16
    of_z, of_xy = {X: (-1 / 4, 3 / 4), Y: (-1 / 4, -3 / 4), Z: (1 / 2, 0)}[axis]
    np.testing.assert_allclose(found[4:7], 0, atol=5e-3)
    np.testing.assert_allclose(found[7], second * of_z, atol=5e-3)
    np.testing.assert_allclose(found[8], second * of_xy, atol=5e-3)


def test_they_say_what_the_map_lights_a_white_ball_with() -> None:
    draw = np.random.default_rng(0)
    normals = draw.normal(size=(200, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = gradients(1)
    expected = irradiance(light, normals) / math.pi
    error = np.abs(ball(numbers(light), normals) - expected)
    # Quadratic polynomials miss a few percent at most (degree 4 of the cosine).
    assert error.max() < 0.05 * expected.max()


def test_turning_the_map_turns_them() -> None:
    light, quarter = gradients(2), 16
    turned = numbers(np.roll(light, quarter, axis=1))
    # What was ahead (-z) is now to the right (x): n is looked up turned back.
    draw = np.random.default_rng(0)
    x, y, z = draw.normal(size=(3, 50))
    normals = np.stack([x, y, z], axis=-1) / np.sqrt(x * x + y * y + z * z)[:, None]
    back = normals[:, [2, 1, 0]] * [1, 1, -1]
    np.testing.assert_allclose(ball(turned, normals), ball(numbers(light), back), rtol=1e-3)
    assert np.abs(turned - numbers(light)).max() > 0.3


def test_a_sun_in_one_texel_keeps_its_power() -> None:
    sun = np.zeros((32, 64, 3), np.float16)
    sun[10, 20] = 30000
    energy = irradiance(sun.astype(np.float64), map_directions()[10, 20])[0]
    assert np.exp(numbers(sun.astype(np.float32))[0, 0]) == pytest.approx(energy / (4 * math.pi), rel=1e-3)
    linear = numbers(sun.astype(np.float32))[1:4, 0]
    np.testing.assert_allclose(linear, 2 * map_directions()[10, 20], atol=1e-3)


def test_darkness_has_finite_numbers() -> None:
    assert np.isfinite(numbers(np.zeros((32, 64, 3), np.float32))).all()


def test_as_a_condition_each_is_a_plane_of_its_own() -> None:
    haar = build_autoencoder(HaarConfig(levels=2))
    config = ConditionConfig(field="light_target", encoding="irradiance")
    light = gradients(3).astype(np.float32)
    planes = torch.from_numpy(light_planes(np.stack([light[0:32], light[::-1]]).reshape(-1, 64, 3)))
    planes = planes.reshape(2, 32, 64, 6).permute(0, 3, 1, 2)
    found = encode_condition(config, {"light_target": planes}, torch.zeros(2, 48, 5, 7), haar)
    assert found.shape == (2, IRRADIANCE_PLANES, 5, 7)
    assert config.width(latent_channels=48, mask_channels=16) == IRRADIANCE_PLANES
    assert torch.equal(found, found[..., :1, :1].expand_as(found))
    # Upside down, what came from above comes from below.
    torch.testing.assert_close(
        found[1, 3 * Y : 3 * Y + 3], -found[0, 3 * Y : 3 * Y + 3], atol=1e-4, rtol=1e-3
    )
    alone = logarithm_of(torch.from_numpy(light)[None].permute(0, 3, 1, 2))
    torch.testing.assert_close(irradiance_numbers(alone), found[:1, :, 0, 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrong", [{"field": "depth"}, {"field": "light", "channels": 6}, {"field": "mask"}])
def test_only_whole_light_of_all_colours_has_an_irradiance(wrong) -> None:
    with pytest.raises(ValueError, match="environment maps"):
        ConditionConfig(encoding="irradiance", **wrong)
