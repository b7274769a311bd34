"""A latent bridge (arXiv 2503.07535), image to image, as a pipeline of diffusers.

As `pipeline.py` of a published folder this file needs torch and diffusers alone; the folder's card says how
it is opened. `unet` or `transformer` and, where the latents are not those of a Haar transform, `vae` are
networks of diffusers' own; all else that a translation depends on is `bridge` in model_index.json. From
pairbridge, Apache-2.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DiffusionPipeline,
    DiTTransformer2DModel,
    FluxTransformer2DModel,
    ImagePipelineOutput,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    UNet2DModel,
)
from PIL import Image
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.models.weights.alignment import aligned
from pairbridge.training.bridge.equations import estimate_target, posterior_step
from pairbridge.training.bridge.flow import classifier_free
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.data.condition_specs import MASK, NOISE, SOURCE
from pairbridge.training.data.smooth_fill import fill_smoothly
from pairbridge.training.data.targets import to_picture
from pairbridge.training.data.tensors import keep_outside
from pairbridge.training.networks.autoencoders import (
    Autoencoder,
    FolderAutoencoder,
    HaarTransform,
    decode_tiled,
)
from pairbridge.training.networks.backbones import Backbone, evaluate
from pairbridge.training.networks.conditions import encode_condition, label_levels
from pairbridge.training.networks.denoisers import Head, field_of
from pairbridge.training.networks.irradiance import logarithm_of


@dataclass(frozen=True)
class SeenCondition:
    """What the network sees beside x_t, as `bridge["conditions"]` states it.

    `whole`: the image is resized to the source's size, rather than padded with it. `optional`: training
    withheld it now and then, so that zeros may stand in its place.
    """

    field: str
    classes: tuple[str, ...]
    labels: int | None
    code_base: int | None
    through_autoencoder: bool
    as_irradiance: bool
    colours: int
    channels: int
    whole: bool
    optional: bool


class LatentBridgePipeline(DiffusionPipeline):
    """image -> image. Components: `unet` or `transformer`, and `vae` unless latents are those of a Haar
    transform.
    """

    _optional_components = ["unet", "transformer", "vae"]  # noqa: RUF012 (diffusers reads a list)
    model_cpu_offload_seq = "unet->transformer->vae"

    def __init__(
        self,
        unet: UNet2DModel | UNet2DConditionModel | None = None,
        transformer: DiTTransformer2DModel | SD3Transformer2DModel | FluxTransformer2DModel | None = None,
        vae: AutoencoderKL | AutoencoderTiny | None = None,
        bridge: dict[str, Any] | None = None,
    ) -> None:
        """`bridge`: the settings, JSON-able. It has a default since diffusers takes every argument without
        one for a component.
        """
        super().__init__()
        for part in (unet, transformer, vae):
            if part is not None:
                aligned(part)
        self.register_modules(unet=unet, transformer=transformer, vae=vae)
        self.register_to_config(bridge=bridge)

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image,
        mask: Image.Image | None = None,
        conditions: Mapping[str, Image.Image | str | np.ndarray] = MappingProxyType({}),
        *,
        num_inference_steps: int = 1,
        guidance_scale: float = 1.0,
        seed: int = 0,
    ) -> ImagePipelineOutput:
        """Translate one image; the output has its size, whatever that is.

        mask: white on the foreground, or on what is to be removed (it is filled with noise of `seed`), of the
        image's size. conditions: the other images that the model was trained to see, by field (a light map is
        `light`), the name of a class, a label map as a picture whose levels or palette's indices are labels,
        or an environment map in camera coordinates (the middle is what the camera looks at) as an array (H,
        W, 3) of linear radiance. num_inference_steps: network evaluations,
        twice as many where guidance_scale is neither 0 nor 1. Raises ConfigError for inputs, steps or
        guidance that the model was not trained for. The same seed gives the same image.
        """
        settings = self.config.bridge
        pixels = np.array(image.convert("RGB"))
        matte = None if mask is None else np.array(mask.convert("L"))
        self._check(pixels, matte, num_inference_steps, guidance_scale)
        if settings["removes"] and matte is not None:
            pixels = fill_noise(pixels, matte, seed31(seed, "hole"))
        autoencoder = self._autoencoder()
        # A few last bits depend on the layout in memory that convolutions are computed in.
        self.network.to(memory_format=torch.channels_last)
        x0, seen = self._prepare(autoencoder, pixels, matte, conditions)
        generator = torch.Generator().manual_seed(seed31(seed, "translate"))

        def noise() -> Tensor:
            return torch.randn(x0.shape, generator=generator).to(x0.device)

        if settings["start"] == "noise":
            x0 = noise()
        field = self._guided(autoencoder, seen, guidance_scale, noise)
        x = x0
        for step in range(num_inference_steps):
            a, b = step / num_inference_steps, (step + 1) / num_inference_steps
            t = x.new_full((1,), a)
            x1 = estimate_target(x, field(x, t), t)
            x = x1 if b == 1 else posterior_step(x, x1, a, b, noise(), settings["sigma"])
        height, width = pixels.shape[:2]
        decoded = decode_tiled(autoencoder.decode, x, autoencoder.factor)[0, :, :height, :width]
        output = to_picture(decoded.clamp(-1, 1).permute(1, 2, 0).cpu().numpy())
        if settings["outside_mask"] == "keep" and matte is not None:
            output = keep_outside(output, pixels, matte)
        return ImagePipelineOutput(images=[Image.fromarray(output)])

    def _check(self, pixels: np.ndarray, matte: np.ndarray | None, steps: int, guidance: float) -> None:
        if matte is not None and matte.shape != pixels.shape[:2]:
            raise ConfigError(
                f"the mask has shape {matte.shape}, the image {pixels.shape[:2]}",
                consequence="resizing here would move the edge",
                remedy="bring both to one size",
            )
        if steps not in self.config.bridge["steps"]:
            raise ConfigError(
                f"num_inference_steps {steps} evaluates the network at times that it was never trained at",
                consequence="the result would be an extrapolation that looks like a result",
                remedy=f"use one of {self.config.bridge['steps']}",
            )
        if guidance != 1 and not any(one.optional for one in self._seen()):
            raise ConfigError(
                f"guidance_scale {guidance:g} compares the model with itself without its conditions, and it"
                " was never trained without any",
                consequence="the comparison would be with an extrapolation",
                remedy="leave guidance_scale at 1",
            )

    @property
    def network(self) -> Backbone:
        """The denoiser."""
        return self.transformer if self.unet is None else self.unet

    def _seen(self) -> list[SeenCondition]:
        return [
            SeenCondition(**{**one, "classes": tuple(one["classes"])})
            for one in self.config.bridge["conditions"]
        ]

    def _autoencoder(self) -> Autoencoder:
        if self.vae is None:
            return HaarTransform(self.config.bridge["haar_levels"]).to(self._execution_device)
        # In float32, whatever the pipeline is in: decoders of SDXL and FLUX overflow in half precision.
        found = FolderAutoencoder(self.vae.float(), name="vae", digest="published")
        return found.to(self._execution_device)

    def _prepare(
        self,
        autoencoder: Autoencoder,
        pixels: np.ndarray,
        matte: np.ndarray | None,
        conditions: Mapping[str, Image.Image | str | np.ndarray],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The source's latent and what the network sees beside x_t, by field."""
        device = self._execution_device
        multiple = autoencoder.factor * self.config.bridge["side_multiple"]
        size = pixels.shape[:2]
        bottom, right = (-side % multiple for side in size)

        def padded(images: Tensor) -> Tensor:
            return F.pad(images, (0, right, 0, bottom), mode="replicate")

        source = _image_tensor(pixels).to(device)
        given = {}
        if matte is not None:
            masks = torch.from_numpy(matte[None, None].astype(np.float32) / np.float32(255)).to(device)
            if self.config.bridge["hole"] == "smooth":
                source = fill_smoothly(source, masks)
            given[MASK] = padded(masks)
        source = padded(source)
        x0 = autoencoder.encode(source)
        seen = {}
        for one in self._seen():
            if one.field == NOISE:
                continue
            if one.field in conditions:
                given[one.field] = self._given(one, conditions[one.field], size, source, padded)
            if one.field in given or one.field == SOURCE:
                seen[one.field] = encode_condition(one, given, x0, autoencoder)
            elif one.optional:
                seen[one.field] = x0.new_zeros(1, one.channels, *x0.shape[-2:])
            else:
                raise ConfigError(
                    f"this model was trained with a {one.field} beside the image, and none was given",
                    consequence="it would not know what to do",
                    remedy="pass it: mask=..."
                    if one.field == MASK
                    else f"pass it in conditions: {one.field}",
                )
        return x0, seen

    def _given(
        self,
        one: SeenCondition,
        value: Image.Image | str | np.ndarray,
        size: tuple[int, int],
        source: Tensor,
        padded: Any,
    ) -> Tensor:
        """A condition's image as a tensor of the padded source's size, or a class as one pixel."""
        if one.classes:
            if value not in one.classes:
                raise ConfigError(
                    f"{one.field} {value!r} is no class of this model",
                    consequence="it would not know what to make",
                    remedy=f"name one of {', '.join(one.classes)}",
                )
            return _image_tensor(np.full((1, 1, 1), one.classes.index(value), np.uint8)).to(source.device)
        if one.labels:
            return _label_tensor(one, value, size, source, padded)
        if one.as_irradiance:
            radiance = torch.from_numpy(np.asarray(value, np.float32))[None].permute(0, 3, 1, 2)
            return logarithm_of(radiance.to(source.device))
        image = _image_tensor(np.array(value.convert("RGB"))).to(source.device)
        if one.whole or image.shape[-2:] != size:
            return F.interpolate(image, source.shape[-2:], mode="bilinear", antialias=True)
        return padded(image)

    def _guided(
        self, autoencoder: Autoencoder, seen: dict[str, Tensor], guidance: float, noise: Any
    ) -> FieldFn:
        optional = {one.field for one in self._seen() if one.optional}
        without = {
            field: torch.zeros_like(value) if field in optional else value for field, value in seen.items()
        }
        return classifier_free(
            self._field(autoencoder, seen, noise), self._field(autoencoder, without, noise), guidance
        )

    def _field(self, autoencoder: Autoencoder, seen: dict[str, Tensor], noise: Any) -> FieldFn:
        """The network under conditions; one that is noise is new at every evaluation."""
        head = Head(self.config.bridge["head"])

        def field(x: Tensor, t: Tensor) -> Tensor:
            beside = [noise() if one.field == NOISE else seen[one.field] for one in self._seen()]
            inputs = torch.cat([x, *beside], dim=1).to(self.network.dtype)
            output = evaluate(self.network, inputs, t).float()
            return field_of(head, output, x, t, autoencoder.black, autoencoder.bands)

        return field


def _label_tensor(
    one: SeenCondition, value: Image.Image | np.ndarray, size: tuple[int, int], source: Tensor, padded: Any
) -> Tensor:
    """A label map as a tensor of the padded source's size; resized, it takes the nearest pixel."""
    numbers = np.asarray(value)
    if numbers.ndim != 2:
        raise ConfigError(
            f"{one.field} has shape {numbers.shape}, and a label map has one number a pixel",
            consequence="which label a colour stands for is not known",
            remedy="give a picture of mode L, P or I;16 whose numbers are the labels",
        )
    levels = label_levels(torch.from_numpy(numbers.astype(np.float32))[None, None], one.labels)
    levels = levels.to(source.device)
    if levels.shape[-2:] != size:
        return F.interpolate(levels, source.shape[-2:], mode="nearest-exact")
    return padded(levels)


_LEVELS = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)


def _image_tensor(image: np.ndarray) -> Tensor:
    """uint8 (H, W, C) -> float32 (1, C, H, W) in [-1, 1]."""
    # Channels last in memory, as the network is, and as pictures are.
    return torch.from_numpy(_LEVELS[image])[None].permute(0, 3, 1, 2)
