"""What a training can be told; the defaults suit two CPU cores and a few minutes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.bridges import AnyBridge, BrownianBridge
from pairbridge.training.bridge.timesteps import AnyTimesteps, DiscreteTimesteps
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.data.augment import AugmentConfig
from pairbridge.training.data.buckets import BucketsConfig, BucketSequence, check_side
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.networks.autoencoders import AutoencoderConfig, HaarConfig
from pairbridge.training.networks.denoisers import DenoiserConfig, UNetConfig

# How fast a training goes and what it says of itself.
_FREE = (
    *("threads", "loader_workers", "device", "accumulate", "gradient_checkpointing", "compile", "parallel"),
    *("log_every", "checkpoint_every", "keep_checkpoints", "diverged_at", "watch"),
)


class WatchConfig(FrozenModel):
    pictures_every: int | None = Field(default=None, ge=1)
    """Steps between two pictures of what the average makes of pairs it never saw; null: none."""
    rows: int = Field(default=6, ge=1)
    """Rows of such a picture, spread evenly over the split of each source of the mix that has it."""
    split: Literal["validation", "test"] = "validation"
    tensorboard: bool = False
    """The same figures and pictures as TensorBoard events; needs the extra `tensorboard`."""


class TrainingConfig(FrozenModel):
    seed: int = Field(default=0, ge=0)
    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=16, ge=1)
    """Samples per optimiser step over all ranks."""
    size: int = Field(default=96, ge=8)
    """Side of the square training crops in pixels."""
    buckets: BucketsConfig | None = None
    """Sizes, aspects and batch sizes that take turns, instead of the two above. null: one size, square."""
    autoencoder: AutoencoderConfig = HaarConfig()
    latents: Literal["encode", "cached"] = "encode"
    """encode: in every step. cached: latents of whole images, made once by `pairbridge encode`; not with
    augmentations, random crops or object removal, which change the pixels in every epoch."""
    hole: Literal["noise", "smooth"] = "noise"
    """What the network sees in the hole of a removal pair. noise: what the reader put there, as in the paper.
    smooth: an interpolation of what surrounds it, from where a small network gets further."""
    bridge: AnyBridge = BrownianBridge()
    """Process between source and target that the network learns: kind brownian or own."""
    timesteps: AnyTimesteps = DiscreteTimesteps()
    denoiser: DenoiserConfig = UNetConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    outside_mask: Literal["keep", "translate"] = "translate"
    """What a translation shows where the mask is 0. keep: its source, right for relighting, whose pairs agree
    there. translate: the network's output, right for removal, where shadows go with the object."""
    optimiser: OptimiserConfig = OptimiserConfig()
    ema_half_life_images: int = Field(default=1000, ge=1)
    """A weight counts half in the evaluated average after this many further images."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast of the denoiser; weights, optimiser state and average stay float32."""
    device: Literal["cpu", "cuda"] = "cpu"
    diverged_at: float = Field(default=100.0, gt=1)
    """The run stops where the mean loss between two log lines is this many times that of the first line."""
    accumulate: int = Field(default=1, ge=1)
    """How fast, never what: these may change when a run resumes. Parts of a rank's batch that pass through
    the network one after the other before an optimiser step."""
    gradient_checkpointing: bool = False
    """Activations are computed again in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """torch.compile of the denoiser; needs a C++ compiler on a CPU."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Over the ranks of torchrun. ddp: each holds all weights. fsdp: weights, gradients, optimiser and
    average are sharded, for networks that do not fit one GPU."""
    threads: int = Field(default=2, ge=1)
    loader_workers: int = Field(default=1, ge=0)
    log_every: int = Field(default=10, ge=1)
    watch: WatchConfig = WatchConfig()
    checkpoint_every: int = Field(default=250, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.latents == "cached" and (self.augment.flip or self.augment.permute_colours):
            raise ValueError(
                "latents: cached are those of unchanged images: set augment.flip and permute_colours to 0"
            )
        if self.latents == "cached" and self.hole != "noise":
            raise ValueError("latents: cached are those of whole images: not with another hole than noise")
        if self.latents == "cached" and self.loss.terms:
            raise ValueError("latents: cached come without masks, which loss.terms are given: use encode")
        if self.gradient_checkpointing and self.denoiser.kind == "own":
            raise ValueError(
                "gradient_checkpointing is for networks of ours: use torch.utils.checkpoint in your own"
            )
        multiplies = isinstance(self.denoiser, UNetConfig) and self.denoiser.head.multiplies
        if multiplies and self.bridge.start == "noise":
            raise ValueError(
                f"denoiser.head {self.denoiser.head.value} multiplies what a source shows: not with "
                "bridge.start noise"
            )
        if multiplies and self.autoencoder.kind != "haar":
            raise ValueError(
                f"denoiser.head {self.denoiser.head.value} needs latents that are linear in the image: "
                "autoencoder.kind haar"
            )
        return self

    def bucket_sequence(self, multiple: int) -> BucketSequence:
        """The bucket of every step; sides are multiples of `multiple`, or ConfigError."""
        if self.buckets:
            return BucketSequence.of(self.buckets, multiple=multiple, seed=self.seed)
        return BucketSequence.single(size=check_side(self.size, multiple), batch_size=self.batch_size)

    def meaning(self) -> dict:
        """The part of the config that decides what is learned, JSON-able."""
        free = set(_FREE)
        # At a constant rate a longer training begins exactly as the shorter one did.
        extendable = {"steps"} if self.optimiser.schedule == "constant" else set()
        return self.model_dump(mode="json", exclude=free | extendable)
