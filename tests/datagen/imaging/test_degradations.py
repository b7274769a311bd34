"""Degradations: each against what it is by definition, and the chain as a pure function of its parameters."""

import json
import math

import cv2
import numpy as np
import pytest
from scipy.special import j1

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.degradations import (
    SecondOrderConfig,
    StageConfig,
    blur_kernel,
    degrade,
    draw_second_order,
    hole_box,
)

SIDE = 64


def picture() -> np.ndarray:
    """Soft blobs with some detail, uint8 (64, 64, 3)."""
    noise = rng(4).uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)
    mixed = 6 * (cv2.GaussianBlur(noise, (0, 0), 5) - 127) + 0.2 * (cv2.GaussianBlur(noise, (0, 0), 1) - 127)
    return np.clip(mixed + 127, 0, 255).astype(np.uint8)


def identity_stage(**changed: object) -> dict:
    stage = {
        "kernel": None,
        "scale": 1.0,
        "resize": "linear",
        "noise": {"kind": "gaussian", "amount": 0.0, "grey": False},
        "jpeg": 100,
    }
    return stage | changed


def chain(**changed: object) -> dict:
    """A chain that does next to nothing, but for what is changed."""
    nothing = {
        "first": identity_stage(),
        "second": identity_stage(),
        "scale": 1.0,
        "last_resize": "linear",
        "final_sinc": None,
        "sinc_before_jpeg": True,
    }
    return nothing | changed


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def test_pooling_gives_the_mean_of_each_block() -> None:
    image = picture()
    pooled = degrade(image, "pooled4", {}, 0)
    blocks = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(pooled[::4, ::4].astype(float) - blocks).max() <= 0.5
    assert (pooled[::4, ::4] == pooled[3::4, 2::4]).all()
    # Sides that are no multiple of four keep their size.
    assert degrade(image[:62, :61], "pooled4", {}, 0).shape == (62, 61, 3)


def test_bicubic_keeps_what_a_quarter_of_the_size_can_hold_and_loses_the_rest() -> None:
    x = np.arange(SIDE)
    slow, fast = (np.round(127 + 90 * np.sin(math.tau * x / period)) for period in (32, 3))
    for wave, kept in ((slow, True), (fast, False)):
        image = np.broadcast_to(wave[None, :, None], (SIDE, SIDE, 3)).astype(np.uint8)
        restored = degrade(image, "bicubic4", {}, 0).astype(float)[:, 8:-8]
        if kept:
            assert difference(restored, image[:, 8:-8]) < 3
        else:
            # An antialiased kernel leaves the mean, not a wave of another length.
            assert restored.std() < 8


@pytest.mark.parametrize("quality", [5, 10])
def test_jpeg_is_jpeg_at_that_quality(quality: int) -> None:
    from PIL import Image

    image = picture()
    import io

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    other = np.asarray(Image.open(buffer))
    ours = degrade(image, f"jpeg{quality}", {}, 0)
    assert difference(ours, other) < 0.2 * difference(image, other)


def test_the_hole_is_the_middle_half_and_nothing_else_changes() -> None:
    image = picture()
    holed = degrade(image, "centre_hole", {}, 0)
    assert hole_box(SIDE, SIDE) == (16, 16, 32, 32)
    assert (holed[16:48, 16:48] == 128).all()
    holed[16:48, 16:48] = image[16:48, 16:48]
    assert (holed == image).all()


def test_a_sinc_kernel_is_the_ideal_low_pass() -> None:
    cutoff, side = 1.4, 21
    kernel = blur_kernel({"kind": "sinc", "side": side, "cutoff": cutoff})
    x, y = np.meshgrid(np.arange(side) - 10, np.arange(side) - 10)
    radius = np.hypot(x, y)
    radius[10, 10] = 1e-9
    expected = cutoff * j1(cutoff * radius) / (2 * math.pi * radius)
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-12)
    response = np.abs(np.fft.fft2(kernel, (256, 256)))
    frequency = np.fft.fftfreq(256) * math.tau
    assert response[0, np.abs(frequency) < 0.6 * cutoff].min() > 0.85
    assert response[0, np.abs(frequency) > 1.5 * cutoff].max() < 0.15


@pytest.mark.parametrize("kind", ["gaussian", "plateau"])
def test_other_kernels_have_their_widths_along_their_axes(kind: str) -> None:
    wide = {"kind": kind, "side": 21, "sigma": [3.0, 1.0], "turn_rad": 0.0, "beta": 1.0}
    kernel = blur_kernel(wide)
    assert kernel.sum() == pytest.approx(1)
    assert (kernel.sum(axis=0) * (np.arange(21) - 10) ** 2).sum() > (
        kernel.sum(axis=1) * (np.arange(21) - 10) ** 2
    ).sum()
    turned = blur_kernel({**wide, "turn_rad": math.pi / 2})
    np.testing.assert_allclose(turned, kernel.T, atol=1e-12)
    round_kernel = blur_kernel({**wide, "sigma": [2.0, 2.0]})
    if kind == "gaussian":
        expected = cv2.getGaussianKernel(21, 2.0)
        np.testing.assert_allclose(round_kernel, expected @ expected.T, atol=1e-6)


def test_an_idle_chain_leaves_the_image_and_each_step_does_its_part() -> None:
    image = picture()
    idle = degrade(image, "second_order", chain(), 1)
    assert difference(idle, image) < 2.5  # two JPEGs of quality 100 with halved chroma
    grey = np.full((SIDE, SIDE, 3), 120, np.uint8)
    noisy = {"kind": "gaussian", "amount": 10.0, "grey": False}
    source = degrade(grey, "second_order", chain(second=identity_stage(noise=noisy)), 1).astype(float)
    assert source.mean() == pytest.approx(120, abs=1)
    # JPEG at 100 keeps grey noise; of the colour of single pixels it halves the resolution.
    assert 5 < source.mean(axis=2).std() < 7
    both = {"kind": "gaussian", "amount": 10.0, "grey": True}
    source = degrade(grey, "second_order", chain(second=identity_stage(noise=both)), 1).astype(float)
    assert source.mean(axis=2).std() == pytest.approx(10, rel=0.05)
    blurred = degrade(
        image,
        "second_order",
        chain(
            first=identity_stage(
                kernel={"kind": "gaussian", "side": 21, "sigma": [3.0, 3.0], "turn_rad": 0.0, "beta": 1.0}
            )
        ),
        1,
    )
    assert np.diff(blurred.astype(float), axis=1).std() < 0.7 * np.diff(idle.astype(float), axis=1).std()
    # In grey, for JPEG halves the colours of the small image once more.
    plain = image[..., :1].repeat(3, axis=2)
    small = degrade(plain, "second_order", chain(scale=4.0, second=identity_stage(resize="area")), 1)
    assert difference(small, degrade(plain, "bicubic4", {}, 0)) < 0.5 * difference(small, plain)


def test_poisson_noise_grows_with_the_root_of_the_light() -> None:
    noise = {"kind": "poisson", "amount": 1.0, "grey": True}
    spread = {}
    for level in (30, 120):
        # Sixteen levels around it set the exposure.
        image = (
            (level + np.arange(SIDE) % 16 - 8)[None, :, None].repeat(SIDE, 0).repeat(3, 2).astype(np.uint8)
        )
        made = degrade(image, "second_order", chain(first=identity_stage(noise=noise)), 2).astype(float)
        spread[level] = (made - image).mean(axis=2).std()
    assert spread[120] / spread[30] == pytest.approx(2, rel=0.1)
    # 16 photons are a full exposure: a mean of 16 * 120 / 255 of them has this spread in levels.
    assert spread[120] == pytest.approx(math.sqrt(16 * 120 / 255) / 16 * 255, rel=0.1)


def test_drawn_chains_are_plain_pure_and_within_the_options() -> None:
    config = SecondOrderConfig()
    drawn = [draw_second_order(rng(7, number), config) for number in range(400)]
    assert drawn == [draw_second_order(rng(7, number), config) for number in range(400)]
    assert json.loads(json.dumps(drawn)) == drawn
    first, second = ([one[name] for one in drawn] for name in ("first", "second"))
    assert all(stage["kernel"] is not None for stage in first)
    assert np.mean([stage["kernel"] is not None for stage in second]) == pytest.approx(0.8, abs=0.07)
    sinc = np.mean([stage["kernel"]["kind"] == "sinc" for stage in first])
    assert sinc == pytest.approx(0.1, abs=0.05)
    assert np.mean([one["final_sinc"] is not None for one in drawn]) == pytest.approx(0.8, abs=0.07)
    assert all(0.15 <= stage["scale"] <= 1.5 and 30 <= stage["jpeg"] <= 95 for stage in first)
    assert np.mean([stage["scale"] < 1 for stage in first]) == pytest.approx(0.7, abs=0.08)
    assert {stage["kernel"]["side"] % 2 for stage in first} == {1}
    round_ones = [s["kernel"] for s in first if s["kernel"]["kind"] != "sinc"]
    assert 0.5 < np.mean([kernel["sigma"][0] == kernel["sigma"][1] for kernel in round_ones]) < 0.85


def test_equal_arguments_give_equal_bytes_for_any_threads_and_other_seeds_other_noise() -> None:
    image = picture()
    params = [draw_second_order(rng(9, number), SecondOrderConfig()) for number in range(6)]
    once = [degrade(image, "second_order", one, 5) for one in params]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        again = [degrade(image, "second_order", one, 5) for one in params]
    finally:
        cv2.setNumThreads(threads)
    assert all((a == b).all() for a, b in zip(once, again, strict=True))
    assert all(
        (degrade(image, "second_order", one, 6) != made).any() for one, made in zip(params, once, strict=True)
    )
    assert all(made.shape == image.shape and difference(made, image) > 2 for made in once)


def test_options_without_a_meaning_are_refused() -> None:
    for wrong in ({"kernels": [1.0]}, {"kernel_side": [6, 9]}, {"jpeg": [90, 10]}, {"scale": [1.2, 1.5]}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            StageConfig(**wrong)
