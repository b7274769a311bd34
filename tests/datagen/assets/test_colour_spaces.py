"""One scene, written in the colours of many devices, is the same sRGB picture; LittleCMS is the judge."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pairbridge.datagen.assets.photographs import decode_photograph
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, matrix_profile

ADOBE_GAMMA = 563 / 256
SRGB_CURVE = srgb_decode(np.linspace(0, 1, 4096))
P3_CHROMATICITIES = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def scene() -> np.ndarray:
    """Colours that all of the spaces can hold, uint8 (64, 64, 3)."""
    y, x = np.mgrid[0:64, 0:64]
    rgb = np.stack([200 - 2 * x, 60 + 2 * y, np.full_like(x, 90)], axis=-1)
    rgb[16:32, 16:32] = (200, 60, 60)
    return rgb.astype(np.uint8)


SCENE = scene()


def as_device(profile: bytes) -> np.ndarray:
    """The scene in the values of a device."""
    device = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = Image.fromarray(SCENE)
    return np.asarray(
        ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), device, outputMode="RGB")
    )


def png(values: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with the given chunks before its pixels."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    plain = stream.getvalue()
    inserted = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return plain[:33] + inserted + plain[33:]


def written(values: np.ndarray, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def chrm(values: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in values))


def gama(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100000))


ADOBE_PROFILE = matrix_profile(ADOBE_RGB, ADOBE_GAMMA, "wide A")
P3_PROFILE = matrix_profile(DISPLAY_P3, SRGB_CURVE, "Display P3")


def of_camera() -> bytes:
    """Adobe RGB as DCF cameras mark it: no profile, an interoperability index of R03."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    return written(as_device(ADOBE_PROFILE), "WEBP", lossless=True, exif=exif)


CONVERTED = {
    "profile of a camera, PNG": lambda: (
        written(as_device(ADOBE_PROFILE), "PNG", icc_profile=ADOBE_PROFILE),
        "ICC profile 'wide A'",
    ),
    "profile of a phone, WebP": lambda: (
        written(as_device(P3_PROFILE), "WEBP", lossless=True, icc_profile=P3_PROFILE),
        "ICC profile 'Display P3'",
    ),
    "cICP": lambda: (png(as_device(P3_PROFILE), (b"cICP", bytes([12, 13, 0, 1]))), "Display P3 (cICP)"),
    "cHRM": lambda: (
        png(as_device(P3_PROFILE), gama(0.45455), chrm(P3_CHROMATICITIES)),
        "cHRM",
    ),
    "gAMA": lambda: (png(np.rint(255 * srgb_decode(SCENE / 255)).astype(np.uint8), gama(1.0)), "gAMA 1"),
    "DCF": lambda: (of_camera(), "Adobe RGB (EXIF)"),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_a_picture_in_other_colours_is_the_same_srgb_picture(kind: str) -> None:
    data, name = CONVERTED[kind]()
    found = decode_photograph(data, "picture")
    assert found.converted_from == name
    error = np.abs(found.pixels.astype(int) - SCENE)
    if kind == "gAMA":
        # Linear light in 8 bits is coarse in the dark: compared in the values that were stored.
        stored = np.rint(255 * srgb_decode(SCENE / 255))
        expected = np.rint(255 * srgb_encode(stored / 255))
        error = np.abs(found.pixels - expected)
    assert error.max() <= 2
    assert error.mean() < 0.5


def test_without_the_conversion_the_test_would_fail() -> None:
    unconverted = np.abs(as_device(P3_PROFILE).astype(int) - SCENE)
    assert unconverted.mean() > 5


def test_a_jpeg_in_display_p3_is_within_its_compression() -> None:
    data = written(as_device(P3_PROFILE), "JPEG", icc_profile=P3_PROFILE, quality=98, subsampling=0)
    error = np.abs(decode_photograph(data, "phone").pixels.astype(int) - SCENE)
    assert error.mean() < 1


@pytest.mark.parametrize(
    "data",
    [
        written(SCENE, "PNG"),
        written(SCENE, "PNG", icc_profile=matrix_profile(SRGB, SRGB_CURVE, "sRGB by another name")),
        png(SCENE, gama(0.45455)),
        png(SCENE, (b"sRGB", b"\0"), gama(1.0)),
        png(SCENE, (b"cICP", bytes([1, 13, 0, 1])), gama(1.0)),
    ],
    ids=["nothing", "its profile is sRGB", "sRGB's usual gamma", "sRGB before gAMA", "cICP before gAMA"],
)
def test_srgb_keeps_its_bytes(data: bytes) -> None:
    found = decode_photograph(data, "plain")
    np.testing.assert_array_equal(found.pixels, SCENE)
    assert found.converted_from is None


def test_a_profile_that_cannot_be_read_is_said() -> None:
    found = decode_photograph(written(SCENE, "PNG", icc_profile=b"\0" * 200), "odd")
    np.testing.assert_array_equal(found.pixels, SCENE)
    assert found.converted_from == "an unreadable ICC profile, taken for sRGB"


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        ((b"cICP", bytes([9, 16, 0, 1])), "transfer curve 16"),
        ((b"cICP", bytes([9, 18, 0, 1])), "transfer curve 18"),
        (gama(20.0), "gAMA chunk states 20"),
        (chrm((0.3, 0.0, 0.6, 0.3, 0.3, 0.6, 0.1, 0.1)), "cHRM"),
    ],
)
def test_what_no_srgb_picture_can_be_made_of_is_refused_by_name(chunk: tuple[bytes, bytes], why: str) -> None:
    with pytest.raises(AssetError, match=why):
        decode_photograph(png(SCENE, chunk), "hdr")


def test_a_grey_profile_on_a_grey_and_on_a_widened_picture() -> None:
    grey = SCENE[..., 0]
    gamma_one = bytearray(matrix_profile(SRGB, 1.0, "linear grey"))
    gamma_one[16:20] = b"GRAY"
    profile = bytes(gamma_one).replace(b"rTRC", b"kTRC", 1)
    expected = np.rint(255 * srgb_encode(grey / 255))
    for picture in (grey, np.repeat(grey[..., None], 3, axis=2)):
        found = decode_photograph(written(picture, "PNG", icc_profile=profile), "scan").pixels
        assert np.abs(found[..., 0] - expected).max() <= 2
        assert (found == found[..., :1]).all()
