"""Tiny CLIP and DINO models with random weights, in the layout that they are published in."""

import json
import shutil
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from tests.support.tiny_iclight import write_text_model

CLIP_SIDE, DINO_SIDE = 16, 16
# OpenAI's and ImageNet's.
CLIP_MEAN, CLIP_STD = [0.481, 0.458, 0.408], [0.269, 0.261, 0.276]
DINO_MEAN, DINO_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_clip(folder: Path) -> Path:
    write_text_model(folder / "parts")
    shutil.copytree(folder / "parts" / "tokenizer", folder, dirs_exist_ok=True)
    text = json.loads((folder / "parts" / "text_encoder" / "config.json").read_text())
    shutil.rmtree(folder / "parts")
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": CLIP_SIDE,
        "patch_size": 4,
    }
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=6))
    model.save_pretrained(folder)
    _write_preprocessor(folder, CLIP_SIDE, CLIP_MEAN, CLIP_STD)
    return folder


def write_dino(folder: Path, kind: str = "vit") -> Path:
    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": DINO_SIDE,
        "patch_size": 4,
    }
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = (
            ViTModel(ViTConfig(intermediate_size=16, **sizes), add_pooling_layer=False)
            if kind == "vit"
            else Dinov2Model(Dinov2Config(**sizes))
        )
    model.save_pretrained(folder)
    _write_preprocessor(folder, DINO_SIDE, DINO_MEAN, DINO_STD)
    return folder


def _write_preprocessor(folder: Path, side: int, mean: list[float], std: list[float]) -> None:
    keys = {"size": side, "image_mean": mean, "image_std": std, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(keys))
