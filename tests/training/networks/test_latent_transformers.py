"""Transformers of DiT, SD3 and FLUX as denoisers: size, keys, what becomes of published tensors, learning."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DiTTransformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
)
from pydantic import TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PICTURES
from pairbridge.training.engine.parallel import sharded_parts
from pairbridge.training.networks.autoencoders import build_autoencoder, load_autoencoder
from pairbridge.training.networks.backbones import evaluate
from pairbridge.training.networks.base_weights import load_base, operate
from pairbridge.training.networks.denoisers import DenoiserConfig
from pairbridge.training.networks.latent_transformers import DiTConfig, FluxConfig, SD3Config
from tests.support.tiny_transformers import TRANSFORMERS

# The config.json of facebook/DiT-XL-2-256, stabilityai/stable-diffusion-3-medium and
# black-forest-labs/FLUX.1-dev, and their weights (SD3's without its table of positions).
PUBLISHED = {
    "dit": (
        DiTConfig(),
        lambda: DiTTransformer2DModel(in_channels=4, out_channels=8, sample_size=32, num_layers=28),
        4,
        749_826_464,
    ),
    "sd3": (
        SD3Config(),
        lambda: SD3Transformer2DModel(
            sample_size=128,
            num_layers=24,
            attention_head_dim=64,
            num_attention_heads=24,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            pos_embed_max_size=192,
        ),
        16,
        2_028_328_000,
    ),
    "flux": (FluxConfig(), lambda: FluxTransformer2DModel(guidance_embeds=True), 16, 11_901_408_320),
}


def config_of(kind: str, **changes) -> DiTConfig | SD3Config | FluxConfig:
    return TypeAdapter(DenoiserConfig).validate_python({**TRANSFORMERS[kind], **changes})


@pytest.mark.parametrize("kind", PUBLISHED)
def test_full_size_parameters_keys_and_forward(kind: str) -> None:
    config, publish, latent, weights = PUBLISHED[kind]
    with torch.device("meta"):
        network = config.build(in_channels=latent + 1, out_channels=latent)
        base = publish()
        v = evaluate(network, torch.empty(1, latent + 1, 64, 96), torch.empty(1))
    assert v.shape == (1, latent, 64, 96)
    assert sum(weight.numel() for weight in base.parameters()) == weights
    published = base.state_dict()
    operated = operate(published, network.state_dict(), Path("base"), config.surgery, latent_channels=latent)
    dropped = {key for key in published if key not in operated}
    assert all(key.startswith("time_text_embed.guidance_embedder.") for key in dropped)
    assert bool(dropped) == (kind == "flux")
    changed = {key for key, value in operated.items() if value.shape != published[key].shape}
    heads = {key for key in changed if key.startswith(config.surgery.head)}
    assert changed - heads == {config.surgery.input}
    assert bool(heads) == (kind == "dit")


def stock(kind: str) -> torch.nn.Module:
    """As diffusers makes it, without a condition, with weights that change every output."""
    torch.manual_seed(0)
    network = config_of(kind).build(in_channels=16, out_channels=16)
    if kind == "flux":
        network = FluxTransformer2DModel.from_config(network.config, guidance_embeds=True)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return network.eval()


def called_by_hand(network: torch.nn.Module, kind: str, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The network as diffusers' own pipelines call it: with nothing in place of text, at a guidance of 1."""
    if kind == "dit":
        return network(x, t * 1000, torch.full((len(x),), 1000)).sample
    text, pooled = torch.zeros(len(x), 1, 12), torch.zeros(len(x), 10)
    if kind == "sd3":
        return network(x, text, pooled, t * 1000).sample
    height, width = x.shape[-2:]
    tokens = network(
        FluxPipeline._pack_latents(x, len(x), 16, height, width),
        text,
        pooled,
        t,
        FluxPipeline._prepare_latent_image_ids(1, height // 2, width // 2, "cpu", torch.float32),
        torch.zeros(1, 3),
        torch.ones(len(x)),
    ).sample
    return FluxPipeline._unpack_latents(tokens, 8 * height, 8 * width, 8)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_published_weights_do_what_they_did(kind: str, tmp_path: Path) -> None:
    """With its output layer kept, as of a published bridge; whatever a new condition shows. Then at zero."""
    base = stock(kind)
    base.save_pretrained(tmp_path / "transformer")
    config = config_of(kind)
    network = config.build(in_channels=19, out_channels=16).eval()
    load_base(network, tmp_path / "transformer", config.surgery, latent_channels=16)
    x, t = torch.randn(2, 16, 8, 8), torch.tensor([0.25, 0.5])
    with torch.no_grad():
        assert not evaluate(network, torch.cat([x, torch.randn(2, 3, 8, 8)], 1), t).any()
        (tmp_path / "model_index.json").write_text('{"_class_name": "LatentBridgePipeline"}')
        load_base(network, tmp_path / "transformer", config.surgery, latent_channels=16)
        expected = called_by_hand(base, kind, x, t)
        found = evaluate(network, torch.cat([x, torch.randn(2, 3, 8, 8)], 1), t)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.01
    with pytest.raises(ConfigError, match="latents have"):
        load_base(network, tmp_path / "transformer", config.surgery, latent_channels=18)


def test_patches_of_a_wide_picture_are_put_where_they_were() -> None:
    """diffusers' DiT puts them together as a square. Against torch's own inverse of patches."""
    network = config_of("dit").build(in_channels=4, out_channels=4)
    torch.nn.init.normal_(network.proj_out_2.weight)
    patches = []
    network.proj_out_2.register_forward_hook(lambda layer, given, made: patches.append(made))
    with torch.no_grad():
        found = evaluate(network, torch.randn(2, 4, 8, 12), torch.tensor([0.0, 0.5]))
    # (B, patches, row x column x channel) -> (B, channel x row x column, patches), as `fold` takes them.
    columns = patches[0].unflatten(-1, (4, 4)).transpose(2, 3).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, F.fold(columns, (8, 12), 2, stride=2))


def flux_vae(folder: Path) -> AutoencoderKL:
    """FLUX's kind: 16 channels, a shift, no layer between encoder and latent."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=16,
        norm_num_groups=4,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    vae.save_pretrained(folder)
    return vae


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_few_steps_lower_the_loss(kind: str, tmp_path: Path) -> None:
    """In the latents of an autoencoder of FLUX's kind, with a condition, on pictures that are not square."""
    flux_vae(tmp_path)
    torch.set_num_threads(1)
    config = TrainingConfig.model_validate(
        {
            "denoiser": {**TRANSFORMERS[kind], "conditions": ["mask"]},
            "autoencoder": {"kind": "folder", "path": str(tmp_path)},
            "optimiser": {"learning_rate": 1e-2, "warmup_images": 0, "schedule": "constant"},
            "timesteps": {"kind": "discrete", "times": [0.0], "weights": [1.0]},
            "augment": {"flip": 0.0, "permute_colours": 0.0},
            "gradient_checkpointing": kind == "dit",
            "size": 16,
            "batch_size": 4,
            "steps": 30,
        }
    )
    device = torch.device("cpu")
    autoencoder = load_autoencoder(tmp_path)
    bridge = BridgeLearner(config, autoencoder, PixelLoss(config.loss), Ranks(0, 1), device, from_base=False)
    source = torch.rand(4, 16, 24, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pairs = {"source": source, "target": -source, "mask": torch.full((4, 16, 24), 255, dtype=torch.uint8)}
    losses = [
        bridge.step(number, {**pairs, "size_WH": (24, 16), "batch_size": 4}, PICTURES)["loss"].mean()
        for number in range(config.steps)
    ]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_gradient_checkpointing_changes_no_gradient(kind: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        network = (
            stock(kind).train() if kind != "flux" else config_of(kind).build(in_channels=16, out_channels=16)
        )
        for weight in network.parameters():
            torch.nn.init.constant_(weight, 0.05)
        if checkpointing:
            network.enable_gradient_checkpointing()
        x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
        evaluate(network, x, torch.tensor([0.5])).square().mean().backward()
        gradients.append([weight.grad for weight in network.parameters() if weight.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_blocks_are_sharded_and_compiled_one_by_one() -> None:
    """What FSDP2 gathers at once is a block of any kind of transformer, not all of it."""
    counts = {
        kind: len(sharded_parts(config_of(kind).build(in_channels=16, out_channels=16)))
        for kind in TRANSFORMERS
    }
    assert counts == {"dit": 2, "sd3": 2, "flux": 2}


def test_training_reads_no_global_random_numbers() -> None:
    """diffusers' DiT drops labels by the global generator."""
    network = config_of("dit").build(in_channels=4, out_channels=4).train()
    before = torch.get_rng_state()
    evaluate(network, torch.zeros(2, 4, 8, 8), torch.zeros(2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("flux", {"rotary": (3, 6, 7)}), ("sd3", {"dual_attention_layers": 3}), ("dit", {"head_width": 6})],
)
def test_configs_that_cannot_be_built_are_refused(kind: str, wrong: dict) -> None:
    with pytest.raises(ValidationError):
        config_of(kind, **wrong)


def test_a_decoder_that_overflows_float16_never_runs_in_it(tmp_path: Path) -> None:
    """FLUX's autoencoder gives NaN in float16, which ends at 65504; bf16 has the range of float32."""
    vae = flux_vae(tmp_path)
    with torch.no_grad():
        vae.decoder.conv_in.weight.mul_(3e5)
        vae.decoder.conv_in.bias.mul_(3e5)
    vae.save_pretrained(tmp_path)
    latents = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    autoencoder = load_autoencoder(tmp_path)
    with torch.no_grad():
        expected = autoencoder.decode(latents)
        halved = autoencoder.decode(latents, "bf16")
        broken = vae.half().decode(((latents / 0.3611) + 0.1159).half()).sample
    assert not broken.isfinite().all()
    assert expected.isfinite().all()
    assert (halved - expected).abs().max() < 0.1 * expected.abs().max()
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate({"precision": "fp16"})


def test_sd3_has_no_positions_beyond_its_largest_side() -> None:
    """64 cells of 4 pixels; diffusers' own error comes in the middle of a step."""
    small = {"denoiser": TRANSFORMERS["sd3"], "batch_size": 1}
    config = TrainingConfig.model_validate({**small, "size": 256})
    autoencoder = build_autoencoder(config.autoencoder)
    model = TranslationModel(config, autoencoder, build_denoiser(config, autoencoder))
    with pytest.raises(ConfigError, match=r"72x4 .* denoiser\.largest_side, 64") as raised:
        model.translate(np.zeros((9, 285, 3), np.uint8))
    assert "at most 256 pixels" in raised.value.remedy
    with pytest.raises(ConfigError, match="largest_side"):
        build_denoiser(config.model_copy(update={"size": 264}), autoencoder)
