"""One panorama, written in the encodings that real tools use: OpenEXR by its library, Radiance by hand."""

from pathlib import Path

import numpy as np
import OpenEXR

HEIGHT, WIDTH = 32, 64
# CIE XYZ of linear sRGB, IEC 61966-2-1; ACES AP0 of CIE XYZ, SMPTE ST 2065-1.
XYZ_OF_SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
XYZ_OF_AP0 = np.array(
    [[0.9525523959, 0, 0.0000936786], [0.3439664498, 0.7281660966, -0.0721325464], [0, 0, 1.0088251844]]
)
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def panorama() -> np.ndarray:
    """Two gradients and a small warm lamp, float32 (32, 64, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = np.stack([0.2 + x / WIDTH, 0.1 + y / HEIGHT, np.full((HEIGHT, WIDTH), 0.3)], axis=-1)
    light[4:8, 10:14] = (50, 40, 20)
    return light.astype(np.float32)


def write_exr_with(path: Path, channels: dict[str, np.ndarray], **header: object) -> Path:
    attributes = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    with OpenEXR.File(attributes, channels) as file:
        file.write(str(path))
    return path


def rgbe(light: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4): three mantissas and the exponent that they share."""
    brightest = light.max(axis=-1)
    exponent = np.where(brightest > 1e-32, np.ceil(np.log2(np.maximum(brightest, 1e-32)) + 1e-9), -128)
    scale = np.where(brightest > 1e-32, 256 / 2.0**exponent, 0)
    quads = np.zeros((*light.shape[:2], 4), np.uint8)
    quads[..., :3] = np.clip(light * scale[..., None], 0, 255)
    quads[..., 3] = np.where(brightest > 1e-32, exponent + 128, 0)
    return quads


def by_component(quads: np.ndarray) -> bytes:
    """Scanlines with a mark before each, components one after the other, in literal runs."""
    coded = b""
    for row in quads:
        coded += bytes([2, 2, len(row) >> 8, len(row) & 255])
        for values in row.T.copy():
            for start in range(0, len(values), 128):
                part = values[start : start + 128].tobytes()
                coded += bytes([len(part)]) + part
    return coded


def by_repetition(quads: np.ndarray) -> bytes:
    """The older code: (1, 1, 1, n) repeats the pixel before it n times; a second mark counts 256 times as
    much."""
    coded = b""
    pixels = quads.reshape(-1, 4)
    place = 0
    while place < len(pixels):
        end = place + 1
        while end < len(pixels) and (pixels[end] == pixels[place]).all():
            end += 1
        coded += pixels[place].tobytes()
        repeats = end - place - 1
        if repeats:
            coded += bytes([1, 1, 1, repeats & 255])
        if repeats > 255:
            coded += bytes([1, 1, 1, repeats >> 8])
        place = end
    return coded


def radiance(
    pixels: bytes,
    *variables: str,
    resolution: str = f"-Y {HEIGHT} +X {WIDTH}",
    magic: str = "#?RADIANCE",
    line_end: str = "\n",
) -> bytes:
    """A Radiance file; FORMAT is 32-bit_rle_rgbe unless a variable says another."""
    lines = [magic, "# made by a test", *variables]
    if not any(variable.startswith("FORMAT") for variable in variables):
        lines.append("FORMAT=32-bit_rle_rgbe")
    return line_end.join([*lines, "", resolution, ""]).encode() + pixels
