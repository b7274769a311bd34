"""The stand-in matting model on drawn scenes and on the embedded photographs, and what a broken matting
model leads to."""

import cv2
import numpy as np
import pytest
import skimage.data

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.models.matting import GrabCutConfig, cut_out, open_matting_model


@pytest.fixture(scope="module")
def matting():
    return open_matting_model(GrabCutConfig())


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A speckled disc over a noisy gradient: (image, its true mask)."""
    noise = rng(1, "scene").normal(0, 4, (240, 320, 3))
    gradient = np.linspace(90, 160, 320)[None, :, None] + np.array([0, 10, 25])
    truth = cv2.circle(np.zeros((240, 320), np.uint8), (150, 130), 70, 1, -1)
    disc = np.array([190, 70, 50]) + rng(2, "scene").normal(0, 16, (240, 320, 3))
    image = np.where(truth[..., None] > 0, disc, gradient + noise)
    return np.clip(image, 0, 255).astype(np.uint8), truth.astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_clear_subject_is_found(matting) -> None:
    image, truth = scene()
    alpha = matting.alpha(image)
    assert alpha.dtype == np.float32
    assert alpha.shape == truth.shape
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert iou(alpha > 0.5, truth) > 0.93
    # The edge is soft, and a matter of a few pixels.
    partial = (alpha > 0.02) & (alpha < 0.98)
    assert partial.any()
    assert partial.sum() < 8 * 2 * np.pi * 70


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        # (x, y) in shares of width and height, read off the photographs.
        (
            "astronaut",
            [(0.42, 0.27), (0.25, 0.65), (0.45, 0.8), (0.4, 0.08)],
            [(0.05, 0.2), (0.6, 0.1), (0.78, 0.3), (0.9, 0.95)],
        ),
        ("chelsea", [(0.57, 0.82), (0.38, 0.4), (0.5, 0.3), (0.65, 0.5)], [(0.95, 0.75), (0.92, 0.4)]),
        (
            "coffee",
            [(0.47, 0.4), (0.3, 0.2), (0.55, 0.85), (0.2, 0.6)],
            [(0.03, 0.05), (0.95, 0.3), (0.03, 0.95), (0.97, 0.97)],
        ),
        ("rocket", [(0.5, 0.5), (0.5, 0.8)], [(0.35, 0.1), (0.6, 0.3), (0.4, 0.5)]),
    ],
)
def test_the_embedded_photographs_have_plausible_masks(matting, name: str, inside, outside) -> None:
    image = getattr(skimage.data, name)()
    alpha = matting.alpha(image)
    height, width = alpha.shape
    for x, y in inside:
        assert alpha[int(y * height), int(x * width)] > 0.9, (name, x, y)
    for x, y in outside:
        assert alpha[int(y * height), int(x * width)] < 0.1, (name, x, y)


def test_a_mask_does_not_depend_on_earlier_calls(matting) -> None:
    image, _ = scene()
    first = matting.alpha(image)
    cv2.setRNGSeed(12345)
    cv2.kmeans(np.random.default_rng(0).random((50, 3)).astype(np.float32), 3, None, (3, 5, 0.1), 2, 0)
    matting.alpha(skimage.data.coffee()[:200, :200].copy())
    assert (matting.alpha(image) == first).all()


def test_the_size_of_the_photograph_changes_little(matting) -> None:
    image, truth = scene()
    large = matting.alpha(cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
    assert large.shape == (720, 960)
    assert iou(cv2.resize(large, (320, 240)) > 0.5, truth) > 0.93


def flat() -> np.ndarray:
    return np.full((120, 160, 3), 90, np.uint8)


def sky() -> np.ndarray:
    return np.repeat(np.linspace(60, 200, 120).astype(np.uint8)[:, None, None], 160, 1).repeat(3, 2)


def lawn() -> np.ndarray:
    return np.repeat(skimage.data.gravel()[:120, :160, None], 3, axis=2)


@pytest.mark.parametrize("image", [flat(), sky(), lawn()], ids=["flat", "sky", "gravel"])
def test_an_image_without_a_subject_is_refused(matting, image: np.ndarray) -> None:
    with pytest.raises(Rejected, match="grabcut found no foreground"):
        cut_out(matting, image)


class Broken:
    """A matting model that returns what it is told to."""

    name, revision, is_stand_in = "broken", "0", False

    def __init__(self, value: float, shape: tuple[int, int] = (40, 50)) -> None:
        self.value, self.shape = value, shape

    def alpha(self, image: np.ndarray) -> np.ndarray:
        return np.full(self.shape, self.value, np.float32)


@pytest.mark.parametrize(
    ("matting", "reason"),
    [
        (Broken(0.0), "covers 0.0000"),
        (Broken(1.0), "covers 1.0000"),
        (Broken(float("nan")), "NaN"),
        (Broken(0.5, (40, 49)), "a mask of"),
    ],
)
def test_nothing_everything_nan_and_another_size_are_refused(matting: Broken, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        cut_out(matting, np.zeros((40, 50, 3), np.uint8))
    assert (cut_out(Broken(0.5), np.zeros((40, 50, 3), np.uint8)) == 128).all()
