"""What a training can be told; the defaults suit two CPU cores and a few minutes."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.bridges import AnyBridge, BrownianBridge
from pairbridge.training.bridge.timesteps import AnyTimesteps, DiscreteTimesteps
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.data.augment import STILL, AugmentConfig
from pairbridge.training.data.buckets import BucketsConfig, BucketSequence, check_side
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.engine.engine_config import EngineConfig
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.engine.parallel import Layout
from pairbridge.training.networks.autoencoders import AutoencoderConfig, HaarConfig
from pairbridge.training.networks.denoisers import DenoiserConfig, UNetConfig
from pairbridge.training.networks.lora import LoraConfig
from pairbridge.training.perceptual.lpips import SMALLEST_SIDE
from pairbridge.training.trackers.tracker_choice import TrackerName


class WatchConfig(FrozenModel):
    pictures_every: int | None = Field(default=None, ge=1)
    """Steps between two pictures of what the EMA makes of held-out pairs; null draws none."""
    rows: int = Field(default=6, ge=1)
    """Rows of a picture, one pair each, spread evenly over the split of every source of the mix that has
    it."""
    split: Literal["validation", "test"] = "validation"
    """Split that the pictured pairs are from."""
    trackers: Literal["auto"] | tuple[TrackerName, ...] = "auto"
    """Trackers that metrics, pictures, config, commit and hardware are logged to: a list of `tensorboard`,
    `wandb` and `mlflow`, each an extra of that name. `auto`: TensorBoard where it is installed. wandb reaches
    its service unless WANDB_MODE says otherwise; the others stay in the run's folder, mlflow unless
    MLFLOW_TRACKING_URI is set."""


class HardwareConfig(FrozenModel):
    gpus: int = Field(ge=1)
    """Number of GPUs, one rank each."""
    gpu_memory_gib: float = Field(gt=0)
    """Memory of each in GiB: of a card of 80 GB 79, of one of 24 GB 23.5."""


class ValidationConfig(FrozenModel):
    every_images: int | None = Field(default=None, ge=1)
    """Images from one validation loss to the next, which stands in the first line of stats.jsonl after each,
    and in the last one. It is of the EMA, at times and noise that stay the same. null: none."""
    pairs: int = Field(default=64, ge=1)
    """Largest number of pairs that it is the mean of, spread evenly over the sources that have the split."""
    split: Literal["validation", "test"] = "validation"
    """Split that these pairs are from."""


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
    classifies: str | None = None
    """The class condition, by its field, that the network tells from points of the path and the other
    conditions: a classifier, which guides a flow (`pairbridge classifier`). It has the encoder of
    `denoiser`, of kind unet, and descends the cross entropy in place of `loss`. null: the network learns the
    bridge's field."""
    lora: LoraConfig | None = None
    """Low-rank adapters on the weights of `denoiser.base`, which stay as they are; needs the extra `lora`.
    null: all weights train."""
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
    """Precision of the network's forward pass. `bf16`: autocast; weights that train, optimiser state
    and EMA stay float32, and frozen layers beside adapters rest in bf16."""
    diverged_at: float = Field(default=100.0, gt=1)
    """Factor over the first logged loss at which the run stops: the mean loss between two log lines is
    compared."""
    compile: bool = False
    """Whether the network is compiled by torch.compile, its transformer blocks one for all where it has such;
    needs a C++ compiler on a CPU."""
    hardware: HardwareConfig | None = None
    """GPUs that the config is made for. `pairbridge train --dry-run` says whether it fits them; training does
    not look at it."""
    validation: ValidationConfig = ValidationConfig()
    """Loss on held-out pairs while the training runs."""
    watch: WatchConfig = WatchConfig()
    """Pictures and trackers while the training runs."""

    @property
    def layout(self) -> Layout:
        """How the network lies over the ranks."""
        return self.layout_in(self.precision, compiled=self.compile)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.classifies:
            self._check_classifier()
        if self.lora and not self.denoiser.base:
            raise ValueError("lora adapts published weights: name them in denoiser.base")
        if self.latents == "cached" and self.augment != STILL:
            raise ValueError(
                "latents: cached are those of unchanged images: set augment.flip, permute_colours and"
                " recolour to 0"
            )
        if self.latents == "cached" and self.hole != "noise":
            raise ValueError("latents: cached are those of whole images: not with another hole than noise")
        if self.latents == "cached" and self.loss.wants_masks:
            raise ValueError(
                "latents: cached come without masks, which loss.terms and foreground_psnr are given: use"
                " encode"
            )
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

    def _check_classifier(self) -> None:
        if not isinstance(self.denoiser, UNetConfig) or self.denoiser.base:
            raise ValueError("a classifier has the encoder of a `denoiser` of kind unet, without a base")
        if not self.label or self.label.dropout:
            raise ValueError(
                f"classifies: {self.classifies} has to be one of denoiser.conditions, with `classes` and"
                " without dropout: what is withheld cannot be told"
            )
        if self.watch.pictures_every:
            raise ValueError("a classifier makes no pictures: set watch.pictures_every to null")
        if self.bridge.start != "noise" or self.bridge.kind == "own":
            raise ValueError(
                "a classifier guides a flow from noise along a known path: set bridge.start to noise, and its"
                " kind to brownian or diffusion"
            )

    @property
    def label(self) -> ConditionConfig | None:
        """The condition that `classifies` names."""
        found = (one for one in self.denoiser.conditions if one.field == self.classifies and one.classes)
        return next(found, None)

    def bucket_sequence(self, multiple: int) -> BucketSequence:
        """The bucket of every step; sides are multiples of `multiple`, or ConfigError."""
        if self.buckets:
            found = BucketSequence.of(self.buckets, multiple=multiple, seed=self.seed)
        else:
            found = BucketSequence.single(size=check_side(self.size, multiple), batch_size=self.batch_size)
        smallest = min(min(bucket.size_WH) for bucket in found.buckets)
        if self.loss.wants_lpips and smallest < SMALLEST_SIDE:
            raise ConfigError(
                f"a side of {smallest} pixels is below the {SMALLEST_SIDE} that LPIPS needs",
                consequence="the first step would fail",
                remedy="train on larger images, or set loss.pixel_norm to l1 or l2",
            )
        return found

    def meaning(self) -> dict[str, Any]:
        """The part of the config that decides what is learned, JSON-able."""
        free = {"compile", "diverged_at", "hardware", "validation"}
        return self._meaning(self.optimiser, free=free)
