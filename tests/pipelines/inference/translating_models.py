"""Small checkpoints with random weights, laid out as a training leaves them; nothing is learned."""

from pathlib import Path
from typing import Any

import torch

from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser
from pairbridge.training.data.condition_specs import MASK
from pairbridge.training.engine.checkpoint import CheckpointState, write_checkpoint
from pairbridge.training.networks.autoencoders import build_autoencoder

SMALL = {"widths": [8, 16], "head_width": 8, "norm_groups": 4}


def write_model(
    root: Path,
    *,
    mix: dict[str, Any] | None = None,
    conditions: tuple[str, ...] = ("mask",),
    hole_read: str | None = None,
    **changes,
) -> Path:
    """A checkpoint under `root`; its folder. hole_read: what its mix's readers put into holes."""
    network = changes.pop("denoiser", {})
    if "kind" not in network:
        network = {**SMALL, "conditions": conditions, **network}
    config = TrainingConfig.model_validate(
        {
            "size": 32,
            "denoiser": network,
            "bridge": {"sigma": 0.3},
            **changes,
        }
    )
    autoencoder = build_autoencoder(config.autoencoder)
    denoiser = build_denoiser(config, autoencoder)
    if network.get("kind") != "own":
        with torch.no_grad():
            head = denoiser.backbone.get_parameter(config.denoiser.surgery.head + "weight")
            head.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    # What sees no mask can only have been given holes.
    sees_mask = any(one.field == MASK for one in config.denoiser.conditions)
    hole = hole_read or ("visible" if sees_mask else "noise")
    state = CheckpointState(
        step=7,
        images=28,
        ema_updates=7,
        consumed={"rooms": 28},
        config=config.model_dump(mode="json"),
        mix=mix or {"sources": [{"name": "rooms", "path": "run:dataset", "recipe": "rooms"}]},
        inputs={"autoencoder": autoencoder.digest, "mix_sources": [{"roles": {"hole": hole}}]},
    )
    weights = dict(denoiser.named_parameters())
    root.mkdir(parents=True, exist_ok=True)
    return write_checkpoint(root, state, {"model": weights, "ema": weights}, keep=1)
