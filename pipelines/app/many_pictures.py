"""Many pictures with the settings of one: translated in turn, into a folder and a zip file."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.pipelines.app.page_errors import in_page
from pairbridge.pipelines.inference.image_files import read_image, read_mask
from pairbridge.pipelines.pages.sheets import write_png

Translate = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


@dataclass(frozen=True, slots=True)
class DonePicture:
    """One of many: its file, or why there is none."""

    name: str
    path: Path | None
    why: str = ""


def translate_many(
    pictures: Sequence[Path], masks: Sequence[Path], translate: Translate, out: Path
) -> Iterator[DonePicture]:
    """`translate` each picture, with the mask of its stem if there is one, into the folder `out`, in the
    order of their names. One that fails stops none.

    Raises ConfigError where two have one stem.
    """
    mask_of = _by_stem(masks, "masks")
    for stem, picture in sorted(_by_stem(pictures, "pictures").items()):
        target = out / f"{stem}.png"
        try:
            mask = read_mask(mask_of[stem]) if stem in mask_of else None
            write_png(target, translate(read_image(picture), mask))
        except PairbridgeError as error:
            yield DonePicture(picture.name, None, in_page(error))
        else:
            yield DonePicture(picture.name, target)


def zipped(pictures: Sequence[Path], out: Path) -> Path:
    """The zip file `out` of the pictures, which are compressed already."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for picture in pictures:
            file.write(picture, picture.name)
    return out


def _by_stem(paths: Sequence[Path], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise ConfigError(
                f"two of the {what} are named {path.stem}",
                consequence="results are named as their pictures, and one would overwrite the other",
                remedy="rename one of them",
            )
        found[path.stem] = path
    return found
