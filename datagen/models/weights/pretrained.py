"""Networks of diffusers and transformers from a local folder: safetensors alone, no download, no code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pairbridge.datagen.core.errors import PairbridgeError


def load_pretrained(
    kind: type, folder: Path, unusable: Callable[[Path, str], PairbridgeError], **options: Any
) -> Any:
    """A frozen network in evaluation mode, of a class `kind` with its `options`.

    Raises what `unusable` makes of the folder and a reason: where it cannot be read, or lacks a weight, which
    would be random.
    """
    try:
        network, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise unusable(folder, f"it cannot be loaded ({str(error).strip().splitlines()[0]})") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise unusable(folder, f"it lacks {len(missing)} weights, the first {missing[0]}")
    return network.eval().requires_grad_(False)
