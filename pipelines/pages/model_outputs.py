"""What a model made of a dataset's pairs: pictures in a folder, each called by its pair's key."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.errors import ConfigError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Equal pictures have none; this is above whatever two that differ in one pixel of 8 bits can have.
_PSNR_OF_EQUALS_DB = 120.0


def model_outputs(folder: Path) -> dict[str, Path]:
    """Key -> file. `KEY.png` and `KEY.source.png`, as `translate` calls what it made of such a file, are both
    of KEY. Raises ConfigError where there is no picture, or two are of one key.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        key = path.name.partition(".")[0]
        if key in found:
            raise ConfigError(
                f"{found[key]} and {path.name} are both of the pair {key}",
                consequence="it is not clear which of them the model made of it",
                remedy="move one of them away",
            )
        found[key] = path
    if not found:
        raise ConfigError(
            f"{folder} holds no {', '.join(SUFFIXES)} file",
            consequence="there are no outputs to show",
            remedy="name a folder that `pairbridge translate` wrote, whose files are called by pairs' keys",
        )
    return found


def read_output_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3). Raises AssetError for what is no picture."""
    return decode_image(path.read_bytes(), path.name)


def psnr_db(output: np.ndarray, target: np.ndarray) -> float | None:
    """Of two uint8 pictures; None where their sizes differ."""
    if output.shape != target.shape:
        return None
    if np.array_equal(output, target):
        return _PSNR_OF_EQUALS_DB
    return cv2.PSNR(target, output)


def with_output(
    pictures: Mapping[str, np.ndarray], output: np.ndarray, target: str
) -> tuple[dict[str, np.ndarray], float | None]:
    """A pair's pictures with `output` after those called source and `target`, and its PSNR to the latter, if
    it has one.
    """
    first = [name for name in ("source", target) if name in pictures]
    ordered = {name: pictures[name] for name in first} | {"output": output}
    return ordered | dict(pictures), psnr_db(output, pictures[target]) if target in pictures else None
