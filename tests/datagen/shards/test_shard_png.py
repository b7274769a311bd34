"""The form in which shards hold pictures: any reader opens it, and any other form is read as well."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.picture_claims import PNG_SIGNATURE
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.datagen.shards.shard_png import decode_png, encode_png


def _picture(height: int, width: int, *channels: int, dtype: type = np.uint8) -> np.ndarray:
    """Noise in which every value comes, so that sums run over."""
    return rng(0, height, width).integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype, True)


# Heights around one and two blocks of rows, and widths of one pixel.
SHAPES = [(1, 1), (1, 40), (15, 1), (16, 5), (17, 31), (32, 7), (33, 64), (100, 3)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_come_back_and_opencv_reads_the_same(shape: tuple, channels: tuple, dtype: type) -> None:
    image = _picture(*shape, *channels, dtype=dtype)
    data = encode_png(image)
    again = decode_png(data)
    assert again.dtype == dtype
    assert again.flags.c_contiguous
    assert again.flags.writeable
    assert np.array_equal(again, image)
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(seen[..., ::-1] if channels else seen, image)


def test_pillow_reads_the_same_and_strides_do_not_matter() -> None:
    image = _picture(40, 60, 3)[::2, ::-1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(image)))), image)
    assert encode_png(image) == encode_png(image.copy())


def _foreign(image: np.ndarray, **how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", **how)
    return stream.getvalue()


def _many_chunks(data: bytes) -> bytes:
    """The same PNG with its data in two IDAT chunks."""
    packed, rest = data[41:-16], data[-12:]
    return data[:33] + b"".join(_chunk(b"IDAT", part) for part in (packed[:50], packed[50:])) + rest


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def test_pngs_of_any_other_form_are_read_too() -> None:
    image = _picture(37, 23, 3)
    smooth = cv2.GaussianBlur(_picture(64, 64, 3), (0, 0), 5)
    others = [
        (image, _foreign(image)),
        (smooth, _foreign(smooth, optimize=True)),
        (image, _many_chunks(encode_png(image))),
        (image, _foreign(image, dpi=(72, 72))),
        (smooth, cv2.imencode(".png", smooth[..., ::-1])[1].tobytes()),
    ]
    for value, data in others:
        assert decode_png(data) is None
        assert np.array_equal(decode_field("source.png", data), value)
    grey = Image.fromarray(image).convert("P")
    palette = io.BytesIO()
    grey.save(palette, "PNG")
    assert decode_png(palette.getvalue()) is None


def test_a_flipped_byte_anywhere_is_an_error() -> None:
    data = encode_field("source.png", _picture(20, 11, 3))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x41
        with pytest.raises(ShardError, match=r"source\.png"):
            decode_field("source.png", bytes(damaged))


@pytest.mark.parametrize(("height", "why"), [(6, "do not unpack to the size"), (8, "unpack to 154 bytes of")])
def test_a_size_that_the_data_do_not_have_is_an_error(height: int, why: str) -> None:
    header = struct.pack(">IIBBBBB", 7, height, 8, 2, 0, 0, 0)
    data = PNG_SIGNATURE + _chunk(b"IHDR", header) + encode_png(_picture(7, 7, 3))[33:]
    with pytest.raises(ShardError, match=why):
        decode_field("source.png", data)


@pytest.mark.parametrize(
    "value", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32)]
)
def test_what_no_field_may_hold_is_refused(value: np.ndarray) -> None:
    with pytest.raises(TypeError, match="wants 8 or 16 bits"):
        encode_field("source.png", value)
