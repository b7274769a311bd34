"""Around the relit foreground: detail put back, drifted edges seen, backgrounds without their subject."""

import cv2
import numpy as np
import pytest
import skimage.data

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.models.relighting.detail import transfer_detail
from pairbridge.datagen.models.relighting.iclight_settings import DetailTransfer
from pairbridge.datagen.models.relighting.inpainting import without_foreground
from pairbridge.datagen.models.relighting.structure import structure_agreement

SIDE = 256


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return cv2.resize(skimage.data.astronaut(), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def disc(radius: int = 100) -> np.ndarray:
    return cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (SIDE // 2, SIDE // 2), radius, 255, -1)


def lit(photo: np.ndarray) -> np.ndarray:
    """Another light: a slope, a tint, less contrast."""
    slope = np.linspace(0.4, 1.3, SIDE)[None, :, None]
    return np.clip(photo * slope * [1.0, 0.8, 0.6] * 0.8 + 20, 0, 255).astype(np.uint8)


def shifted(photo: np.ndarray, pixels: float) -> np.ndarray:
    matrix = np.array([[1, 0, pixels], [0, 1, 0]], np.float32)
    return cv2.warpAffine(photo, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def test_another_light_keeps_the_structure_and_a_drift_loses_it(photo: np.ndarray) -> None:
    assert structure_agreement(photo, photo, disc()) == pytest.approx(1, abs=0.06)
    relit = structure_agreement(photo, lit(photo), disc())
    assert relit > 0.8
    drifts = [structure_agreement(photo, shifted(lit(photo), pixels), disc()) for pixels in (1, 2, 4, 8)]
    assert [relit, *drifts] == sorted([relit, *drifts], reverse=True)
    assert drifts[2] < 0.4 < relit


def test_what_is_unrelated_or_inverted_scores_low(photo: np.ndarray) -> None:
    noise = rng(0, "noise").integers(0, 256, photo.shape, dtype=np.uint8)
    assert abs(structure_agreement(photo, noise, disc())) < 0.15
    assert structure_agreement(photo, 255 - photo, disc()) < -0.8
    # Painted over with one colour: the photograph's edges are gone.
    assert structure_agreement(photo, np.full_like(photo, 120), disc()) < 0.1


def test_what_lies_outside_the_foreground_does_not_count(photo: np.ndarray) -> None:
    noise = rng(0, "noise").integers(0, 256, photo.shape, dtype=np.uint8)
    mixed = np.where(disc()[..., None] > 0, photo, noise)
    own = structure_agreement(photo, photo, disc())
    assert structure_agreement(photo, mixed, disc()) == pytest.approx(own, abs=2e-3)


def test_a_flat_foreground_has_nothing_to_lose() -> None:
    flat = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert structure_agreement(flat, flat + 30, disc()) == 1.0


@pytest.mark.parametrize("method", ["add", "ratio"])
def test_detail_comes_from_the_photograph_and_light_from_the_relit_image(photo, method: str) -> None:
    settings = DetailTransfer(method=method, sigma_px=4)
    alpha = disc().astype(np.float32) / 255
    wrong = cv2.GaussianBlur(lit(photo), (0, 0), 4).astype(np.float32)
    detailed = transfer_detail(photo, wrong, alpha, settings)
    assert (detailed[alpha == 0] == wrong[alpha == 0]).all()
    inner = cv2.erode(disc(), np.ones((31, 31), np.uint8)) > 0
    before = structure_agreement(photo, wrong.astype(np.uint8), disc())
    assert structure_agreement(photo, detailed.astype(np.uint8), disc()) > before + 0.1
    blurred = cv2.GaussianBlur(detailed, (0, 0), 8)[inner]
    assert np.abs(blurred - cv2.GaussianBlur(wrong, (0, 0), 8)[inner]).mean() < 4


@pytest.mark.parametrize("method", ["add", "ratio"])
def test_detail_of_an_unchanged_image_changes_nothing(photo, method: str) -> None:
    settings = DetailTransfer(method=method)
    alpha = cv2.GaussianBlur(disc().astype(np.float32) / 255, (0, 0), 3)
    again = transfer_detail(photo, photo.astype(np.float32), alpha, settings)
    assert np.abs(again - photo).max() < 0.01


def test_detail_stops_at_the_rim() -> None:
    """A white wall behind a grey disc is no detail of the disc, and must not brighten or darken its rim."""
    photo = np.where(disc()[..., None] > 0, np.uint8(100), np.uint8(255)).repeat(3, axis=2)
    relit = np.full(photo.shape, 60, np.float32)
    detailed = transfer_detail(photo, relit, disc().astype(np.float32) / 255, DetailTransfer(sigma_px=6))
    assert np.abs(detailed[disc() > 0] - 60).max() < 0.01


def test_a_subject_is_smoothed_away_and_the_rest_stays(photo: np.ndarray) -> None:
    ramp = np.linspace(40, 200, SIDE).astype(np.uint8)[None, :, None].repeat(SIDE, 0).repeat(3, 2)
    subject = disc(50)
    image = np.where(subject[..., None] > 0, np.uint8([255, 0, 255]), ramp)
    filled = without_foreground(image, subject)
    far = cv2.dilate(subject, np.ones((21, 21), np.uint8)) == 0
    assert (filled[far] == image[far]).all()
    # Where the subject was there is the ramp, about: nothing of the subject's own colour.
    assert np.abs(filled[subject > 0].astype(int) - ramp[subject > 0]).max() < 30
    assert np.abs(filled[subject > 0].astype(int) - ramp[subject > 0]).mean() < 8


def test_nothing_to_remove_and_nothing_left(photo: np.ndarray) -> None:
    nothing, all_of_it = np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 255, np.uint8)
    assert (without_foreground(photo, nothing) == photo).all()
    mean = np.rint(photo.mean(axis=(0, 1)))
    assert (without_foreground(photo, all_of_it) == mean).all()
