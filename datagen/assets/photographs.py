"""Photographs and other people's images as uint8 sRGB, or a named refusal: nothing is decoded by guess.

Three formats are opened (JPEG, PNG, WebP), after their header was seen to claim a bearable size. EXIF turns
are applied, and colours are converted to sRGB from what the file says of them (`colour_spaces`). What has no
one right meaning as an opaque sRGB photograph is refused: several frames, transparency, CMYK without its
profile, HDR transfer curves, grey values of more than 8 bits. 16-bit colour keeps its high byte.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field, PositiveInt

from pairbridge.datagen.assets.colour_spaces import UnknownColours, in_srgb
from pairbridge.datagen.assets.signatures import SIGNATURE_BYTES, content_of
from pairbridge.datagen.core.errors import AssetError, FileUnreadable
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.limits import MAX_PICTURE_BYTES
from pairbridge.datagen.core.picture_claims import PictureRefused, check_picture, check_scans

FORMATS = ("JPEG", "PNG", "WEBP")

_ORIENTATION = 0x0112
# What Pillow raises for damaged files, beside OSError; SyntaxError is its word for a broken PNG or EXIF.
_DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)


class PhotoRules(FrozenModel):
    """What a photograph must be to be used. One that is not costs its own groups, which go to quarantine."""

    min_side: PositiveInt = 32
    """Least length of the shorter side, in pixels."""
    max_aspect: float = Field(5.0, ge=1, le=100)
    """Largest ratio of the longer side to the shorter, within [1, 100]."""


class PhotographError(AssetError):
    """An image file that cannot be used; `cause` names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself before its pixels are decompressed; the size is as turned by EXIF."""

    width: int
    height: int
    mode: str
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """`pixels` uint8 (H, W, 3) sRGB; `converted_from` names the file's own colours, None where they are
    sRGB."""

    pixels: np.ndarray
    converted_from: str | None


def read_photograph(path: Path, rules: PhotoRules) -> Photograph:
    """The photograph, turned as its EXIF says. Raises PhotographError for whatever is not usable, and
    FileUnreadable."""
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise _refused(path.name, f"the file is larger than {MAX_PICTURE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise FileUnreadable.of(path, error) from error
    header = read_header(io.BytesIO(data), path.name)
    short, long = sorted((header.width, header.height))
    if short < rules.min_side:
        size = f"{header.width}x{header.height}"
        raise _refused(path.name, f"it has {size} pixels, and its shorter side must have {rules.min_side}")
    if long > rules.max_aspect * short:
        raise _refused(
            path.name, f"its sides are as {long / short:.2f} to 1, above the limit of {rules.max_aspect:g}"
        )
    return decode_photograph(data, path.name)


def read_header(stream: BinaryIO, name: str) -> Header:
    """The header of a JPEG, PNG or WebP. Raises PhotographError for other formats, damage, and claims above
    the limits or the file.
    """
    image = _open(stream, name)
    with refusing_damage(name):
        # A PNG may carry its EXIF after the pixels; looking for it there would decode them.
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        width, height = image.size[::-1] if exif.get(_ORIENTATION) in (5, 6, 7, 8) else image.size
        return Header(width, height, image.mode, _frames(image))


def decode_image(data: bytes, name: str) -> np.ndarray:
    """uint8 (H, W, 3) sRGB of one encoded image. Raises PhotographError, naming `name`."""
    return decode_photograph(data, name).pixels


def decode_photograph(data: bytes, name: str) -> Photograph:
    """One encoded image in sRGB, and what its colours were. Raises PhotographError, naming `name`."""
    image = load_still(data, name)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise _refused(
            name, "it holds grey values of more than 8 bits: a measurement of unknown scale, no photograph"
        )
    with refusing_damage(name):
        if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
            raise _refused(name, "it is transparent in places, and what lies behind them is not known")
        try:
            in_place, converted_from = in_srgb(image, data)
        except UnknownColours as error:
            raise _refused(name, str(error)) from error
        return Photograph(np.array(in_place.convert("RGB")), converted_from)


def decode_grey16(data: bytes, name: str) -> np.ndarray:
    """uint16 (H, W) of a 16-bit grey PNG. Raises PhotographError for anything else."""
    image = load_still(data, name)
    if image.format != "PNG" or not image.mode.startswith("I"):
        raise _refused(name, f"it is no 16-bit grey PNG (Pillow calls it {image.format} {image.mode})")
    return np.asarray(image).astype(np.uint16)


def load_still(data: bytes, name: str) -> Image.Image:
    """The decoded picture, turned by its EXIF, in the mode of its file; `format` is the file's. Raises
    PhotographError for animations and damage.
    """
    try:
        check_scans(data)
    except PictureRefused as error:
        raise _refused(name, str(error)) from error
    image = _open(io.BytesIO(data), name)
    with refusing_damage(name):
        frames = _frames(image)
        if frames > 1:
            raise _refused(name, f"it is animated: {frames} frames")
        encoding = image.format
        image.load()
        turned = ImageOps.exif_transpose(image)
        turned.format = encoding
        return turned


@contextmanager
def refusing_damage(name: str) -> Iterator[None]:
    """Whatever Pillow stumbles over inside becomes PhotographError, naming `name`."""
    try:
        yield
    except _DAMAGE as error:
        raise _refused(name, f"it is damaged: {error}") from error


def _open(stream: BinaryIO, name: str) -> Image.Image:
    try:
        check_picture(stream)
        with warnings.catch_warnings():
            # Pillow warns below our own cap, and only our cap decides.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        stream.seek(0)
        found = content_of(stream.read(SIGNATURE_BYTES))
        what = f"it is {found}" if found else "it is damaged, or of another format"
        raise _refused(name, f"{what}; only JPEG, PNG and WebP are read") from error
    except PictureRefused as error:
        raise _refused(name, str(error)) from error
    except (Image.DecompressionBombError, *_DAMAGE) as error:
        raise _refused(name, f"its header cannot be used: {error}") from error
    return image


def _frames(image: Image.Image) -> int:
    # Phones append a preview or a gain map to a JPEG (MPO); its first image is the photograph.
    return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


def _refused(name: str, why: str) -> PhotographError:
    return PhotographError(
        f"image {name} cannot be used: {why}",
        remedy="convert it to a JPEG, PNG or WebP that any viewer shows, or leave it out",
        fault="unusable_photo",
    )
