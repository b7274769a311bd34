"""Adapters on published weights: what trains, what a checkpoint holds, what comes of merging them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from pydantic import ValidationError
from safetensors.torch import load_file

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.memory_estimate import estimate_memory
from pairbridge.training.bridge_training.objective import predict
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PICTURES
from pairbridge.training.engine.checkpoint import CheckpointError, read_state, read_tensors
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.published.published_folders import load_published, translation_of, write_published
from tests.support.tiny_base import write_tiny_base
from tests.support.tiny_transformers import TRANSFORMERS
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, mix, tensors

LORA = {"rank": 4, "alpha": 8.0}
FAST = {"learning_rate": 1e-2, "warmup_images": 0, "schedule": "constant"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a base, and a training of four steps with a checkpoint after two."""
    folder = tmp_path_factory.mktemp("lora")
    torch.set_num_threads(1)
    write_toy_dataset(folder / "a", "relighting", {"train": 12, "validation": 4})
    write_toy_dataset(folder / "b", "photos", {"train": 5}, seed=1)
    train(adapted(folder), mix(), folder / "straight", run_root=folder)
    return folder


def adapted(root: Path, **changes):
    denoiser = write_tiny_base(root / "base")
    how = {"denoiser": denoiser, "lora": LORA, "optimiser": FAST, "steps": 4, "checkpoint_every": 2}
    return config(**{**how, **changes})


def newest(root: Path, run: str = "straight") -> Path:
    return root / run / "checkpoints" / "step-000004"


def test_only_adapters_and_the_outer_layers_are_trained_and_kept(root: Path) -> None:
    held = read_tensors(newest(root), "model")
    outer = {f"unet.conv_{side}.{what}" for side in ("in", "out") for what in ("weight", "bias")}
    assert outer < held.keys()
    assert all(".lora_A." in name or ".lora_B." in name for name in held.keys() - outer)
    assert read_tensors(newest(root), "ema").keys() == held.keys()
    states = read_tensors(newest(root), "optimiser")
    assert {name.rsplit(".", 1)[0] for name in states} == held.keys()
    assert len(read_state(newest(root)).inputs["base"]) == 64
    assert any(value.abs().max() > 1e-3 for name, value in held.items() if ".lora_B." in name)
    assert held["unet.conv_out.weight"].any()


def test_a_killed_and_resumed_training_is_the_same(root: Path) -> None:
    train(adapted(root, steps=2), mix(), root / "cut", run_root=root)
    train(adapted(root), mix(), root / "cut", run_root=root)
    a, b = tensors(newest(root)), tensors(newest(root, "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_opens_with_its_adapters_merged_by_hand(root: Path) -> None:
    """W + alpha / rank B A, of the average; every other weight is the base's, bit for bit."""
    model = TranslationModel.load(newest(root))
    average = read_tensors(newest(root), "ema")
    base = load_file(root / "base" / "diffusion_pytorch_model.safetensors")
    merged = dict(model.denoiser.backbone.named_parameters())
    assert merged.keys() == base.keys()
    adapters = 0
    for name, weight in merged.items():
        low = f"unet.{name.removesuffix('.weight')}.lora_{{}}.default.weight"
        if f"unet.{name}" in average:
            assert torch.equal(weight, average[f"unet.{name}"])
        elif low.format("A") in average:
            expected = base[name] + 2.0 * average[low.format("B")] @ average[low.format("A")]
            torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-5)
            adapters += 1
        else:
            assert torch.equal(weight, base[name])
    assert adapters == 6 * 2 * 4  # blocks, attentions, layers
    assert model.config.lora is None


def test_a_published_folder_holds_plain_networks(root: Path, tmp_path: Path) -> None:
    model = TranslationModel.load(newest(root))
    write_published(model, tmp_path / "model", removes=False)
    stock = UNet2DConditionModel.from_pretrained(tmp_path / "model", subfolder="unet")
    assert stock.state_dict().keys() == model.denoiser.backbone.state_dict().keys()
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    mask = np.full((32, 48), 255, np.uint8)
    opened = translation_of(load_published(tmp_path / "model"))
    assert np.array_equal(opened.translate(image, mask), model.translate(image, mask))
    assert not np.array_equal(model.translate(image, mask), image)


def test_another_base_is_refused(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    moved = adapted(root, denoiser=write_tiny_base(there), steps=1, checkpoint_every=1)
    checkpoint = train(moved, mix(), tmp_path / "run", run_root=root).checkpoint
    changed = UNet2DConditionModel.from_pretrained(there)
    torch.nn.init.ones_(changed.conv_norm_out.bias)
    changed.save_pretrained(there)
    with pytest.raises(CheckpointError, match="base"):
        TranslationModel.load(checkpoint)
    with pytest.raises(CheckpointError, match="base"):
        train(moved.model_copy(update={"steps": 2}), mix(), tmp_path / "run", run_root=root)


def test_in_bf16_the_base_rests_in_bf16_and_no_output_changes(root: Path) -> None:
    """What autocast makes of a frozen float32 weight at each use is made once."""
    chosen = adapted(root, precision="bf16")
    autoencoder = build_autoencoder(chosen.autoencoder)
    bridge = BridgeLearner(
        chosen, autoencoder, PixelLoss(chosen.loss), Ranks(0, 1), torch.device("cpu"), from_base=True
    )
    resting = dict(bridge.learner.network.named_parameters())
    whole = build_denoiser(chosen, autoencoder, from_base=True)
    with torch.no_grad():
        for network in (whole, bridge.learner.network):
            torch.nn.init.normal_(
                network.backbone.conv_out.weight, generator=torch.Generator().manual_seed(1)
            )
    for name, weight in whole.named_parameters():
        halved = not weight.requires_grad and weight.ndim > 1
        assert resting[name].dtype == (torch.bfloat16 if halved else resting[name].dtype)
        assert weight.dtype == torch.float32
        assert not weight.requires_grad or resting[name].dtype == torch.float32
    x, mask = torch.randn(2, 48, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(2, 16, 8, 8)
    made = [
        predict(chosen, network, x, torch.tensor([0.0, 0.5]), {"mask": mask})
        for network in (whole, bridge.learner.network)
    ]
    assert made[0].abs().max() > 0
    assert torch.equal(*made)
    bytes_at_rest = sum(weight.nbytes for weight in resting.values())
    assert estimate_memory(chosen, 1).parameters == bytes_at_rest < sum(w.nbytes for w in whole.parameters())


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_adapters_learn_on_every_transformer_and_its_weights_stay(kind: str, tmp_path: Path) -> None:
    plain = config(denoiser=TRANSFORMERS[kind])
    autoencoder = build_autoencoder(plain.autoencoder)
    torch.manual_seed(0)
    network = plain.denoiser.build(in_channels=48, out_channels=48)
    network.save_pretrained(tmp_path / "transformer")
    chosen = config(
        denoiser={**TRANSFORMERS[kind], "base": str(tmp_path / "transformer"), "conditions": ["mask"]},
        lora={**LORA, "targets": ["to_q", "to_v", "ff.net.2"]},
        optimiser=FAST,
        timesteps={"kind": "discrete", "times": [0.0], "weights": [1.0]},
        augment={"flip": 0.0, "permute_colours": 0.0},
    )
    pixel_loss = PixelLoss(chosen.loss)
    learning = BridgeLearner(
        chosen, autoencoder, pixel_loss, Ranks(0, 1), torch.device("cpu"), from_base=True
    )
    source = torch.rand(4, 32, 32, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = {"source": source, "target": -source, "mask": torch.full((4, 32, 32), 255, dtype=torch.uint8)}
    batch |= {"size_WH": (32, 32), "batch_size": 4}
    losses = [learning.step(number, batch, PICTURES)["loss"].mean() for number in range(10)]
    assert losses[-1] < 0.95 * losses[0]
    held = learning.learner.weights.keys()
    frozen = {
        name.removeprefix("transformer.").replace(".base_layer", ""): weight
        for name, weight in learning.learner.network.named_parameters()
        if name not in held
    }
    published = network.state_dict()
    assert frozen
    assert all(torch.equal(weight, published[name]) for name, weight in frozen.items())


def test_what_cannot_be_adapted_is_said_at_the_start(root: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ValidationError, match=r"denoiser\.base"):
        config(lora=LORA)
    unknown = adapted(root, lora={**LORA, "targets": ["to_q", "to_z"]})
    with pytest.raises(ConfigError, match="'to_z'"):
        train(unknown, mix(), tmp_path / "run", run_root=root)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="peft is not installed") as raised:
        train(adapted(root), mix(), tmp_path / "run", run_root=root)
    assert "[lora]'" in raised.value.remedy
