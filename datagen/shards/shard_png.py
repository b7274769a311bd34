"""PNGs in the one form that shards are written in, which decodes three to four times as fast as any other.

Every row is stored as its difference to the row above (filter 2, "up"), packed by libdeflate into one IDAT
chunk. Any PNG reader opens it. Here libdeflate unpacks it, and the sums down the columns, which are all that
is left to do, are NumPy's. (PNG, third edition, sections 5, 7 and 9; docs/benchmarks/loader.md has times and
sizes beside those of other encodings.)
"""

import struct
from typing import NamedTuple

import deflate
import numpy as np

from pairbridge.datagen.core.picture_claims import PNG_SIGNATURE

# Of libdeflate, 1 to 12. Up to this one files shrink and decode faster; beyond it encoding takes twice as
# long for 3 %.
_LEVEL = 4
_UP = 2
_COLOUR_TYPES = {2: 0, 3: 2}  # by dimensions: grey, RGB
_CHANNELS = {0: 1, 2: 3}
_HEADER = struct.Struct(">IIBBBBB")
_HEAD_BYTES = len(PNG_SIGNATURE) + 12 + _HEADER.size
# Of the sums' two passes: this many rows of every block at once, then block after block.
_BLOCK_ROWS = 16


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    colour_type: int
    compression: int
    filtering: int
    interlace: int


def encode_png(image: np.ndarray) -> bytes:
    """uint8 or uint16, (H, W, 3) RGB or (H, W) grey, neither side 0. Equal images give equal bytes (with the
    same libdeflate).
    """
    height, width = image.shape[:2]
    # 16-bit values are stored high byte first.
    rows = np.ascontiguousarray(image, image.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = _Header(width, height, 8 * image.dtype.itemsize, _COLOUR_TYPES[image.ndim], 0, 0, 0)
    return b"".join(
        (
            PNG_SIGNATURE,
            *_chunk(b"IHDR", _HEADER.pack(*header)),
            *_chunk(b"IDAT", deflate.zlib_compress(filtered, _LEVEL)),
            *_chunk(b"IEND", b""),
        )
    )


def decode_png(data: bytes) -> np.ndarray | None:
    """The image that `encode_png` was given; None for a PNG of any other form.

    Of a PNG that `pairbridge.datagen.core.picture_claims.check_png` passed, which bounds what it may take.
    Raises ValueError where it is damaged.
    """
    header = _Header(*_HEADER.unpack_from(data, 16))
    packed = memoryview(data)[_HEAD_BYTES + 8 : -16]
    if (
        data[_HEAD_BYTES : _HEAD_BYTES + 8] != struct.pack(">I4s", len(packed), b"IDAT")
        or header.bits not in (8, 16)
        or header.colour_type not in _CHANNELS
        or header[4:] != (0, 0, 0)
    ):
        return None
    if data[:_HEAD_BYTES] != PNG_SIGNATURE + b"".join(_chunk(b"IHDR", _HEADER.pack(*header))):
        raise ValueError("its header is damaged")
    if data[-16:] != b"".join((_checksum(b"IDAT", packed), *_chunk(b"IEND", b""))):
        raise ValueError("its data are damaged")
    channels, item = _CHANNELS[header.colour_type], header.bits // 8
    row_bytes = 1 + header.width * channels * item
    try:
        filtered = deflate.zlib_decompress(packed, header.height * row_bytes)
    except deflate.DeflateError as error:
        raise ValueError("its data do not unpack to the size that it states") from error
    if len(filtered) != header.height * row_bytes:
        raise ValueError(f"its data unpack to {len(filtered)} bytes of {header.height * row_bytes}")
    rows = np.frombuffer(filtered, np.uint8).reshape(header.height, row_bytes)
    if (rows[:, 0] != _UP).any():
        return None
    values = _summed_down(rows[:, 1:]).view(f">u{item}")
    shape = (header.height, header.width, channels) if channels > 1 else (header.height, header.width)
    return values.astype(f"=u{item}", copy=False).reshape(shape)


def _summed_down(rows: np.ndarray) -> np.ndarray:
    """Running sums of uint8 (H, n) along the first axis, modulo 256, contiguous.

    NumPy's own takes fifteen times as long, for it goes down one column after the other.
    """
    sums = np.empty(rows.shape, np.uint8)
    whole = len(rows) // _BLOCK_ROWS * _BLOCK_ROWS
    blocks = (-1, _BLOCK_ROWS, rows.shape[1])
    parts, part_sums = rows[:whole].reshape(blocks), sums[:whole].reshape(blocks)
    if whole:
        part_sums[:, 0] = parts[:, 0]
        for row in range(1, _BLOCK_ROWS):
            np.add(part_sums[:, row - 1], parts[:, row], out=part_sums[:, row])
        for block in range(1, len(part_sums)):
            np.add(part_sums[block], part_sums[block - 1, -1], out=part_sums[block])
    else:
        sums[0] = rows[0]
    for row in range(max(whole, 1), len(rows)):
        np.add(sums[row - 1], rows[row], out=sums[row])
    return sums


def _chunk(kind: bytes, content: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    return struct.pack(">I", len(content)), kind, content, _checksum(kind, content)


def _checksum(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", deflate.crc32(content, deflate.crc32(kind)))
