"""Pasting a relit foreground back: exact ends, and a rim without the old light."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.pasting import estimate_foreground, has_multilevel, method_record, paste_relit


def smooth(key: str, low: float, high: float, size: int = 128) -> np.ndarray:
    coarse = rng(0, "pasting", key).uniform(low, high, (6, 6, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255)


@pytest.fixture(params=[2, 4, 6])
def scene(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """A disc of known colour and alpha over a known background; `width` of the soft edge in pixels."""
    disc = cv2.circle(np.zeros((128, 128), np.float32), (64, 64), 36, 255, -1)
    alpha = np.rint(cv2.GaussianBlur(disc, (0, 0), request.param / 2)).astype(np.uint8)
    foreground, background = smooth("foreground", 120, 230), smooth("background", 10, 110)
    weight = alpha[..., None] / 255
    mixed = weight * foreground + (1 - weight) * background
    return {
        "alpha": alpha,
        "foreground": foreground,
        "background": background,
        "photo": np.rint(mixed).astype(np.uint8),
        "rim": (alpha > 12) & (alpha < 243),
    }


def rms(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(((a.astype(float) - b)[where] ** 2).mean()))


def test_the_estimated_foreground_is_nearer_the_truth_than_the_image(scene) -> None:
    estimated = estimate_foreground(scene["photo"], scene["alpha"])
    # Weighted by alpha, as a composite sees it: where alpha is near 0 no colour can be told.
    weight = scene["alpha"][..., None] / 255
    truth = weight * scene["foreground"]
    error, naive = (rms(weight * image, truth, scene["rim"]) for image in (estimated, scene["photo"]))
    assert error < 0.4 * naive
    solid = scene["alpha"] == 255
    assert np.abs(estimated[solid] - scene["photo"][solid]).max() < 0.01


def test_nothing_relit_gives_the_photograph_back_byte_for_byte(scene) -> None:
    assert (paste_relit(scene["photo"], scene["photo"], scene["alpha"]) == scene["photo"]).all()


def test_the_rim_carries_the_new_light_and_the_old_background(scene) -> None:
    # A relighter sees the photograph and darkens all of it, its background included.
    relit = np.rint(scene["photo"] * 0.5).astype(np.uint8)
    weight = scene["alpha"][..., None] / 255
    truth = weight * scene["foreground"] * 0.5 + (1 - weight) * scene["background"]
    pasted = paste_relit(scene["photo"], relit, scene["alpha"])
    naive = np.rint(weight * relit + (1 - weight) * scene["photo"])
    assert rms(pasted, truth, scene["rim"]) < 0.4 * rms(naive, truth, scene["rim"])
    assert rms(pasted, truth, scene["rim"]) < 4


@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(4, 40), st.integers(4, 40)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_alpha_0_keeps_the_photograph_and_alpha_255_the_relit(seed: int, size: tuple[int, int]) -> None:
    draw = rng(seed, "paste")
    photo, relit = (draw.integers(0, 256, (*size, 3), np.uint8) for _ in range(2))
    alpha = draw.choice(np.array([0, 1, 128, 254, 255], np.uint8), size)
    pasted = paste_relit(photo, relit, alpha)
    assert pasted.dtype == np.uint8
    assert (pasted[alpha == 0] == photo[alpha == 0]).all()
    assert (pasted[alpha == 255] == relit[alpha == 255]).all()


@pytest.mark.skipif(not has_multilevel(), reason="needs the matting extra (pymatting)")
@pytest.mark.long  # the first use on a machine compiles
def test_pymattings_estimate_is_nearer_still_and_keeps_every_promise(scene) -> None:
    weight = scene["alpha"][..., None] / 255
    truth = weight * scene["foreground"]
    blurred, multilevel = (
        rms(weight * estimate_foreground(scene["photo"], scene["alpha"], method), truth, scene["rim"])
        for method in ("blur_fusion", "multilevel")
    )
    assert multilevel < blurred
    again = estimate_foreground(scene["photo"], scene["alpha"], "multilevel")
    assert (again == estimate_foreground(scene["photo"], scene["alpha"], "multilevel")).all()
    same = paste_relit(scene["photo"], scene["photo"], scene["alpha"], "multilevel")
    assert (same == scene["photo"]).all()
    relit = np.rint(scene["photo"] * 0.5).astype(np.uint8)
    pasted = paste_relit(scene["photo"], relit, scene["alpha"], "multilevel")
    assert (pasted[scene["alpha"] == 0] == scene["photo"][scene["alpha"] == 0]).all()
    assert (pasted[scene["alpha"] == 255] == relit[scene["alpha"] == 255]).all()
    assert method_record("multilevel")["library"].startswith("pymatting-1.")


def test_without_pymatting_its_estimate_is_refused_with_the_remedy(scene, monkeypatch) -> None:
    monkeypatch.setattr("pairbridge.datagen.imaging.pasting.has_multilevel", lambda: False)
    with pytest.raises(ConfigError, match="pymatting is not installed") as refused:
        estimate_foreground(scene["photo"], scene["alpha"], "multilevel")
    assert "[matting]'" in refused.value.remedy
