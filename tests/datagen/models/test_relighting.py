"""The stand-in relighter: what it takes from a background, what it leaves, and what a broken one leads to."""

import numpy as np
import pytest
import skimage.data
from pydantic import ValidationError

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.colour import colour_statistics, srgb_decode
from pairbridge.datagen.models.relighting import ColourTransferConfig, open_relighter, relit_image

SIZE = 96
# No chance and no light from the sides: only the part under test moves.
STILL = {
    "lightness": (0, 0),
    "chroma": (0, 0),
    "sides": (0, 0),
    "slope_stops": (0, 0),
    "exposure_stops": (0, 0),
    "tint": 0,
}


def relight(background: np.ndarray, image: np.ndarray, seed: int = 0, **settings) -> np.ndarray:
    relighter = open_relighter(ColourTransferConfig(**{**STILL, **settings}))
    return relighter.relight(image, disc_alpha(), background, seed)


def disc_alpha() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return np.clip(30.5 - np.hypot(x, y), 0, 1).astype(np.float32)


@pytest.fixture
def image() -> np.ndarray:
    noise = rng(0, "relight").normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(np.array([120, 110, 95]) + noise, 0, 255).astype(np.uint8)


def halves(left: int, right: int) -> np.ndarray:
    background = np.full((40, 60, 3), left, np.uint8)
    background[:, 30:] = right
    return background


def test_with_everything_at_rest_the_image_comes_back(image: np.ndarray) -> None:
    assert np.abs(relight(halves(30, 220), image).astype(int) - image).max() <= 1


def test_mean_colour_moves_its_share_towards_the_background(image: np.ndarray) -> None:
    background = np.full((20, 20, 3), (60, 90, 160), np.uint8)
    own, other = colour_statistics(image, disc_alpha()), colour_statistics(background)
    moved = relight(background, image, lightness=(0.5, 0.5), chroma=(0.25, 0.25))
    found = colour_statistics(moved, disc_alpha())
    share = (found.mean - own.mean) / (other.mean - own.mean)
    assert share == pytest.approx([0.5, 0.25, 0.25], abs=0.05)


def test_the_brighter_side_of_the_background_brightens_that_side(image: np.ndarray) -> None:
    lit = srgb_decode(relight(halves(90, 200), image, sides=(1, 1)) / 255).mean(axis=2)
    before = srgb_decode(image / 255).mean(axis=2)
    ratio = lit / before
    middle = slice(40, 56)
    assert ratio[middle, 60:75].mean() > 1.15
    assert ratio[middle, 20:35].mean() < 0.75
    # Soft: from one column to the next, the light moves by a few per cent.
    columns = ratio[middle].mean(axis=0)
    assert np.abs(np.diff(columns)).max() < 0.08


def test_exposure_is_a_factor_in_linear_light_and_keeps_white_white(image: np.ndarray) -> None:
    background = np.full((20, 20, 3), 128, np.uint8)
    darker = srgb_decode(relight(background, image, exposure_stops=(-1, -1)) / 255)
    assert np.median(darker / srgb_decode(image / 255)) == pytest.approx(0.5, rel=0.02)
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    assert (relight(background, white, exposure_stops=(1, 1)) == 255).all()
    ramp = np.repeat(np.arange(SIZE, dtype=np.uint8)[None, :, None] * 2, SIZE, 0).repeat(3, 2)
    brighter = relight(background, ramp, exposure_stops=(1, 1))[0, :, 0].astype(int)
    assert (np.diff(brighter) >= 0).all()
    assert brighter[-1] < 255


def test_a_tint_is_a_factor_per_channel_in_linear_light(image: np.ndarray) -> None:
    factors = []
    for seed in range(40):
        tinted = srgb_decode(relight(halves(90, 90), image // 2, seed, tint=0.3) / 255)
        ratio = tinted.reshape(-1, 3).mean(0) / srgb_decode((image // 2) / 255).reshape(-1, 3).mean(0)
        factors.append(ratio)
    assert np.min(factors) > 0.68
    assert np.max(factors) < 1.31
    assert np.std(factors, axis=0) == pytest.approx([0.3 / 3**0.5] * 3, rel=0.35)
    assert abs(np.corrcoef(np.array(factors).T)[0, 1]) < 0.5


def test_equal_arguments_give_equal_bytes_and_seeds_vary_the_light(image: np.ndarray) -> None:
    relighter = open_relighter(ColourTransferConfig())
    background = skimage.data.coffee()
    relit = [relighter.relight(image, disc_alpha(), background, seed) for seed in range(6)]
    again = open_relighter(ColourTransferConfig()).relight(image, disc_alpha(), background, 3)
    assert (again == relit[3]).all()
    for first in range(6):
        for second in range(first):
            assert np.abs(relit[first].astype(int) - relit[second]).mean() > 1


class Broken:
    """A relighter that returns what it is told to."""

    name, revision, is_stand_in = "broken", "0", False

    def __init__(self, result: np.ndarray) -> None:
        self.result = result

    def relight(self, image, alpha, background, seed) -> np.ndarray:
        return self.result


@pytest.mark.parametrize(
    "result", [np.zeros((SIZE, SIZE - 8, 3), np.uint8), np.zeros((SIZE, SIZE, 3), np.float32)]
)
def test_another_size_or_type_is_refused(image: np.ndarray, result: np.ndarray) -> None:
    with pytest.raises(Rejected, match="broken gave"):
        relit_image(Broken(result), image, np.full((SIZE, SIZE), 255, np.uint8), image, 0)


def test_ranges_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="lower end first"):
        ColourTransferConfig(exposure_stops=(1, -1))
    with pytest.raises(ValidationError, match=r"chroma\.1\s+Input should be less than or equal to 1"):
        ColourTransferConfig(chroma=(0.5, 1.5))
