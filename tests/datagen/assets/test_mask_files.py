"""Masks of every kind that downloads hold: the one that is meant, or the true name of what is no mask."""

import io

import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.core.errors import AssetError
from tests.support.foreign_datasets import encode, picture

SIZE_WH = (64, 48)
HOLE = np.zeros(SIZE_WH[::-1], bool)
HOLE[10:30, 10:40] = True
MASK = HOLE * np.uint8(255)


def two(low: int, high: int, kind: type = np.uint8) -> np.ndarray:
    return np.where(HOLE, high, low).astype(kind)


def channels(colours: np.ndarray, alpha: np.ndarray) -> bytes:
    return encode(np.dstack([colours, alpha]))


def palette(colours: list[int]) -> bytes:
    image = Image.fromarray(HOLE.astype(np.uint8), "L")
    image.putpalette(colours)
    return saved(image)


def saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


BLACK = np.zeros((*MASK.shape, 3), np.uint8)
SCENE = picture("scene", SIZE_WH)


@pytest.mark.parametrize(
    "data",
    [
        encode(MASK),
        encode(two(0, 1)),
        encode(two(3, 254)),
        encode(two(100, 101)),
        encode(two(0, 65535, np.uint16)),
        encode(two(0, 1, np.uint16)),
        encode(HOLE),
        encode(np.repeat(MASK[..., None], 3, 2)),
        palette([0, 0, 0, 128, 0, 0]),
        palette([0, 0, 0, 1, 1, 1]),
        channels(BLACK, MASK),
        channels(BLACK + 255, MASK),
        channels(SCENE, MASK),
        channels(np.repeat(MASK[..., None], 3, 2), MASK),
        channels(np.repeat(MASK[..., None], 3, 2), MASK * 0 + 255),
        np.dstack([MASK * 0, MASK]),
        *(encode(MASK, "JPEG", quality=quality) for quality in (30, 60, 90)),
        encode(np.repeat(MASK[..., None], 3, 2), "WEBP", quality=40),
    ],
)
def test_a_mask_of_two_levels_is_one_whatever_they_are(data: bytes | np.ndarray) -> None:
    given = data if isinstance(data, bytes) else saved(Image.fromarray(data, "LA"))
    for threshold in (None, 128):
        found = decode_mask(given, "m", threshold=threshold)
        wrong = found != MASK
        # A lossy file does not say where its edge was to the pixel.
        assert wrong.mean() < 0.005, threshold
        assert set(np.unique(found)) == {0, 255}


def test_the_rim_of_a_soft_mask_is_partial_coverage() -> None:
    rim = two(4, 250)
    rim[9, 10:40], rim[30, 10:40] = 64, 192
    found = decode_mask(encode(rim), "m")
    np.testing.assert_array_equal(found[HOLE], 255)
    assert set(found[9, 10:40]) == {round(255 * 60 / 246)}
    assert set(found[30, 10:40]) == {round(255 * 188 / 246)}
    assert found[8, 20] == 0
    np.testing.assert_array_equal(decode_mask(encode(rim), "m", threshold=128) > 0, HOLE | (rim == 192))


def test_noise_near_the_ends_is_cleaned() -> None:
    noise = np.random.default_rng(0).integers(0, 9, MASK.shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode_mask(encode(np.where(HOLE, 255 - noise, noise)), "m"), MASK)


@pytest.mark.parametrize("level", [0, 2, 255])
def test_one_level_is_black_or_white(level: int) -> None:
    assert set(decode_mask(encode(MASK * 0 + level), "m").ravel()) == {255 if level == 255 else 0}


def regions(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8), SIZE_WH[0] // len(levels))[None].repeat(SIZE_WH[1], 0)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (SCENE, "it is in colour"),
        (SCENE[..., 0], "256 grey levels, .* of the pixels black or white"),
        (np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1)), "64 grey levels"),
        (regions(0, 1, 2, 3), "the levels 0, 1, 2, 3 are labels; `threshold: 1` takes all but 0"),
        (regions(0, 0, 128, 255), "it has regions of level 128; a `threshold` says which"),
        (MASK * 0 + 100, "every pixel of it is 100"),
        (np.dstack([MASK, MASK, MASK, MASK[::-1]]), "its alpha channel and its colours are two different"),
    ],
)
def test_what_is_no_mask_is_refused_by_its_name(image: np.ndarray, says: str) -> None:
    with pytest.raises(AssetError, match=f"m.png is no mask: {says}"):
        decode_mask(encode(image), "m.png")


def test_a_threshold_reads_labels_and_no_photograph() -> None:
    labels = regions(0, 1, 2, 3)
    np.testing.assert_array_equal(decode_mask(encode(labels), "m", threshold=1) > 0, labels > 0)
    np.testing.assert_array_equal(decode_mask(encode(labels), "m", threshold=3) > 0, labels == 3)
    with pytest.raises(AssetError, match="grey levels"):
        decode_mask(encode(SCENE[..., 0]), "m", threshold=128)
