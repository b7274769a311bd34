"""Tiled decoding: exact where it can be, seamless where a decoder looks around, whole when small."""

import pytest
import torch
import torch.nn.functional as F

from pairbridge.training.networks.autoencoders import HaarTransform, decode_tiled


@pytest.mark.parametrize("size", [(40, 40), (17, 90), (33, 16), (100, 61)])
def test_a_local_decoder_is_not_changed_by_tiles(size: tuple[int, int]) -> None:
    haar = HaarTransform(2)
    latents = torch.randn(2, haar.channels, *size, generator=torch.Generator().manual_seed(0))
    tiled = decode_tiled(haar.decode, latents, haar.factor, tile=16, overlap=4)
    torch.testing.assert_close(tiled, haar.decode(latents), atol=1e-5, rtol=0)


def test_no_tile_is_larger_than_asked_and_small_latents_are_decoded_whole() -> None:
    seen: list[tuple[int, ...]] = []

    def decode(latents: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(latents.shape[-2:]))
        return F.interpolate(latents[:, :3], scale_factor=2.0)

    decode_tiled(decode, torch.zeros(1, 4, 50, 16), 2, tile=16, overlap=4)
    assert set(seen) == {(16, 16)}
    seen.clear()
    assert decode_tiled(decode, torch.zeros(1, 4, 16, 9), 2, tile=16, overlap=4).shape == (1, 3, 32, 18)
    assert seen == [(16, 9)]


def test_a_decoder_that_looks_around_shows_no_seam() -> None:
    """A blur of five cells: what tiles cannot see fades out before it counts."""
    kernel = torch.ones(3, 1, 5, 5) / 25

    def decode(latents: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(latents, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)

    latents = F.interpolate(torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1)), (96, 96))
    error = (decode_tiled(decode, latents, 1, tile=32, overlap=12) - decode(latents)).abs()
    assert error.max() < 0.2 * decode(latents).std()
    assert error.mean() < 0.01 * decode(latents).std()
