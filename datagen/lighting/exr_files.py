"""Files of lightings, OpenEXR and Radiance: written whole, read with what is wrong by name.

A lighting that could not be made has a file too, which says why: it stands in its place and costs its groups.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import AssetError

# 16384 x 8192 float RGB is 1.6 GB; a header can claim far more in a few bytes.
MAX_TEXELS = 16384 * 8192

# In the header of a lighting that could not be made: why.
UNUSABLE = "pairbridge_unusable"


def read_pixels(path: Path) -> np.ndarray:
    """Linear RGB (H, W, 3) float32 of an OpenEXR or Radiance file, as it is stored.

    Raises AssetError for a file that is damaged, empty, too large or not RGB or grey, and for one that stands
    for a lighting which could not be made (`write_unusable`).
    """
    if path.suffix.lower() == ".exr":
        why = exr_attribute(path, UNUSABLE)
        if why is not None:
            raise broken_lighting(path, "not_made", why)
        if path.is_file() and path.stat().st_size == 0:
            raise broken_lighting(path, "empty_file", "it is damaged: 0 bytes")
        return _read_exr(path)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.float32:
        raise broken_lighting(path, "damaged", "it is not a readable Radiance image")
    return pixels[..., 2::-1]


def write_exr(
    path: Path,
    pixels: np.ndarray,
    attributes: Mapping[str, str] | None = None,
    *,
    compressed: bool = True,
) -> None:
    """Write float32 (H, W, 3) so that `path` appears whole or not at all; equal input gives equal bytes.

    Raises DiskFull. Full floats, because a sun disc exceeds what half floats hold.
    """
    compression = OpenEXR.ZIP_COMPRESSION if compressed else OpenEXR.NO_COMPRESSION
    header = {"compression": compression, "type": OpenEXR.scanlineimage, **(attributes or {})}
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "image.exr"
        channels = {"RGB": np.ascontiguousarray(pixels, np.float32)}
        with OpenEXR.File(header, channels) as file:
            file.write(str(staged))
        write_atomically(path, [staged.read_bytes()])


def write_unusable(path: Path, why: str, attributes: Mapping[str, str]) -> None:
    """Write the file of a lighting that cannot be made: `load_environment` refuses it with `why`."""
    write_exr(path, np.zeros((2, 4, 3), np.float32), {**attributes, UNUSABLE: why})


def exr_attribute(path: Path, name: str) -> str | None:
    """A text attribute of an EXR file's header; None if the file is damaged or has no such attribute."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            value = file.header().get(name)
    except (RuntimeError, ValueError, OSError):
        return None
    return value if isinstance(value, str) else None


def broken_lighting(path: Path, fault: str, why: str) -> AssetError:
    """The error for a lighting file that cannot be used; `fault` names the damage in one word."""
    return AssetError(
        f"lighting {path.name} cannot be used: {why}",
        consequence="every group that draws it is quarantined; the rest of the dataset is made",
        remedy=f"replace or remove {path}",
        fault=fault,
    )


def _read_exr(path: Path) -> np.ndarray:
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            low, high = file.header()["dataWindow"]
        width, height = int(high[0]) - int(low[0]) + 1, int(high[1]) - int(low[1]) + 1
        if width * height > MAX_TEXELS:
            raise broken_lighting(
                path, "too_large", f"it claims {width}x{height} pixels, above the cap of {MAX_TEXELS}"
            )
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise broken_lighting(path, "damaged", f"it is damaged ({error})") from error
    names = ("R", "G", "B") if {"R", "G", "B"} <= channels.keys() else ("Y", "Y", "Y")
    if names[0] not in channels:
        raise broken_lighting(
            path, "no_colour", f"it has the channels {', '.join(sorted(channels))}, neither RGB nor Y"
        )
    return np.stack([channels[name].astype(np.float32) for name in names], axis=-1)
