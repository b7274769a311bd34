"""What a training can be told; the defaults suit two CPU cores and a few minutes."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.bridges import AnyBridge, BrownianBridge
from pairbridge.training.bridge.timesteps import AnyTimesteps, DiscreteTimesteps
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.data.augment import AugmentConfig
from pairbridge.training.data.buckets import BucketsConfig, BucketSequence, check_side
from pairbridge.training.engine.engine_config import EngineConfig
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.networks.autoencoders import AutoencoderConfig, HaarConfig
from pairbridge.training.networks.denoisers import DenoiserConfig, UNetConfig


class WatchConfig(FrozenModel):
    pictures_every: int | None = Field(default=None, ge=1)
    """Steps between two pictures of what the EMA makes of held-out pairs; null draws none."""
    rows: int = Field(default=6, ge=1)
    """Rows of a picture, one pair each, spread evenly over the split of every source of the mix that has
    it."""
    split: Literal["validation", "test"] = "validation"
    """Split that the pictured pairs are from."""
    tensorboard: bool = False
    """Whether metrics and pictures are written as TensorBoard events too; needs the extra `tensorboard`."""


class TrainingConfig(EngineConfig):
    batch_size: int = Field(default=16, ge=1)
    """Samples per optimiser step over all ranks."""
    size: int = Field(default=96, ge=8)
    """Side of the square training crops in pixels."""
    buckets: BucketsConfig | None = None
    """Sizes, aspect ratios and batch sizes that take turns, in place of `batch_size` and `size`. null: one
    size, square."""
    autoencoder: AutoencoderConfig = HaarConfig()
    """Autoencoder whose latents the bridge lives in; it is not trained."""
    latents: Literal["encode", "cached"] = "encode"
    """Source of the latents. `encode`: the autoencoder, in every step. `cached`: those of whole images, made
    once by `pairbridge encode`; not with augmentations, random crops or object removal, which change the
    pixels in every epoch."""
    hole: Literal["noise", "smooth"] = "noise"
    """Content of the hole of a removal pair as the network sees it. `noise`: what the reader put there, as in
    the paper. `smooth`: an interpolation of its surroundings, from where a small network gets further."""
    bridge: AnyBridge = BrownianBridge()
    """Process between source and target that the network learns: kind brownian or own."""
    timesteps: AnyTimesteps = DiscreteTimesteps()
    """Distribution of the timesteps that the network is trained at."""
    denoiser: DenoiserConfig = UNetConfig()
    """The network that is trained, and its conditioning."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation of the pairs."""
    loss: LossConfig = LossConfig()
    """The terms of the loss and their weights."""
    outside_mask: Literal["keep", "translate"] = "translate"
    """Output of a translation where the mask is 0. `keep`: its source, right for relighting, whose pairs
    agree there. `translate`: the network's output, right for removal, where shadows go with the object."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """AdamW and its learning rate schedule."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the network's forward pass. `bf16`: autocast; weights, optimiser state and EMA stay
    float32."""
    diverged_at: float = Field(default=100.0, gt=1)
    """Factor over the first logged loss at which the run stops: the mean loss between two log lines is
    compared."""
    compile: bool = False
    """Whether the network is compiled by torch.compile; needs a C++ compiler on a CPU."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Layout of the network over the ranks of torchrun. `ddp`: each rank holds all weights. `fsdp`: weights,
    gradients, optimiser and EMA are sharded, for networks that do not fit one GPU."""
    watch: WatchConfig = WatchConfig()
    """Pictures and events while the training runs."""

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

    def meaning(self) -> dict[str, Any]:
        """The part of the config that decides what is learned, JSON-able."""
        return self._meaning(self.optimiser, free={"compile", "parallel", "diverged_at"})
