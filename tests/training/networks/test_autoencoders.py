"""Haar against its definition, and diffusers autoencoders in their real folder layout, tiny and random."""

from pathlib import Path

import diffusers
import numpy as np
import pytest
import scipy.linalg
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.networks.autoencoders import FolderConfig, HaarConfig, build_autoencoder


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_haar_is_orthonormal_and_inverts(levels: int) -> None:
    haar = build_autoencoder(HaarConfig(levels=levels))
    x = images(2, 3, 32, 48)
    z = haar.encode(x)
    assert z.shape == (2, haar.channels, 32 // haar.factor, 48 // haar.factor)
    torch.testing.assert_close(haar.decode(z), x, atol=2e-6, rtol=0)
    torch.testing.assert_close(z.norm(), x.norm())


def test_haar_of_one_block_is_the_walsh_hadamard_transform() -> None:
    """Two full packet levels of Haar on both axes: the same 16 patterns as SciPy's Hadamard matrix."""
    haar = build_autoencoder(HaarConfig(levels=2))
    block = images(1, 3, 4, 4)
    hadamard = scipy.linalg.hadamard(4) / 2
    expected = np.einsum("ky,cyx,lx->ckl", hadamard, block[0].numpy(), hadamard).reshape(3, 16)
    np.testing.assert_allclose(haar.encode(block)[0, :, 0, 0].reshape(3, 16), expected, atol=1e-6)


def test_haar_mask_is_lossless_and_bounded() -> None:
    haar = build_autoencoder(HaarConfig(levels=2))
    mask = (images(1, 1, 16, 16) > 0).float()
    condition = haar.encode_mask(mask)
    assert condition.shape == (1, haar.mask_channels, 4, 4)
    assert float(condition.abs().max()) <= 1
    torch.testing.assert_close(haar.decode(condition * haar.factor), mask, atol=1e-6, rtol=0)


def save_kl(path: Path, **config) -> diffusers.AutoencoderKL:
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        **config,
    )
    model.save_pretrained(path, safe_serialization=True)
    return model.eval()


def save_tiny(path: Path) -> diffusers.AutoencoderTiny:
    torch.manual_seed(0)
    model = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )
    model.save_pretrained(path, safe_serialization=True)
    return model.eval()


@pytest.mark.parametrize(
    ("config", "shift", "scale"),
    [
        ({"scaling_factor": 0.18215}, 0.0, 0.18215),
        ({"scaling_factor": 0.3611, "shift_factor": 0.1159}, 0.1159, 0.3611),
        (
            {
                "scaling_factor": 0.5,
                "latents_mean": [-1.6, 1.1, 0.5, 0.3],
                "latents_std": [8.4, 5.9, 6.0, 5.2],
            },
            torch.tensor([-1.6, 1.1, 0.5, 0.3]).reshape(4, 1, 1),
            0.5 / torch.tensor([8.4, 5.9, 6.0, 5.2]).reshape(4, 1, 1),
        ),
    ],
    ids=["scale", "shift and scale", "per channel"],
)
def test_kl_folder_gives_the_scaled_mode(tmp_path: Path, config, shift, scale) -> None:
    model = save_kl(tmp_path, **config)
    autoencoder = build_autoencoder(FolderConfig(path=tmp_path))
    assert (autoencoder.channels, autoencoder.factor, autoencoder.mask_channels) == (4, 2, 1)
    x = images(2, 3, 16, 16)
    with torch.no_grad():
        mode = model.encode(x).latent_dist.mode()
        z = autoencoder.encode(x)
        torch.testing.assert_close(z, (mode - shift) * scale)
        torch.testing.assert_close(autoencoder.decode(z), model.decode(mode).sample, atol=1e-5, rtol=1e-4)


def test_tiny_folder_gives_latents_as_the_model_does(tmp_path: Path) -> None:
    model = save_tiny(tmp_path)
    autoencoder = build_autoencoder(FolderConfig(path=tmp_path))
    assert (autoencoder.channels, autoencoder.factor) == (4, 4)
    x = images(1, 3, 16, 16)
    with torch.no_grad():
        z = model.encode(x).latents
        torch.testing.assert_close(autoencoder.encode(x), z)
        torch.testing.assert_close(autoencoder.decode(z), model.decode(z).sample)


def test_decode_passes_gradients_to_the_latent_and_none_to_the_weights(tmp_path: Path) -> None:
    save_kl(tmp_path)
    autoencoder = build_autoencoder(FolderConfig(path=tmp_path))
    z = torch.zeros(1, 4, 4, 4, requires_grad=True)
    autoencoder.decode(z).square().mean().backward()
    assert float(z.grad.abs().sum()) > 0
    assert all(weight.grad is None for weight in autoencoder.parameters())
    assert not autoencoder.model.training


def test_digest_follows_the_weights(tmp_path: Path) -> None:
    save_kl(tmp_path / "a")
    save_kl(tmp_path / "b")
    a, b = (build_autoencoder(FolderConfig(path=tmp_path / name)) for name in "ab")
    assert a.digest == b.digest
    model = save_kl(tmp_path / "b")
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    model.save_pretrained(tmp_path / "b")
    assert build_autoencoder(FolderConfig(path=tmp_path / "b")).digest != a.digest
    haar_digests = {build_autoencoder(HaarConfig(levels=levels)).digest for levels in (1, 2)}
    assert len(haar_digests) == 2


def test_pickled_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        build_autoencoder(FolderConfig(path=tmp_path / "absent"))
    pickled = tmp_path / "pickled"
    save_kl(tmp_path / "safe").save_pretrained(pickled, safe_serialization=False)
    with pytest.raises(ConfigError, match="safetensors"):
        build_autoencoder(FolderConfig(path=pickled))
    foreign = tmp_path / "foreign"
    diffusers.UNet2DModel(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    ).save_pretrained(foreign)
    with pytest.raises(ConfigError, match="UNet2DModel"):
        build_autoencoder(FolderConfig(path=foreign))
