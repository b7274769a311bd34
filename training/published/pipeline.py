"""A trained bridge as a diffusers pipeline: a folder that stands alone, without the training it came from.

    model_index.json        class, components, and under `bridge` all that a translation depends on
    unet/                   the EMA of the denoiser: config.json and safetensors
    vae/                    the autoencoder, where it has weights (a Haar transform has none)

`DiffusionPipeline.save_pretrained` writes it and `load_published` reads it: safetensors alone, no network,
and no class but the few that a bridge consists of, whatever the folder's index may name. Images are the same,
byte for byte, as those of the checkpoint.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DiffusionPipeline,
    ImagePipelineOutput,
    UNet2DConditionModel,
    UNet2DModel,
)
from PIL import Image

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.core.user_code import holds_code
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.training.bridge.samplers import Sampler
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER, TranslationModel
from pairbridge.training.data.condition_specs import class_condition
from pairbridge.training.networks.autoencoders import Autoencoder, FolderAutoencoder, HaarTransform
from pairbridge.training.networks.denoisers import Denoiser

INDEX_NAME = "model_index.json"
_COMPONENTS = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
}
# The parts of a training's config that a translation depends on.
_SETTINGS = ("hole", "bridge", "timesteps", "denoiser", "outside_mask", "autoencoder")


class LatentBridgePipeline(DiffusionPipeline):
    """image -> image. Components: `unet`, and `vae` unless latents are those of a Haar transform."""

    _optional_components = ["vae"]  # noqa: RUF012 (diffusers reads a list)
    model_cpu_offload_seq = "unet->vae"

    def __init__(
        self,
        unet: UNet2DModel | UNet2DConditionModel,
        vae: AutoencoderKL | AutoencoderTiny | None = None,
        bridge: dict[str, Any] | None = None,
    ) -> None:
        """`bridge`: the settings of `LatentBridgePipeline.of`, JSON-able. It has a default since diffusers
        takes every argument without one for a component.
        """
        super().__init__()
        self.register_modules(unet=unet, vae=vae)
        self.register_to_config(bridge=bridge)

    @classmethod
    def of(cls, model: TranslationModel, *, removes: bool) -> Self:
        """The pipeline of a trained model; weights are shared, not copied.

        removes: whether it was trained on holes, which `fill_hole` fills before.
        """
        settings = model.config.model_dump(mode="json", include=set(_SETTINGS))
        if holds_code(settings):
            raise ConfigError(
                "the model has a network or a bridge of the user's own",
                consequence="whoever opens what is published would run its code",
                remedy="share the checkpoint itself, with people who trust you",
            )
        # Where the training's weights lay is nobody's business, and they are inside.
        settings["denoiser"].pop("base", None)
        if settings["autoencoder"]["kind"] == "folder":
            settings["autoencoder"] = {"kind": "folder", "path": "vae"}
        settings["removes"] = removes
        vae = model.autoencoder.model if isinstance(model.autoencoder, FolderAutoencoder) else None
        if vae is not None:
            # diffusers writes down where it was loaded from.
            vae.register_to_config(_name_or_path="")
        return cls(unet=model.denoiser.unet, vae=vae, bridge=settings)

    @property
    def translation(self) -> TranslationModel:
        """The model on the pipeline's present device."""
        config = self._training_config()
        autoencoder: Autoencoder
        if self.vae is None:
            autoencoder = HaarTransform(config.autoencoder.levels)
        else:
            autoencoder = FolderAutoencoder(self.vae, name="vae", digest="published")
        # Without memory: the weights are those of `unet`.
        with torch.device("meta"):
            denoiser = Denoiser(
                config.denoiser,
                latent_channels=autoencoder.channels,
                mask_channels=autoencoder.mask_channels,
                black=autoencoder.black,
                bands=autoencoder.bands,
            )
        denoiser.unet = self.unet
        denoiser = denoiser.to(device=self.device, memory_format=torch.channels_last)
        return TranslationModel(config, autoencoder.to(self.device), denoiser)

    def _training_config(self) -> TrainingConfig:
        return TrainingConfig.model_validate({name: self.config.bridge[name] for name in _SETTINGS})

    def _class(self, field: str, name: str) -> np.ndarray:
        return class_condition(self._training_config().denoiser.conditions, name, field)[1]

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image,
        mask: Image.Image | None = None,
        conditions: Mapping[str, Image.Image | str] = MappingProxyType({}),
        *,
        num_inference_steps: int = 1,
        guidance_scale: float = 1.0,
        seed: int = 0,
        sampler: Sampler = DEFAULT_SAMPLER,
    ) -> ImagePipelineOutput:
        """Translate one image; the output has its size, whatever that is.

        mask: white on the foreground, or on what is to be removed (it is filled with noise of `seed`), of the
        image's size. conditions: the other
        images that the model was trained to see, by field (a light map is `light`), or the name of a class.
        Raises ConfigError for inputs, steps or guidance that the model was not trained for.
        """
        matte = None if mask is None else np.array(mask.convert("L"))
        pixels = np.array(image.convert("RGB"))
        if self.config.bridge["removes"] and matte is not None:
            pixels = fill_hole(pixels, matte, seed)
        output = self.translation.translate(
            pixels,
            matte,
            steps=num_inference_steps,
            seed=seed,
            sampler=sampler,
            guidance=guidance_scale,
            conditions={
                name: self._class(name, one) if isinstance(one, str) else np.array(one.convert("RGB"))
                for name, one in conditions.items()
            },
        )
        return ImagePipelineOutput(images=[Image.fromarray(output)])


def fill_hole(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """What a removal model is shown: uint8 (H, W, 3) with noise of `seed` where mask (H, W) is above 0."""
    return fill_noise(image, mask, seed31(seed, "hole"))


def is_published(folder: Path) -> bool:
    return (folder / INDEX_NAME).is_file()


def load_published(folder: str | Path, device: str = "cpu") -> LatentBridgePipeline:
    """Read a published folder. Raises ConfigError for one that is not, or that names foreign components."""
    folder = Path(folder)
    try:
        index = json.loads((folder / INDEX_NAME).read_bytes())
        if not isinstance(index, dict) or index.get("_class_name") != LatentBridgePipeline.__name__:
            raise ValueError("it is no LatentBridgePipeline")
        _check_components(index)
        if holds_code(index):
            raise ValueError("it holds code, which would be run")
        pipeline = LatentBridgePipeline.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            low_cpu_mem_usage=False,
        )
        pipeline._training_config()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} cannot be read as a published pipeline: {error}",
            consequence="there is no model to translate with",
            remedy="name a folder that `pairbridge publish` wrote",
        ) from error
    return pipeline.to(device)


def _check_components(index: dict[str, Any]) -> None:
    """diffusers imports whatever library the index names; ours are four classes of its own."""
    for name, value in index.items():
        if not isinstance(value, list):
            continue
        if value == [None, None] and name == "vae":
            continue
        if len(value) != 2 or value[0] != "diffusers" or value[1] not in _COMPONENTS.get(name, ()):
            raise ValueError(f"component {name!r} is {value}, which is no part of a bridge")
