"""One numeric array out of an HDF5 file (Hypersim's geometry), and nothing else that HDF5 can do.

HDF5 can point at other files (external and soft links, external storage, virtual datasets) and hold pickled
objects; only a plain numeric array stored in the file itself is read.
"""

import io
from typing import BinaryIO

import numpy as np

from datagen.errors import AssetError, ConfigError
from datagen.sample import MAX_PIXELS


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
        except OSError as error:
            raise _unusable(name, f"it is damaged: {error}") from error


def _opened(stream: BinaryIO, name: str):
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{name} is an HDF5 file, and h5py is not installed",
            consequence="Hypersim's geometry cannot be read",
            remedy='install it with the extra: pip install "pairbridge[hypersim]"',
        ) from error
    try:
        return h5py.File(stream, "r")
    except OSError as error:
        raise _unusable(name, f"it is damaged, or no HDF5 file: {error}") from error


def _checked(file, name: str, dataset: str):
    import h5py

    if not isinstance(file.get(dataset, getlink=True), h5py.HardLink):
        raise _unusable(name, f"it has no array {dataset!r} of its own")
    found = file[dataset]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise _unusable(name, f"{dataset!r} is no array stored in the file itself")
    if found.dtype.kind not in "fiu" or found.size > 4 * MAX_PIXELS:
        raise _unusable(name, f"{dataset!r} holds {found.shape} values of type {found.dtype}")
    return found


def _unusable(name: str, why: str) -> AssetError:
    return AssetError(
        f"{name} cannot be read: {why}",
        consequence="the pair it belongs to is not used",
        remedy="download the file again, or remove it and import anew",
    )
