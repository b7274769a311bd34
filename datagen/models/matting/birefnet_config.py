"""Settings of BiRefNet as a matting model, and the input sizes of the published models. Imports no torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction
from pairbridge.datagen.models.weights.weight_folders import weights_root

Model = Literal[
    "BiRefNet-matting",
    "BiRefNet",
    "BiRefNet-portrait",
    "BiRefNet_512x512",
    "BiRefNet_HR",
    "BiRefNet_HR-matting",
    "BiRefNet_dynamic",
    "BiRefNet_dynamic-matting",
    "BiRefNet_lite",
    "BiRefNet_lite-2K",
    "RMBG-2.0",  # of the same architecture; not for commercial use
]

# Width and height that each was trained at; whatever is not here takes 1024 x 1024.
_SIZES_WH: dict[Model, tuple[int, int]] = {
    "BiRefNet_512x512": (512, 512),
    "BiRefNet_HR": (2048, 2048),
    "BiRefNet_HR-matting": (2048, 2048),
    "BiRefNet_lite-2K": (2560, 1440),
}
_USUAL_WH = (1024, 1024)
# Trained on sides drawn from this range: they see the photograph at its own size and aspect.
_DYNAMIC: tuple[Model, ...] = ("BiRefNet_dynamic", "BiRefNet_dynamic-matting")
_LEAST_DYNAMIC, _MOST_DYNAMIC = 256, 2304

# What the network takes: its coarsest map has 1/32 of the image's side, its half-size pass half of that.
SIDE_STEP, MIN_SIDE, MAX_SIDE = 32, 64, 4096


WEIGHTS_NAME, CONFIG_NAME = "model.safetensors", "config.json"


class BiRefNetConfig(FrozenModel):
    """BiRefNet with weights from a local folder: its name, if the weights lie where all weights lie."""

    kind: Literal["birefnet"] = "birefnet"
    """Selects this matting model."""
    model: Model = "BiRefNet-matting"
    """Id of the model, as `pairbridge weights list` shows it; it decides the input's size."""
    weights: Path | None = Field(None, exclude=True)
    """Folder of the model, with model.safetensors as on the hub; by default the folder named after the model
    in $PAIRBRIDGE_WEIGHTS, else in ./weights. A place on a disk is neither recorded nor digested; what lies
    there is recorded, as the revision."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of model.safetensors. Other weights are refused, and it becomes part of the dataset's digest.
    """
    size_WH: tuple[int, int] | None = None
    """Width and height of the input in place of the model's own, multiples of 32 within [64, 4096]; smaller
    is faster and coarser."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network runs: float32 on the CPU, float16 on the GPU."""
    max_doubt: Fraction = 0.5
    """Largest mean of 4 a (1 - a) over the alpha a; above it the network is undecided, and the image is
    refused."""
    cpu_threads: PositiveInt = 1
    """CPU threads of torch. Their number can change the last bit of a sum, so it is fixed and recorded."""

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return self.weights or weights_root() / self.model

    def weight_files(self) -> tuple[Path, ...]:
        """See `NeedsWeights`."""
        return self.folder / WEIGHTS_NAME, self.folder / CONFIG_NAME

    @field_validator("size_WH")
    @classmethod
    def _sides(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        for side in size or ():
            if side % SIDE_STEP or not MIN_SIDE <= side <= MAX_SIDE:
                raise ValueError(
                    f"the network takes no side of {side}: give multiples of {SIDE_STEP} "
                    f"from {MIN_SIDE} to {MAX_SIDE}"
                )
        return size


def input_size(config: BiRefNetConfig, photo_WH: tuple[int, int]) -> tuple[int, int]:
    """Width and height at which the network sees a photograph of this size; its aspect may change."""
    if config.size_WH:
        return config.size_WH
    if config.model not in _DYNAMIC:
        return _SIZES_WH.get(config.model, _USUAL_WH)
    scale = max(min(1.0, _MOST_DYNAMIC / max(photo_WH)), _LEAST_DYNAMIC / min(photo_WH))
    # Rounded down to whole steps, as the models' own demo does.
    steps = (int(side * scale + 1e-6) // SIDE_STEP * SIDE_STEP for side in photo_WH)
    width, height = (min(max(side, _LEAST_DYNAMIC), _MOST_DYNAMIC) for side in steps)
    return width, height
