"""Flows in the trainer and in a model: where paths start, classes, guidance, and what all of it draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.training.bridge.samplers import Dopri5Sampler, EulerSampler, HeunSampler
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import bridge_loss, draw_step
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.condition_specs import ConditionConfig, class_condition
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.tensors import network_images, pixels_of
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.networks.conditions import encode_condition, withhold
from tests.support.toy_relighting import SIZE, ball_pair, write_toy_dataset

SHADES = ("dark", "light")
SHADE = ConditionConfig(field="shade", classes=SHADES, read="assets.object", dropout=0.2)


def shade_of(seed: int) -> str:
    return SHADES[seed % 2]


def shaded_pair(seed: int) -> dict:
    """A target of one grey, by class; the source says nothing of it."""
    grey = 64 if shade_of(seed) == "dark" else 192
    pair = ball_pair(seed)
    target = np.clip(grey + np.random.default_rng(seed).normal(0, 8, (1, 1, 3)), 0, 255).astype(np.uint8)
    return {**pair, "target.png": np.broadcast_to(target, (SIZE, SIZE, 3)).copy()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    write_toy_dataset(
        folder / "shades", "shades", {"train": 16}, make_pair=shaded_pair, family=shade_of, per_object=1
    )
    return folder


def config(*, start: str = "noise", conditions: tuple = (SHADE,), **changes) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "batch_size": 8,
            "size": SIZE,
            "autoencoder": {"kind": "haar", "levels": 3},
            "bridge": {"sigma": 0, "start": start},
            "timesteps": {"kind": "uniform", "cap": 0.98},
            "denoiser": {
                "widths": (16, 16),
                "head_width": 8,
                "norm_groups": 4,
                "conditions": [one.model_dump() for one in conditions],
            },
            "loss": {"latent_weighting": "field"},
            "threads": 1,
            "loader_workers": 0,
            "watch": {"trackers": ()},
            **changes,
        }
    )


def model(settings: TrainingConfig, *, std: float = 0.02) -> TranslationModel:
    """With random output weights."""
    autoencoder = build_autoencoder(settings.autoencoder)
    denoiser = build_denoiser(settings, autoencoder)
    with torch.no_grad():
        denoiser.unet.conv_out.weight.normal_(std=std, generator=torch.Generator().manual_seed(1))
    return TranslationModel(settings, autoencoder, denoiser)


def grey(count: int = 1) -> np.ndarray:
    return np.full((count, SIZE, SIZE, 3), 128, np.uint8)


def test_a_sample_brings_its_class_along(root: Path) -> None:
    pairs = PairSource(root / "shades", "shades", "train", conditions=(SHADE,))
    read = [pairs.pair(index) for index in range(4)]
    images = network_images(pixels_of(read))
    latent = torch.zeros(4, 3, 5, 6)
    planes = encode_condition(SHADE, images, latent, build_autoencoder(config().autoencoder))
    assert planes.shape == (4, 2, 5, 6)
    names = [pair.meta["assets"][0]["id"].partition(":")[0] for pair in read]
    assert set(names) == set(SHADES)
    for plane, name in zip(planes, names, strict=True):
        for place, other in enumerate(SHADES):
            assert (plane[place] == float(other == name)).all()
    dropped = withhold([SHADE], {"shade": planes}, torch.tensor([0.1, 0.3, 0.1, 0.9]))["shade"]
    assert [bool(one.any()) for one in dropped] == [False, True, False, True]


def test_a_class_that_is_not_listed_names_its_sample(root: Path) -> None:
    other = ConditionConfig(field="shade", classes=("dark", "bright"), read="assets.object")
    pairs = PairSource(root / "shades", "shades", "train", conditions=(other,))
    with pytest.raises(ShardError, match=r"shades-train-0000000\d.*'light' is none of dark, bright"):
        [pairs.pair(index) for index in range(4)]


def test_where_a_class_is_read_from() -> None:
    meta = {
        "kind": "swap",
        "assets": [{"role": "object", "id": "mug:12"}],
        "params": '{"light":{"kind":"rig"}}',
    }
    for read, found in (("assets.object", "mug"), ("params.light.kind", "rig"), ("kind", "swap")):
        assert ConditionConfig(field="what", classes=("a",), read=read).class_in(meta) == found
    with pytest.raises(KeyError):
        ConditionConfig(field="what", classes=("a",), read="assets.lamp").class_in(meta)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"classes": ("a",)}, "needs both"),
        ({"read": "kind"}, "needs both"),
        ({"classes": ("a",), "read": "kind", "encoding": "resize"}, "are for images"),
        ({"classes": ("a", "a"), "read": "kind"}, "repeat"),
        ({"classes": ("a",), "read": "kind", "field": "mask"}, "name of an image"),
    ],
)
def test_class_conditions_that_make_no_sense_are_refused(changes: dict, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ConditionConfig.model_validate({"field": "family", **changes})


def test_noise_in_the_path_and_noise_at_its_start_do_not_go_together() -> None:
    with pytest.raises(ValidationError, match="set sigma to 0"):
        config(bridge={"sigma": 0.1, "start": "noise"})


@pytest.mark.parametrize("start", ["noise", "source"])
def test_an_output_of_zero_costs_the_mean_square_of_the_velocity(root: Path, start: str) -> None:
    """x1 - x0, with x0 the step's noise or the source's latent."""
    settings = config(start=start)
    autoencoder = build_autoencoder(settings.autoencoder)
    pairs = PairSource(root / "shades", "shades", "train", conditions=(SHADE,))
    batch = pixels_of([pairs.pair(index) for index in range(8)])
    plain = settings.model_copy(update={"augment": settings.augment.model_copy(update={"flip": 0.0})})
    draws = draw_step(plain, autoencoder, step=0, samples=8, size_HW=(SIZE, SIZE))
    denoiser = build_denoiser(plain, autoencoder)
    loss = bridge_loss(plain, denoiser, autoencoder, PixelLoss(plain.loss), batch, draws)
    images = network_images(batch)
    x0 = draws.eps if start == "noise" else autoencoder.encode(images["source"])
    wanted = (autoencoder.encode(images["target"]) - x0).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss.per_sample, wanted)


def test_guidance_goes_on_along_the_line_between_both_fields() -> None:
    """One Euler step is affine in the field, and so in the strength."""
    flow = model(config(start="source"))
    conditions = {"shade": SHADE.class_image("light")[None]}
    without, plain, twice = (
        flow.predict_batch(grey(), sampler=EulerSampler(), guidance=scale, conditions=conditions)
        for scale in (0.0, 1.0, 2.0)
    )
    assert np.abs(plain - without).max() > 1e-3
    np.testing.assert_allclose(twice, 2 * plain - without, atol=1e-5)
    np.testing.assert_array_equal(without, flow.predict_batch(grey(), sampler=EulerSampler()))


def test_evaluations_of_the_network_are_counted() -> None:
    flow = model(config())
    conditions = {"shade": SHADE.class_image("dark")[None]}
    for sampler, steps, guidance, evaluations in (
        (EulerSampler(), 4, 1.0, 4),
        (HeunSampler(), 4, 1.0, 7),
        (HeunSampler(), 4, 2.0, 14),
    ):
        before = flow.evaluations
        flow.predict_batch(grey(), steps=steps, sampler=sampler, guidance=guidance, conditions=conditions)
        assert flow.evaluations - before == evaluations
    before = flow.evaluations
    flow.predict_batch(grey(), sampler=Dopri5Sampler(rtol=0.1, atol=0.1), conditions=conditions)
    assert flow.evaluations - before > 7


def test_images_from_noise_are_a_function_of_the_seed_and_not_of_the_source() -> None:
    flow = model(config())
    black = np.zeros_like(grey())
    first = flow.translate_batch(grey(), steps=3, seed=1)
    assert np.array_equal(flow.translate_batch(black, steps=3, seed=1), first)
    assert not np.array_equal(flow.translate_batch(grey(), steps=3, seed=2), first)


def test_guidance_without_dropout_and_classes_that_are_unknown_are_refused() -> None:
    always = ConditionConfig(field="shade", classes=SHADES, read="assets.object")
    flow = model(config(conditions=(always,)))
    conditions = {"shade": always.class_image("dark")[None]}
    with pytest.raises(ConfigError, match="never trained without any"):
        flow.predict_batch(grey(), guidance=2.0, conditions=conditions)
    with pytest.raises(ConfigError, match="a shade beside the image, and none was given"):
        flow.predict_batch(grey())
    with pytest.raises(ConfigError, match=r"no class 'red'.*\n.*\n.*shade: dark, light"):
        class_condition((always,), "red")


@pytest.mark.long
def test_a_trained_flow_makes_the_class_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    """From noise to greys of 64 or 192, by class; without a class both come, and guidance overshoots none."""
    settings = config(
        steps=400,
        batch_size=16,
        optimiser={"learning_rate": 4e-3, "warmup_images": 160, "schedule": "cosine"},
        ema_half_life_images=300,
        checkpoint_every=400,
    )
    mix = MixConfig.model_validate({"sources": [{"name": "a", "path": "run:shades", "recipe": "shades"}]})
    trained = train(settings, mix, tmp_path / "train", run_root=root)
    flow = TranslationModel.load(trained.checkpoint)

    def levels(name: str | None, guidance: float = 1.0) -> np.ndarray:
        conditions = {"shade": np.stack([SHADE.class_image(name)] * 12)} if name else {}
        images = flow.translate_batch(
            grey(12), steps=12, sampler=HeunSampler(), guidance=guidance, conditions=conditions
        )
        return images.mean(axis=(1, 2, 3))

    for guidance in (1.0, 1.5):
        assert np.abs(levels("dark", guidance) - 64).max() < 32
        assert np.abs(levels("light", guidance) - 192).max() < 32
    either = levels(None)
    assert either.min() < 100 < 156 < either.max()
