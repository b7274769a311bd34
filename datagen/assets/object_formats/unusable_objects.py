"""The refusal of an object's file, in words that name the cause and hold no path of this machine."""

import re
from pathlib import Path

from pairbridge.datagen.core.errors import AssetError

# What Blender's operators put around the sentence that says what happened.
_NOISE = re.compile(r"^(?:Location: |Traceback |\s*File \"|\s+\S|Python: Traceback)")
_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^\s/'\":]+/)+")


def unusable(path: Path, fault: str, why: str) -> AssetError:
    """The error for an object's file that cannot be used; `fault` is its one-word name."""
    # Downloads call all their files scene.gltf or model.obj: the folder tells them apart.
    return AssetError(
        f"object {path.parent.name}/{path.name} cannot be loaded: {why}",
        remedy="repair, replace or remove the file, or `exclude` it in its folder's catalogue.yaml",
        fault=fault,
    )


def importer_reason(report: str) -> str:
    """The one sentence of an importer's report that names the cause, without folders of this machine."""
    lines = [line for line in report.strip().splitlines() if line.strip() and not _NOISE.match(line)]
    cause = (lines[-1] if lines else "its importer failed and said nothing").strip().removeprefix("Error: ")
    return _ABSOLUTE.sub("", cause)
