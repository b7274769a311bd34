"""Image files in and out: one or a folder of them, and the files that go with each."""

import itertools
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from pairbridge.datagen.assets.label_files import decode_labels
from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
from pairbridge.pipelines.inference import given_light
from pairbridge.training.data.condition_specs import LIGHT, MASK

Item = TypeVar("Item")

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_LIGHT_IT_HAD = "light_source"


def each_image(
    source: Path,
    out: Path,
    read: Callable[[Path], Item],
    write: Callable[[list[Item], list[Path]], None],
    *,
    alike: Callable[[Item], Hashable],
    batch_size: int = 1,
) -> list[tuple[Path, PairbridgeError]]:
    """`write` what is `read` of one image file as the PNG `out`, or of each image of a folder into the folder
    `out`, by stem: up to `batch_size` neighbours at once that are `alike`.

    Of a folder, images that cannot be read or worked on are left out and returned with their error; those
    that were to be written with one are written alone. Raises ConfigError for names that do not fit, and the
    error itself for a single image.
    """
    if not source.is_dir():
        _check_png(out)
        write([read(source)], [out])
        return []
    failed: list[tuple[Path, PairbridgeError]] = []

    def items() -> Iterator[tuple[Path, Item]]:
        for path in _images_of(source):
            try:
                yield path, read(path)
            except (AssetError, ConfigError) as error:
                failed.append((path, error))

    def work(batch: list[tuple[Path, Item]]) -> None:
        try:
            write([item for _, item in batch], [out / f"{path.stem}.png" for path, _ in batch])
        except (AssetError, ConfigError) as error:
            if len(batch) == 1:
                failed.append((batch[0][0], error))
                return
            for one in batch:
                work([one])

    for _, neighbours in itertools.groupby(items(), key=lambda one: alike(one[1])):
        # islice, not a list: of a folder of equal images only a batch is in memory.
        while batch := list(itertools.islice(neighbours, batch_size)):
            work(batch)
    return sorted(failed, key=lambda one: one[0])


def beside(given: Path | None, image: Path) -> Path | None:
    """The file that goes with an image: `given` itself, or of a folder the one with the image's stem."""
    if given is None or not given.is_dir():
        return given
    suffixes = (*SUFFIXES, *given_light.SUFFIXES)
    found = [
        path
        for path in sorted(given.iterdir())
        if path.stem == image.stem and path.suffix.lower() in suffixes and path.is_file()
    ]
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


def conditions_of(
    image: Path, given: Mapping[str, Path], turn_deg: float = 0.0, *, labels: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """`read_condition` of the files that go with an image, by field; `read_labels` of those in `labels`.

    turn_deg: of environment maps but `light_source`, the light that the image was taken in.
    """
    found = {}
    for field, path in given.items():
        own = beside(path, image)
        turn = 0.0 if field == _LIGHT_IT_HAD else turn_deg
        found[field] = read_labels(own) if field in labels else read_condition(own, turn)
    return found


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3). Raises AssetError for what is no image file."""
    return decode_image(_bytes(path), path.name)


def read_condition(path: Path, turn_deg: float = 0.0) -> np.ndarray:
    """An .hdr or .exr file as `given_light.read_light` gives it, turned; any other as `read_image`.

    Raises AssetError for what is neither.
    """
    if path.suffix.lower() in given_light.SUFFIXES:
        return given_light.read_light(path, turn_deg)
    return read_image(path)


def read_labels(path: Path) -> np.ndarray:
    """Whole numbers (H, W), the labels of a grey or a palette's picture. Raises AssetError for what is no
    label map.
    """
    return decode_labels(_bytes(path), path.name)


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
