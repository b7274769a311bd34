"""Tiny IC-Light models with random weights in the real layout, written as the real files are."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from pairbridge.datagen.models.relighting import IcLightFbcConfig, IcLightFcConfig

BASE = "tiny-base"
CHANNELS = {"fbc": 12, "fc": 8}


def write_weights(root: Path, *, offset_scale: float = 0.02) -> Path:
    """A weights folder with a base model and both offset files; returns `root`."""
    base = root / BASE
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = unet_of(4)
        unet.save_pretrained(base / "unet")
        _vae().save_pretrained(base / "vae")
        write_text_model(base)
        (root / "ic-light").mkdir()
        for mode, channels in CHANNELS.items():
            offsets = {
                key: (offset_scale * torch.randn(value.shape)).half()
                for key, value in unet_of(channels).state_dict().items()
            }
            save_file(offsets, root / "ic-light" / f"iclight_sd15_{mode}.safetensors")
    return root


def unet_of(channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=channels,
        block_out_channels=(4, 8),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=2,
    )


def fbc_config(root: Path, **changes) -> IcLightFbcConfig:
    """Four steps at 64 x 64; the second pass is left out unless asked for."""
    return IcLightFbcConfig(
        **{"weights_root": root, "base": BASE, "resolution": 64, "steps": 4, "second_pass": None, **changes}
    )


def fc_config(root: Path, **changes) -> IcLightFcConfig:
    return IcLightFcConfig(
        **{"weights_root": root, "base": BASE, "resolution": 64, "steps": 4, "second_pass": None, **changes}
    )


def write_text_model(base: Path) -> None:
    """A tokenizer that knows single characters, and one layer of CLIP."""
    characters = [chr(code) for code in range(33, 127)]
    words = [
        *characters,
        *(f"{character}</w>" for character in characters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    folder = base / "tokenizer"
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 77,
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
            }
        )
    )
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    CLIPTextModel(config).save_pretrained(base / "text_encoder")


def _vae() -> AutoencoderKL:
    """Four levels, so that a latent is an eighth of the image, as in the real one."""
    return AutoencoderKL(
        block_out_channels=[4] * 4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=0.18215,
    )
