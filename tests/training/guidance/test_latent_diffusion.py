"""The adapter of latent diffusion models: against diffusers' own steps, exact Gaussians, and its promises."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.guidance.edit_losses import RangeConfig, WeightedTerm
from pairbridge.training.guidance.guidance_equations import follow, invert
from pairbridge.training.guidance.guide_config import DiffusionConfig, GuideConfig
from pairbridge.training.guidance.guided_images import edit_images
from pairbridge.training.guidance.latent_diffusion import LatentDiffusion, Noising, is_latent_diffusion
from tests.support.tiny_iclight import BASE, write_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny and random, in the layout of Stable Diffusion 1.5."""
    base = write_weights(tmp_path_factory.mktemp("sd")) / BASE
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    ).save_pretrained(base / "scheduler")
    return base


def images(*seeds: int, height: int = 60, width: int = 70) -> np.ndarray:
    coarse = [np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8) for seed in seeds]
    return np.stack([np.kron(one, np.ones((10, 10, 1), np.uint8))[:height, :width] for one in coarse])


def redness() -> WeightedTerm:
    return WeightedTerm("red", 50.0, lambda found, scene: (found[:, 0] - 0.9).square().mean(dim=(1, 2)))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_unguided_path_is_that_of_diffusers(folder: Path, prediction: str) -> None:
    """Ten of its DDIM steps with a random network, whatever it predicts."""
    changed = {**json.loads((folder / "scheduler" / "scheduler_config.json").read_text())}
    scheduler = DDIMScheduler.from_config(
        {
            **changed,
            "prediction_type": prediction,
            "steps_offset": 0,
            "set_alpha_to_one": True,
            "clip_sample": False,
        }
    )
    loaded = LatentDiffusion.load(folder, DiffusionConfig(prompt="a cat"))
    diffusion = LatentDiffusion(
        loaded.unet, loaded.autoencoder, Noising(loaded.noising.alphas, prediction), loaded.prompt, None
    )
    x = torch.randn(2, 4, 8, 8, generator=generator())
    scheduler.set_timesteps(10)
    steps = scheduler.timesteps.tolist()
    ours, _ = follow(diffusion.guided_model(), x, [diffusion.noising.time(step) for step in steps])
    with torch.no_grad():
        for step in steps:
            output = loaded.unet(x, step, encoder_hidden_states=loaded.prompt.expand(2, -1, -1)).sample
            x = scheduler.step(output, step, x).prev_sample
    torch.testing.assert_close(ours, x, atol=2e-4, rtol=2e-4)


def exact_unet(mean: float, std: float, alphas: Tensor) -> Callable[..., SimpleNamespace]:
    """The network that a Gaussian prior of latents asks for."""

    def unet(x: Tensor, step: int, encoder_hidden_states: Tensor | None) -> SimpleNamespace:
        kept = float(alphas[step])
        return SimpleNamespace(sample=(1 - kept) ** 0.5 * (x - kept**0.5 * mean) / (kept * std**2 + 1 - kept))

    return unet


def test_an_exact_gaussian_model_takes_latents_to_their_noise_and_back(folder: Path) -> None:
    """The probability flow keeps a latent's number of standard deviations, z."""
    mean, std = 0.4, 0.5
    noising = Noising.load(folder / "scheduler")
    diffusion = LatentDiffusion(exact_unet(mean, std, noising.alphas), None, noising, None, None)
    z = torch.linspace(-2, 2, 64, dtype=torch.float64).reshape(1, 4, 4, 4)
    clean, model = mean + std * z, diffusion.guided_model()

    def errors(steps: int) -> tuple[float, float]:
        times = noising.times(steps, 0.9)
        kept = noising.alpha_bar(times[0])
        noisy, _ = invert(model, clean, times)
        exact = kept**0.5 * mean + (kept * std**2 + 1 - kept) ** 0.5 * z
        back, _ = follow(model, noisy, times)
        return float((noisy - exact).abs().max()), float((back - clean).abs().max())

    (noise_few, back_few), (noise_many, back_many) = errors(20), errors(200)
    assert noise_many < 0.03
    assert back_many < 0.03
    assert noise_many < 0.2 * noise_few
    assert back_many < 0.2 * back_few


def test_the_blend_mask_leaves_latents_outside_exactly_at_the_stored_inversion(folder: Path) -> None:
    diffusion = LatentDiffusion.load(folder, DiffusionConfig())
    sources = images(1, height=64, width=64)
    masks = np.zeros((1, 64, 64), np.uint8)
    masks[:, :32] = 255
    path = diffusion.path(sources, steps=5, strength=0.6)
    seen = []

    def watching(latents: Tensor) -> Tensor:
        seen.append(latents.detach())
        return diffusion.autoencoder.decode(latents)

    watched = replace(path, decode=watching)
    config = GuideConfig(
        losses=[RangeConfig()], blend=True, guidance={"window": (0.4, 0.8), "mcg_scale": 0.001}
    )
    edited = edit_images(watched, sources, masks, [redness()], config, generator())
    end, stored = seen[-1], path.stored[-1]
    assert torch.equal(end[..., 4:, :], stored[..., 4:, :])
    assert float((end[..., :4, :] - stored[..., :4, :]).abs().max()) > 0.01
    # And what is shown there is the picture's own.
    assert np.array_equal(edited.images[:, 32:], sources[:, 32:])
    assert not np.array_equal(edited.images[:, :32], sources[:, :32])


def test_a_batch_of_two_is_two_batches_of_one_and_the_loss_falls(folder: Path) -> None:
    diffusion = LatentDiffusion.load(folder, DiffusionConfig(prompt="a dog", guidance_scale=2.0))
    config = GuideConfig(
        losses=[RangeConfig()], guidance={"window": (0.4, 1), "structure_weight": 0.1, "mcg_scale": 0.001}
    )
    sources = images(2, 3)

    def edited(chosen: np.ndarray):
        path = diffusion.path(chosen, steps=4, strength=0.5)
        return edit_images(path, chosen, None, [redness()], config, generator())

    both, alone = edited(sources), [edited(sources[i : i + 1]) for i in range(2)]
    apart = np.concatenate([one.images for one in alone]).astype(int)
    assert np.abs(both.images - apart).max() <= 1
    assert both.images.shape == sources.shape
    assert all(after < before for before, after in zip(both.before["red"], both.after["red"], strict=True))
    # Four times of the inversion, four guided ones, two evaluations each for the prompt's guidance.
    assert (both.evaluations, both.gradients) == (16, 8)


def test_prompts_and_their_guidance_reach_the_network(folder: Path) -> None:
    sources = images(4)
    starts = [
        LatentDiffusion.load(folder, DiffusionConfig(**changes)).path(sources, steps=3, strength=0.5).start
        for changes in ({}, {"prompt": "a cat"}, {"prompt": "a cat", "guidance_scale": 4.0})
    ]
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_what_does_not_fit_is_said(folder: Path, tmp_path: Path) -> None:
    assert is_latent_diffusion(folder)
    assert not is_latent_diffusion(tmp_path)
    with pytest.raises(ConfigError, match="fewer than 50"):
        Noising.load(folder / "scheduler").times(50, 0.01)
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "flow"}')
    with pytest.raises(ConfigError, match="predicts 'flow'"):
        Noising.load(tmp_path / "scheduler")
    with pytest.raises(ConfigError, match=r"no config\.json"):
        LatentDiffusion.load(tmp_path, DiffusionConfig())
    wide = UNet2DConditionModel.from_config(
        {**UNet2DConditionModel.load_config(folder / "unet"), "in_channels": 9}
    )
    wide.save_pretrained(tmp_path / "unet")
    with pytest.raises(ConfigError, match="not supported"):
        LatentDiffusion.load(tmp_path, DiffusionConfig())
