"""A trained model as a file for other runtimes."""

from pathlib import Path

from pairbridge.datagen.core.atomic_files import folder_atomically
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.published.one_evaluation import OneEvaluation
from pairbridge.training.published.onnx_export import Exported, export_onnx


def export_model(source: Path, out: Path, *, size_WH: tuple[int, int] | None = None) -> Exported:
    """Write the model of `source`, as `open_model` takes it, as ONNX into the new folder `out`.

    The folder appears once the file agrees with torch, or not at all. size_WH: fixes the picture's size.
    Raises ConfigError as `open_model`, `OneEvaluation` and `export_onnx` do, and where `out` exists.
    """
    opened = open_model(source)
    graph = OneEvaluation(opened.model, removes=opened.removes)
    with folder_atomically(out) as folder:
        exported = export_onnx(graph, folder, size_WH=size_WH)
    return exported._replace(path=out / exported.path.name)
