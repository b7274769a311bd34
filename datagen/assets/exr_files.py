"""Files of lightings, OpenEXR and Radiance: written whole, read with what is wrong by name.

A lighting that could not be made has a file too, which says why: it stands in its place and costs its groups.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR

from pairbridge.datagen.assets.exr_claims import check_exr
from pairbridge.datagen.assets.radiance_files import RadianceDamaged, decode_radiance
from pairbridge.datagen.assets.signatures import SIGNATURE_BYTES, content_of
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import AssetError, FileUnreadable
from pairbridge.datagen.core.limits import MAX_RADIANCE_BYTES, MAX_TEXELS
from pairbridge.datagen.core.picture_claims import PictureRefused
from pairbridge.datagen.imaging.primaries import D65, REC709, XY, light_to_srgb, rgb_to_xyz

# The sun's disc in a physical sky stays below 1e6 times the sky; what is above this is no measurement.
MAX_RADIANCE = 1e9

# In the header of a lighting made by this package: what it was made from, and the light that came out, JSON.
MADE_FROM, MADE_LIGHT = "pairbridge_parameters", "pairbridge_light"
# In the header of a lighting that could not be made: why.
UNUSABLE = "pairbridge_unusable"


def read_equirect(path: Path) -> np.ndarray:
    """Linear sRGB (H, W, 3) float32 of the equirectangular image at `path` (.exr, .hdr), top row at +Z.

    Negative values, which resampling filters leave, become 0. Raises AssetError for a file that is
    damaged, empty, not RGB or grey, too large, not twice as wide as high, not finite, black, or brighter than
    any sun, or that stands for a lighting which could not be made (`write_unusable`).
    """
    pixels = read_pixels(path)
    height, width, _ = pixels.shape
    if height < 2 or abs(width - 2 * height) > 1:
        why = f"it has {width}x{height} pixels, and an equirectangular image is twice as wide as high"
        raise broken_lighting(path, "not_equirectangular", why)
    if not np.isfinite(pixels).all():
        raise broken_lighting(path, "not_finite", "it holds infinities or NaN")
    brightest = float(pixels.max())
    if brightest <= 0:
        raise broken_lighting(path, "black", "it is black everywhere")
    if brightest > MAX_RADIANCE:
        why = f"its brightest value is {brightest:g}, above {MAX_RADIANCE:g}: no sun is so bright"
        raise broken_lighting(path, "out_of_range", why)
    return np.ascontiguousarray(np.maximum(pixels, 0), np.float32)


def read_pixels(path: Path) -> np.ndarray:
    """Linear sRGB (H, W, 3) float32 of an OpenEXR or Radiance file, whatever primaries it is stored in.

    Raises AssetError for a file that is damaged, empty, too large or not RGB or grey, and for one that stands
    for a lighting which could not be made (`write_unusable`); FileUnreadable for one that cannot be opened.
    """
    if path.suffix.lower() == ".exr":
        _check_exr(path)
        why = exr_attribute(path, UNUSABLE)
        if why is not None:
            raise broken_lighting(path, "not_made", why)
        return _read_exr(path)
    try:
        if path.stat().st_size > MAX_RADIANCE_BYTES:
            raise broken_lighting(path, "too_large", f"it has more than {MAX_RADIANCE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise FileUnreadable.of(path, error) from error
    try:
        return decode_radiance(data, MAX_TEXELS)
    except RadianceDamaged as error:
        found = content_of(data[:SIGNATURE_BYTES])
        mistaken = found and not data.startswith(b"#?")
        raise broken_lighting(path, "damaged", f"it is {found}" if mistaken else str(error)) from error


def write_exr(
    path: Path,
    pixels: np.ndarray,
    attributes: Mapping[str, str] | None = None,
    *,
    compressed: bool = True,
) -> None:
    """Write float32 (H, W, 3) so that `path` appears whole or not at all; equal input gives equal bytes.

    Raises DiskFull. Full floats, because a sun disc exceeds what half floats hold.
    """
    compression = OpenEXR.ZIP_COMPRESSION if compressed else OpenEXR.NO_COMPRESSION
    header = {"compression": compression, "type": OpenEXR.scanlineimage, **(attributes or {})}
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "image.exr"
        channels = {"RGB": np.ascontiguousarray(pixels, np.float32)}
        with OpenEXR.File(header, channels) as file:
            file.write(str(staged))
        write_atomically(path, [staged.read_bytes()])


def write_unusable(path: Path, why: str, attributes: Mapping[str, str]) -> None:
    """Write the file of a lighting that cannot be made: `load_environment` refuses it with `why`."""
    write_exr(path, np.zeros((2, 4, 3), np.float32), {**attributes, UNUSABLE: why})


def exr_attribute(path: Path, name: str) -> str | None:
    """A text attribute of an EXR file's header; None if the file is damaged or has no such attribute."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            value = file.header().get(name)
    except (RuntimeError, ValueError, OSError):
        return None
    return value if isinstance(value, str) else None


def broken_lighting(path: Path, fault: str, why: str) -> AssetError:
    """The error for a lighting file that cannot be used; `fault` names the damage in one word."""
    return AssetError(
        f"lighting {path.name} cannot be used: {why}",
        remedy=f"replace or remove {path}",
        fault=fault,
    )


def _check_exr(path: Path) -> None:
    try:
        with open(path, "rb") as stream:
            if not stream.read(1):
                raise broken_lighting(path, "empty_file", "it is damaged: 0 bytes")
            check_exr(stream)
    except OSError as error:
        raise FileUnreadable.of(path, error) from error
    except PictureRefused as error:
        fault = "damaged" if "damaged" in str(error) else "too_large"
        raise broken_lighting(path, fault, str(error)) from error


def _read_exr(path: Path) -> np.ndarray:
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            header = dict(file.header())
        low, high = (np.array(corner, int) for corner in header["dataWindow"])
        width, height = (high - low + 1).tolist()
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise broken_lighting(path, "damaged", f"it is damaged ({error})") from error
    try:
        light = _rgb_of(channels, header, (height, width))
        if "chromaticities" in header:
            light = _in_srgb(light, header["chromaticities"])
    except ValueError as error:
        raise broken_lighting(path, "no_colour", str(error)) from error
    return _in_display_window(light, low, header.get("displayWindow"))


def _rgb_of(channels: Mapping[str, np.ndarray], header: Mapping, size_HW: tuple[int, int]) -> np.ndarray:
    """Linear RGB in the file's own primaries, (H, W, 3) float32: of RGB, of the one layer that has it, of
    grey, or of luminance and chroma (Y, RY = (R - Y) / Y, BY, which may be stored at half the resolution).
    """
    layers: dict[str, dict[str, str]] = {}
    for name in channels:
        layer, _, channel = name.rpartition(".")
        layers.setdefault(layer, {})[channel.upper()] = name
    having = [layer for layer, found in layers.items() if {"R", "G", "B"} <= found.keys()]
    if "" in having or len(having) == 1:
        found = layers["" if "" in having else having[0]]
        return np.stack([channels[found[channel]].astype(np.float32) for channel in "RGB"], axis=-1)
    if having:
        raise ValueError(
            f"it has several layers with colour ({', '.join(sorted(having))}), and none is the main one"
        )
    if "Y" not in layers.get("", {}):
        raise ValueError(f"it has the channels {', '.join(sorted(channels))}, neither RGB nor Y")
    luminance = channels[layers[""]["Y"]].astype(np.float32)
    if not {"RY", "BY"} <= layers[""].keys():
        return np.repeat(luminance[..., None], 3, axis=-1)
    red, blue = (
        (1 + _at_full_size(channels[layers[""][name]], size_HW)) * luminance for name in ("RY", "BY")
    )
    white, corners = _chromaticities(header.get("chromaticities"))
    of_red, of_green, of_blue = rgb_to_xyz(white, corners)[1]
    green = (luminance - of_red * red - of_blue * blue) / of_green
    return np.stack([red, green, blue], axis=-1).astype(np.float32)


def _at_full_size(chroma: np.ndarray, size_HW: tuple[int, int]) -> np.ndarray:
    """Chroma that was sampled at every second pixel of every second row, (H, W) float32."""
    chroma = chroma.astype(np.float32)
    if chroma.shape == size_HW:
        return chroma
    height, width = size_HW
    rows = np.minimum(np.arange(height, dtype=np.float32) * chroma.shape[0] / height, chroma.shape[0] - 1)
    columns = np.minimum(np.arange(width, dtype=np.float32) * chroma.shape[1] / width, chroma.shape[1] - 1)
    return cv2.remap(chroma, *np.meshgrid(columns, rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _chromaticities(stated: Sequence[float] | None) -> tuple[XY, tuple[XY, XY, XY]]:
    if stated is None:
        return D65, REC709
    red, green, blue, white = (tuple(map(float, stated[place : place + 2])) for place in range(0, 8, 2))
    return white, (red, green, blue)


def _in_srgb(light: np.ndarray, stated: Sequence[float]) -> np.ndarray:
    white, corners = _chromaticities(stated)
    if np.allclose((white, *corners), (D65, *REC709), atol=1e-3):
        return light
    return light @ light_to_srgb(white, corners).T.astype(np.float32)


def _in_display_window(light: np.ndarray, low: np.ndarray, window: Any) -> np.ndarray:
    """The picture that is meant: what lies outside the stored pixels is black, what lies outside it is
    cut."""
    if window is None:
        return light
    first, last = (np.array(corner, int) for corner in window)
    width, height = (last - first + 1).tolist()
    x, y = (low - first).tolist()
    if (x, y, height, width) == (0, 0, *light.shape[:2]) or not 0 < width * height <= MAX_TEXELS:
        return light
    whole = np.zeros((height, width, 3), np.float32)
    inside = light[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
    whole[max(y, 0) : max(y, 0) + inside.shape[0], max(x, 0) : max(x, 0) + inside.shape[1]] = inside
    return whole
