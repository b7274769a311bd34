"""From a batch of pairs to its loss: encode, put a point on the bridge, predict, compare.

Every random number of step n is drawn for the global batch from one generator keyed by (seed, n), and a rank
takes its rows: results do not depend on ranks, on resumes, or on any global generator.
"""

from typing import Any

import torch
from torch import Tensor, nn

from datagen.seeds import seed31
from training.augment import augment
from training.autoencoders import Autoencoder
from training.bridge import estimate_target, interpolate, regression_target
from training.config import TrainingConfig
from training.losses import Loss, latent_loss, pixel_loss
from training.ranks import Ranks


def step_generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed31(seed, "train", step))


def bridge_loss(
    config: TrainingConfig,
    denoiser: nn.Module,
    autoencoder: Autoencoder,
    batch: dict[str, Any],
    step: int,
    ranks: Ranks,
) -> Loss:
    """The loss of this rank's rows of global batch `step`; `batch` as `training.loader` yields it."""
    device = next(denoiser.parameters()).device
    draws = step_generator(config.seed, step)
    batch_size = batch["batch_size"]
    rows = ranks.share(batch_size)
    images = {name: batch[name].to(device) for name in ("source", "target", "mask")}
    images = augment(config.augment, images, torch.rand(batch_size, 3, generator=draws)[rows])
    with torch.no_grad():
        x0 = autoencoder.encode(images["source"])
        x1 = autoencoder.encode(images["target"])
        conditions = {"mask": autoencoder.encode_mask(images["mask"]), "source": x0}
    t = config.timesteps.sample(batch_size, draws)[rows].to(device)
    eps = torch.randn(batch_size, *x0.shape[1:], generator=draws)[rows].to(device)
    x_t = interpolate(x0, x1, t, eps, config.bridge.sigma)
    v = _predict(config, denoiser, x_t, t, conditions)

    target = regression_target(config.bridge.field, x0, x1, x_t, t)
    components = {"latent": latent_loss(v, target, t, config.loss.latent_weighting)}
    if config.loss.pixel_weight:
        components["pixel"] = pixel_loss(
            estimate_target(x_t, v, t),
            images["target"],
            decode=autoencoder.decode,
            factor=autoencoder.factor,
            norm=config.loss.pixel_norm,
            crop=config.loss.pixel_crop,
            generator=draws,
        )
    weights = {"latent": config.loss.latent_weight, "pixel": config.loss.pixel_weight}
    total = sum(weights[name] * value for name, value in components.items())
    return Loss(per_sample=total, components={name: value.detach() for name, value in components.items()})


def _predict(
    config: TrainingConfig, denoiser: nn.Module, x_t: Tensor, t: Tensor, conditions: dict[str, Tensor]
) -> Tensor:
    with torch.autocast(x_t.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        v = denoiser(x_t.contiguous(memory_format=torch.channels_last), t, conditions)
    return v.float()
