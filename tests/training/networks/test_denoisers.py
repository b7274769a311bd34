"""The network at its start, its conditions, and what a config may not say."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from pairbridge.training.bridge.equations import estimate_target
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.denoisers import Denoiser, UNetConfig

TINY = {"widths": (8, 16), "head_width": 8, "norm_groups": 4}


def denoiser(**config) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(UNetConfig(**TINY, **config), latent_channels=12, mask_channels=4)


def test_training_starts_from_output_equals_input() -> None:
    model = denoiser(conditions=("mask", "source"))
    conditions = {"mask": torch.rand(2, 4, 8, 8), "source": torch.randn(2, 12, 8, 8)}
    v = model(torch.randn(2, 12, 8, 8), torch.tensor([0.0, 0.5]), conditions)
    assert v.shape == (2, 12, 8, 8)
    assert not v.any()


def test_light_is_a_smooth_factor_and_adds_nothing() -> None:
    """p in [-1, 1] becomes e^G (p + 1) - 1, with G bilinear between the middles of cells."""
    haar = build_autoencoder(HaarConfig(levels=2))
    model = Denoiser(
        UNetConfig(**TINY, head="light", conditions=()),
        latent_channels=48,
        mask_channels=16,
        black=haar.black,
        bands=haar.bands,
    )
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image[:, :, 10:14, 10:30] = -1
    x, seen = haar.encode(image), {}
    with torch.no_grad():
        assert torch.equal(model(x, torch.zeros(2), seen), torch.zeros_like(x))
        model.unet.conv_out.weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
        gains = model.unet(x, torch.zeros(2)).sample
        made = haar.decode(x + model(x, torch.zeros(2), seen))
    whole = F.interpolate(gains, size=image.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(made, whole.exp() * (image + 1) - 1, atol=1e-4, rtol=1e-4)
    # Black stays black, and no factor jumps at a cell's edge.
    assert (made[:, :, 10:14, 10:30] + 1).abs().max() < 1e-4
    assert gains.std() > 0.05


def test_a_gain_multiplies_light_and_keeps_texture() -> None:
    """With a constant gain g and no offset, an image p in [-1, 1] becomes p + g (p + 1): black stays."""
    haar = build_autoencoder(HaarConfig(levels=2))
    model = Denoiser(
        UNetConfig(**TINY, head="gain", conditions=()),
        latent_channels=haar.channels,
        mask_channels=haar.mask_channels,
        black=haar.black,
    )
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    image[:, :, :8] = -1
    x0, t = haar.encode(image), torch.zeros(2)
    assert not model(x0, t, {}).any()
    gains = torch.tensor([0.5, -0.25, 0.1])
    with torch.no_grad():
        model.unet.conv_out.bias[-3:] = gains
    translated = haar.decode(estimate_target(x0, model(x0, t, {}), t))
    torch.testing.assert_close(translated, image + gains[:, None, None] * (image + 1), atol=1e-5, rtol=0)
    assert "black" not in model.state_dict()


def test_a_gate_takes_single_pixels_away() -> None:
    """With one gain a pixel, -1 where a hole is, the hole turns black and every other pixel stays."""
    haar = build_autoencoder(HaarConfig(levels=2))
    model = Denoiser(
        UNetConfig(**TINY, head="gate", conditions=()),
        latent_channels=haar.channels,
        mask_channels=haar.mask_channels,
        black=haar.black,
        bands=haar.bands,
    )
    x0, t = haar.encode(torch.rand(2, 3, 32, 32) * 2 - 1), torch.zeros(2)
    assert not model(x0, t, {}).any()
    with torch.no_grad():
        model.unet.conv_out.bias[-16:][6] = -1  # of each cell of 4 x 4 pixels: row 1, column 2
    translated = haar.decode(estimate_target(x0, model(x0, t, {}), t))
    hole = torch.zeros(32, 32, dtype=torch.bool)
    hole[1::4, 2::4] = True
    torch.testing.assert_close(translated, haar.decode(x0).where(~hole, torch.tensor(-1.0)))
    assert "bands" not in model.state_dict()


def test_an_estimate_is_the_target_whatever_the_time() -> None:
    model = Denoiser(UNetConfig(**TINY, head="estimate", conditions=()), latent_channels=12, mask_channels=4)
    with torch.no_grad():
        model.unet.conv_out.bias[:] = 0.5
    x_t, t = torch.randn(3, 12, 8, 8), torch.tensor([0.0, 0.5, 0.98])
    estimate = estimate_target(x_t, model(x_t, t, {}), t)
    torch.testing.assert_close(estimate, torch.full_like(x_t, 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("what", ["mask", "source", "time"])
def test_every_input_reaches_the_output(what: str) -> None:
    model = denoiser(conditions=("mask", "source"), attention_levels=(1,))
    torch.nn.init.normal_(model.unet.conv_out.weight)
    x, t = torch.randn(1, 12, 8, 8), torch.tensor([0.25])
    conditions = {"mask": torch.zeros(1, 4, 8, 8), "source": torch.zeros(1, 12, 8, 8)}
    before = model(x, t, conditions)
    if what == "time":
        t = torch.tensor([0.5])
    else:
        conditions[what] = torch.ones_like(conditions[what])
    assert not torch.allclose(model(x, t, conditions), before)


def test_a_corner_sees_the_opposite_corner() -> None:
    """Light is global: what happens anywhere must be able to matter everywhere."""
    model = denoiser(conditions=())
    torch.nn.init.normal_(model.unet.conv_out.weight)
    x = torch.randn(1, 12, 32, 32)
    changed = x.clone()
    changed[..., -1, -1] += 5
    t = torch.zeros(1)
    difference = (model(changed, t, {}) - model(x, t, {})).detach().abs()[0, :, 0, 0]
    assert float(difference.max()) > 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": ()},
        {"widths": (8, 10)},
        {"attention_levels": (2,)},
        {"conditions": ("mask", "mask")},
        {"conditions": ({"field": "depth", "dropout": 1.0},)},
        {"conditions": ({"field": "light map"},)},
    ],
)
def test_configs_that_cannot_be_built_are_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        UNetConfig(**{**TINY, **wrong})
