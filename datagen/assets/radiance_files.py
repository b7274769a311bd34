"""Radiance pictures (.hdr) in every form that the format allows, decoded by OpenCV's reader of the usual one.

The usual form has RGBE pixels from the top left, in rows, each run-length coded by component. The format also
has eight orders of pixels, CIE XYZ components (XYZE), an older run-length code, and factors that were applied
to the pixels (EXPOSURE, COLORCORR). Pixels are brought into the usual form, decoded, and put right after.
"""

import re
from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.imaging.primaries import REC709, light_to_srgb, xyz_to_srgb

_RESOLUTION = re.compile(rb"([+-])([XY])\s+(\d{1,7})\s+([+-])([XY])\s+(\d{1,7})\s*\Z")
RADIANCE_SIGNATURES = (b"#?RADIANCE", b"#?RGBE", b"#?AUTOPANO")
_MAX_HEADER_BYTES = 65536
# By component 32; the older code has no bound, but a picture that repeats one pixel so often lights nothing.
_MOST_TEXELS_A_BYTE = 1000
_FORMATS = (b"32-bit_rle_rgbe", b"32-bit_rle_xyze")
# Scanlines outside these widths are never coded by component.
_MIN_RUN_WIDTH, _MAX_RUN_WIDTH = 8, 0x7FFF


class RadianceDamaged(ValueError):
    """The picture cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class RadianceHeader:
    """What stands before the pixels. `rows` scanlines of `columns` pixels, as they follow each other."""

    rows: int
    columns: int
    by_columns: bool
    """Scanlines run along Y: the picture is stored transposed."""
    flip_rows: bool
    flip_columns: bool
    is_xyze: bool
    factor: np.ndarray
    """By which each component was multiplied, (3,)."""
    primaries: tuple[float, ...] | None
    """x and y of red, green, blue and white."""
    end: int
    """Where the pixels begin."""


def read_radiance_header(data: bytes) -> RadianceHeader:
    """Raises RadianceDamaged for what is no Radiance picture."""
    if not data.startswith(RADIANCE_SIGNATURES):
        raise RadianceDamaged("it does not begin as a Radiance picture does (#?RADIANCE)")
    variables: dict[bytes, list[bytes]] = {}
    line, place = _next_line(data, 0)
    while line:
        name, equals, value = line.partition(b"=")
        if equals and not line.startswith(b"#"):
            variables.setdefault(name.strip().upper(), []).append(value.strip())
        line, place = _next_line(data, place)
    resolution, place = _next_line(data, place)
    found = _RESOLUTION.match(resolution)
    if not found or found[2] == found[5]:
        raise RadianceDamaged(f"its resolution reads {resolution[:40].decode('ascii', 'replace')!r}")
    kind = variables.get(b"FORMAT", [_FORMATS[0]])[-1]
    if kind not in _FORMATS:
        raise RadianceDamaged(f"its FORMAT is {kind[:40].decode('ascii', 'replace')!r}")
    factor = np.ones(3)
    for exposure in variables.get(b"EXPOSURE", []):
        factor = factor * _numbers(exposure, 1, "EXPOSURE")
    for correction in variables.get(b"COLORCORR", []):
        factor = factor * _numbers(correction, 3, "COLORCORR")
    if not (np.isfinite(factor) & (factor > 0)).all():
        raise RadianceDamaged(f"its exposure is {factor.tolist()}")
    # Eight zeros are what common tools write where they know nothing: nothing is stated.
    stated = variables.get(b"PRIMARIES")
    primaries = tuple(_numbers(stated[-1], 8, "PRIMARIES")) if stated else ()
    # The usual order: downwards, then to the right.
    usual = {(b"-", b"Y"), (b"+", b"X")}
    return RadianceHeader(
        rows=int(found[3]),
        columns=int(found[6]),
        by_columns=found[2] == b"X",
        flip_rows=(found[1], found[2]) not in usual,
        flip_columns=(found[4], found[5]) not in usual,
        is_xyze=kind == _FORMATS[1],
        factor=factor,
        primaries=primaries if any(primaries) else None,
        end=place,
    )


def _next_line(data: bytes, place: int) -> tuple[bytes, int]:
    """The line that begins at `place`, and where the next one does."""
    end = data.find(b"\n", place, _MAX_HEADER_BYTES)
    if end < 0:
        raise RadianceDamaged("its header does not end")
    return data[place:end].rstrip(b"\r"), end + 1


def check_radiance(data: bytes, max_texels: int) -> RadianceHeader:
    """The header of a picture that its file can hold. Raises RadianceDamaged."""
    header = read_radiance_header(data)
    texels, there = header.rows * header.columns, len(data) - header.end
    if not 0 < texels <= max_texels:
        raise RadianceDamaged(
            f"it claims {header.rows}x{header.columns} pixels, above the cap of {max_texels}"
        )
    if texels > _MOST_TEXELS_A_BYTE * there:
        raise RadianceDamaged(f"it claims {header.rows}x{header.columns} pixels in {there} bytes")
    return header


def decode_radiance(data: bytes, max_texels: int) -> np.ndarray:
    """Linear sRGB (H, W, 3) float32 in radiance, exposure taken back. Raises RadianceDamaged."""
    # Imported late: Blender's process checks headers alone, in an environment that may lack OpenCV.
    import cv2

    header = check_radiance(data, max_texels)
    pixels = data[header.end :]
    if not _is_run_length_coded(header, pixels):
        pixels = _flat(header, pixels)
    usual = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (header.rows, header.columns) + pixels
    try:
        decoded = cv2.imdecode(np.frombuffer(usual, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise RadianceDamaged(f"it is damaged ({error.err})") from error
    if decoded is None:
        raise RadianceDamaged("it is damaged: its pixels end too early or their run lengths do not add up")
    decoded = decoded[:: -1 if header.flip_rows else 1, :: -1 if header.flip_columns else 1, ::-1]
    if header.by_columns:
        decoded = decoded.transpose(1, 0, 2)
    return np.ascontiguousarray(_light(decoded, header), np.float32)


def _light(decoded: np.ndarray, header: RadianceHeader) -> np.ndarray:
    if header.is_xyze:
        decoded = np.maximum(decoded @ xyz_to_srgb().T.astype(np.float32), 0)
    elif header.primaries is not None:
        red, green, blue, white = (header.primaries[place : place + 2] for place in range(0, 8, 2))
        # Radiance's own white is (1/3, 1/3); files say REC709's primaries with either white and mean RGB.
        if not np.allclose((red, green, blue), REC709, atol=0.005):
            try:
                matrix = light_to_srgb(white, (red, green, blue))
            except ValueError as error:
                raise RadianceDamaged(str(error)) from error
            decoded = np.maximum(decoded @ matrix.T.astype(np.float32), 0)
    return decoded / header.factor.astype(np.float32)


def _is_run_length_coded(header: RadianceHeader, pixels: bytes) -> bool:
    """Coded by component, row by row, as OpenCV reads it."""
    begins = pixels[:2] == b"\x02\x02" and len(pixels) >= 4 and not pixels[2] & 0x80
    return begins and _MIN_RUN_WIDTH <= header.columns <= _MAX_RUN_WIDTH


def _flat(header: RadianceHeader, pixels: bytes) -> bytes:
    """Pixels one after the other, of a file that has them so or in the old run-length code.

    There (1, 1, 1, n) repeats the pixel before it n times; the counts of marks in a row are digits of base
    256.
    """
    wanted = header.rows * header.columns
    quads = np.frombuffer(pixels[: len(pixels) // 4 * 4], np.uint8).reshape(-1, 4)
    marks = (quads[:, :3] == 1).all(axis=1)
    if not marks.any():
        if len(quads) < wanted:
            raise RadianceDamaged("it is damaged: its pixels end too early")
        return quads[:wanted].tobytes()
    if marks[0]:
        raise RadianceDamaged("it is damaged: its pixels begin with a repetition")
    # The place of each mark within its row of marks gives the weight of its digit.
    number = np.arange(len(quads))
    last_pixel = np.maximum.accumulate(np.where(marks, 0, number))
    digit = number - last_pixel - 1
    counts = np.where(marks, quads[:, 3].astype(np.int64) << np.minimum(8 * digit, 40), 1)
    counts = np.minimum(counts, wanted)
    cut = np.searchsorted(np.cumsum(counts), wanted)
    if cut == len(counts):
        raise RadianceDamaged("it is damaged: its pixels end too early")
    counts = counts[: cut + 1]
    counts[-1] -= counts.sum() - wanted
    return np.repeat(quads[last_pixel[: cut + 1]], counts, axis=0).tobytes()


def _numbers(text: bytes, count: int, name: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise RadianceDamaged(f"its {name} is {text[:60].decode('ascii', 'replace')!r}")
    return values
