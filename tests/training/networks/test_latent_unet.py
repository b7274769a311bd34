"""SDXL's UNet, operated: its size, its keys, what becomes of every published tensor, and what is refused."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.equations import estimate_target
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.base_weights import load_base, operate
from pairbridge.training.networks.denoisers import Denoiser
from pairbridge.training.networks.latent_unet import LatentUNetConfig

TINY = {
    "widths": (8, 16, 32),
    "transformer_layers": (0, 1, 2),
    "middle_layers": 2,
    "heads": (1, 2, 4),
    "norm_groups": 4,
}

SURGERY = LatentUNetConfig.surgery

SDXL_BLOCKS = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time",
    "use_linear_projection": True,
}


def published_sdxl() -> UNet2DConditionModel:
    """As in stabilityai/stable-diffusion-xl-base-1.0, unet/config.json."""
    return UNet2DConditionModel(
        **SDXL_BLOCKS,
        block_out_channels=(320, 640, 1280),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def tiny_sdxl(cross_attention_dim: int = 40) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        **SDXL_BLOCKS,
        block_out_channels=(8, 16, 32),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 2, 4),
        cross_attention_dim=cross_attention_dim,
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=32,
        norm_num_groups=4,
    )


def test_full_size_parameters_keys_and_forward() -> None:
    with torch.device("meta"):
        unet = LatentUNetConfig().build(in_channels=4, out_channels=4)
        base = published_sdxl()
        v = unet(torch.empty(1, 4, 128, 128), torch.empty(1), encoder_hidden_states=None).sample
    assert v.shape == (1, 4, 128, 128)
    assert round(sum(weight.numel() for weight in unet.parameters()) / 1e9, 3) == 2.426
    assert round(sum(weight.numel() for weight in base.parameters()) / 1e9, 3) == 2.567
    published = base.state_dict()
    operated = operate(published, unet.state_dict(), Path("sdxl"), SURGERY, latent_channels=4)
    assert published.keys() - operated.keys() == {k for k in published if k.startswith("add_embedding.")}
    cut = {key for key, value in operated.items() if value.shape != published[key].shape}
    assert len(cut) == 140
    assert all(published[key].shape[1] == 2048 and operated[key].shape[1] in (640, 1280) for key in cut)


def test_base_weights_are_kept_cut_and_widened_with_zeros(tmp_path: Path) -> None:
    base = tiny_sdxl()
    base.save_pretrained(tmp_path)
    unet = LatentUNetConfig(**TINY).build(in_channels=7, out_channels=4)
    load_base(unet, tmp_path, SURGERY, latent_channels=4)
    published, operated = base.state_dict(), unet.state_dict()
    for key, value in operated.items():
        if key == "conv_in.weight":
            assert torch.equal(value[:, :4], published[key])
            assert not value[:, 4:].any()
        elif key.startswith("conv_out."):
            assert not value.any()
        elif key.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            assert torch.equal(value, published[key][:, : value.shape[1]])
        else:
            assert torch.equal(value, published[key])
    # What new channels show changes nothing until something is learned from it.
    torch.nn.init.normal_(unet.conv_out.weight)
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([250.0])
    outputs = [unet(torch.cat([x, seen], 1), t, None).sample for seen in torch.randn(2, 1, 3, 8, 8)]
    assert torch.equal(*outputs)
    assert outputs[0].abs().max() > 0


def test_training_from_an_epsilon_predictor_starts_from_output_equals_input(tmp_path: Path) -> None:
    """The layer that predicted noise would add an estimate of it to the source."""
    config = {"kind": "latent_unet", **TINY, "base": str(tmp_path / "unet"), "conditions": ["source"]}
    autoencoder = build_autoencoder(HaarConfig(levels=1))
    base = UNet2DConditionModel.from_config(tiny_sdxl().config, in_channels=12, out_channels=12)
    base.save_pretrained(tmp_path / "unet")
    denoiser = build_denoiser(
        TrainingConfig.model_validate(
            {"denoiser": config, "autoencoder": {"kind": "haar", "levels": 1}, "size": 32}
        ),
        autoencoder,
        from_base=True,
    )
    x0, t = torch.randn(2, 12, 16, 16), torch.zeros(2)
    assert torch.equal(estimate_target(x0, denoiser(x0, t, {"source": x0}), t), x0)
    middle = (network.mid_block.resnets[0].conv1.weight for network in (denoiser.unet, base))
    assert torch.equal(*middle)


def test_a_published_bridge_keeps_its_output_layer(tmp_path: Path) -> None:
    bridge = LatentUNetConfig(**TINY).build(in_channels=5, out_channels=4)
    torch.nn.init.normal_(bridge.conv_out.weight)
    bridge.save_pretrained(tmp_path / "unet")
    (tmp_path / "model_index.json").write_text('{"_class_name": "LatentBridgePipeline"}')
    unet = LatentUNetConfig(**TINY).build(in_channels=6, out_channels=4)
    load_base(unet, tmp_path / "unet", SURGERY, latent_channels=4)
    assert torch.equal(unet.conv_out.weight, bridge.conv_out.weight)


def test_a_narrow_text_encoder_leaves_zeros(tmp_path: Path) -> None:
    tiny_sdxl(cross_attention_dim=12).save_pretrained(tmp_path)
    unet = LatentUNetConfig(**TINY).build(in_channels=4, out_channels=4)
    load_base(unet, tmp_path, SURGERY, latent_channels=4)
    key = unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k.weight
    assert key.shape == (32, 32)
    assert key[:, :12].any()
    assert not key[:, 12:].any()


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    tiny_sdxl().save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    load_base(
        LatentUNetConfig(**TINY).build(in_channels=4, out_channels=4), tmp_path, SURGERY, latent_channels=4
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*\.safetensors"):
        load_base(
            LatentUNetConfig(**TINY).build(in_channels=4, out_channels=4),
            tmp_path,
            SURGERY,
            latent_channels=4,
        )
    tiny_sdxl().save_pretrained(tmp_path)
    deeper = LatentUNetConfig(**{**TINY, "transformer_layers": (0, 2, 2)})
    with pytest.raises(ConfigError, match="lacks"):
        load_base(deeper.build(in_channels=4, out_channels=4), tmp_path, SURGERY, latent_channels=4)
    wider = LatentUNetConfig(**{**TINY, "widths": (8, 16, 64)})
    with pytest.raises(ConfigError, match="should be"):
        load_base(wider.build(in_channels=4, out_channels=4), tmp_path, SURGERY, latent_channels=4)
    wide = LatentUNetConfig(**TINY).build(in_channels=16, out_channels=16)
    with pytest.raises(ConfigError, match="latents have 16"):
        load_base(wide, tmp_path, SURGERY, latent_channels=16)
    with pytest.raises(ConfigError, match="reads 4 channels"):
        load_base(
            LatentUNetConfig(**TINY).build(in_channels=3, out_channels=4),
            tmp_path,
            SURGERY,
            latent_channels=4,
        )


def test_the_second_attention_looks_at_the_image_itself() -> None:
    unet = LatentUNetConfig(**TINY).build(in_channels=4, out_channels=4)
    block = unet.mid_block.attentions[0].transformer_blocks[0]
    tokens = torch.randn(1, 5, 32)
    assert torch.equal(block.attn2(tokens), block.attn2(tokens, encoder_hidden_states=tokens))


@pytest.mark.parametrize(
    "family",
    [
        {"heads": (8, 8, 8, 8), "linear_projection": False},
        {"heads": (5, 10, 20, 20), "linear_projection": True},
    ],
)
def test_the_sd_family_has_its_published_topology(family) -> None:
    """SD 1.5 and 2.1: every published tensor finds its place."""
    config = LatentUNetConfig(
        widths=(320, 640, 1280, 1280), transformer_layers=(1, 1, 1, 0), middle_layers=1, **family
    )
    with torch.device("meta"):
        unet = config.build(in_channels=4, out_channels=4)
        base = UNet2DConditionModel(
            cross_attention_dim=768 if family["heads"][0] == 8 else 1024,
            attention_head_dim=family["heads"],
            use_linear_projection=family["linear_projection"],
        )
    assert (
        operate(base.state_dict(), unet.state_dict(), Path("sd"), SURGERY, latent_channels=4).keys()
        == base.state_dict().keys()
    )


def test_channels_of_conditions_are_counted() -> None:
    haar = build_autoencoder(HaarConfig(levels=2))
    conditions = (
        "mask",
        "light",
        "source",
        {"field": "edges", "encoding": "resize", "channels": 1},
        {"field": "shading", "encoding": "resize"},
    )
    config = TrainingConfig.model_validate(
        {"denoiser": {"kind": "latent_unet", **TINY, "conditions": conditions}}
    ).denoiser
    denoiser = Denoiser(config, latent_channels=haar.channels, mask_channels=haar.mask_channels)
    # x_t, mask, light through the autoencoder, source, one and three resized colours of 16 cells each.
    assert denoiser.unet.conv_in.in_channels == 48 + 16 + 48 + 48 + 16 + 48
    assert isinstance(config.conditions[0], ConditionConfig)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        denoiser = Denoiser(LatentUNetConfig(**TINY), latent_channels=4, mask_channels=1).train()
        if checkpointing:
            denoiser.unet.enable_gradient_checkpointing()
        torch.nn.init.ones_(denoiser.unet.conv_out.weight)
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        denoiser(x, torch.tensor([0.5]), {}).square().mean().backward()
        gradients.append([weight.grad for weight in denoiser.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [{"widths": (8, 16)}, {"heads": (3, 2, 4)}, {"middle_layers": 3}, {"conditions": ("mask", "mask")}],
)
def test_configs_that_cannot_be_built_are_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        LatentUNetConfig(**{**TINY, **wrong})
