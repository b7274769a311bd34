"""`pairbridge guide`: images edited by gradients of losses, and a record beside each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.inference.image_files import read_image, read_mask
from pairbridge.pipelines.inference.translation import (
    TranslationRequest,
    as_trained,
    check_mask,
    open_model,
    request_of,
)
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.engine.torch_devices import Precision, found_device
from pairbridge.training.guidance.edit_losses import AnyEditLoss, WeightedTerm, build_terms
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import Edited, ImagePath, edit_images
from pairbridge.training.guidance.guided_translation import translation_path
from pairbridge.training.guidance.latent_diffusion import LatentDiffusion, is_latent_diffusion


@dataclass(frozen=True, slots=True)
class GuideTask:
    """One image's edit. files: of the image and what goes with it, by name."""

    files: dict[str, Path | None]
    request: TranslationRequest


# What was asked of images that are alike, and the generator of each one's noise -> images and masks as the
# model takes them, and the path from there.
_Open = Callable[
    [list[TranslationRequest], list[torch.Generator]], tuple[np.ndarray, np.ndarray | None, ImagePath]
]


# References are read as the images themselves are.
_FILES = SimpleNamespace(image=read_image, mask=read_mask)


def open_guide(
    model: Path, config: GuideConfig, seed: int, device: str, precision: Precision
) -> Callable[[list[GuideTask], list[Path]], list[str]]:
    """An edit of images that are alike, each with its files, into PNGs with a record of the same name beside
    each, and the mask where a word of the prompt made it; it says what the losses came to. An image's edit
    does not depend on its company, but for last bits. Raises ConfigError for options that do not fit.
    """
    for place, loss in enumerate(config.losses):
        _check_files(loss, f"losses.{place}")
    terms = build_terms(config.losses, _FILES, found_device(device))
    opened = _open(model, config, device, precision)

    def edit(tasks: list[GuideTask], targets: list[Path]) -> list[str]:
        generators = [torch.Generator().manual_seed(seed31(seed, "guide")) for _ in tasks]
        images, masks, path = opened([task.request for task in tasks], generators)
        found = path.mask if masks is None else None
        masks = masks if found is None else found
        edited = edit_images(path, images, masks, terms, config, generators)
        said = []
        for place, (task, target) in enumerate(zip(tasks, targets, strict=True)):
            write_png(target, edited.images[place])
            if found is not None:
                write_png(target.with_suffix(".mask.png"), found[place])
            record = {"model": str(model), **_record(task.files, seed, config, terms, edited, place)}
            target.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
            losses = ", ".join(
                f"{label} {one['unguided']:.4g} -> {one['guided']:.4g}"
                for label, one in record["losses"].items()
            )
            said.append(f"{losses}; {edited.evaluations} network evaluations")
        return said

    return edit


def read_task(files: dict[str, Path | None], seed: int) -> GuideTask:
    """What is asked of an image's files (`image_files.files_of`)."""
    return GuideTask(files, request_of(files, seed=seed))


def _check_files(loss: AnyEditLoss, place: str) -> None:
    for key in ("path", "reference", "reference_mask"):
        path = getattr(loss, key, None)
        if path is not None and not path.exists():
            raise ConfigError(
                f"{place}.{key} is {path}, which does not exist",
                consequence="there is nothing to guide the image towards",
                remedy=f"name one of yours: --set {place}.{key}={'FOLDER' if key == 'path' else 'FILE'}",
            )


def _open(model: Path, config: GuideConfig, device: str, precision: Precision) -> _Open:
    if is_latent_diffusion(model):
        diffusion = LatentDiffusion.load(model, config.diffusion, device, precision)

        def take_back(requests: list[TranslationRequest], generators: list[torch.Generator]):
            for request in requests:
                check_mask(request)
            images = np.stack([request.image for request in requests])
            path = diffusion.path(images, steps=config.steps, strength=config.strength)
            return images, _stacked([request.mask for request in requests]), path

        return take_back
    opened = open_model(model, device, precision)

    def translate(requests: list[TranslationRequest], generators: list[torch.Generator]):
        shown, found = zip(*(as_trained(opened, request) for request in requests), strict=True)
        images, masks = np.stack(shown), _stacked(found)
        path = translation_path(
            opened.model,
            images,
            masks,
            {name: np.stack([one.conditions[name] for one in requests]) for name in requests[0].conditions},
            steps=config.steps,
            strength=config.strength,
            generator=generators,
        )
        return images, masks, path

    return translate


def _stacked(masks: Sequence[np.ndarray | None]) -> np.ndarray | None:
    return None if masks[0] is None else np.stack(masks)


def _record(
    inputs: dict[str, Path | None],
    seed: int,
    config: GuideConfig,
    terms: tuple[WeightedTerm, ...],
    edited: Edited,
    place: int,
) -> dict[str, Any]:
    """What was done, JSON-able: enough to do it again and to see whether it helped."""
    named = [value for loss in config.losses for _, value in loss if isinstance(value, Path)]
    files = [path for path in (*inputs.values(), *named) if path and path.is_file()]
    return {
        "inputs": {name: str(path) for name, path in inputs.items() if path},
        "sha256": {str(path): file_sha256(path) for path in files},
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "loss_scale": edited.scale[place],
        "evaluations": edited.evaluations,
        "of_these_with_gradient": edited.gradients,
        "losses": {
            term.label: {
                "weight": term.weight,
                "unguided": edited.before[term.label][place],
                "guided": edited.after[term.label][place],
            }
            for term in terms
        },
    }
