"""A trained translation model: bridge, autoencoder and the EMA of the denoiser, of one checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypedDict, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.shards.fields import HoleContent
from pairbridge.training.bridge.flow import along, classifier_free, classifier_guided
from pairbridge.training.bridge.sample_loop import check_sampler, sample
from pairbridge.training.bridge.samplers import FieldFn, PosteriorSampler, Sampler
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import MASK, NOISE, SOURCE, ConditionConfig
from pairbridge.training.data.smooth_fill import fill_smoothly
from pairbridge.training.data.targets import to_picture
from pairbridge.training.data.tensors import image_tensor, keep_outside, mask_tensor
from pairbridge.training.engine.checkpoint import CheckpointState, read_state, read_tensors, refuse_changes
from pairbridge.training.engine.torch_devices import Precision, computing_in, found_device, to_device
from pairbridge.training.networks.autoencoders import Autoencoder, build_autoencoder, decode_tiled
from pairbridge.training.networks.base_weights import base_digest, load_base
from pairbridge.training.networks.conditions import encode_condition
from pairbridge.training.networks.denoisers import Denoiser
from pairbridge.training.networks.latent_transformers import SD3Config
from pairbridge.training.networks.lora import add_adapters, merge_adapters


def training_buckets(config: TrainingConfig, autoencoder: Autoencoder) -> BucketSequence:
    """The bucket of every step, of sides that autoencoder and denoiser can halve and take, or ConfigError."""
    buckets = config.bucket_sequence(autoencoder.factor * config.denoiser.side_multiple)
    if isinstance(config.denoiser, SD3Config):
        for bucket in buckets.buckets:
            latent_HW = tuple(side // autoencoder.factor for side in bucket.size_WH[::-1])
            config.denoiser.check_sides(latent_HW, autoencoder.factor)
    return buckets


def build_denoiser(config: TrainingConfig, autoencoder: Autoencoder, *, from_base: bool = False) -> Denoiser:
    """A denoiser that fits the autoencoder, its initial weights drawn from `config.seed` alone.

    from_base: whether the weights of `denoiser.base`, if it names some, are read. Adapters, where the config
    wants them, are beside the weights. Raises ConfigError for training crops that the two together cannot
    halve often enough, and for base weights that do not fit.
    """
    training_buckets(config, autoencoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed31(config.seed, "weights"))
        denoiser = Denoiser(
            config.denoiser,
            latent_channels=autoencoder.channels,
            mask_channels=autoencoder.mask_channels,
            black=autoencoder.black,
            bands=autoencoder.bands,
        ).to(memory_format=torch.channels_last)
    own = config.denoiser
    if from_base and own.base:
        load_base(denoiser.backbone, own.base, own.surgery, latent_channels=autoencoder.channels)
    if config.lora:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed31(config.seed, "adapters"))
            add_adapters(denoiser, config.lora)
    return denoiser


def _as_read(config: TrainingConfig, state: CheckpointState) -> TrainingConfig:
    """The training's config with the hole that the readers of its mix filled: outside training nobody else
    does.
    """
    holes = {source["roles"]["hole"] for source in state.inputs.get("mix_sources", ())}
    return config.model_copy(update={"hole": "smooth"}) if holes == {HoleContent.SMOOTH} else config


DEFAULT_SAMPLER = PosteriorSampler()

# (x_t (B, C, h, w), t (B,), what the network sees) -> log p(class given these) per sample (B,),
# differentiable in x_t.
ClassLogProbability = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]


class Sampling(TypedDict, total=False):
    """How a model is sampled; `TranslationModel.predict_batch` has the defaults."""

    steps: int
    seed: int | Sequence[int]
    sampler: Sampler
    guidance: float
    classifier: ClassLogProbability | None


class TranslationModel:
    """source -> target for uint8 images of any size."""

    def __init__(
        self,
        config: TrainingConfig,
        autoencoder: Autoencoder,
        denoiser: Denoiser,
        *,
        precision: Precision = "fp32",
    ) -> None:
        """`denoiser` with the weights to use; it is put in evaluation mode. precision: of its evaluations and
        of the decoder's.
        """
        self.config = config
        self.autoencoder = autoencoder
        self.denoiser = denoiser.eval()
        self.device = autoencoder.device
        self._precision = precision
        # Of the network, on a batch of any size, since the model was made; guidance takes two a time.
        self.evaluations = 0

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", precision: Precision = "fp32", *, hollow: bool = False
    ) -> Self:
        """The EMA weights of a complete checkpoint folder, on `device` (cpu or cuda), for evaluations in
        `precision`; adapters are merged into the weights of their base. hollow: no weights of the denoiser,
        which is on the meta device: another rank has them.

        Raises ConfigError without that device, CheckpointError if the folder cannot be read or its
        autoencoder's files, or those of the base of adapters, are no longer those it was trained with.
        """
        there = found_device(device)
        state = read_state(folder)
        config = _as_read(TrainingConfig.model_validate(state.config), state)
        if config.classifies:
            raise ConfigError(
                f"{folder} is a classifier of {config.classifies}",
                consequence="it makes no images",
                remedy="name the flow that it guides, and this one with `pairbridge sample --classifier`",
            )
        autoencoder = build_autoencoder(config.autoencoder)
        saved = {"autoencoder": state.inputs["autoencoder"]}
        refuse_changes(folder, saved, {"autoencoder": autoencoder.digest}, "the autoencoder")
        if config.lora:
            # Most of the model is not in the checkpoint.
            base = {"base": base_digest(config.denoiser.base)}
            refuse_changes(folder, {"base": state.inputs["base"]}, base, "the base weights")
        merged = config.model_copy(update={"lora": None})
        if hollow:
            with torch.device("meta"):
                denoiser = build_denoiser(merged, autoencoder)
            return cls(merged, autoencoder.to(there), denoiser, precision=precision)
        denoiser = build_denoiser(config, autoencoder, from_base=config.lora is not None)
        denoiser.load_weights(read_tensors(folder, "ema"))
        if config.lora:
            merge_adapters(denoiser)
        config = merged
        return cls(config, autoencoder.to(there), denoiser.to(there), precision=precision)

    def translate(
        self,
        source: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        conditions: Mapping[str, np.ndarray] = MappingProxyType({}),
        **how: Unpack[Sampling],
    ) -> np.ndarray:
        """Translate one uint8 (H, W, 3) image; see `translate_batch`, whose arguments have a first axis
        more.
        """
        masks = None if mask is None else mask[None]
        batched = {name: image[None] for name, image in conditions.items()}
        return self.translate_batch(source[None], masks, conditions=batched, **how)[0]

    def translate_batch(
        self,
        sources: np.ndarray,
        masks: np.ndarray | None = None,
        *,
        conditions: Mapping[str, np.ndarray] = MappingProxyType({}),
        **how: Unpack[Sampling],
    ) -> np.ndarray:
        """`predict_batch` as uint8 images of the sources' shape.

        Where the training's `outside_mask` is `keep`, pixels of mask 0 come back byte for byte.
        """
        outputs = to_picture(self.predict_batch(sources, masks, conditions=conditions, **how))
        if self.config.outside_mask == "keep" and masks is not None:
            return keep_outside(outputs, to_picture(sources), masks)
        return outputs

    @torch.no_grad()
    def predict_batch(
        self,
        sources: np.ndarray,
        masks: np.ndarray | None = None,
        *,
        steps: int = 1,
        seed: int | Sequence[int] = 0,
        sampler: Sampler = DEFAULT_SAMPLER,
        guidance: float = 1.0,
        classifier: ClassLogProbability | None = None,
        conditions: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> np.ndarray:
        """What `steps` steps make of uint8 (B, H, W, 3) images of one size: float32 in [-1, 1], as targets
        are (pairbridge.training.data.targets). Of a model that starts from noise, only their size counts
        unless it sees them.

        masks: uint8 (B, H, W), 255 = foreground, or to remove. conditions: the other images that the network
        was trained to see, uint8, by field, a class as `ConditionConfig.class_image`, a label map as
        whole numbers (B, H, W), an environment map as
        `pairbridge.training.data.targets.light_planes`. guidance: how far the
        field goes beyond what it is without the conditions that training withheld now and then, 1: no
        further; with a `classifier` (of `class_guide`, which checks that it fits): how strongly that bends
        the field under `conditions`. From a source, one step draws no random number, but with euler_maruyama
        and in a distilled student; all else draws from `seed`: a number is that of the batch, and what an
        image gets depends on its place there; one each makes it that of an image translated alone (but with
        dopri5, which takes its steps for all). Raises ConfigError where the model was not trained for `steps`
        or `guidance`, does not see what the sampler needs, or a mask or condition is missing or does not fit.
        """
        times = check_sampler(
            sampler,
            steps,
            self.config.timesteps,
            bridge=self.config.bridge,
            sees_source=any(one.field == SOURCE for one in self.config.denoiser.conditions),
        )
        height, width = sources.shape[1:3]
        x0, seen = self.prepare(sources, masks, conditions)
        seeds = [seed] if isinstance(seed, int) else seed
        generator = [torch.Generator().manual_seed(seed31(one, "translate")) for one in seeds]
        if self.config.bridge.start == "noise":
            x0 = randn_tensor(x0.shape, generator, self.device)
        latent = sample(
            sampler,
            self.field(seen, guidance, generator, classifier),
            x0,
            times,
            bridge=self.config.bridge,
            generator=generator,
        )
        images = decode_tiled(self.decode, latent, self.autoencoder.factor)[..., :height, :width]
        return images.clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()

    def decode(self, latents: Tensor) -> Tensor:
        """The autoencoder's, in the precision of this model; differentiable."""
        return self.autoencoder.decode(latents, self._precision)

    @torch.no_grad()
    def prepare(
        self, sources: np.ndarray, masks: np.ndarray | None, conditions: Mapping[str, np.ndarray]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sources' latents, padded, and what the network sees beside x_t; raises as `predict_batch`."""
        if masks is not None and masks.shape != sources.shape[:3]:
            raise ConfigError(
                f"the mask has shape {masks.shape[1:]}, the image {sources.shape[1:3]}",
                consequence="resizing here would move the edge",
                remedy="bring both to one size",
            )
        source = to_device(image_tensor(sources), self.device)
        if self.config.hole == "smooth" and masks is not None:
            source = fill_smoothly(source, to_device(mask_tensor(masks), self.device))
        source = self._pad(source)
        x0 = self.autoencoder.encode(source)
        if isinstance(self.config.denoiser, SD3Config):
            self.config.denoiser.check_sides(x0.shape[-2:], self.autoencoder.factor)
        return x0, self._conditions(sources, masks, conditions, x0, source.shape[-2:])

    def field(
        self,
        seen: Mapping[str, Tensor],
        guidance: float = 1.0,
        generator: list[torch.Generator] | None = None,
        classifier: ClassLogProbability | None = None,
    ) -> FieldFn:
        """The network under the conditions of `prepare`, guided; a student's noise is drawn from `generator`,
        as diffusers' `randn_tensor` does: one for all, or one for each sample.

        Raises as `predict_batch`, and ConfigError for a student without a generator.
        """
        is_student = any(one.field == NOISE for one in self.config.denoiser.conditions)
        if is_student and generator is None:
            raise ConfigError(
                "this model is a distilled student: what it makes depends on noise of its own",
                consequence="its field is not a function of state and time, which guidance needs",
                remedy="guide its teacher",
            )
        optional = {one.field for one in self.config.denoiser.conditions if one.dropout}
        if guidance != 1 and not optional and not classifier:
            raise ConfigError(
                f"guidance {guidance:g} compares the model with itself without its conditions, and it was"
                " never trained without any",
                consequence="the comparison would be with an extrapolation",
                remedy="leave guidance at 1, or train with a `dropout` of some of denoiser.conditions",
            )
        without = {
            field: torch.zeros_like(value) if field in optional else value for field, value in seen.items()
        }

        def under(conditions: Mapping[str, Tensor]) -> FieldFn:
            def field(x: Tensor, t: Tensor) -> Tensor:
                self.evaluations += 1
                noise = {NOISE: randn_tensor(x.shape, generator, x.device)} if is_student else {}
                with computing_in(self._precision, self.device):
                    return self.denoiser(x, t, {**conditions, **noise}).float()

            return field

        if classifier:
            return classifier_guided(
                under(seen), lambda x, t: classifier(x, t, seen), guidance, along(self.config.bridge)
            )
        return classifier_free(under(seen), under(without), guidance)

    def _conditions(
        self,
        sources: np.ndarray,
        masks: np.ndarray | None,
        images: Mapping[str, np.ndarray],
        x0: Tensor,
        padded: tuple[int, int],
    ) -> dict[str, Tensor]:
        """The network's conditions; zeros for one that is missing and that training withheld now and then."""
        given: dict[str, Tensor] = {}
        if masks is not None:
            given[MASK] = self._pad(to_device(mask_tensor(masks), self.device))
        wanted = [one for one in self.config.denoiser.conditions if one.field != NOISE]
        for config in wanted:
            if config.field in images:
                if config.labels:
                    given[config.field] = self._label_map(
                        config, images[config.field], sources.shape[1:3], padded
                    )
                    continue
                if config.as_irradiance:
                    _check_light(config.field, images[config.field])
                image = to_device(image_tensor(images[config.field]), self.device)
                if config.classes or config.as_irradiance:
                    given[config.field] = image
                    continue
                whole = config.is_whole or image.shape[-2:] != sources.shape[1:3]
                resized = F.interpolate(image, padded, mode="bilinear", antialias=True)
                given[config.field] = resized if whole else self._pad(image)
        seen = {}
        for config in wanted:
            if config.field in given or config.field == SOURCE:
                seen[config.field] = encode_condition(config, given, x0, self.autoencoder)
            elif config.dropout:
                channels = config.width(
                    latent_channels=self.autoencoder.channels, mask_channels=self.autoencoder.mask_channels
                )
                seen[config.field] = x0.new_zeros(len(x0), channels, *x0.shape[-2:])
            else:
                raise ConfigError(
                    f"this model was trained with a {config.field} beside the image, and none was given",
                    consequence="it would not know what to do",
                    remedy="pass it: `--mask`, 255 on the foreground; `--light-map` for light; `--class`; any"
                    f" other by its field: `--condition {config.field}=FILE`",
                )
        return seen

    def _label_map(
        self, config: ConditionConfig, numbers: np.ndarray, size: tuple[int, int], padded: tuple[int, int]
    ) -> Tensor:
        """Label maps (B, H, W) of the padded sources' size; resized, they take the nearest pixel."""
        if numbers.ndim != 3:
            raise ConfigError(
                f"{config.field} has shape {numbers.shape[1:]}, and a label map has one number a pixel",
                consequence="which label a colour stands for is not known",
                remedy=f"give a PNG whose levels are labels: `--condition {config.field}=FILE`",
            )
        levels = to_device(image_tensor(config.label_image(numbers)), self.device)
        if levels.shape[-2:] != size:
            return F.interpolate(levels, padded, mode="nearest-exact")
        return self._pad(levels)

    def _pad(self, images: Tensor) -> Tensor:
        """Repeat the last row and column up to the next multiple that autoencoder and denoiser can halve."""
        multiple = self.autoencoder.factor * self.denoiser.config.side_multiple
        bottom, right = (-side % multiple for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, bottom), mode="replicate")


def _check_light(field: str, image: np.ndarray) -> None:
    if image.shape[-1] != 6 or image.dtype != np.float32:
        raise ConfigError(
            f"{field} has {image.shape[-1]} channels of {image.dtype}, and this model was trained with"
            " environment maps",
            consequence="how bright a light is would be lost: a picture ends at white",
            remedy=f"give an .hdr or .exr file: `--condition {field}=FILE`",
        )
