"""STL: binary or text, told by the contents and not by the first word, and what Blender's importer would
misread."""

import re
import struct
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.object_formats.far_origin import check_shape_kept, far_centre
from pairbridge.datagen.assets.object_formats.unusable_objects import unusable

STL_HEADER = 84
_FACET = np.dtype([("normal", "<3f4"), ("corners", "<9f4"), ("attribute", "<u2")])
_CORNER = re.compile(rb"(?im)^[ \t]*vertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)")
# Where writers that stream do not know the count, they state one of these.
_UNKNOWN_COUNTS = (0, 0xFFFFFFFF)


def is_text(data: bytes) -> bool:
    """Whether it is the text form: binary files may begin with "solid" as well, but then hold no facet in
    words."""
    start = data[:4096].lower()
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"solid") and (
        b"facet" in start or b"endsolid" in start or b"\0" not in start
    )


def states_its_length(start: bytes, size: int) -> bool:
    """Whether the count in the header is that of a binary file of `size` bytes."""
    return (
        size >= STL_HEADER and size == STL_HEADER + _FACET.itemsize * struct.unpack_from("<I", start, 80)[0]
    )


def mend_stl(path: Path, data: bytes) -> dict[str, bytes]:
    """The file, by name, that Blender shall read in the place of this one; none where it reads it as it is.

    Raises AssetError for a file that is shorter than it states, and for corners that are not finite.
    """
    if is_text(data):
        corners = _text_corners(path, data)
    else:
        facets = _facets(path, data)
        corners = facets["corners"].reshape(-1, 3)
    # A facet's normal may be NaN where it has no area; its corners may not.
    if not np.isfinite(corners).all():
        raise unusable(path, "not_finite", "some of its vertices are not finite")
    centre = far_centre(corners)
    if centre is not None:
        if not is_text(data):
            check_shape_kept(path, corners)
        return {path.name: _binary(corners - centre)}
    if is_text(data):
        return {path.name: _binary(corners)} if data.startswith(b"\xef\xbb\xbf") else {}
    whole = STL_HEADER + _FACET.itemsize * len(facets)
    stated = struct.unpack_from("<I", data, 80)[0]
    return {} if (len(data), stated) == (whole, len(facets)) else {path.name: _binary(corners)}


def _text_corners(path: Path, data: bytes) -> np.ndarray:
    if b"endsolid" not in data.lower():
        raise unusable(path, "truncated", "its solid does not end")
    rows = _CORNER.findall(data)
    try:
        return np.array(rows, "S").astype(np.float64).reshape(-1, 3)
    except ValueError:  # -nan(ind)
        return np.full((1, 3), np.nan)


def _facets(path: Path, data: bytes) -> np.ndarray:
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= STL_HEADER else 0
    held, rest = divmod(len(data) - STL_HEADER, _FACET.itemsize)
    if count in _UNKNOWN_COUNTS and held > 0 and rest == 0:
        count = held
    whole = STL_HEADER + _FACET.itemsize * count
    if len(data) < whole:
        raise unusable(path, "truncated", f"it ends after {len(data)} of {whole} bytes")
    return np.frombuffer(data, _FACET, count, STL_HEADER)


def _binary(corners: np.ndarray) -> bytes:
    facets = np.zeros(len(corners) // 3, _FACET)
    facets["corners"] = corners[: 3 * len(facets)].reshape(-1, 9)
    return b"\0" * 80 + struct.pack("<I", len(facets)) + facets.tobytes()
