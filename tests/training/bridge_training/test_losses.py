"""Loss terms against what they are defined as."""

import copy

import pytest
import torch
from diffusers import AutoencoderKL
from pydantic import ValidationError
from torch import Tensor

from pairbridge.training.bridge_training import losses
from pairbridge.training.bridge_training.losses import (
    Crops,
    LatentWeighting,
    LossConfig,
    PixelLoss,
    draw_crops,
    latent_loss,
    latent_validity,
)
from pairbridge.training.networks.autoencoders import FolderAutoencoder, HaarConfig, build_autoencoder


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def crops(config: LossConfig, latent_HW: tuple[int, int], factor: int, samples: int, seed: int = 0) -> Crops:
    return draw_crops(config, latent_HW, factor, samples, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_latent_loss_is_a_mean_per_sample_in_either_weighting(norm: str) -> None:
    v, wanted, t = noise(3, 4, 2, 2), noise(3, 4, 2, 2, seed=1), torch.tensor([0.0, 0.5, 0.75])
    power = {"l1": 1, "l2": 2}[norm]
    plain = latent_loss(LossConfig(latent_norm=norm, latent_weighting=LatentWeighting.FIELD), v, wanted, t)
    expected = torch.stack([(a - b).abs().pow(power).mean() for a, b in zip(v, wanted, strict=True)])
    torch.testing.assert_close(plain, expected)
    # |x1_hat - x1|^p = (1-t)^p |v - v*|^p whatever x_t is.
    weighted = latent_loss(LossConfig(latent_norm=norm), v, wanted, t)
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 0.5, 0.25]) ** power)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_pixel_loss_without_a_crop_is_the_error_of_the_image(norm: str) -> None:
    haar, config = build_autoencoder(HaarConfig(levels=1)), LossConfig(pixel_norm=norm)
    output, target = noise(2, 3, 8, 12), noise(2, 3, 8, 12, seed=1)
    loss = PixelLoss(config)(haar.encode(output), {"target": target}, haar, crops(config, (4, 6), 2, 2))[
        "pixel"
    ]
    error = (output - target).abs() if norm == "l1" else (output - target).pow(2)
    torch.testing.assert_close(loss, error.mean(dim=(1, 2, 3)))


def test_the_foreground_s_loss_counts_decibels_under_the_mask_alone() -> None:
    haar, config = build_autoencoder(HaarConfig(levels=1)), LossConfig(pixel_norm="foreground_psnr")
    target, mask = noise(2, 3, 8, 12), torch.zeros(2, 1, 8, 12)
    mask[:, :, 2:5, 3:9] = 0.5

    def loss(output: Tensor) -> Tensor:
        images = {"target": target, "mask": mask}
        return PixelLoss(config)(haar.encode(output), images, haar, crops(config, (4, 6), 2, 2))["pixel"]

    # An error of 0.2 of 2, that is of 0.1 of 1: 20 dB. Far outside the mask nothing counts.
    off = target + 0.2
    off[:, :, 6:] += 9
    decibels = -10 * (loss(off) / 2.302585 + -3.5)
    torch.testing.assert_close(decibels, torch.full((2,), 20.0), atol=0.2, rtol=0)
    # Half of an error is 6 dB, however large the error was.
    halves = loss(target + 1.0) - loss(target + 0.5)
    torch.testing.assert_close(halves, torch.full((2,), 1.386294), atol=5e-3, rtol=0)
    assert torch.allclose(loss(target), torch.zeros(2), atol=1e-5)


def test_crops_reach_every_place_stay_aligned_and_differ_within_a_batch() -> None:
    """With output = target in all but one pixel, the loss is nonzero just where the crop holds that pixel."""
    haar, config = build_autoencoder(HaarConfig(levels=1)), LossConfig(pixel_crop=8)
    for place in ((0, 0), (11, 15), (5, 9)):
        target = noise(1, 3, 12, 16).expand(200, -1, -1, -1)
        output = target.clone()
        output[:, :, place[0], place[1]] += 1
        loss = PixelLoss(config)(
            haar.encode(output), {"target": target}, haar, crops(config, (6, 8), 2, 200)
        )["pixel"]
        assert {round(value, 6) for value in loss.tolist()} == {0.0, round(1 / 64, 6)}, place


def test_every_offset_is_drawn_and_a_rank_takes_its_rows() -> None:
    drawn = crops(LossConfig(pixel_crop=8), (6, 8), 2, 4000)
    assert set(drawn.rows[:, 0].tolist()) == {0, 1, 2}
    assert set(drawn.columns[:, 0].tolist()) == {0, 1, 2, 3, 4}
    assert torch.equal(drawn.of(slice(3, 5)).rows, drawn.rows[3:5])


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_masked_losses_are_means_over_what_is_valid(norm: str) -> None:
    """Half valid or an eighth valid: the same error costs the same, and what is invalid costs nothing."""
    haar, config = build_autoencoder(HaarConfig(levels=1)), LossConfig(pixel_norm=norm, latent_norm=norm)
    target = noise(3, 3, 8, 8)
    output = target + 0.25
    valid = torch.zeros(3, 1, 8, 8)
    valid[0, :, :, :4], valid[1, :, :2, :4] = 1, 1
    output[:2, :, 6:, 6:] = float("inf")
    loss = PixelLoss(config)(
        haar.encode(output), {"target": target, "valid": valid}, haar, crops(config, (4, 4), 2, 3)
    )["pixel"]
    error = {"l1": 0.25, "l2": 0.0625}[norm]
    torch.testing.assert_close(loss, torch.tensor([error, error, 0.0]))

    v, wanted = noise(2, 12, 4, 4), noise(2, 12, 4, 4, seed=1)
    cells = latent_validity(valid[:2], 2)
    by_hand = [(v - wanted)[0, :, :, :2], (v - wanted)[1, :, :1, :2]]
    expected = torch.stack([part.abs().pow({"l1": 1, "l2": 2}[norm]).mean() for part in by_hand])
    torch.testing.assert_close(latent_loss(config, v, wanted, torch.zeros(2), cells), expected)


def test_a_latent_cell_is_valid_only_if_all_of_its_pixels_are() -> None:
    valid = torch.ones(1, 1, 8, 8)
    valid[..., 0, 0], valid[..., 7, 3] = 0, 0.5
    assert torch.equal(latent_validity(valid, 4)[0, 0], torch.tensor([[0.0, 1.0], [0.0, 1.0]]))


@pytest.fixture(scope="module")
def autoencoder() -> FolderAutoencoder:
    """An AutoencoderKL as random weights make it, of half the depth of SDXL's and an eighth of its width."""
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
    )
    return FolderAutoencoder(model, name="small", digest="")


def decoded_error(
    autoencoder: FolderAutoencoder, x1_hat: Tensor, config: LossConfig, side: int, precision: str = "fp32"
) -> tuple[Tensor, Tensor]:
    """The loss per sample, and the gradient of a weighted sum of it, towards targets of noise."""
    estimate = x1_hat.clone().requires_grad_()
    samples, cells = len(estimate), side // autoencoder.factor
    drawn = crops(config, (cells, cells), autoencoder.factor, samples)
    images = {"target": noise(samples, 3, side, side, seed=1).clamp(-1, 1)}
    loss = PixelLoss(config, precision)(estimate, images, autoencoder, drawn)["pixel"]
    (loss * torch.arange(1.0, samples + 1)).sum().backward()
    return loss.detach(), estimate.grad


def test_the_pixel_loss_and_its_gradient_do_not_depend_on_how_many_are_decoded_at_once(
    autoencoder: FolderAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    x1_hat, config = noise(5, 4, 16, 16), LossConfig(pixel_norm="l2", pixel_crop=24)
    estimate = x1_hat.clone().requires_grad_()
    drawn = crops(config, (16, 16), 2, 5)
    target = noise(5, 3, 32, 32, seed=1).clamp(-1, 1)
    by_hand = []
    for row in range(5):
        cells = drawn.of(slice(row, row + 1))
        top, left = int(cells.rows[0, 0]), int(cells.columns[0, 0])
        output = autoencoder.decode(estimate[row : row + 1, :, top : top + 12, left : left + 12])
        wanted = target[row, :, 2 * top : 2 * top + 24, 2 * left : 2 * left + 24]
        by_hand.append((output[0] - wanted).square().mean())
    (torch.stack(by_hand) * torch.arange(1.0, 6)).sum().backward()
    for at_once in (24 * 24, 2 * 24 * 24, 10**6):
        monkeypatch.setattr(losses, "_PIXELS_AT_ONCE", at_once)
        loss, gradient = decoded_error(autoencoder, x1_hat, config, 32)
        torch.testing.assert_close(loss, torch.stack(by_hand).detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, estimate.grad, rtol=1e-4, atol=1e-7)


def test_the_decoder_in_bf16_points_where_it_does_in_float32(autoencoder: FolderAutoencoder) -> None:
    config = LossConfig(pixel_norm="l1")
    exact, halved = (
        decoded_error(autoencoder, noise(2, 4, 16, 16), config, 32, precision)
        for precision in ("fp32", "bf16")
    )
    assert not torch.equal(exact[0], halved[0])
    torch.testing.assert_close(exact[0], halved[0], rtol=0.01, atol=0)
    assert float(torch.cosine_similarity(exact[1].flatten(), halved[1].flatten(), dim=0)) > 0.98


def test_activations_beyond_float16_pass_the_decoder_in_bf16(autoencoder: FolderAutoencoder) -> None:
    """As in SDXL's decoder, whose features grow past 65504 before a normalisation brings them back."""
    large = copy.deepcopy(autoencoder)
    with torch.no_grad():
        large.model.decoder.conv_in.weight *= 1e6
        large.model.decoder.conv_in.bias *= 1e6
    x1_hat = noise(1, 4, 16, 16)
    exact, halved = large.decode(x1_hat), large.decode(x1_hat, "bf16")
    with torch.autocast("cpu", torch.float16):
        assert not large.model.decode(x1_hat / large.scale).sample.isfinite().all()
    assert halved.isfinite().all()
    assert float((exact - halved).abs().mean()) < 0.05 * float(exact.std())


def test_losses_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"loss\.lpips"):
        LossConfig(pixel_weight=1, pixel_norm="lpips")
    with pytest.raises(ValidationError, match="nothing to learn"):
        LossConfig(latent_weight=0)
