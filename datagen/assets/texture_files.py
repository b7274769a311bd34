"""The pictures of objects from files, held against their claims before Blender decodes them.

Blender goes by content, whatever a picture is called, and so does this. What no signature tells is left to
it: it runs in a process of its own.
"""

import io
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from pairbridge.datagen.assets.exr_claims import EXR_SIGNATURE, check_exr
from pairbridge.datagen.assets.radiance_files import RADIANCE_SIGNATURES, RadianceDamaged, check_radiance
from pairbridge.datagen.core.limits import MAX_PICTURE_BYTES, MAX_TEXELS
from pairbridge.datagen.core.picture_claims import (
    PictureRefused,
    check_picture,
    check_plain,
    check_scans,
)

_JPEG_2000 = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
# By the type of a TIFF entry: short, long.
_TIFF_NUMBERS = {3: "H", 4: "I"}
_MOST_DIRECTORIES = 64
_TGA_KINDS = (1, 2, 3, 9, 10, 11)


def file_problem(path: Path) -> str | None:
    """`texture_problem` of a file, which is looked at once as long as it does not change."""
    state = path.stat()
    return _known_problem(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _known_problem(path: Path, size: int, mtime_ns: int) -> str | None:
    with open(path, "rb") as stream:
        return texture_problem(stream, path.name)


def texture_problem(stream: BinaryIO, name: str) -> str | None:
    """Why a picture is not to be decoded: it claims more than its bytes can hold, or more than the limits."""
    try:
        _check(stream, Path(name).suffix.lower())
    except (PictureRefused, RadianceDamaged) as error:
        return str(error)
    return None


def picture_size(stream: BinaryIO, name: str) -> tuple[int, int]:
    """(width, height) that a PNG, JPEG, WebP, EXR or TIFF states. Raises PictureRefused for what is none of
    them, or not to be decoded."""
    if (problem := texture_problem(stream, name)) is not None:
        raise PictureRefused(problem)
    claims = check_picture(stream)
    if claims is not None:
        return claims.width, claims.height
    stream.seek(0)
    head = stream.read(4)
    if head == EXR_SIGNATURE:
        return check_exr(stream)
    if head in _TIFF:
        return _check_tiff(stream, stream.seek(0, io.SEEK_END), _TIFF[head])
    raise PictureRefused("it is damaged, or no PNG, JPEG, WebP, TIFF or EXR")


def _check(stream: BinaryIO, suffix: str) -> None:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(64)
    if size > MAX_PICTURE_BYTES:
        raise PictureRefused(f"it has more than {MAX_PICTURE_BYTES} bytes")
    if head.startswith(_JPEG_2000):
        raise PictureRefused("it is a JPEG 2000, which no decoder here is trusted with")
    claims = check_picture(stream)
    if claims is not None:
        if claims.encoding == "JPEG":
            check_scans(stream.read())
    elif head.startswith(EXR_SIGNATURE):
        check_exr(stream)
    elif head.startswith(RADIANCE_SIGNATURES):
        stream.seek(0)
        check_radiance(stream.read(), MAX_TEXELS)
    elif head[:4] in _TIFF:
        _check_tiff(stream, size, _TIFF[head[:4]])
    elif head.startswith(b"BM"):
        _check_bmp(head, size)
    elif suffix == ".tga" and len(head) >= 18 and head[2] in _TGA_KINDS:
        check_plain(*struct.unpack_from("<2H", head, 12), size)


def _check_bmp(head: bytes, size: int) -> None:
    if len(head) < 26:
        raise PictureRefused("it is damaged: it states no size")
    form = "<2H" if struct.unpack_from("<I", head, 14)[0] == 12 else "<2i"
    width, height = struct.unpack_from(form, head, 18)
    # Rows from the top have a negative height.
    check_plain(width, abs(height), size)


def _check_tiff(stream: BinaryIO, size: int, order: str) -> tuple[int, int]:
    """The size of the first picture. Every picture of the file has a directory, which names the next one."""
    sizes: list[tuple[int, int]] = []
    stream.seek(4)
    try:
        for _ in range(_MOST_DIRECTORIES):
            place = struct.unpack(f"{order}I", stream.read(4))[0]
            if place == 0:
                return sizes[0]
            stream.seek(place)
            entries = stream.read(12 * struct.unpack(f"{order}H", stream.read(2))[0])
            numbers = dict(_tiff_numbers(entries, order))
            sizes.append((numbers[_TIFF_WIDTH], numbers[_TIFF_HEIGHT]))
            check_plain(*sizes[-1], size)
    except (struct.error, LookupError) as error:
        raise PictureRefused(f"it is damaged: its directory cannot be read ({error!r})") from error
    raise PictureRefused(f"it has more than {_MOST_DIRECTORIES} pictures")


def _tiff_numbers(entries: bytes, order: str) -> Iterator[tuple[int, int]]:
    for place in range(0, len(entries) - 11, 12):
        tag, kind = struct.unpack_from(f"{order}2H", entries, place)
        if kind in _TIFF_NUMBERS:
            yield tag, struct.unpack_from(order + _TIFF_NUMBERS[kind], entries, place + 8)[0]
