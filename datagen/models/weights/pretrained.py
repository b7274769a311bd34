"""Networks of diffusers and transformers from a local folder: safetensors alone, no download, no code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.bounded_json import check_side_json
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.models.weights.alignment import aligned
from pairbridge.datagen.models.weights.weights_in_use import DAMAGE, read_twice


def load_pretrained(
    kind: type, folder: Path, unusable: Callable[[Path, str], PairbridgeError], **options: Any
) -> Any:
    """A frozen network in evaluation mode, of a class `kind` with its `options`.

    Raises what `unusable` makes of the folder and a reason: where it is damaged, or lacks a weight, which
    would be random; FileUnreadable for a file that cannot be read.
    """

    def load() -> tuple[Any, dict[str, Any]]:
        check_side_json(folder)
        return kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )

    try:
        network, report = read_twice(folder, load)
    except DAMAGE as error:
        raise unusable(folder, f"it cannot be loaded ({_first_line(error)})") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise unusable(folder, f"it lacks {len(missing)} weights, the first {missing[0]}")
    return aligned(network).eval().requires_grad_(False)


def load_preprocessor(
    kind: type, folder: Path, unusable: Callable[[Path, str], PairbridgeError], **options: Any
) -> Any:
    """A tokenizer or image processor of transformers, of a class `kind` with its `options`. Raises what
    `unusable` makes of the folder and a reason.
    """

    def load() -> Any:
        check_side_json(folder)
        return kind.from_pretrained(folder, local_files_only=True, **options)

    try:
        return read_twice(folder, load)
    except DAMAGE as error:
        raise unusable(folder, f"its {kind.__name__} cannot be read ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
