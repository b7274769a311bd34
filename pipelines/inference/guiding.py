"""`pairbridge guide`: images edited by gradients of losses, and a record beside each."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.inference.found_checkpoints import check_device
from pairbridge.pipelines.inference.image_files import read_image, read_mask
from pairbridge.pipelines.inference.translation import (
    TranslationRequest,
    as_trained,
    check_mask,
    open_model,
    request_of,
)
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.guidance.edit_losses import WeightedTerm, build_terms
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import Edited, ImagePath, edit_images
from pairbridge.training.guidance.guided_translation import translation_path
from pairbridge.training.guidance.latent_diffusion import LatentDiffusion, is_latent_diffusion

# What was asked of an image and the generator of its noise -> the image and mask as the model takes them, and
# the path from there.
_Open = Callable[[TranslationRequest, torch.Generator], tuple[np.ndarray, np.ndarray | None, ImagePath]]


# References are read as the images themselves are.
_FILES = SimpleNamespace(image=read_image, mask=read_mask)


def open_guide(
    model: Path, config: GuideConfig, seed: int, device: str
) -> Callable[[dict[str, Path | None], Path], str]:
    """An edit of an image's files (`image_files.files_of`) into a PNG, with a record of the same name beside
    it; it says what the losses came to. Raises ConfigError for options that do not fit.
    """
    check_device(device)
    terms = build_terms(config.losses, _FILES, torch.device(device))
    opened = _open(model, config, device)

    def edit(files: dict[str, Path | None], target: Path) -> str:
        generator = torch.Generator().manual_seed(seed31(seed, "guide"))
        image, mask, path = opened(request_of(files, seed=seed), generator)
        masks = None if mask is None else mask[None]
        edited = edit_images(path, image[None], masks, terms, config, generator)
        write_png(target, edited.images[0])
        record = {"model": str(model), **_record(files, seed, config, terms, edited)}
        target.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
        losses = ", ".join(
            f"{label} {one['unguided']:.4g} -> {one['guided']:.4g}" for label, one in record["losses"].items()
        )
        return f"{losses}; {edited.evaluations} network evaluations"

    return edit


def _open(model: Path, config: GuideConfig, device: str) -> _Open:
    if is_latent_diffusion(model):
        diffusion = LatentDiffusion.load(model, config.diffusion, device)

        def take_back(request: TranslationRequest, generator: torch.Generator):
            check_mask(request)
            path = diffusion.path(request.image[None], steps=config.steps, strength=config.strength)
            return request.image, request.mask, path

        return take_back
    opened = open_model(model, device)

    def translate(request: TranslationRequest, generator: torch.Generator):
        image, mask = as_trained(opened, request)
        path = translation_path(
            opened.model,
            image[None],
            None if mask is None else mask[None],
            {name: one[None] for name, one in request.conditions.items()},
            steps=config.steps,
            strength=config.strength,
            generator=generator,
        )
        return image, mask, path

    return translate


def _record(
    inputs: dict[str, Path | None],
    seed: int,
    config: GuideConfig,
    terms: tuple[WeightedTerm, ...],
    edited: Edited,
) -> dict[str, Any]:
    """What was done, JSON-able: enough to do it again and to see whether it helped."""
    named = [value for loss in config.losses for _, value in loss if isinstance(value, Path)]
    files = [path for path in (*inputs.values(), *named) if path and path.is_file()]
    return {
        "inputs": {name: str(path) for name, path in inputs.items() if path},
        "sha256": {str(path): file_sha256(path) for path in files},
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "evaluations": edited.evaluations,
        "of_these_with_gradient": edited.gradients,
        "losses": {
            term.label: {
                "weight": term.weight,
                "unguided": edited.before[term.label][0],
                "guided": edited.after[term.label][0],
            }
            for term in terms
        },
    }
