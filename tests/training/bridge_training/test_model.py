"""Translation of whole images: any size, exact where it must be, refused where it makes no sense."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.engine.checkpoint import CheckpointError, CheckpointState, write_checkpoint
from pairbridge.training.networks.autoencoders import build_autoencoder

CONFIG = TrainingConfig.model_validate(
    {"size": 32, "denoiser": {"widths": (8, 16, 16), "head_width": 8, "norm_groups": 4}}
)


def picture(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return (
        draw.integers(0, 256, (height, width, 3), dtype=np.uint8),
        draw.integers(0, 256, (height, width), dtype=np.uint8),
    )


def model(*, trained: bool, config: TrainingConfig = CONFIG) -> TranslationModel:
    autoencoder = build_autoencoder(config.autoencoder)
    denoiser = build_denoiser(config, autoencoder)
    if trained:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            denoiser.unet.conv_out.weight.normal_(std=0.02, generator=generator)
    return TranslationModel(config, autoencoder, denoiser)


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (33, 47), (1, 1), (5, 200), (30, 700)])
def test_an_untrained_model_returns_its_input_bit_for_bit(size: tuple[int, int]) -> None:
    source, mask = picture(*size)
    assert np.array_equal(model(trained=False).translate(source, mask), source)


def test_padding_does_not_reach_an_image_that_needs_none() -> None:
    """A batch of two is two batches of one; an image cropped back has the size it came with."""
    one, two = picture(32, 48, 1), picture(32, 48, 2)
    trained = model(trained=True)
    together = trained.translate_batch(np.stack([one[0], two[0]]), np.stack([one[1], two[1]]))
    apart = [trained.translate(*one), trained.translate(*two)]
    assert np.abs(together.astype(int) - np.stack(apart).astype(int)).max() <= 1
    assert not np.array_equal(together[0], one[0])
    assert trained.translate(*picture(30, 41)).shape == (30, 41, 3)


def test_kept_pixels_outside_the_mask_are_the_source_byte_for_byte() -> None:
    source, mask = picture(30, 44)
    mask[:10], mask[10:20] = 0, 255
    keeping = model(trained=True, config=CONFIG.model_copy(update={"outside_mask": "keep"}))
    kept, plain = keeping.translate(source, mask), model(trained=True).translate(source, mask)
    assert np.array_equal(kept[:10], source[:10])
    assert np.array_equal(kept[10:20], plain[10:20])
    assert not np.array_equal(plain[:10], source[:10])
    low, high = np.minimum(source, plain), np.maximum(source, plain)
    assert ((kept >= low) & (kept <= high)).all()


def test_crops_and_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="no multiple of 16"):
        model(trained=False, config=CONFIG.model_copy(update={"size": 40}))
    with pytest.raises(ValidationError, match="linear in the image"):
        TrainingConfig.model_validate(
            {"denoiser": {"head": "gain"}, "autoencoder": {"kind": "folder", "path": "weights"}}
        )


def test_several_steps_are_a_function_of_the_seed() -> None:
    source, mask = picture(32, 32)
    noisy = CONFIG.model_copy(update={"bridge": CONFIG.bridge.model_copy(update={"sigma": 0.5})})
    trained = model(trained=True, config=noisy)
    first = trained.translate(source, mask, steps=4, seed=3)
    torch.manual_seed(5)
    assert np.array_equal(trained.translate(source, mask, steps=4, seed=3), first)
    assert not np.array_equal(trained.translate(source, mask, steps=4, seed=4), first)
    assert np.array_equal(
        trained.translate(source, mask, steps=1, seed=3), trained.translate(source, mask, steps=1, seed=4)
    )


def test_what_the_model_cannot_do_is_refused() -> None:
    source, mask = picture(32, 32)
    with pytest.raises(ConfigError, match="mask"):
        model(trained=False).translate(source)
    with pytest.raises(ConfigError, match=r"\(16, 32\)"):
        model(trained=False).translate(source, mask[:16])
    with pytest.raises(ConfigError, match="never trained"):
        model(trained=False).translate(source, mask, steps=3)


def test_a_model_without_conditions_needs_no_mask() -> None:
    denoiser = CONFIG.denoiser.model_copy(update={"conditions": ()})
    source, _ = picture(32, 32)
    config = CONFIG.model_copy(update={"denoiser": denoiser})
    assert np.array_equal(model(trained=False, config=config).translate(source), source)


def test_loading_uses_the_average_and_refuses_another_autoencoder(tmp_path: Path) -> None:
    trained, fresh = model(trained=True), model(trained=False)

    def save(digest: str) -> Path:
        state = CheckpointState(
            step=1,
            images=4,
            ema_updates=1,
            consumed={},
            config=CONFIG.model_dump(mode="json"),
            mix={},
            inputs={"autoencoder": digest},
        )
        tensors = {"model": fresh.denoiser.state_dict(), "ema": trained.denoiser.state_dict()}
        return write_checkpoint(tmp_path / digest, state, tensors, keep=1)

    source, mask = picture(32, 32)
    loaded = TranslationModel.load(save(trained.autoencoder.digest))
    assert np.array_equal(loaded.translate(source, mask), trained.translate(source, mask))
    assert not np.array_equal(loaded.translate(source, mask), source)
    with pytest.raises(CheckpointError, match="autoencoder"):
        TranslationModel.load(save("0" * 64))
