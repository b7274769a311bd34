"""What a picture's file claims, held against its own length and the limits before any decoder sees it.

Decoders believe what they read: OpenCV allocates what a PNG chunk says it holds, Pillow the canvas that a
header names. Here only lengths and sizes are read, by seeking, so that a picture costs a few reads.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pairbridge.datagen.core.limits import (
    FREE_PIXELS,
    MAX_JPEG_PIXELS_A_BYTE,
    MAX_JPEG_SCANS,
    MAX_PICTURE_PARTS,
    MAX_PIXELS,
    MAX_PLAIN_PIXELS_A_BYTE,
    MAX_PNG_TEXT_BYTES,
    MAX_RATIO_OF_DEFLATE,
)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
# Samples a pixel, by PNG colour type.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# What is packed in them comes after a name and a byte, in iTXt after some more.
_PNG_PACKED = (b"iCCP", b"zTXt", b"iTXt")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Without a length: restart marks, and a mark that means nothing.
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})
_SCAN = b"\xff\xda"


class PictureRefused(ValueError):
    """A picture that claims more than its file can hold, or more than the limits; the message says what."""


@dataclass(frozen=True, slots=True)
class PictureClaims:
    """What the header of a picture states, not turned by EXIF."""

    encoding: str
    width: int
    height: int
    animated: bool = False


def check_picture(stream: BinaryIO) -> PictureClaims | None:
    """The claims of a PNG, JPEG or WebP; None for what is none of them. The stream is left at its start.

    Raises PictureRefused.
    """
    size = stream.seek(0, io.SEEK_END)
    head = _at(stream, 0, 12)
    walker: Callable[[BinaryIO, int], PictureClaims] | None = None
    if head.startswith(PNG_SIGNATURE):
        walker = _png
    elif head.startswith(_JPEG_SIGNATURE):
        walker = _jpeg
    elif head[:4] == b"RIFF" and head[8:] == b"WEBP":
        walker = _webp
    claims = walker(stream, size) if walker else None
    stream.seek(0)
    return claims


def check_png(data: bytes) -> PictureClaims:
    """Raises PictureRefused for what is no PNG of one frame, too."""
    claims = check_picture(io.BytesIO(data)) if data.startswith(PNG_SIGNATURE) else None
    if claims is None:
        raise PictureRefused("it is not a PNG")
    if claims.animated:
        raise PictureRefused("it is an animation")
    return claims


def check_scans(data: bytes) -> None:
    """Raise PictureRefused for a JPEG of more scans than any encoder writes."""
    # Coded pixels hold no such mark; profiles and previews may by chance, a few times.
    if data.startswith(_JPEG_SIGNATURE) and (scans := data.count(_SCAN)) > MAX_JPEG_SCANS:
        raise PictureRefused(f"it has {scans} scans, above the cap of {MAX_JPEG_SCANS}")


def check_pixels(width: int, height: int) -> None:
    """Raise PictureRefused for a size that no picture may have."""
    if not 0 < width * height <= MAX_PIXELS or width < 0:
        raise PictureRefused(f"it claims {width}x{height} pixels, above the cap of {MAX_PIXELS}")


def check_density(width: int, height: int, size: int, most_a_byte: int, free: int = 0) -> None:
    """Raise PictureRefused for more than `free` pixels of which a byte would have to hold too many."""
    check_pixels(width, height)
    if width * height > max(free, most_a_byte * size):
        raise PictureRefused(f"it claims {width}x{height} pixels in {size} bytes")


def check_plain(width: int, height: int, size: int) -> None:
    """`check_density` for formats in which plain colours take no bits."""
    check_density(width, height, size, MAX_PLAIN_PIXELS_A_BYTE, FREE_PIXELS)


def _png(stream: BinaryIO, size: int) -> PictureClaims:
    header = b""
    width = height = packed = unpacked = 0
    animated = False
    for kind, at, length in _png_chunks(stream, size):
        if not header:
            if kind != b"IHDR" or length != 13:
                raise PictureRefused("it is damaged: it does not begin with its header")
            header = _at(stream, at, length)
            width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
            check_pixels(width, height)
        elif kind == b"IDAT":
            packed += length
        elif kind in _PNG_PACKED:
            unpacked += _unpacked(kind, _at(stream, at, length), MAX_PNG_TEXT_BYTES - unpacked)
            if unpacked > MAX_PNG_TEXT_BYTES:
                raise PictureRefused(f"its texts unpack to more than {MAX_PNG_TEXT_BYTES} bytes")
        elif kind == b"acTL":
            animated = True
    row = -(-width * header[8] * _PNG_SAMPLES.get(header[9], 1) // 8)
    if height * row > MAX_RATIO_OF_DEFLATE * packed:
        raise PictureRefused(f"it claims {width}x{height} pixels in {packed} bytes")
    return PictureClaims("PNG", width, height, animated)


def _png_chunks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its data begins, length) of each chunk up to the last."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_PICTURE_PARTS):
        head = _at(stream, at, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or at + 12 + length > size:
            raise PictureRefused(
                f"it is damaged: a chunk at byte {at} claims {length} bytes, the file has {size}"
            )
        yield kind, at + 8, length
        if kind == b"IEND":
            return
        at += 12 + length
    raise PictureRefused(f"it has more than {MAX_PICTURE_PARTS} chunks")


def _unpacked(kind: bytes, chunk: bytes, most: int) -> int:
    """How many bytes a packed text or profile has, counted to one above `most`; 0 where nothing is packed."""
    rest = chunk.partition(b"\0")[2]
    if kind == b"iTXt":
        # Whether it is packed, the method, a language and a translated name.
        names = rest[2:].split(b"\0", 2) if rest[:1] == b"\1" else []
        rest = b"\0" + names[2] if len(names) == 3 else b""
    try:
        return len(zlib.decompressobj().decompress(rest[1:], most + 1))
    except zlib.error:
        return 0


def _jpeg(stream: BinaryIO, size: int) -> PictureClaims:
    at = 2
    for _ in range(MAX_PICTURE_PARTS):
        head = _at(stream, at, 4)
        if len(head) < 4:
            break
        if head[0] != 0xFF:
            raise PictureRefused(f"it is damaged: there is no mark at byte {at}")
        if head[1] == 0xFF or head[1] in _JPEG_BARE:
            at += 1 if head[1] == 0xFF else 2
            continue
        length = int.from_bytes(head[2:], "big")
        if length < 2 or at + 2 + length > size:
            raise PictureRefused(
                f"it is damaged: a segment at byte {at} claims {length} bytes, the file has {size}"
            )
        if head[1] in _JPEG_SIZES:
            frame = _at(stream, at + 4, 5)
            height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            if head[1] in _JPEG_HUFFMAN:
                check_density(width, height, size, MAX_JPEG_PIXELS_A_BYTE)
            else:
                check_plain(width, height, size)
            return PictureClaims("JPEG", width, height)
        if head[1] in (0xD9, 0xDA):
            break
        at += 2 + length
    raise PictureRefused("it is damaged: it states no size")


def _webp(stream: BinaryIO, size: int) -> PictureClaims:
    end = 8 + int.from_bytes(_at(stream, 4, 4), "little")
    if end > size + 1:
        raise PictureRefused(f"it is damaged: it claims {end} bytes, the file has {size}")
    at, sizes, animated = 12, [], False
    while at + 8 <= min(end, size):
        head = _at(stream, at, 8 + 10)
        kind, length, data = head[:4], int.from_bytes(head[4:8], "little"), head[8:]
        if at + 8 + length > size:
            raise PictureRefused(f"it is damaged: a chunk at byte {at} claims {length} bytes")
        if kind == b"VP8X" and len(data) == 10:
            sizes.append((_le(data[4:7]) + 1, _le(data[7:10]) + 1))
        elif kind == b"VP8L" and len(data) >= 5:
            bits = _le(data[1:5])
            sizes.append(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        elif kind == b"VP8 " and len(data) == 10:
            sizes.append((_le(data[6:8]) & 0x3FFF, _le(data[8:10]) & 0x3FFF))
        animated |= kind == b"ANMF"
        if kind in (b"VP8 ", b"VP8L"):
            break
        at += 8 + length + length % 2
    if not sizes:
        raise PictureRefused("it is damaged: it states no size")
    for width, height in sizes:
        check_plain(width, height, size)
    return PictureClaims("WEBP", *sizes[0], animated)


def _le(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _at(stream: BinaryIO, place: int, size: int) -> bytes:
    stream.seek(place)
    return stream.read(size)
