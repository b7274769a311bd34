"""What an image file says of its colours, and how they become sRGB.

Four things can speak: an ICC profile, PNG's `cICP`, PNG's `gAMA` and `cHRM`, and the interoperability index
by which cameras mark Adobe RGB without a profile. Whoever is silent is sRGB, as browsers have it. Where a
conversion would move no level by more than one (a profile that is sRGB under another name), the bytes stay.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from pairbridge.datagen.imaging.primaries import D65, REC709, XY, picture_to_srgb

Primaries = tuple[XY, tuple[XY, XY, XY]]
SRGB: Primaries = (D65, REC709)
ADOBE_RGB: Primaries = (D65, ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)))
ADOBE_GAMMA = 256 / 563
# ITU-T H.273 numbers, which cICP holds: the primaries that have one meaning for an 8-bit picture.
_CICP_PRIMARIES: dict[int, tuple[str, Primaries]] = {
    1: ("BT.709", SRGB),
    9: ("BT.2020", (D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)))),
    12: ("Display P3", (D65, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)))),
}
_CICP_SRGB_CURVE = 13
# libpng takes a gamma within five percent of 1 / 2.2 for sRGB's curve, which it approximates.
_SRGB_GAMMA, _GAMMA_TOLERANCE = 1 / 2.2, 0.05
_INTEROP_IFD, _INTEROP_INDEX = 0xA005, 1
_PROFILED_MODES = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB"}


class UnknownColours(ValueError):
    """What the file says of its colours cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class StatedColours:
    """Primaries and a curve that are not sRGB's; `name` is for provenance."""

    name: str
    primaries: Primaries = SRGB
    gamma: float | None = None
    """Encoded value = light ** gamma; None: sRGB's curve."""


def in_srgb(image: Image.Image, data: bytes) -> tuple[Image.Image, str | None]:
    """The decoded image in sRGB, and the name of the colours it was converted from (None: it was sRGB).

    `data` are its encoded bytes. A profile that cannot be read is passed over, as browsers do; the name says
    so. Raises UnknownColours for what no 8-bit sRGB picture can be made of: HDR transfer curves, absurd
    numbers, and CMYK without a usable profile.
    """
    chunk = _png_chunk(data, b"cICP") if image.format == "PNG" else None
    profile = image.info.get("icc_profile")
    if chunk is not None:
        stated = _of_cicp(chunk)
    elif profile:
        return _by_profile(image, profile)
    elif image.mode == "CMYK":
        raise UnknownColours("it is CMYK without a colour profile, so its colours are not known")
    else:
        stated = _of_png(image) if image.format == "PNG" else _of_camera(image)
    if stated is None:
        return image, None
    grid = _grid()
    if np.abs(_converted(grid, stated).astype(int) - grid).max() <= 1:
        return image, None
    return Image.fromarray(_converted(np.asarray(image.convert("RGB")), stated)), stated.name


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    mode = _PROFILED_MODES.get(image.mode, image.mode)
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given.profile.xcolor_space.strip() == "GRAY" and mode == "RGB":
            # Converters that widen a grey picture leave its profile behind.
            mode = "L"
        transform = ImageCms.buildTransform(
            given,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "RGB":
            grid = _grid()
            moved = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform)).astype(int)
            if np.abs(moved - grid).max() <= 1:
                return image, None
        return ImageCms.applyTransform(image.convert(mode), transform), _profile_name(given)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        if mode == "CMYK":
            raise UnknownColours(f"it is CMYK with an unusable colour profile: {error}") from error
        return image, "an unreadable ICC profile, taken for sRGB"


def _converted(rgb: np.ndarray, stated: StatedColours) -> np.ndarray:
    """uint8 (H, W, 3) sRGB of encoded uint8 values."""
    levels = np.arange(256, dtype=np.float64) / 255
    light = srgb_decode(levels) if stated.gamma is None else levels ** (1 / stated.gamma)
    mixed = light.astype(np.float32)[rgb] @ picture_to_srgb(*stated.primaries).T.astype(np.float32)
    return np.rint(srgb_encode(mixed) * 255).astype(np.uint8)


def _grid() -> np.ndarray:
    """Colours all over the cube, uint8 (1, 4913, 3)."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)


def _of_cicp(chunk: bytes) -> StatedColours | None:
    primaries, curve = (chunk + bytes(2))[:2]
    if curve != _CICP_SRGB_CURVE or primaries not in _CICP_PRIMARIES:
        raise UnknownColours(
            f"its cICP chunk states primaries {primaries} and transfer curve {curve} (ITU-T H.273), "
            "which an 8-bit sRGB picture cannot hold"
        )
    name, chromaticities = _CICP_PRIMARIES[primaries]
    return None if primaries == 1 else StatedColours(f"{name} (cICP)", primaries=chromaticities)


def _of_png(image: Image.Image) -> StatedColours | None:
    if "srgb" in image.info:
        return None
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    if gamma is not None and not 0.1 <= gamma <= 10:
        raise UnknownColours(f"its gAMA chunk states {gamma:g}")
    if gamma is not None and abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE:
        gamma = None
    if gamma is None and primaries is None:
        return None
    stated = SRGB
    if primaries is not None:
        white, *corners = (tuple(primaries[place : place + 2]) for place in range(0, 8, 2))
        stated = (white, tuple(corners))
        try:
            picture_to_srgb(*stated)
        except ValueError as error:
            raise UnknownColours(f"its cHRM chunk cannot be meant: {error}") from error
    parts = [f"gAMA {gamma:g}"] if gamma is not None else []
    parts += ["cHRM"] if primaries is not None else []
    return StatedColours(" and ".join(parts), primaries=stated, gamma=gamma)


def _profile_name(profile: ImageCms.ImageCmsProfile) -> str:
    name = ImageCms.getProfileDescription(profile).strip()
    return f"ICC profile {name[:64]!r}"


def _of_camera(image: Image.Image) -> StatedColours | None:
    index = image.getexif().get_ifd(_INTEROP_IFD).get(_INTEROP_INDEX)
    if str(index or "").startswith("R03"):
        return StatedColours("Adobe RGB (EXIF)", primaries=ADOBE_RGB, gamma=ADOBE_GAMMA)
    return None


def _png_chunk(data: bytes, kind: bytes) -> bytes | None:
    """The content of the first chunk of this kind before the pixels."""
    place = 8
    while place + 8 <= len(data):
        length, found = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if found == kind:
            return data[place + 8 : place + 8 + length]
        if found == b"IDAT":
            return None
        place += 12 + length
    return None
