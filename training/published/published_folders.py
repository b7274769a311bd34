"""A trained bridge as a folder that stands alone, without the training it came from.

    model_index.json        class, components, and under `bridge` all that a translation depends on
    unet/ or transformer/   the EMA of the denoiser: config.json and safetensors
    vae/                    the autoencoder, where it has weights (a Haar transform has none)
    pipeline.py             the pipeline, for those who have torch and diffusers alone
    SHA256SUMS              of all of these; `sha256sum -c` reads it too

`write_published` writes it and `load_published` reads it: safetensors alone, no network, no code of the
folder's, and no class but the few that a bridge consists of, whatever the folder's index may name. Images are
the same, byte for byte, as those of the checkpoint.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.bounded_json import check_side_json, read_json
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.core.user_code import holds_code
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.training.bridge.samplers import uniform_grid
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.engine.torch_devices import Precision, found_device
from pairbridge.training.networks.autoencoders import Autoencoder, FolderAutoencoder, HaarTransform
from pairbridge.training.networks.denoisers import Denoiser
from pairbridge.training.published import pipeline as pipeline_module
from pairbridge.training.published.pipeline import LatentBridgePipeline
from pairbridge.training.published.standalone import standalone

INDEX_NAME = "model_index.json"
CODE_NAME = "pipeline.py"
DIGESTS_NAME = "SHA256SUMS"
_COMPONENTS = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "transformer": ("DiTTransformer2DModel", "SD3Transformer2DModel", "FluxTransformer2DModel"),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
}
# The parts of a training's config that a translation depends on.
_SETTINGS = ("hole", "bridge", "timesteps", "denoiser", "outside_mask", "autoencoder")
# Step counts that are looked at; LBM itself is used with four at most.
_MOST_STEPS = 100


def write_published(model: TranslationModel, folder: Path, *, removes: bool) -> None:
    """Fill `folder`. removes: whether the model was trained on holes, which are filled with noise before.

    Raises ConfigError for a model with code of its user's own.
    """
    _pipeline_of(model, removes=removes).save_pretrained(folder, safe_serialization=True)
    (folder / CODE_NAME).write_text(standalone(pipeline_module.__name__))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / DIGESTS_NAME).write_text("".join(lines))


def _pipeline_of(model: TranslationModel, *, removes: bool) -> LatentBridgePipeline:
    """The pipeline of a trained model; weights are shared, not copied."""
    settings = model.config.model_dump(mode="json", include=set(_SETTINGS))
    if holds_code(settings):
        raise ConfigError(
            "the model has a network or a bridge of the user's own",
            consequence="whoever opens what is published would run its code",
            remedy="share the checkpoint itself, with people who trust you",
        )
    if model.config.bridge.sigma is None:
        raise ConfigError(
            f"the model's bridge is of kind {model.config.bridge.kind}",
            consequence="the published pipeline steps along Brownian bridges, and would miss the target",
            remedy="share the checkpoint itself, or train with bridge.kind brownian",
        )
    # Where the training's weights lay is nobody's business, and they are inside.
    settings["denoiser"].pop("base", None)
    if settings["autoencoder"]["kind"] == "folder":
        settings["autoencoder"] = {"kind": "folder", "path": "vae"}
    vae = model.autoencoder.model if isinstance(model.autoencoder, FolderAutoencoder) else None
    if vae is not None:
        # diffusers writes down where it was loaded from.
        vae.register_to_config(_name_or_path="")
    return LatentBridgePipeline(
        **{model.config.denoiser.component: model.denoiser.backbone},
        vae=vae,
        bridge={**_resolved(model, removes), "training": settings},
    )


def _resolved(model: TranslationModel, removes: bool) -> dict[str, Any]:
    """What the pipeline reads: settings without defaults that it would have to know."""
    config, autoencoder = model.config, model.autoencoder
    sizes = {"latent_channels": autoencoder.channels, "mask_channels": autoencoder.mask_channels}
    return {
        "removes": removes,
        "hole": config.hole,
        "outside_mask": config.outside_mask,
        "sigma": config.bridge.sigma,
        "start": config.bridge.start,
        "steps": [
            steps
            for steps in range(1, _MOST_STEPS + 1)
            if all(map(config.timesteps.trained, uniform_grid(steps)))
        ],
        "head": model.denoiser.head.value,
        "side_multiple": config.denoiser.side_multiple,
        "haar_levels": getattr(config.autoencoder, "levels", None),
        "conditions": [
            {
                "field": one.field,
                "classes": list(one.classes),
                "labels": one.labels,
                "code_base": one.code_base,
                "through_autoencoder": one.through_autoencoder,
                "as_irradiance": one.as_irradiance,
                "colours": one.colours,
                "channels": one.width(**sizes),
                "whole": one.is_whole,
                "optional": one.dropout > 0,
            }
            for one in config.denoiser.conditions
        ],
    }


def is_published(folder: Path) -> bool:
    return (folder / INDEX_NAME).is_file()


def load_published(folder: str | Path, device: str = "cpu") -> LatentBridgePipeline:
    """Read a published folder. Raises ConfigError for one that is not or is damaged, or that names foreign
    components, and without the device (cpu or cuda).
    """
    there = found_device(device)
    folder = Path(folder)
    try:
        index = read_json(folder / INDEX_NAME, MAX_SIDE_JSON_BYTES)
        if not isinstance(index, dict) or index.get("_class_name") != LatentBridgePipeline.__name__:
            raise ValueError("it is no LatentBridgePipeline")
        _check_components(index)
        if holds_code(index):
            raise ValueError("it holds code, which would be run")
        _check_digests(folder)
        check_side_json(folder, "*.json", "*/*.json")
        pipeline = LatentBridgePipeline.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            low_cpu_mem_usage=False,
        )
        _training_config(pipeline)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"{folder} cannot be read as a published pipeline: {error}",
            consequence="there is no model to translate with",
            remedy="name a folder that `pairbridge publish` wrote, or publish the model once more",
        ) from error
    return pipeline.to(there)


def translation_of(pipeline: LatentBridgePipeline, precision: Precision = "fp32") -> TranslationModel:
    """The model of a published pipeline, on its present device; it takes any sampler."""
    config = _training_config(pipeline)
    autoencoder: Autoencoder
    if pipeline.vae is None:
        autoencoder = HaarTransform(config.autoencoder.levels)
    else:
        autoencoder = FolderAutoencoder(pipeline.vae, name="vae", digest="published")
    # Without memory: the weights are those of the pipeline.
    with torch.device("meta"):
        denoiser = Denoiser(
            config.denoiser,
            latent_channels=autoencoder.channels,
            mask_channels=autoencoder.mask_channels,
            black=autoencoder.black,
            bands=autoencoder.bands,
        )
    denoiser.set_submodule(config.denoiser.component, pipeline.network)
    denoiser = denoiser.to(device=pipeline.device, memory_format=torch.channels_last)
    return TranslationModel(config, autoencoder.to(pipeline.device), denoiser, precision=precision)


def fill_hole(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """What a removal model is shown: uint8 (H, W, 3) with noise of `seed` where mask (H, W) is above 0."""
    return fill_noise(image, mask, seed31(seed, "hole"))


def _training_config(pipeline: LatentBridgePipeline) -> TrainingConfig:
    return TrainingConfig.model_validate(pipeline.config.bridge["training"])


def _check_components(index: dict[str, Any]) -> None:
    """diffusers imports whatever library the index names; ours are a few classes of its own."""
    for name, value in index.items():
        if not isinstance(value, list):
            continue
        if value == [None, None] and name in _COMPONENTS:
            continue
        if len(value) != 2 or value[0] != "diffusers" or value[1] not in _COMPONENTS.get(name, ()):
            raise ValueError(f"component {name!r} is {value}, which is no part of a bridge")


def _check_digests(folder: Path) -> None:
    """Every file that SHA256SUMS lists; the card, which people edit, is not among them."""
    listed = dict(line.split("  ", 1)[::-1] for line in (folder / DIGESTS_NAME).read_text().splitlines())
    # Where diffusers has opened the folder, Python left the byte code of pipeline.py: nothing of it is read.
    weights = {
        path.relative_to(folder).as_posix()
        for path in folder.glob("*/*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    for name in sorted({INDEX_NAME, *weights} - listed.keys()):
        raise ValueError(f"{name} is not in {DIGESTS_NAME}")
    for name, sha256 in listed.items():
        if ".." in Path(name).parts or not (folder / name).is_file():
            raise ValueError(f"{name}, which {DIGESTS_NAME} lists, is not in the folder")
        if file_sha256(folder / name) != sha256:
            raise ValueError(f"{name} is damaged: its bytes are not those that {DIGESTS_NAME} lists")
