"""ONNX files of trained models, held against torch before they are handed over.

torch.export follows the graph with symbolic sizes, torch.onnx writes it, and onnxruntime runs it beside torch
at sizes that it was not followed at.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import require
from pairbridge.training.published.one_evaluation import FILL_LEVELS, IMAGE, OneEvaluation

FILE_NAME = "model.onnx"
# Largest difference from torch that is handed over, on the [0, 1] scale: a quarter of a grey level.
TOLERANCE = 1e-3
OUTPUT = "output"


class Exported(NamedTuple):
    """difference: the largest from torch, on [0, 1], over `checked` sizes (B, H, W)."""

    path: Path
    inputs: dict[str, list[int | str]]
    difference: float
    checked: list[tuple[int, int, int]]


def export_onnx(graph: OneEvaluation, folder: Path, *, size_WH: tuple[int, int] | None = None) -> Exported:
    """Write `model.onnx` into `folder`, beside it its weights where they exceed what one file may hold.

    size_WH: fixes the picture's size; batch and sizes are free without it. Raises ConfigError where onnx,
    onnxscript or onnxruntime is missing, where the network cannot be followed, or where onnxruntime and torch
    differ by more than `TOLERANCE`.
    """
    require("onnx", by="an ONNX file", consequence="none can be written and checked")
    path = folder / FILE_NAME
    with _quiet():
        program = _program(graph, size_WH)
        program.model.metadata_props["pairbridge"] = json.dumps(_description(graph, size_WH))
        program.save(path)
    inputs = {one.name: list(one.shape) for one in session(path).get_inputs()}
    multiple = graph.multiple
    sizes = (
        [(1, size_WH[1], size_WH[0])]
        if size_WH
        else [(1, multiple, multiple), (2, 2 * multiple + 1, 5 * multiple - 1)]
    )
    try:
        found = max(difference(graph, path, size) for size in sizes)
    except Exception as error:  # onnxruntime's own kinds are many, and none is documented
        raise _unfit(str(error).partition("\n")[0], size_WH) from error
    if not found <= TOLERANCE:
        raise ConfigError(
            f"onnxruntime and torch differ by {found:.2g} on the [0, 1] scale",
            consequence=f"the file would make other pictures than the model; up to {TOLERANCE:g} is accepted",
            remedy="use torch, or another version of onnxruntime",
        )
    return Exported(path, inputs, found, sizes)


def difference(graph: OneEvaluation, path: Path, size: tuple[int, int, int]) -> float:
    """The largest between onnxruntime's picture and torch's, on [0, 1]; size: (B, H, W)."""
    examples = graph.examples(*size)
    with torch.no_grad():
        expected = graph(*examples.values()).numpy()
    return float(np.abs(run(session(path), examples) - expected).max())


def session(path: Path, threads: int = 0) -> Any:
    """onnxruntime's session of a file, on the CPU; threads: 0, as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(opened: Any, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """The picture (B, 3, H, W)."""
    return opened.run(None, {name: value.numpy() for name, value in inputs.items()})[0]


def _program(graph: OneEvaluation, size_WH: tuple[int, int] | None) -> torch.onnx.ONNXProgram:
    # Sizes of 0 and 1 are special to torch.export, and a smooth fill halves its sides again and again.
    batch, width, height = (1, *size_WH) if size_WH else (2, 2**FILL_LEVELS + 33, 2**FILL_LEVELS + 17)
    # Never read: torch.export looks at shapes alone.
    examples = {
        name: _unread(name, graph, shape) for name, shape in graph.shapes(batch, height, width).items()
    }
    free = torch.export.Dim.AUTO
    shapes, axes = [], []
    for name, value in examples.items():
        sides = {} if value.ndim == 1 else {2: free, 3: free}
        shapes.append(None if size_WH else {0: free, **sides})
        own = value.ndim > 1 and (name == IMAGE or value.shape[2:] != examples[IMAGE].shape[2:])
        prefix = "" if name == IMAGE else f"{name}_"
        axes.append({2: f"{prefix}height", 3: f"{prefix}width"} if own else {})
    axes[0][0] = "batch"
    try:
        followed = torch.export.export(
            graph,
            tuple(examples.values()),
            dynamic_shapes=None if size_WH else (tuple(shapes),),
            strict=False,
        )
        program = torch.onnx.export(
            followed,
            dynamo=True,
            input_names=list(examples),
            output_names=[OUTPUT],
            dynamic_shapes=None if size_WH else (tuple(axes),),
            verbose=False,
        )
    except Exception as error:  # torch.export's own kinds are many, and none is documented
        raise _unfit(str(error).partition("\n")[0], size_WH) from error
    fixed = [
        f"{one.name} {list(one.shape)}"
        for one in program.model.graph.inputs
        if not size_WH and any(isinstance(one.shape[axis], int) for axis in (0, 2, 3)[: len(one.shape)])
    ]
    if fixed:
        raise _unfit(f"its sizes are fixed: {', '.join(fixed)}", size_WH)
    return program


def _unread(name: str, graph: OneEvaluation, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=graph.examples(1, 8, 8)[name].dtype)


def _unfit(why: str, size_WH: tuple[int, int] | None) -> ConfigError:
    return ConfigError(
        f"the network cannot be written as an ONNX graph{'' if size_WH else ' of any size'}: {why}",
        consequence="no file was written",
        remedy="use torch" if size_WH else "fix the picture's size: --size 512x512",
    )


def _description(graph: OneEvaluation, size_WH: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "inputs": list(graph.names),
        "pictures": "float32 (B, 3, H, W) in [0, 1]; masks (B, 1, H, W); classes int64 (B,), "
        "label maps int64 (B, 1, H, W), any number that is no label for none",
        "hole_noise": "uniform in [0, 1)",
        "noise, start_noise": f"standard normal, (B, {graph.autoencoder.channels}, h, w), h and w at least "
        f"ceil(side / {graph.multiple}) x {graph.multiple // graph.autoencoder.factor}",
        "size_WH": size_WH,
    }


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what the exporter says of itself: axes of one size, torchvision's absence, deprecations."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
