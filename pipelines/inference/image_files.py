"""Image files in and out: one or a folder of them, and the files that go with each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
from pairbridge.training.data.condition_specs import LIGHT, MASK

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def each_image(
    source: Path,
    out: Path,
    write: Callable[[Path, Path], None],
) -> list[tuple[Path, PairbridgeError]]:
    """`write` one image file as the PNG `out`, or each image of a folder into the folder `out`, by stem.

    Of a folder, images that cannot be read or worked on are left out and returned with their error. Raises
    ConfigError for names that do not fit, and the error itself for a single image.
    """
    if not source.is_dir():
        _check_png(out)
        write(source, out)
        return []
    failed: list[tuple[Path, PairbridgeError]] = []
    for path in _images_of(source):
        target = out / f"{path.stem}.png"
        try:
            write(path, target)
        except (AssetError, ConfigError) as error:
            failed.append((path, error))
    return failed


def beside(given: Path | None, image: Path) -> Path | None:
    """The file that goes with an image: `given` itself, or of a folder the one with the image's stem."""
    if given is None or not given.is_dir():
        return given
    found = [path for path in sorted(given.iterdir()) if path.stem == image.stem and _is_image(path)]
    if not found:
        raise ConfigError(
            f"{given} has no image named {image.stem}",
            consequence=f"{image.name} was not translated",
            remedy="name the files alike, or give one file for all",
        )
    return found[0]


def files_of(image: Path, mask: Path | None, light_map: Path | None) -> dict[str, Path | None]:
    """An image with the mask and the light map that go with it, by name."""
    return {"image": image, MASK: beside(mask, image), LIGHT: beside(light_map, image)}


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3). Raises AssetError for what is no image file."""
    return decode_image(_bytes(path), path.name)


def read_mask(path: Path) -> np.ndarray:
    """uint8 (H, W), 255 on what it marks. Raises AssetError for what is no mask."""
    return decode_mask(_bytes(path), path.name)


def _check_png(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(
            f"--out {out} is no .png file",
            consequence="the result would be lost or altered by compression",
            remedy="name a file that ends in .png",
        )


def _images_of(folder: Path) -> list[Path]:
    images = [path for path in sorted(folder.iterdir()) if _is_image(path)]
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice or not images:
        why = f"holds {twice[0]!r} under two suffixes" if twice else f"holds no {', '.join(SUFFIXES)} file"
        raise ConfigError(
            f"{folder} {why}",
            consequence="results are named by stem, and one would overwrite the other"
            if twice
            else "there is nothing to translate",
            remedy="rename one of them" if twice else "name an image, or a folder of images",
        )
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssetError(
            f"{path} cannot be read: {error.strerror}",
            consequence="nothing was translated",
            remedy="name a JPEG, PNG or WebP file",
        ) from error
