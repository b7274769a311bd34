"""One panorama in every encoding that real tools write is the same light, or refused by its true name."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.lighting.equirect import load_environment
from tests.support.panoramas import (
    AP0,
    HEIGHT,
    LUMINANCE,
    WIDTH,
    XYZ_OF_AP0,
    XYZ_OF_SRGB,
    by_component,
    by_repetition,
    panorama,
    radiance,
    rgbe,
    write_exr_with,
)

LIGHT = panorama()
QUADS = rgbe(LIGHT)
# The exponent is shared: a component is off by up to one of the brightest one's 128 to 255 steps.
RGBE_ERROR = 1 / 128


def split(light: np.ndarray, names: str, prefix: str = "") -> dict[str, np.ndarray]:
    return {f"{prefix}{name}": np.ascontiguousarray(light[..., place]) for place, name in enumerate(names)}


def chroma(step: int) -> dict[str, np.ndarray]:
    luminance = LIGHT @ LUMINANCE
    red, blue = ((LIGHT[..., place] - luminance) / luminance for place in (0, 2))
    return {"Y": luminance, "RY": red[::step, ::step].copy(), "BY": blue[::step, ::step].copy()}


EXR: dict[str, Callable[[Path], Path]] = {
    "luminance and chroma": lambda path: write_exr_with(path, chroma(1)),
    "ACES AP0": lambda path: write_exr_with(
        path,
        {"RGB": (LIGHT @ XYZ_OF_SRGB.T @ np.linalg.inv(XYZ_OF_AP0).T).astype(np.float32)},
        chromaticities=AP0,
    ),
    "sRGB stated": lambda path: write_exr_with(
        path, {"RGB": LIGHT}, chromaticities=(0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
    ),
    "one layer": lambda path: write_exr_with(path, split(LIGHT, "RGB", "ViewLayer.Combined.")),
    "lower case": lambda path: write_exr_with(path, split(LIGHT, "rgb")),
    "no coverage stated": lambda path: write_exr_with(
        path, {"RGBA": np.concatenate([LIGHT, np.zeros((HEIGHT, WIDTH, 1), np.float32)], axis=-1)}
    ),
    "both windows moved": lambda path: write_exr_with(
        path,
        {"RGB": LIGHT},
        **{name: _window(10, 10, WIDTH, HEIGHT) for name in ("dataWindow", "displayWindow")},
    ),
    "overscan": lambda path: write_exr_with(
        path,
        {"RGB": np.pad(LIGHT, ((3, 5), (4, 4), (0, 0)), mode="edge")},
        dataWindow=_window(-4, -3, WIDTH + 8, HEIGHT + 8),
        displayWindow=_window(0, 0, WIDTH, HEIGHT),
    ),
}


def _window(x: int, y: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32)


@pytest.mark.parametrize("kind", EXR)
def test_an_exr_in_any_encoding_is_the_same_light(kind: str, tmp_path: Path) -> None:
    found = load_environment(EXR[kind](tmp_path / "map.exr")).pixels
    np.testing.assert_allclose(found, LIGHT, rtol=2e-3, atol=2e-4)


def test_pixels_that_an_exr_does_not_store_are_black(tmp_path: Path) -> None:
    path = write_exr_with(
        tmp_path / "crop.exr",
        {"RGB": np.ascontiguousarray(LIGHT[:24])},
        dataWindow=_window(0, 0, WIDTH, 24),
        displayWindow=_window(0, 0, WIDTH, HEIGHT),
    )
    found = load_environment(path).pixels
    np.testing.assert_array_equal(found[:24], LIGHT[:24])
    assert not found[24:].any()


def test_two_layers_of_colour_are_refused_by_name(tmp_path: Path) -> None:
    path = write_exr_with(tmp_path / "two.exr", split(LIGHT, "RGB", "left.") | split(LIGHT, "RGB", "right."))
    with pytest.raises(AssetError, match=r"several layers with colour \(left, right\)"):
        load_environment(path)


def test_chromaticities_without_a_space_are_refused(tmp_path: Path) -> None:
    path = write_exr_with(tmp_path / "flat.exr", {"RGB": LIGHT}, chromaticities=(0.3, 0.3) * 4)
    with pytest.raises(AssetError, match="span no colours"):
        load_environment(path)


RADIANCE: dict[str, bytes] = {
    "usual": radiance(by_component(QUADS)),
    "pixel by pixel": radiance(QUADS.tobytes()),
    "older run lengths": radiance(by_repetition(QUADS)),
    "other first line": radiance(by_component(QUADS), magic="#?RGBE"),
    "primaries of zeros": radiance(by_component(QUADS), "PRIMARIES=0 0 0 0 0 0 0 0"),
    "line ends of Windows": radiance(by_component(QUADS), line_end="\r\n"),
    "exposed": radiance(by_component(rgbe(LIGHT * 4)), "EXPOSURE=8", "EXPOSURE= 0.5"),
    "colour corrected": radiance(
        by_component(rgbe(LIGHT * np.float32([2, 1, 0.5]))), "COLORCORR=2.0 1.0 0.5"
    ),
    "from below": radiance(by_component(QUADS[::-1]), resolution=f"+Y {HEIGHT} +X {WIDTH}"),
    "from the right": radiance(by_component(QUADS[:, ::-1]), resolution=f"-Y {HEIGHT} -X {WIDTH}"),
    "upside down": radiance(by_component(QUADS[::-1, ::-1]), resolution=f"+Y {HEIGHT} -X {WIDTH}"),
    "by columns": radiance(by_component(QUADS.transpose(1, 0, 2)), resolution=f"+X {WIDTH} -Y {HEIGHT}"),
    "by columns from the far corner": radiance(
        by_component(QUADS[::-1, ::-1].transpose(1, 0, 2)), resolution=f"-X {WIDTH} +Y {HEIGHT}"
    ),
    "XYZ": radiance(by_component(rgbe((LIGHT @ XYZ_OF_SRGB.T).astype(np.float32))), "FORMAT=32-bit_rle_xyze"),
}


@pytest.mark.parametrize("kind", RADIANCE)
def test_a_radiance_picture_in_any_form_is_the_same_light(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "map.hdr"
    path.write_bytes(RADIANCE[kind])
    found = load_environment(path).pixels
    # Relative to each pixel's brightest component, whose exponent all share.
    error = np.abs(found - LIGHT) / LIGHT.max(axis=-1, keepdims=True)
    assert error.max() < (4 if kind in ("XYZ", "colour corrected") else 1.01) * RGBE_ERROR


def test_a_foreign_writers_picture_is_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "map.hdr"), LIGHT[..., ::-1])
    found = load_environment(tmp_path / "map.hdr").pixels
    assert (np.abs(found - LIGHT) / LIGHT.max(axis=-1, keepdims=True)).max() < 1.01 * RGBE_ERROR


WHOLE = radiance(by_component(QUADS))
FLAT = radiance(QUADS.tobytes())
BROKEN = {
    "cut": (WHOLE[: len(WHOLE) * 2 // 3], "end too early"),
    "cut, pixel by pixel": (FLAT[: len(FLAT) * 2 // 3], "end too early"),
    "begins with a repetition": (radiance(bytes([1, 1, 1, 9]) * 40), "begin with a repetition"),
    "a picture behind the suffix": (cv2.imencode(".png", QUADS[..., :3])[1].tobytes(), "it is a PNG"),
    "no resolution": (radiance(b"", resolution="32 64"), "resolution reads '32 64'"),
    "one axis twice": (radiance(b"", resolution="-Y 32 +Y 64"), "resolution reads"),
    "no end": (b"#?RADIANCE\n" + b"A=1\n" * 20000, "header does not end"),
    "claims": (radiance(b"\x02\x02", resolution="-Y 32768 +X 65536"), "32768x65536 pixels"),
    "claims below the cap": (radiance(b"\x02\x02\x20\0", resolution="-Y 4096 +X 8192"), "pixels in 4 bytes"),
    "other format": (radiance(b"", "FORMAT=16-bit"), "FORMAT is '16-bit'"),
    "exposure of nothing": (radiance(by_component(QUADS), "EXPOSURE=0"), "exposure is"),
    "exposure in words": (radiance(by_component(QUADS), "EXPOSURE=bright"), "EXPOSURE is 'bright'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_radiance_picture_is_refused_by_its_cause(kind: str, tmp_path: Path) -> None:
    data, why = BROKEN[kind]
    path = tmp_path / "map.hdr"
    path.write_bytes(data)
    with pytest.raises(AssetError, match=why):
        load_environment(path)
