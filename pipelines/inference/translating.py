"""Samplers and matting models as `pairbridge translate` and `sample` name them."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.matting import MattingConfig
from pairbridge.training.bridge.samplers import SAMPLERS, Sampler
from pairbridge.training.data.condition_specs import MASK


def named_sampler(name: str) -> Sampler:
    """The sampler of this name with its defaults. Raises ConfigError."""
    if name not in SAMPLERS:
        raise usage(f"--sampler is one of {', '.join(SAMPLERS)}, not {name!r}")
    return SAMPLERS[name]()


def named_matting(name: str) -> MattingConfig:
    """The matting model of this kind with its defaults. Raises ConfigError."""
    try:
        return TypeAdapter(MattingConfig).validate_python({"kind": name})
    except ValidationError as error:
        raise usage(f"--matting {name!r}: {error.errors()[0]['msg']}") from error


def named_conditions(given: Sequence[str]) -> dict[str, Path]:
    """The files of `--condition FIELD=FILE`, by field. Raises ConfigError."""
    found: dict[str, Path] = {}
    for one in given:
        field, equals, path = one.partition("=")
        if not (field and equals and path):
            raise usage(f"--condition is FIELD=FILE, such as light_target=my.hdr, not {one!r}")
        if field == MASK:
            raise usage("the mask is given by --mask, since it has a part beside the network too")
        if field in found:
            raise usage(f"--condition names {field} twice")
        found[field] = Path(path)
    return found


def usage(why: str) -> ConfigError:
    """The error for options that do not fit."""
    return ConfigError(
        why, consequence="nothing was translated", remedy="see `pairbridge translate --help` for the options"
    )
