"""The memory of a training per GPU, from its configuration alone: no GPU, no weights, nothing computed.

What rests is counted: weights, gradients, optimiser state, EMA, autoencoder. What comes and goes is measured:
a forward and backward pass of the training's own loss, on the largest bucket, over tensors without contents
(FakeTensorMode), while every storage is watched from its allocation to its end.

Two things are modelled, not run. Autocast is the CPU's with the operations that a GPU keeps in float32. A
sharded network is one whose weights are bf16 already, with a part of each gradient, and with the largest
block gathered twice (the one in use and the next) beside the root's weights. Attention is the fused kind.
"""

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import bridge_loss, draw_step, part_of
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser, training_buckets
from pairbridge.training.data.buckets import Bucket
from pairbridge.training.data.condition_specs import image_conditions
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.parallel import sharded_parts
from pairbridge.training.networks.autoencoders import Autoencoder, hollow_autoencoder
from pairbridge.training.networks.lora import halve_frozen

GIB = 2**30
# CUDA's context, cuBLAS' and cuDNN's workspaces, NCCL's buffers: typical, not measured.
OUTSIDE_TORCH = 2 * GIB
# Of what torch allocates: blocks that its caching allocator cannot put together.
FRAGMENTATION = 0.05


class NotEstimated(PairbridgeError):
    """A training whose pass cannot be followed without values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes per GPU. passing: the most that activations and temporary tensors take beside what rests, and the
    gradients that are there by then. bucket: that this was measured on, of a global batch.
    """

    gpus: int
    bucket: Bucket
    parameters: int
    gradients: int
    optimiser: int
    average: int
    frozen: int
    gathered: int
    passing: int
    host: int

    @property
    def resting(self) -> int:
        """What is there between two passes, gradients apart."""
        return self.parameters + self.optimiser + self.average + self.frozen

    @property
    def tensors(self) -> int:
        """The most that torch's tensors take at once: in a pass, or in the optimiser's step."""
        return self.resting + max(self.gathered + self.passing, self.gradients)

    @property
    def peak(self) -> int:
        """With what is not torch's, and what its allocator loses."""
        return round(self.tensors * (1 + FRAGMENTATION)) + OUTSIDE_TORCH


def estimate_memory(config: TrainingConfig, gpus: int) -> MemoryEstimate:
    """The peak of `config` on each of `gpus` GPUs. Of an autoencoder's folder its config.json is read.

    Raises ConfigError as a training would, and NotEstimated for a network or loss of the user's own that
    looks at values.
    """
    if config.classifies:
        raise ConfigError(
            "the training is a classifier's, and the estimate is one of fields",
            consequence="it would be of another network",
            remedy="estimate the flow that it guides: half of whose network the classifier is",
        )
    autoencoder = hollow_autoencoder(config.autoencoder)
    with torch.device("meta"):
        denoiser = build_denoiser(config, autoencoder)
        pixel_loss = PixelLoss(config.loss, config.precision, hollow=True)
    if config.lora and config.precision == "bf16":
        halve_frozen(denoiser)
    if config.gradient_checkpointing:
        denoiser.backbone.enable_gradient_checkpointing()
    sharded = config.parallel == "fsdp" and (gpus > 1 or config.cpu_offload)
    shards = gpus if sharded else 1
    own = -(-sum(weight.nbytes for weight in denoiser.parameters()) // shards)
    # Beside adapters most weights are frozen.
    trained = -(-sum(weight.numel() for weight in _trained(denoiser)) // shards)
    average = trained * (2 if config.ema_precision == "bf16" else 4)
    offloaded = 0 if config.cpu_offload else 1
    halved = sharded and config.precision == "bf16"
    if halved:
        denoiser.to(torch.bfloat16)
    buckets = training_buckets(config, autoencoder)
    bucket = max(buckets.buckets, key=lambda one: one.batch_size * one.size_WH[0] * one.size_WH[1])
    return MemoryEstimate(
        gpus=gpus,
        bucket=bucket,
        parameters=offloaded * own,
        gradients=offloaded * 4 * trained,
        optimiser=offloaded * 8 * trained,
        average=average if offloaded and config.ema_device == "weights" else 0,
        frozen=_bytes(autoencoder) + _bytes(pixel_loss),
        gathered=_gathered(denoiser) if sharded else 0,
        passing=_passing(config, denoiser, autoencoder, pixel_loss, bucket, gpus, offloaded * 4 / shards),
        host=(0 if offloaded else own + 12 * trained)
        + (average if not offloaded or config.ema_device == "cpu" else 0),
    )


def advice(config: TrainingConfig, estimate: MemoryEstimate, gpu_bytes: float) -> list[str]:
    """Changes of the configuration, those that cost least first, after which it fits; or all that there are.

    Each is tried on top of the ones before it.
    """
    rows = estimate.bucket.batch_size // estimate.gpus
    steps: list[tuple[str, dict[str, Any]]] = []
    if config.precision == "fp32":
        steps.append(("precision: bf16", {"precision": "bf16"}))
    if config.denoiser.kind != "own" and not config.gradient_checkpointing:
        steps.append(("gradient_checkpointing: true", {"gradient_checkpointing": True}))
    if estimate.gpus > 1 and config.parallel == "ddp":
        steps.append(("parallel: fsdp", {"parallel": "fsdp"}))
    parts = config.accumulate
    while parts < rows:
        parts = min(rows, 2 * parts)
        steps.append((f"accumulate: {parts}", {"accumulate": parts}))
    if config.loss.wants_pixels and config.loss.pixel_crop > 256:
        smaller = config.loss.model_copy(update={"pixel_crop": 256})
        steps.append(("loss.pixel_crop: 256", {"loss": smaller}))
    if config.ema_device == "weights":
        steps.append(("ema_device: cpu", {"ema_device": "cpu"}))
    if not config.cpu_offload:
        steps.append(
            ("parallel: fsdp and cpu_offload: true (slow)", {"parallel": "fsdp", "cpu_offload": True})
        )
    found: dict[str, str] = {}
    for text, change in steps:
        config = config.model_copy(update=change)
        tried = estimate_memory(config, estimate.gpus)
        # A later value of the same key takes the place of an earlier one.
        found[text.split(":")[0]] = text
        if tried.peak <= gpu_bytes:
            return [*found.values(), f"then it peaks at {tried.peak / GIB:.1f} GiB"]
    return [*found.values(), "and still it does not fit: more GPUs with parallel: fsdp, or a smaller network"]


def _passing(
    config: TrainingConfig,
    denoiser: nn.Module,
    autoencoder: Autoencoder,
    pixel_loss: PixelLoss,
    bucket: Bucket,
    gpus: int,
    gradient_bytes: float,
) -> int:
    """Bytes of the pass of one part of a rank's rows; `gradient_bytes` of an element of a gradient that
    stays.
    """
    rows = -(-bucket.batch_size // gpus // config.accumulate)
    own = Bucket(batch_size=-(-bucket.batch_size // gpus), size_WH=bucket.size_WH)
    draws = draw_step(config, autoencoder, step=0, samples=rows, size_HW=own.size_WH[::-1])
    # Gradients that were there before: of an earlier part, or in the buffers that DDP sends.
    before = config.accumulate > 1 or (gpus > 1 and config.parallel == "ddp")
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with mode, _Watched() as watched:
            for module in (denoiser, autoencoder, pixel_loss):
                _without_contents(module, mode, watched)
                _float32_norms(module)
            resting = 0
            for weight in _trained(denoiser):
                resting += weight.numel() * gradient_bytes if before else 0
                weight.register_post_accumulate_grad_hook(
                    lambda weight: watched.rests(weight.grad, 0 if before else gradient_bytes)
                )
            # The batch of the step, and the next one, which is copied meanwhile.
            feed = [_batch(config, autoencoder, own) for _ in range(2)]
            batch = part_of(feed[0], slice(rows))
            loss = bridge_loss(config, denoiser, autoencoder, pixel_loss, batch, draws)
            loss.per_sample.sum().backward()
            return round(watched.peak + resting)
    except (RuntimeError, NotImplementedError) as error:
        raise NotEstimated(
            f"the pass cannot be followed without values: {str(error).splitlines()[0]}",
            consequence="there is no estimate; training itself is not concerned",
            remedy="measure it: train for a few steps and read memory_mib in stats.jsonl",
        ) from error


def _batch(config: TrainingConfig, autoencoder: Autoencoder, bucket: Bucket) -> Batch:
    (width, height), count = bucket.size_WH, bucket.batch_size
    # The mix says what it shows, and is not known here: geometry, the larger kind.
    target = torch.empty(count, height, width, 3)
    masks = {"mask": torch.empty(count, height, width, dtype=torch.uint8)}
    if config.latents == "encode":
        sides = {
            one.field: (1, 1, 1) if one.classes else (height, width, 1 if one.labels else 3)
            for one in image_conditions(config.denoiser.conditions)
        }
        images = {"source": (height, width, 3), **sides}
        pixels = {name: torch.empty(count, *of, dtype=torch.uint8) for name, of in images.items()}
        return pixels | masks | {"target": target}
    cells = (height // autoencoder.factor, width // autoencoder.factor)
    latents = {"source": autoencoder.channels, "target": autoencoder.channels}
    for one in config.denoiser.conditions:
        latents[one.field] = one.width(
            latent_channels=autoencoder.channels, mask_channels=autoencoder.mask_channels
        )
    batch: Batch = {"latents": {name: torch.empty(count, wide, *cells) for name, wide in latents.items()}}
    return batch | masks | {"target": target}


def _gathered(denoiser: nn.Module) -> int:
    """What FSDP2 gathers at once: the root's own weights, and two of the largest block, each with the buffer
    that it arrives in; and that block's gradients on their way, in float32.
    """
    blocks = [sum(weight.numel() for weight in part.parameters()) for part in sharded_parts(denoiser)]
    size = next(denoiser.parameters()).element_size()
    root = sum(weight.numel() for weight in denoiser.parameters()) - sum(blocks)
    largest = max(blocks, default=0)
    return 2 * size * (root + 2 * largest) + 4 * max(root, largest)


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in module.parameters() if weight.requires_grad]


def _bytes(module: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def _without_contents(module: Any, mode: FakeTensorMode, watched: "_Watched") -> None:
    """Tensors without contents in place of the module's, which rest and are counted elsewhere."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                fake = FakeTensor(mode, weight.detach().to("meta"), torch.device("cpu"))
                part._parameters[name] = nn.Parameter(fake, weight.requires_grad)
                watched.rests(part._parameters[name], 0)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = FakeTensor(mode, buffer.to("meta"), torch.device("cpu"))
                watched.rests(part._buffers[name], 0)


class _Watched(TorchDispatchMode):
    """Bytes of all storages that operations made and that live, and the most that there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0.0
        self._sizes: dict[int, float] = {}

    def rests(self, tensor: Tensor, bytes_per_element: float) -> None:
        """From here on the tensor counts so much for as long as it lives."""
        self._note(tensor)
        key = tensor.untyped_storage()._cdata
        self.now += tensor.numel() * bytes_per_element - self._sizes[key]
        self._sizes[key] = tensor.numel() * bytes_per_element

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._note, made)
        self.peak = max(self.peak, self.now)
        return made

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _float32_norms(module: nn.Module) -> None:
    """Under autocast, normalisation in float32, as on a GPU; the CPU's autocast leaves it in bf16."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm | nn.LayerNorm):
            part.forward = partial(_in_float32, part)


def _in_float32(norm: nn.GroupNorm | nn.LayerNorm, x: Tensor) -> Tensor:
    if not torch.is_autocast_enabled("cpu"):
        return type(norm).forward(norm, x)
    with torch.autocast("cpu", enabled=False):
        weight, bias = (None if own is None else own.float() for own in (norm.weight, norm.bias))
        if isinstance(norm, nn.GroupNorm):
            return F.group_norm(x.float(), norm.num_groups, weight, bias, norm.eps)
        return F.layer_norm(x.float(), norm.normalized_shape, weight, bias, norm.eps)
