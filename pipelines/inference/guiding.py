"""What `pairbridge guide` was told, checked and carried out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.inference.translation import (
    Request,
    as_trained,
    beside,
    check_device,
    check_mask,
    each_image,
    open_model,
    read_image,
    read_mask,
)
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.data.condition_specs import LIGHT
from pairbridge.training.guidance.edit_losses import WeightedTerm, build_terms
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import Edited, ImagePath, edit_images
from pairbridge.training.guidance.guided_translation import translation_path
from pairbridge.training.guidance.latent_diffusion import LatentDiffusion, is_latent_diffusion

# What was asked of an image and the generator of its noise -> the image and mask as the model takes them, and
# the path from there.
_Open = Callable[[Request, torch.Generator], tuple[np.ndarray, np.ndarray | None, ImagePath]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideOptions:
    """The command line of `guide`."""

    model: Path
    image: Path
    config: GuideConfig
    out: Path
    mask: Path | None
    light_map: Path | None
    seed: int
    device: str


class _ImageFiles:
    """References, read as the images themselves are."""

    def image(self, path: Path) -> np.ndarray:
        return read_image(path)

    def mask(self, path: Path) -> np.ndarray:
        return read_mask(path)


def run_guide(options: GuideOptions, *, say: Callable[[str], None]) -> int:
    """Edit; the number of images that could not be. Raises ConfigError for options that do not fit."""
    check_device(options.device)
    terms = build_terms(options.config.losses, _ImageFiles(), torch.device(options.device))
    opened = _open(options)

    def write(path: Path, target: Path) -> None:
        mask, light = beside(options.mask, path), beside(options.light_map, path)
        request = Request(
            image=read_image(path),
            mask=read_mask(mask) if mask else None,
            conditions={LIGHT: read_image(light)} if light else {},
            seed=options.seed,
        )
        edited = _edit(opened, request, terms, options)
        write_png(target, edited.images[0])
        record = _record(options, {"image": path, "mask": mask, "light": light}, terms, edited)
        target.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
        say(f"{target}: {_summary(record)}")

    failed = each_image(options.image, options.out, write)
    for path, error in failed:
        say(f"not edited: {path.name}: {error.cause}; {error.remedy}")
    return len(failed)


def _open(options: GuideOptions) -> _Open:
    config = options.config
    if is_latent_diffusion(options.model):
        diffusion = LatentDiffusion.load(options.model, config.diffusion, options.device)

        def take_back(request: Request, generator: torch.Generator):
            check_mask(request)
            path = diffusion.path(request.image[None], steps=config.steps, strength=config.strength)
            return request.image, request.mask, path

        return take_back
    opened = open_model(options.model, options.device)

    def translate(request: Request, generator: torch.Generator):
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


def _edit(opened: _Open, request: Request, terms: tuple[WeightedTerm, ...], options: GuideOptions) -> Edited:
    generator = torch.Generator().manual_seed(seed31(options.seed, "guide"))
    image, mask, path = opened(request, generator)
    masks = None if mask is None else mask[None]
    return edit_images(path, image[None], masks, terms, options.config, generator)


def _record(
    options: GuideOptions, inputs: dict[str, Path | None], terms: tuple[WeightedTerm, ...], edited: Edited
) -> dict[str, Any]:
    """What was done, JSON-able: enough to do it again and to see whether it helped."""
    named = [value for loss in options.config.losses for _, value in loss if isinstance(value, Path)]
    files = [path for path in (*inputs.values(), *named) if path and path.is_file()]
    return {
        "model": str(options.model),
        "inputs": {name: str(path) for name, path in inputs.items() if path},
        "sha256": {str(path): file_sha256(path) for path in files},
        "seed": options.seed,
        "config": options.config.model_dump(mode="json"),
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


def _summary(record: dict[str, Any]) -> str:
    losses = ", ".join(
        f"{label} {one['unguided']:.4g} -> {one['guided']:.4g}" for label, one in record["losses"].items()
    )
    return f"{losses}; {record['evaluations']} evaluations"
