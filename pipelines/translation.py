"""One image file through a trained model."""

from pathlib import Path

import cv2
import numpy as np

from datagen.errors import AssetError, ConfigError
from pipelines.sheets import write_png
from training.checkpoint import checkpoint_folders
from training.model import TranslationModel


def translate_file(
    checkpoint: Path, image: Path, out: Path, *, mask: Path | None, steps: int, seed: int, device: str
) -> None:
    """Write the translation of `image` to the PNG `out`, at its own size.

    Raises ConfigError for a checkpoint that is not there or a mask that does not fit, AssetError for an
    image that cannot be decoded, CheckpointError for a damaged checkpoint.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError(
            f"--out {out} is no .png file",
            consequence="the result would be lost or altered by compression",
            remedy="name a file that ends in .png",
        )
    if device == "cuda" and not _cuda_works():
        raise ConfigError(
            "--device cuda, and torch finds no GPU",
            consequence="nothing was translated",
            remedy="leave the option out, or see what `pairbridge doctor` says about the GPU",
        )
    model = TranslationModel.load(newest_checkpoint(checkpoint), device)
    source = _read(image, cv2.IMREAD_COLOR)
    matte = None if mask is None else _read(mask, cv2.IMREAD_GRAYSCALE)
    write_png(out, model.translate(source, matte, steps=steps, seed=seed))


def newest_checkpoint(folder: Path) -> Path:
    """`folder` if it is a checkpoint, else the newest one of the training or run in it. Raises
    ConfigError.
    """
    if (folder / "state.json").is_file():
        return folder
    for root in (folder, folder / "checkpoints", folder / "train" / "checkpoints"):
        found = checkpoint_folders(root)
        if found:
            return found[-1]
    raise ConfigError(
        f"{folder} holds no checkpoint",
        consequence="there is no model to translate with",
        remedy="name a run's folder such as runs/demo, or one of its train/checkpoints/step-*",
    )


def _read(path: Path, flags: int) -> np.ndarray:
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise AssetError(
            f"{path} cannot be decoded as an image",
            consequence="nothing was translated",
            remedy="name a JPEG, PNG or WebP file",
        )
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])


def _cuda_works() -> bool:
    import torch

    return torch.cuda.is_available()
