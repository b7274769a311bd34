"""`pairbridge sample`: images from noise."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge_training.class_guide import ClassGuide
from pairbridge.training.data.condition_specs import class_condition
from pairbridge.training.engine.torch_devices import Precision


def run_sample(
    model: Path,
    out: Path,
    count: int,
    size: int,
    seed: int,
    class_name: str | None,
    classifier: Path | None,
    device: str,
    precision: Precision,
    batch_size: int,
    **how: Any,
) -> str:
    """Write the images and a sheet of them; says what there is. batch_size: images that pass through the
    network together; each has noise of its own, whatever that is. `how`: as `TranslationModel.predict_batch`
    is told to sample. classifier: a run's folder or a checkpoint's, which leads to the class in place of the
    model's condition. Raises ConfigError for what the model, or both together, cannot do.
    """
    opened = open_model(model, device, precision).model
    config = opened.config
    if config.bridge.start != "noise":
        raise ConfigError(
            f"{model} is a model that starts from a source image",
            consequence="there is nothing it could make from noise alone",
            remedy="translate an image with `pairbridge translate`, or train with bridge.start noise",
        )
    given = {}
    if classifier:
        if not class_name:
            raise ConfigError(
                f"{classifier} tells classes apart, and no class was asked for",
                consequence="there is nothing to guide towards",
                remedy="name one with --class",
            )
        guide = ClassGuide.load(newest_checkpoint(classifier), device, precision)
        how["classifier"] = guide.towards(class_name, opened)
    elif class_name:
        field, image = class_condition(config.denoiser.conditions, class_name)
        given = {field: image}
    images = []
    for first in range(0, count, batch_size):
        places = range(first, min(first + batch_size, count))
        number = len(places)
        batch = opened.translate_batch(
            np.zeros((number, size, size, 3), np.uint8),
            seed=[seed31(seed, "sample", place) for place in places],
            conditions={field: np.stack([image] * number) for field, image in given.items()},
            **how,
        )
        images.extend(batch)
    for place, image in enumerate(images):
        write_png(out / f"{place:04d}.png", image)
    sheet = out / "sheet.png"
    write_png(sheet, tiled(images))
    per_image = opened.evaluations / math.ceil(count / batch_size)
    return f"{sheet}: {count} images, {per_image:.0f} network evaluations each"


def tiled(images: list[np.ndarray], gap: int = 2) -> np.ndarray:
    """uint8 (H, W, 3) images of one size, side by side in a white grid that is about square."""
    height, width = images[0].shape[:2]
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
