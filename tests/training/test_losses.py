"""Loss terms against what they are defined as."""

import pytest
import torch

from training.autoencoders import HaarConfig, build_autoencoder
from training.losses import LatentWeighting, latent_loss, pixel_loss


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_latent_loss_is_a_mean_per_sample_in_either_weighting() -> None:
    v, wanted, t = noise(3, 4, 2, 2), noise(3, 4, 2, 2, seed=1), torch.tensor([0.0, 0.5, 0.75])
    plain = latent_loss(v, wanted, t, LatentWeighting.FIELD)
    expected = torch.stack([(a - b).pow(2).mean() for a, b in zip(v, wanted, strict=True)])
    torch.testing.assert_close(plain, expected)
    # |x1_hat - x1|^2 = (1-t)^2 |v - v*|^2 whatever x_t is.
    weighted = latent_loss(v, wanted, t, LatentWeighting.ESTIMATE)
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 0.25, 0.0625]))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_pixel_loss_without_a_crop_is_the_error_of_the_image(norm: str) -> None:
    haar = build_autoencoder(HaarConfig(levels=1))
    output, target = noise(2, 3, 8, 12), noise(2, 3, 8, 12, seed=1)
    generator = torch.Generator().manual_seed(0)
    loss = pixel_loss(
        haar.encode(output), target, decode=haar.decode, factor=2, norm=norm, crop=512, generator=generator
    )
    error = (output - target).abs() if norm == "l1" else (output - target).pow(2)
    torch.testing.assert_close(loss, error.mean(dim=(1, 2, 3)))


def test_crops_reach_every_place_and_stay_aligned() -> None:
    """With output = target in all but one pixel, the loss is nonzero just where the crop holds that pixel."""
    haar = build_autoencoder(HaarConfig(levels=1))
    generator = torch.Generator().manual_seed(0)
    for place in ((0, 0), (11, 15), (5, 9)):
        target = noise(1, 3, 12, 16)
        output = target.clone()
        output[0, :, place[0], place[1]] += 1
        losses = {
            round(
                float(
                    pixel_loss(
                        haar.encode(output),
                        target,
                        decode=haar.decode,
                        factor=2,
                        norm="l1",
                        crop=8,
                        generator=generator,
                    )
                ),
                6,
            )
            for _ in range(200)
        }
        assert losses == {0.0, round(1 / 64, 6)}, place
