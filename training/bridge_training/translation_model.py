"""A trained translation model: bridge, autoencoder and the EMA of the denoiser, of one checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypedDict, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.flow import classifier_free
from pairbridge.training.bridge.sample_loop import check_sampler, sample
from pairbridge.training.bridge.samplers import FieldFn, PosteriorSampler, Sampler
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import MASK, NOISE, SOURCE
from pairbridge.training.data.targets import to_picture
from pairbridge.training.data.tensors import image_tensor, keep_outside, mask_tensor
from pairbridge.training.engine.checkpoint import read_state, read_tensors, refuse_changes
from pairbridge.training.networks.autoencoders import Autoencoder, build_autoencoder, decode_tiled
from pairbridge.training.networks.conditions import encode_condition
from pairbridge.training.networks.denoisers import Denoiser
from pairbridge.training.networks.smooth_fill import fill_smoothly


def training_buckets(config: TrainingConfig, autoencoder: Autoencoder) -> BucketSequence:
    """The bucket of every step, of sides that autoencoder and denoiser can halve, or ConfigError."""
    return config.bucket_sequence(autoencoder.factor * config.denoiser.side_multiple)


def build_denoiser(config: TrainingConfig, autoencoder: Autoencoder) -> Denoiser:
    """A denoiser that fits the autoencoder, its initial weights drawn from `config.seed` alone.

    Raises ConfigError for training crops that the two together cannot halve often enough.
    """
    training_buckets(config, autoencoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed31(config.seed, "weights"))
        return Denoiser(
            config.denoiser,
            latent_channels=autoencoder.channels,
            mask_channels=autoencoder.mask_channels,
            black=autoencoder.black,
            bands=autoencoder.bands,
        ).to(memory_format=torch.channels_last)


DEFAULT_SAMPLER = PosteriorSampler()


class Sampling(TypedDict, total=False):
    """How a model is sampled; `TranslationModel.predict_batch` has the defaults."""

    steps: int
    seed: int
    sampler: Sampler
    guidance: float


class TranslationModel:
    """source -> target for uint8 images of any size."""

    def __init__(self, config: TrainingConfig, autoencoder: Autoencoder, denoiser: Denoiser) -> None:
        """`denoiser` with the weights to use; it is put in evaluation mode."""
        self.config = config
        self.autoencoder = autoencoder
        self.denoiser = denoiser.eval()
        self.device = next(denoiser.parameters()).device
        # Of the network, on a batch of any size, since the model was made; guidance takes two a time.
        self.evaluations = 0

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The EMA weights of a complete checkpoint folder.

        Raises CheckpointError if it cannot be read or its autoencoder's files are no longer those it was
        trained with.
        """
        state = read_state(folder)
        config = TrainingConfig.model_validate(state.config)
        autoencoder = build_autoencoder(config.autoencoder)
        saved = {"autoencoder": state.inputs["autoencoder"]}
        refuse_changes(folder, saved, {"autoencoder": autoencoder.digest}, "the autoencoder")
        denoiser = build_denoiser(config, autoencoder)
        denoiser.load_state_dict(read_tensors(folder, "ema"))
        return cls(config, autoencoder.to(device), denoiser.to(device))

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
            return keep_outside(outputs, sources, masks)
        return outputs

    @torch.no_grad()
    def predict_batch(
        self,
        sources: np.ndarray,
        masks: np.ndarray | None = None,
        *,
        steps: int = 1,
        seed: int = 0,
        sampler: Sampler = DEFAULT_SAMPLER,
        guidance: float = 1.0,
        conditions: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> np.ndarray:
        """What `steps` steps make of uint8 (B, H, W, 3) images of one size: float32 in [-1, 1], as targets
        are (pairbridge.training.data.targets). Of a model that starts from noise, only their size counts
        unless it sees them.

        masks: uint8 (B, H, W), 255 = foreground, or to remove. conditions: the other images that the network
        was trained to see, uint8, by field, a class as `ConditionConfig.class_image`. guidance: how far the
        field goes beyond what it is without the conditions that training withheld now and then, 1: no
        further. From a source, one step draws no random number, but with euler_maruyama and in a distilled
        student; all else draws from `seed` and depends on place within the batch. Raises ConfigError where
        the model was not trained for `steps` or `guidance`, does not see what the sampler needs, or a mask or
        condition is missing or does not fit.
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
        generator = torch.Generator().manual_seed(seed31(seed, "translate"))
        if self.config.bridge.start == "noise":
            x0 = torch.randn(x0.shape, generator=generator).to(self.device)
        latent = sample(
            sampler,
            self.field(seen, guidance, generator),
            x0,
            times,
            bridge=self.config.bridge,
            generator=generator,
        )
        images = decode_tiled(self.autoencoder.decode, latent, self.autoencoder.factor)[..., :height, :width]
        return images.clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()

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
        source = image_tensor(sources).to(self.device)
        if self.config.hole == "smooth" and masks is not None:
            source = fill_smoothly(source, mask_tensor(masks).to(self.device))
        source = self._pad(source)
        x0 = self.autoencoder.encode(source)
        return x0, self._conditions(sources, masks, conditions, x0, source.shape[-2:])

    def field(
        self,
        seen: Mapping[str, Tensor],
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> FieldFn:
        """The network under the conditions of `prepare`, guided; a student's noise is drawn from `generator`.

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
        if guidance != 1 and not optional:
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
                noise = {NOISE: torch.randn(x.shape, generator=generator).to(x.device)} if is_student else {}
                return self.denoiser(x, t, {**conditions, **noise})

            return field

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
            given[MASK] = self._pad(mask_tensor(masks).to(self.device))
        wanted = [one for one in self.config.denoiser.conditions if one.field != NOISE]
        for config in wanted:
            if config.field in images:
                image = image_tensor(images[config.field]).to(self.device)
                if config.classes:
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
                    remedy="pass it: `--mask`, 255 on the foreground; `--light-map` for light; `--class`",
                )
        return seen

    def _pad(self, images: Tensor) -> Tensor:
        """Repeat the last row and column up to the next multiple that autoencoder and denoiser can halve."""
        multiple = self.autoencoder.factor * self.denoiser.config.side_multiple
        bottom, right = (-side % multiple for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, bottom), mode="replicate")
