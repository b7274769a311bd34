"""Holes of removal pairs, interpolated from what surrounds them."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.smooth_fill import fill_smoothly
from pairbridge.training.networks.autoencoders import build_autoencoder


def hole(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 3 : height // 2, width // 4 : width // 2] = 1
    return mask


@pytest.mark.parametrize("size", [(64, 64), (37, 90)])
def test_a_ramp_is_continued_and_known_pixels_stay(size: tuple[int, int]) -> None:
    height, width = size
    ramp = (torch.linspace(-1, 1, height)[:, None] + torch.linspace(-0.5, 0.5, width)).expand(1, 3, -1, -1)
    mask = hole(height, width)
    mask[..., 0, 0] = 0.2  # a soft rim shows the object still
    filled = fill_smoothly(torch.where(mask > 0, torch.rand(ramp.shape), ramp), mask)
    assert torch.equal(filled[mask.expand(ramp.shape) == 0], ramp[mask.expand(ramp.shape) == 0])
    assert (filled - ramp).abs().max() < 0.15
    grey = torch.full((1, 3, height, width), 0.25)
    torch.testing.assert_close(fill_smoothly(torch.where(mask > 0, torch.rand(grey.shape), grey), mask), grey)


def test_of_an_image_without_a_known_pixel_nothing_is_left() -> None:
    assert not fill_smoothly(torch.rand(2, 3, 16, 24), torch.ones(2, 1, 16, 24)).any()


def test_the_network_sees_the_interpolation_whatever_the_noise() -> None:
    config = TrainingConfig(size=32, hole="smooth", denoiser={"widths": (8, 16), "head_width": 8})
    autoencoder = build_autoencoder(config.autoencoder)
    model = TranslationModel(config, autoencoder, build_denoiser(config, autoencoder))
    image = np.full((32, 32, 3), 90, np.uint8)
    mask = (hole(32, 32)[0, 0].numpy() * 255).astype(np.uint8)
    # The output of a network that has learned nothing is its input.
    for seed in (1, 2):
        assert np.array_equal(model.translate(fill_noise(image, mask, seed), mask), image)


def test_cached_latents_are_of_whole_images() -> None:
    with pytest.raises(ValidationError, match="not with another hole than noise"):
        TrainingConfig(latents="cached", hole="smooth", augment={"flip": 0, "permute_colours": 0})
