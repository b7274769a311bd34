"""The pixels of a field of a foreign data set, by its codec.

Apart from what declares a codec: a manifest is read without OpenCV and Pillow.
"""

import io
import math
from typing import BinaryIO

import cv2
import numpy as np

from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.photographs import (
    PhotographError,
    decode_grey16,
    decode_image,
    read_header,
)
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.limits import MAX_ARRAY_BYTES, MAX_RATIO_OF_DEFLATE
from pairbridge.datagen.imaging.filters import disc
from pairbridge.datagen.imports.field_codecs import Codec, DepthCodec, MaskCodec, NormalCodec

# Hypersim was rendered at 1024x768 with a focal length of 886.81 pixels; other widths scale it.
HYPERSIM_WIDTH, HYPERSIM_FOCAL_PX = 1024, 886.81


def field_size(codec: Codec, stream: BinaryIO, name: str) -> tuple[int, int]:
    """(width, height) from the header alone. Raises AssetError for what cannot be opened."""
    if isinstance(codec, DepthCodec) and codec.file == "hypersim_hdf5":
        shape = array_shape(stream, name)
        if len(shape) != 2:
            raise _unusable(name, f"a depth map has two axes, this array {shape}")
        return shape[1], shape[0]
    header = read_header(stream, name)
    return header.width, header.height


def decode(codec: Codec, data: bytes, name: str) -> np.ndarray:
    """The field as `field_codecs.declared` says: float32 (H, W) of depth, uint8 (H, W) of a mask, (H, W, 3)
    of all else. Raises AssetError, naming `name`.
    """
    match codec:
        case MaskCodec():
            return _decode_mask(codec, data, name)
        case DepthCodec():
            return decode_depth(codec, data, name)
        case NormalCodec():
            return _decode_normals(codec, data, name)
    return decode_image(data, name)


def decode_depth(codec: DepthCodec, data: bytes, name: str) -> np.ndarray:
    """float32 (H, W) in metres, 0 where it is not valid. Raises AssetError where nothing is."""
    depth_m = _depth_m(codec, data, name)
    far_m = np.inf if codec.far_m is None else codec.far_m
    valid = np.isfinite(depth_m) & (depth_m > 0) & (depth_m < far_m)
    if not valid.any():
        raise _unusable(name, "no pixel holds a usable depth")
    return np.where(valid, depth_m, np.float32(0))


def _decode_normals(codec: NormalCodec, data: bytes, name: str) -> np.ndarray:
    normals = decode_image(data, name)
    if codec.y == "down":
        normals[..., 1] = np.where(normals.any(axis=2), 255 - normals[..., 1], 0)
    return normals


def _depth_m(codec: DepthCodec, data: bytes, name: str) -> np.ndarray:
    if codec.file == "png16":
        return decode_grey16(data, name).astype(np.float32) / np.float32(codec.units_per_m)
    distance_m = read_array(data, name).astype(np.float32)
    if distance_m.ndim != 2:
        raise _unusable(name, f"a depth map has two axes, this array {distance_m.shape}")
    return planar_depth(distance_m)


def planar_depth(distance_m: np.ndarray) -> np.ndarray:
    """Hypersim's distance to the camera's centre (H, W) -> depth along its axis, both in metres."""
    height, width = distance_m.shape
    focal_px = HYPERSIM_FOCAL_PX * width / HYPERSIM_WIDTH
    x = np.arange(width, dtype=np.float32) - (width - 1) / 2
    y = np.arange(height, dtype=np.float32) - (height - 1) / 2
    ray = np.sqrt(x[None] ** 2 + y[:, None] ** 2 + focal_px**2)
    return (distance_m * (focal_px / ray)).astype(np.float32)


def _decode_mask(codec: MaskCodec, data: bytes, name: str) -> np.ndarray:
    black, threshold = codec.foreground == "black", codec.threshold
    # The threshold is meant with the foreground white.
    mask = decode_mask(data, name, threshold=256 - threshold if black and threshold else threshold)
    if black:
        mask = 255 - mask
    if codec.empty == "refuse" and not mask.any():
        raise _marks(name, f"nothing: all of it is {'white' if black else 'black'}")
    if (mask == 255).all():
        raise _marks(name, f"everything: all of it is {codec.foreground}")
    if codec.dilate_px:
        mask = cv2.dilate(mask, disc(codec.dilate_px))
    return _boxes(mask) if codec.form == "box" else mask


def _marks(name: str, what: str) -> PhotographError:
    return PhotographError(
        f"{name} marks {what}",
        consequence="the pair it belongs to is not used",
        remedy="correct `foreground` in the mask's codec, write `empty: keep` there, or mend the mask",
        fault="no_mask",
    )


def _boxes(mask: np.ndarray) -> np.ndarray:
    boxes = np.zeros_like(mask)
    _, _, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    for x, y, width, height, _ in stats[1:].tolist():
        boxes[y : y + height, x : x + width] = 255
    return boxes


def _unusable(name: str, why: str) -> AssetError:
    return AssetError(
        f"{name} cannot be read: {why}",
        consequence="the pair it belongs to is not used",
        remedy="correct the import's field map, download the file again or remove it, and import anew",
    )


# One numeric array out of an HDF5 file (Hypersim's geometry), and nothing else that HDF5 can do.


# What h5py raises for damage, beside OSError.
_DAMAGED_HDF5 = (RuntimeError, ValueError, TypeError, KeyError, MemoryError, OverflowError)


def array_shape(stream: BinaryIO, name: str, dataset: str = "dataset") -> tuple[int, ...]:
    """The array's shape, without reading its values."""
    with _opened(stream, name) as file:
        return _checked(file, name, dataset).shape


def read_array(data: bytes, name: str, dataset: str = "dataset") -> np.ndarray:
    """The array `dataset` of an encoded file. Raises AssetError for damage and for anything but plain
    numbers.
    """
    with _opened(io.BytesIO(data), name) as file:
        checked = _checked(file, name, dataset)
        try:
            return checked[()]
        except (OSError, *_DAMAGED_HDF5) as error:
            raise _unusable(name, f"it is damaged: {error}") from error


def _opened(stream: BinaryIO, name: str):
    require("hypersim", by=f"{name}, an HDF5 file,", consequence="Hypersim's geometry cannot be read")
    # An extra.
    import h5py

    try:
        return h5py.File(stream, "r")
    except (OSError, *_DAMAGED_HDF5) as error:
        raise _unusable(name, f"it is damaged, or no HDF5 file: {error}") from error


def _checked(file, name: str, dataset: str):
    import h5py

    try:
        if not isinstance(file.get(dataset, getlink=True), h5py.HardLink):
            raise _unusable(name, f"it has no array {dataset!r} of its own")
        found = file[dataset]
        if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
            raise _unusable(name, f"{dataset!r} is no array stored in the file itself")
        _check_claims(found, name, dataset)
    except (OSError, *_DAMAGED_HDF5) as error:
        raise _unusable(name, f"it is damaged: {error}") from error
    return found


def _check_claims(found, name: str, dataset: str) -> None:
    """Raise AssetError for an array that its file cannot hold: a header may claim any shape."""
    import h5py

    claimed, stored = found.nbytes, found.id.get_storage_size()
    if found.dtype.kind not in "fiu" or claimed > MAX_ARRAY_BYTES:
        raise _unusable(name, f"{dataset!r} holds {found.shape} values of type {found.dtype}")
    made = found.id.get_create_plist()
    filters = {made.get_filter(place)[0] for place in range(made.get_nfilters())}
    if not filters <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}:
        raise _unusable(name, f"{dataset!r} is packed by other filters than gzip")
    chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
    if claimed > stored * (MAX_RATIO_OF_DEFLATE if filters else 1) or chunk > MAX_ARRAY_BYTES:
        raise _unusable(name, f"{dataset!r} claims {claimed} bytes, and {stored} are stored")
