"""Small checkpoints with random weights, laid out as a training leaves them; nothing is learned."""

from pathlib import Path
from typing import Any

import torch

from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser
from pairbridge.training.engine.checkpoint import CheckpointState, write_checkpoint
from pairbridge.training.networks.autoencoders import build_autoencoder

SMALL = {"widths": [8, 16], "head_width": 8, "norm_groups": 4}


def write_model(
    root: Path, *, mix: dict[str, Any] | None = None, conditions: tuple[str, ...] = ("mask",), **changes
) -> Path:
    """A checkpoint under `root`; its folder."""
    config = TrainingConfig.model_validate(
        {
            "size": 32,
            "denoiser": {**SMALL, "conditions": conditions},
            "bridge": {"sigma": 0.3},
            **changes,
        }
    )
    autoencoder = build_autoencoder(config.autoencoder)
    denoiser = build_denoiser(config, autoencoder)
    with torch.no_grad():
        denoiser.unet.conv_out.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    state = CheckpointState(
        step=7,
        images=28,
        ema_updates=7,
        consumed={"rooms": 28},
        config=config.model_dump(mode="json"),
        mix=mix or {"sources": [{"name": "rooms", "path": "run:dataset", "recipe": "rooms"}]},
        inputs={"autoencoder": autoencoder.digest},
    )
    weights = denoiser.state_dict()
    return write_checkpoint(root, state, {"model": weights, "ema": weights}, keep=1)
