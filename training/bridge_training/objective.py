"""From a batch of pairs to its loss: encode, put a point on the bridge, predict, compare.

Every random number of step n is drawn for the global batch from one generator keyed by (seed, n), on the
CPU, and a rank takes its rows: results do not depend on ranks, on accumulation, on resumes, or on any
global generator. Nothing here waits for a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.shards.fields import FieldKind
from pairbridge.training.bridge.bridges import BridgeProcess
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.bridge_training.losses import (
    Crops,
    Loss,
    LossConfig,
    PixelLoss,
    draw_crops,
    latent_loss,
    latent_validity,
)
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.augment import DRAWS, augment
from pairbridge.training.data.condition_specs import MASK, SOURCE, image_fields
from pairbridge.training.data.smooth_fill import fill_smoothly
from pairbridge.training.data.targets import PICTURES, PairKinds
from pairbridge.training.data.tensors import Batch, network_images
from pairbridge.training.engine.torch_devices import computing_in, to_device
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.conditions import encode_conditions, withhold


def step_generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed31(seed, "train", step))


@dataclass(frozen=True, slots=True)
class Draws:
    """All that is random in one step, for the rows it was cut to; tensors on the CPU, samples first."""

    augment: Tensor
    t: Tensor
    eps: Tensor
    dropout: Tensor
    crops: Crops

    def rows(self, rows: slice) -> "Draws":
        return Draws(
            self.augment[rows], self.t[rows], self.eps[rows], self.dropout[rows], self.crops.of(rows)
        )


def draw_step(
    config: TrainingConfig, autoencoder: Autoencoder, *, step: int, samples: int, size_HW: tuple[int, int]
) -> Draws:
    """The draws of global batch `step` of `samples` images of one size."""
    generator = step_generator(config.seed, step)
    latent_HW = tuple(side // autoencoder.factor for side in size_HW)
    places = torch.rand(samples, 3, generator=generator)
    t = config.timesteps.sample(samples, generator)
    eps = torch.randn(samples, autoencoder.channels, *latent_HW, generator=generator)
    dropout = torch.rand(samples, generator=generator)
    crops = draw_crops(config.loss, latent_HW, autoencoder.factor, samples, generator)
    # Last, so that what is drawn before does not depend on it.
    albedo = torch.rand(samples, DRAWS - 3, generator=generator)
    return Draws(torch.cat([places, albedo], dim=1), t, eps, dropout, crops)


@dataclass(frozen=True, slots=True)
class PathEnds:
    """Rows of a batch as the path needs them: images as augmented, both ends' latents, times and noise on
    their device, and the conditions, with those withheld that the draws let drop.
    """

    images: dict[str, Tensor]
    x0: Tensor
    x1: Tensor
    t: Tensor
    eps: Tensor
    seen: dict[str, Tensor]


def path_ends(
    config: TrainingConfig, autoencoder: Autoencoder, batch: Batch, draws: Draws, kinds: PairKinds
) -> PathEnds:
    """`batch`, as `pairbridge.training.data.loader` yields it, in latents, under `draws` of the same rows."""
    device = autoencoder.device
    conditions = config.denoiser.conditions
    images = _images(batch, ("source", "target", "mask", "valid", *image_fields(conditions)), device)
    if "latents" in batch:
        latents = {name: to_device(latent, device) for name, latent in batch["latents"].items()}
        x0, x1 = latents["source"], latents["target"]
        seen = {one.field: latents[one.field] for one in conditions}
    else:
        images = augment(config.augment, images, to_device(draws.augment, device), _kinds(config, kinds))
        with torch.no_grad():
            x0 = _source_latent(config, autoencoder, images)
            x1 = autoencoder.encode(images["target"])
            seen = encode_conditions(conditions, images, x0, autoencoder)
    if any(one.dropout for one in conditions):
        seen = withhold(conditions, seen, to_device(draws.dropout, device))
    t, eps = to_device(draws.t, device), to_device(draws.eps, device)
    if config.bridge.start == "noise":
        # The path has no noise of its own that these draws could be for.
        x0 = eps
    return PathEnds(images, x0, x1, t, eps, seen)


def bridge_loss(
    config: TrainingConfig,
    denoiser: nn.Module,
    autoencoder: Autoencoder,
    pixel_loss: PixelLoss,
    batch: Batch,
    draws: Draws,
    *,
    kinds: PairKinds = PICTURES,
) -> Loss:
    """The loss of a field on `batch`, as `path_ends` takes it."""
    ends = path_ends(config, autoencoder, batch, draws, kinds)
    images = ends.images
    cells = latent_validity(images["valid"], autoencoder.factor) if "valid" in images else None

    def field(x: Tensor, t: Tensor) -> Tensor:
        return predict(config, denoiser, x, t, ends.seen)

    latent, estimate = regress(config.bridge, config.loss, field, ends.x0, ends.x1, ends.t, ends.eps, cells)
    components = {"latent": latent}
    if config.loss.wants_pixels:
        components |= pixel_loss(estimate, images, autoencoder, draws.crops)
    total = sum(config.loss.weights[name] * value for name, value in components.items())
    return Loss(per_sample=total, components={name: value.detach() for name, value in components.items()})


def regress(
    bridge: BridgeProcess,
    config: LossConfig,
    field: FieldFn,
    x0: Tensor,
    x1: Tensor,
    t: Tensor,
    eps: Tensor,
    cells: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The error of `field` on the bridge from x0 to x1, (B,), over the valid `cells` (B, 1, h, w) or over
    all; and the target that it points to.
    """
    x_t = bridge.interpolate(x0, x1, t, eps)
    v = field(x_t, t)
    error = latent_loss(config, v, bridge.regression_target(x0, x1, x_t, t), t, cells)
    return error, bridge.estimate_target(x_t, v, t)


@torch.no_grad()
def encode_sources(
    config: TrainingConfig,
    autoencoder: Autoencoder,
    batch: Batch,
    device: torch.device,
    *,
    changes: Tensor,
    dropout: Tensor,
    kinds: PairKinds = PICTURES,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Source latents and conditions of `batch`; what its targets show is not looked at.

    changes, dropout: as `augment` and `dropout` of `Draws`.
    """
    conditions = config.denoiser.conditions
    images = _images(batch, ("source", "mask", *image_fields(conditions)), device)
    images = augment(config.augment, images, to_device(changes, device), _kinds(config, kinds))
    x0 = _source_latent(config, autoencoder, images)
    seen = encode_conditions(conditions, images, x0, autoencoder)
    if any(one.dropout for one in conditions):
        seen = withhold(conditions, seen, to_device(dropout, device))
    return x0, seen


def _kinds(config: TrainingConfig, kinds: PairKinds) -> dict[str, FieldKind]:
    """What each image of a batch shows."""
    beside = {one.field: one.shows for one in config.denoiser.conditions if one.field not in (MASK, SOURCE)}
    return {**beside, **kinds._asdict()}


def _images(batch: Batch, names: Sequence[str], device: torch.device) -> dict[str, Tensor]:
    return network_images({name: to_device(batch[name], device) for name in names if name in batch})


def _source_latent(config: TrainingConfig, autoencoder: Autoencoder, images: dict[str, Tensor]) -> Tensor:
    source = images["source"]
    if config.hole == "smooth":
        source = fill_smoothly(source, images["mask"])
    return autoencoder.encode(source)


def predict(
    config: TrainingConfig, denoiser: nn.Module, x_t: Tensor, t: Tensor, conditions: dict[str, Tensor]
) -> Tensor:
    """The network's field in float32, in the precision that the training wants."""
    with computing_in(config.precision, x_t.device):
        v = denoiser(x_t.contiguous(memory_format=torch.channels_last), t, conditions)
    return v.float()


def part_of(batch: Batch, part: slice) -> Batch:
    """The tensors of some rows of a batch, those of cached latents among them."""
    cut = {name: value[part] for name, value in batch.items() if isinstance(value, Tensor)}
    return {**cut, "latents": part_of(batch["latents"], part)} if "latents" in batch else cut
