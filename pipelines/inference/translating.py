"""`pairbridge translate`: image files through a trained model."""

from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.matting import MattingConfig
from pairbridge.pipelines.inference.image_files import beside, each_image, read_image, read_mask
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_image
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge.samplers import SAMPLERS, Sampler
from pairbridge.training.data.condition_specs import LIGHT, class_condition


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
        request = TranslationRequest(
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
