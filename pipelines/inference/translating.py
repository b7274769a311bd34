"""`pairbridge translate`: images through a trained model, brought into the form that it was trained on.

A removal model gets its hole filled with seeded noise, a relighting model the foreground cut out and pasted
on the new background; everything else goes in as it is. Outputs are PNG, of the input's size.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.imaging.pasting import estimate_foreground
from pairbridge.datagen.models.matting import MattingConfig, cut_out, open_matting_model
from pairbridge.pipelines.inference.image_files import beside, each_image, read_image, read_mask
from pairbridge.pipelines.inference.opened_models import OpenedModel, open_model
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge.samplers import SAMPLERS, PosteriorSampler, Sampler
from pairbridge.training.data.condition_specs import LIGHT, class_condition
from pairbridge.training.data.framing import Frame, crop_and_resize
from pairbridge.training.published.pipeline import fill_hole


@dataclass(frozen=True, slots=True)
class Request:
    """One translation. image: uint8 (H, W, 3); mask: uint8 (H, W); conditions: uint8 images by field.

    background: put behind the image's foreground, which is `mask` or else what `matting` finds.
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    conditions: dict[str, np.ndarray] = field(default_factory=dict)
    background: np.ndarray | None = None
    matting: MattingConfig | None = None
    steps: int = 1
    seed: int = 0
    sampler: Sampler = field(default_factory=PosteriorSampler)
    guidance: float = 1.0


def translate_image(opened: OpenedModel, request: Request) -> np.ndarray:
    """The translation, uint8 (H, W, 3) of the image's size; a function of the request alone.

    Raises ConfigError for what the model cannot do, Rejected where no foreground is found.
    """
    image, mask = as_trained(opened, request)
    return opened.model.translate(
        image,
        mask,
        steps=request.steps,
        seed=request.seed,
        sampler=request.sampler,
        guidance=request.guidance,
        conditions=request.conditions,
    )


def as_trained(opened: OpenedModel, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
    """The request's image and mask in the form that the model was trained on. Raises as `translate_image`."""
    check_mask(request)
    image, mask = request.image, request.mask
    if request.background is not None:
        return _paste(request)
    if opened.removes and mask is not None:
        return fill_hole(image, mask, request.seed), mask
    return image, mask


def check_mask(request: Request) -> None:
    """Raises ConfigError where the mask is not of the image's size."""
    image, mask = request.image, request.mask
    if mask is not None and mask.shape != image.shape[:2]:
        raise ConfigError(
            f"the mask has shape {mask.shape}, the image {image.shape[:2]}",
            consequence="resizing here would move the edge",
            remedy="bring both to one size",
        )


def run_translate(
    model: Path,
    image: Path | None,
    out: Path,
    *,
    mask: Path | None,
    light_map: Path | None,
    foreground: Path | None,
    background: Path | None,
    matting: str,
    steps: int,
    seed: int,
    sampler: str,
    guidance: float,
    class_name: str | None,
    device: str,
    say: Callable[[str], None] = print,
) -> int:
    """Translate files; the number of images that could not be. Raises ConfigError for options that do not
    fit.
    """
    if (image is None) == (foreground is None):
        raise _usage("give either IMAGE, or --foreground with --background")
    if (foreground is None) != (background is None):
        raise _usage("--foreground and --background go together")
    chosen_sampler, chosen_matting = named_sampler(sampler), named_matting(matting)

    opened = open_model(model, device)
    seen = opened.model.config.denoiser.conditions
    classes = dict([class_condition(seen, class_name)]) if class_name else {}

    def write(path: Path, target: Path) -> None:
        its_mask, light = beside(mask, path), beside(light_map, path)
        request = Request(
            image=read_image(path),
            mask=read_mask(its_mask) if its_mask else None,
            conditions={**classes, LIGHT: read_image(light)} if light else classes,
            background=read_image(background) if background else None,
            matting=chosen_matting,
            steps=steps,
            seed=seed,
            sampler=chosen_sampler,
            guidance=guidance,
        )
        write_png(target, translate_image(opened, request))
        say(str(target))

    failed = each_image(image or foreground, out, write)
    say(f"{opened.model.evaluations} network evaluations in all")
    for path, error in failed:
        say(f"not translated: {path.name}: {error.cause}; {error.remedy}")
    return len(failed)


def named_sampler(name: str) -> Sampler:
    """The sampler of this name with its defaults. Raises ConfigError."""
    if name not in SAMPLERS:
        raise _usage(f"--sampler is one of {', '.join(SAMPLERS)}, not {name!r}")
    return SAMPLERS[name]()


def named_matting(name: str) -> MattingConfig:
    """The matting model of this kind with its defaults. Raises ConfigError."""
    try:
        return TypeAdapter(MattingConfig).validate_python({"kind": name})
    except ValidationError as error:
        raise _usage(f"--matting {name!r}: {error.errors()[0]['msg']}") from error


def _usage(why: str) -> ConfigError:
    return ConfigError(
        why, consequence="nothing was translated", remedy="see `pairbridge translate --help` for the options"
    )


def _paste(request: Request) -> tuple[np.ndarray, np.ndarray]:
    """The foreground where it is, on the background cropped to the image's size; and its mask."""
    image, mask = request.image, request.mask
    if mask is None:
        mask = cut_out(open_matting_model(request.matting), image)
    height, width = image.shape[:2]
    behind = crop_and_resize(request.background, Frame((width, height)))
    alpha = mask[..., None].astype(np.float32) / 255
    # The rim's own colours, without the old background that shines through it.
    foreground = estimate_foreground(image, mask)
    return np.rint(behind + alpha * (foreground - behind)).astype(np.uint8), mask
