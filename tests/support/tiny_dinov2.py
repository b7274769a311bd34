"""DINOv2 as transformers publishes it, small, its weights random."""

from pathlib import Path

import torch
from transformers import Dinov2Config, Dinov2Model


def write_tiny_dinov2(folder: Path) -> Path:
    """As published: position embeddings of 518 pixels, patches of 14."""
    torch.manual_seed(0)
    settings = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=518, patch_size=14
    )
    Dinov2Model(settings).save_pretrained(folder, safe_serialization=True)
    return folder
