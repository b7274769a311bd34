"""A published network of a few thousand weights, for adapters and for trainings that start from one."""

from pathlib import Path
from typing import Any

import torch

from pairbridge.training.networks.latent_unet import LatentUNetConfig

_TOPOLOGY = {
    "widths": (8, 16),
    "transformer_layers": (0, 1),
    "middle_layers": 1,
    "heads": (1, 2),
    "norm_groups": 4,
}


def write_tiny_base(folder: Path, latent_channels: int = 48) -> dict[str, Any]:
    """Weights in `folder`, and the denoiser that starts from them, with a condition that they never saw."""
    torch.manual_seed(0)
    network = LatentUNetConfig(**_TOPOLOGY).build(in_channels=latent_channels, out_channels=latent_channels)
    torch.nn.init.normal_(network.conv_out.weight, std=0.01)
    network.save_pretrained(folder)
    return {"kind": "latent_unet", **_TOPOLOGY, "base": str(folder), "conditions": ["mask"]}
