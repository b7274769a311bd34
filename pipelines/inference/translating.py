"""What `pairbridge translate` was told, checked and carried out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.matting import MattingConfig
from pairbridge.pipelines.inference.translation import (
    Request,
    beside,
    open_model,
    read_image,
    read_mask,
    translate_files,
)
from pairbridge.training.bridge.samplers import SAMPLERS, Sampler
from pairbridge.training.data.condition_specs import class_condition


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateOptions:
    """The command line of `translate`."""

    model: Path
    image: Path | None
    out: Path
    mask: Path | None
    light_map: Path | None
    foreground: Path | None
    background: Path | None
    matting: str
    steps: int
    seed: int
    sampler: str
    guidance: float
    class_name: str | None
    device: str


def run_translate(options: TranslateOptions, *, say: Callable[[str], None]) -> int:
    """Translate; the number of images that could not be. Raises ConfigError for options that do not fit."""
    if (options.image is None) == (options.foreground is None):
        raise _usage("give either IMAGE, or --foreground with --background")
    if (options.foreground is None) != (options.background is None):
        raise _usage("--foreground and --background go together")
    sampler, matting = named_sampler(options.sampler), named_matting(options.matting)

    opened = open_model(options.model, options.device)
    seen = opened.model.config.denoiser.conditions
    classes = dict([class_condition(seen, options.class_name)]) if options.class_name else {}

    def request(path: Path) -> Request:
        mask = beside(options.mask, path)
        light = beside(options.light_map, path)
        return Request(
            image=read_image(path),
            mask=read_mask(mask) if mask else None,
            conditions={**classes, "light": read_image(light)} if light else classes,
            background=read_image(options.background) if options.background else None,
            matting=matting,
            steps=options.steps,
            seed=options.seed,
            sampler=sampler,
            guidance=options.guidance,
        )

    failed = translate_files(
        opened,
        options.image or options.foreground,
        options.out,
        request=request,
        on_done=lambda path: say(str(path)),
    )
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
