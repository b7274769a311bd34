"""Latent diffusion models of Stable Diffusion's kind as a path that can be guided
(pairbridge.training.guidance.guided_images).

A folder in diffusers' layout: unet/, vae/, scheduler/, and text_encoder/ and tokenizer/ for its prompts. Step
tau of T training steps, 0 the cleanest, is our time t = 1 - (tau + 1) / T, with ab the cumulative alphas:

    x = sqrt(ab) x1 + sqrt(1 - ab) n
    n from the network     epsilon: its output;  v_prediction: sqrt(ab) v + sqrt(1 - ab) x;
                           sample: (x - sqrt(ab) output) / sqrt(1 - ab)

The image is taken to noise by DDIM inversion, its estimates stored on the way (`guidance.invert`), and what
the network's cross-attention says of a word of the prompt (`pairbridge.training.guidance.word_attention`).
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.weights.pretrained import load_preprocessor
from pairbridge.training.bridge.flow import classifier_free
from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.engine.torch_devices import Precision, computing_in, found_device, to_device
from pairbridge.training.guidance.guidance_equations import GuidedModel, invert
from pairbridge.training.guidance.guide_config import DiffusionConfig
from pairbridge.training.guidance.guided_images import ImagePath
from pairbridge.training.guidance.guided_models import NoisePredictor, diffusion_model
from pairbridge.training.guidance.word_attention import WordAttention, word_mask, word_places
from pairbridge.training.networks.autoencoders import Autoencoder, load_autoencoder
from pairbridge.training.networks.local_folders import load_network, read_json, unusable

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True, slots=True)
class Noising:
    """alphas: the cumulative ones, float64 (T,), falling. prediction: what the network's output is."""

    alphas: Tensor
    prediction: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Of a scheduler's folder; its noising is that of training, whatever sampler it names."""
        config = read_json(folder / "scheduler_config.json")
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in _PREDICTIONS:
            raise unusable(folder, f"it predicts {prediction!r}, none of {', '.join(_PREDICTIONS)}")
        return cls(DDIMScheduler.from_config(config).alphas_cumprod.double(), prediction)

    def step(self, t: float) -> int:
        return round((1 - t) * len(self.alphas)) - 1

    def time(self, step: int) -> float:
        return 1 - (step + 1) / len(self.alphas)

    def alpha_bar(self, t: float) -> float:
        return float(self.alphas[self.step(t)])

    def times(self, count: int, strength: float) -> list[float]:
        """`count` evenly spaced times from that share of the noise to the cleanest step."""
        last = strength * len(self.alphas) - 1
        steps = [round(last * k / max(count - 1, 1)) for k in range(count)]
        if last < 0 or len(set(steps)) < count:
            raise ConfigError(
                f"strength {strength:g} leaves fewer than {count} of the model's {len(self.alphas)} steps",
                consequence="two steps of the path would be the same",
                remedy="take fewer steps, or a larger strength",
            )
        return [self.time(step) for step in reversed(steps)]

    def noise(self, output: Tensor, x: Tensor, t: float) -> Tensor:
        """The noise in x that the network's output means."""
        kept = self.alpha_bar(t)
        clean, noisy = kept**0.5, (1 - kept) ** 0.5
        if self.prediction == "epsilon":
            return output
        if self.prediction == "v_prediction":
            return clean * output + noisy * x
        return (x - clean * output) / noisy


class LatentDiffusion:
    def __init__(
        self,
        unet: nn.Module,
        autoencoder: Autoencoder,
        noising: Noising,
        prompt: Tensor | None,
        nothing: Tensor | None,
        guidance_scale: float = 1.0,
        precision: Precision = "fp32",
        word: Sequence[int] = (),
    ) -> None:
        """unet: called as a UNet2DConditionModel. prompt, nothing: (1, tokens, width), the latter for a
        guidance scale other than 1. precision: of the network and the decoder. word: places of tokens of the
        prompt whose attention marks what is to be edited.
        """
        self.unet, self.autoencoder, self.noising = unet, autoencoder, noising
        self.prompt, self.nothing, self.guidance_scale = prompt, nothing, guidance_scale
        self._precision, self.word = precision, word

    @classmethod
    def load(
        cls, folder: Path, config: DiffusionConfig, device: str = "cpu", precision: Precision = "fp32"
    ) -> Self:
        """Raises ConfigError for a folder that does not hold one, whose network wants more than text, for a
        word that the prompt does not have, and without the device (cpu or cuda).
        """
        there = found_device(device)
        unet = load_network(UNet2DConditionModel, folder / "unet").to(there)
        if unet.config.addition_embed_type or unet.config.in_channels != unet.config.out_channels:
            raise unusable(
                folder / "unet",
                "it wants more than a latent and a text (SDXL's sizes, an inpainting mask): not supported",
            )
        tokenizer = load_preprocessor(CLIPTokenizer, folder / "tokenizer", unusable)
        encode = _text_encoder(folder, tokenizer, there)
        return cls(
            unet,
            load_autoencoder(folder / "vae").to(there),
            Noising.load(folder / "scheduler"),
            encode(config.prompt),
            encode("") if config.guidance_scale != 1 else None,
            config.guidance_scale,
            precision,
            word_places(tokenizer, config.prompt, config.mask_word, folder) if config.mask_word else (),
        )

    def guided_model(self, attention: WordAttention | None = None) -> GuidedModel:
        """The three callables, on latents (B, channels, h, w). attention: watches what the prompt does."""
        return diffusion_model(
            classifier_free(
                self._under(self.prompt, attention), self._under(self.nothing), self.guidance_scale
            ),
            self.noising.alpha_bar,
        )

    def path(self, sources: np.ndarray, *, steps: int, strength: float) -> ImagePath:
        """uint8 (B, H, W, 3) images of any size taken back to `strength` of the noise in `steps` steps."""
        height, width = sources.shape[1:3]
        images = to_device(image_tensor(sources), self.autoencoder.device)
        multiple = self.autoencoder.factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        bottom, right = -height % multiple, -width % multiple
        latents = self.autoencoder.encode(F.pad(images, (0, right, 0, bottom), mode="replicate"))
        times, cells = self.noising.times(steps, strength), tuple(latents.shape[-2:])
        attention = WordAttention(self.unet, self.word, cells) if self.word else None
        start, stored = invert(self.guided_model(attention), latents, times)
        return ImagePath(
            model=self.guided_model(),
            times=times,
            start=start,
            stored=stored,
            decode=lambda found: self.autoencoder.decode(found, self._precision)[..., :height, :width],
            cell=self.autoencoder.factor,
            keeps_outside=True,
            evaluations=1 if self.guidance_scale in (0, 1) else 2,
            mask=attention and word_mask(attention.map, self.autoencoder.factor, (height, width)),
        )

    def _under(self, text: Tensor | None, attention: WordAttention | None = None) -> NoisePredictor:
        def predict(x: Tensor, t: float) -> Tensor:
            states = None if text is None else text.expand(len(x), -1, -1)
            with (
                computing_in(self._precision, x.device),
                attention.watching() if attention else nullcontext(),
            ):
                output = self.unet(x, self.noising.step(t), encoder_hidden_states=states).sample.float()
            return self.noising.noise(output, x, t)

        return predict


def is_latent_diffusion(folder: Path) -> bool:
    return (folder / "unet" / "config.json").is_file() and (folder / "scheduler").is_dir()


def _text_encoder(folder: Path, tokenizer: CLIPTokenizer, device: torch.device) -> Callable[[str], Tensor]:
    """Text -> (1, tokens, width), as Stable Diffusion is trained: padded, and cut at the encoder's length."""
    model = load_network(CLIPTextModel, folder / "text_encoder").to(device)

    @torch.no_grad()
    def encode(text: str) -> Tensor:
        tokens = tokenizer(
            text,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return model(tokens["input_ids"].to(device)).last_hidden_state

    return encode
