"""What the header of an OpenEXR file claims, held against its length and the limits before OpenEXR reads it.

The library reads every part and channel at its stated size, so parts and channels count, and so do tiles.
"""

import io
import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from pairbridge.datagen.core.limits import (
    MAX_EXR_BYTES,
    MAX_EXR_CHANNELS,
    MAX_EXR_HEADER_BYTES,
    MAX_EXR_TILE_TEXELS,
    MAX_RATIO_OF_DEFLATE,
    MAX_TEXELS,
)
from pairbridge.datagen.core.picture_claims import PictureRefused

EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_MOST_PARTS = 256
# Bytes of a sample by type: unsigned int, half, float.
_SAMPLE_BYTES = {0: 4, 1: 2, 2: 4}
# Rows in a chunk, by compression; and those that Deflate packs.
_ROWS = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256, 10: 256, 11: 32}
_PLAIN, _DEFLATED = 0, (2, 3)
# A chunk's place in the table, and its own header.
_CHUNK_BYTES = 8 + 8

Attributes = dict[bytes, bytes]


def check_exr(stream: BinaryIO) -> tuple[int, int]:
    """(width, height) of the first part's data. Raises PictureRefused for a file that is damaged, deep, or
    claims more than it can hold.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(MAX_EXR_HEADER_BYTES)
    if head[:4] != EXR_SIGNATURE or len(head) < 8:
        raise PictureRefused("it is damaged: it does not begin as an OpenEXR file does")
    flags = int.from_bytes(head[4:8], "little")
    sizes, total = [], 0
    try:
        for part in _parts(head, flags):
            width, height, decoded = _part(part, size, tiled=bool(flags & _TILED) or b"tiles" in part)
            sizes.append((width, height))
            total += decoded
    except (struct.error, IndexError, KeyError, ValueError) as error:
        if isinstance(error, PictureRefused):
            raise
        raise PictureRefused(f"it is damaged: its header cannot be read ({error!r})") from error
    if not sizes:
        raise PictureRefused("it is damaged: its header states nothing")
    if flags & _DEEP:
        raise PictureRefused("it holds deep samples, and no picture")
    if total > MAX_EXR_BYTES:
        raise PictureRefused(f"its channels claim {total} bytes, above the cap of {MAX_EXR_BYTES}")
    return sizes[0]


def _parts(head: bytes, flags: int) -> Iterator[Attributes]:
    at = 8
    for _ in range(_MOST_PARTS if flags & _PARTS else 1):
        part: Attributes = {}
        while head[at] != 0:
            if len(part) > MAX_EXR_CHANNELS:
                raise PictureRefused(f"it has more than {MAX_EXR_CHANNELS} attributes")
            name, at = _name(head, at)
            _, at = _name(head, at)
            length = struct.unpack_from("<i", head, at)[0]
            if not 0 <= length <= len(head) - at - 4:
                raise PictureRefused(f"it is damaged: an attribute claims {length} bytes")
            part[name], at = head[at + 4 : at + 4 + length], at + 4 + length
        at += 1
        if not part:
            return
        yield part
    if flags & _PARTS and head[at : at + 1] != b"\0":
        raise PictureRefused(f"it has more than {_MOST_PARTS} parts")


def _name(head: bytes, at: int) -> tuple[bytes, int]:
    end = head.index(b"\0", at, at + 256)
    return head[at:end], end + 1


def _part(part: Attributes, size: int, *, tiled: bool) -> tuple[int, int, int]:
    """Width and height of its data, and the bytes of its channels once they are decoded."""
    left, top, right, bottom = struct.unpack("<4i", part[b"dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if width <= 0 or not 0 < width * height <= MAX_TEXELS:
        raise PictureRefused(f"it claims {width}x{height} pixels, above the cap of {MAX_TEXELS}")
    decoded, channels = 0, list(islice(_channels(part[b"channels"]), MAX_EXR_CHANNELS + 1))
    if len(channels) > MAX_EXR_CHANNELS:
        raise PictureRefused(f"it has more than {MAX_EXR_CHANNELS} channels")
    for kind, across, down in channels:
        decoded += _SAMPLE_BYTES[kind] * -(-width // across) * -(-height // down)
    compression = part[b"compression"][0]
    if tiled:
        across, down = struct.unpack_from("<2I", part[b"tiles"])
        if not 0 < across * down <= MAX_EXR_TILE_TEXELS:
            raise PictureRefused(f"it claims tiles of {across}x{down} pixels")
        chunks = -(-width // across) * -(-height // down)
    else:
        chunks = -(-height // _ROWS[compression])
    ratio = 1 if compression == _PLAIN else MAX_RATIO_OF_DEFLATE
    too_dense = compression in (_PLAIN, *_DEFLATED) and decoded > ratio * size
    if too_dense or chunks * _CHUNK_BYTES > size:
        raise PictureRefused(f"it claims {width}x{height} pixels in {size} bytes")
    return width, height, decoded


def _channels(listed: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, x and y sampling) of each channel."""
    at = 0
    while listed[at] != 0:
        _, at = _name(listed, at)
        kind, _, across, down = struct.unpack_from("<iIii", listed, at)
        if across < 1 or down < 1:
            raise PictureRefused(f"it claims a sampling of {across}x{down}")
        yield kind, across, down
        at += 16
