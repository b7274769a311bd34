"""Metrics against their definitions and other implementations; the bootstrap against known spreads."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import peak_signal_noise_ratio as peak_signal_noise_ratio_torch
from torchmetrics.functional.image import structural_similarity_index_measure

from pairbridge.training.evaluation.metrics import (
    bootstrap_interval,
    foreground_mse,
    image_metrics,
    psnr,
    ssim,
)


def pictures(seed: int = 0, size: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    target = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
    output = np.clip(target + draw.normal(0, 20, target.shape), 0, 255).astype(np.uint8)
    mask = draw.integers(0, 256, (size, size), dtype=np.uint8)
    mask[:8] = 0
    return output, target, mask


def test_foreground_error_is_the_mask_weighted_mean() -> None:
    output, target, mask = pictures()
    total, weight = 0.0, 0.0
    for y, x in np.ndindex(mask.shape):
        error = (output[y, x].astype(float) - target[y, x]) ** 2
        total += mask[y, x] * error.mean()
        weight += mask[y, x]
    assert foreground_mse(output, target, mask) == pytest.approx(total / weight)


def test_what_lies_outside_the_mask_does_not_count() -> None:
    output, target, mask = pictures()
    changed = output.copy()
    changed[mask == 0] = 0
    assert foreground_mse(changed, target, mask) == foreground_mse(output, target, mask)
    with pytest.raises(ValueError, match="empty mask"):
        foreground_mse(output, target, np.zeros_like(mask))


def test_psnr_agrees_with_scikit_image_and_stays_finite() -> None:
    output, target, mask = pictures()
    expected = peak_signal_noise_ratio(target, output, data_range=255)
    assert image_metrics(output, target, mask)["psnr"] == pytest.approx(expected)
    assert image_metrics(target, target, mask)["foreground_psnr"] == pytest.approx(58.92, abs=0.01)
    assert psnr(255.0**2) == 0


def test_ssim_is_the_formula_of_the_paper() -> None:
    output, target, _ = pictures(size=48)

    def local_mean(image):
        # 11 taps: radius 5.
        return gaussian_filter(image, 1.5, truncate=3.5, axes=(0, 1))

    x, y = output.astype(float), target.astype(float)
    mx, my = local_mean(x), local_mean(y)
    vx, vy, vxy = local_mean(x * x) - mx**2, local_mean(y * y) - my**2, local_mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    # scikit-image leaves out the border that the window does not fill.
    assert ssim(output, target) == pytest.approx(index[5:-5, 5:-5].mean(), abs=1e-6)
    assert ssim(target, target) == pytest.approx(1)


def test_psnr_and_ssim_agree_with_torchmetrics() -> None:
    output, target, mask = pictures(size=64)
    x, y = (torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in (output, target))
    found = image_metrics(output, target, mask)
    assert found["psnr"] == pytest.approx(float(peak_signal_noise_ratio_torch(x, y, data_range=255.0)))
    # Its mean takes the border in, where the window reflects the image; ours and the paper's does not.
    _, index = structural_similarity_index_measure(x, y, data_range=255.0, return_full_image=True)
    assert found["ssim"] == pytest.approx(float(index[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_interval_of_independent_images_has_the_width_of_theory() -> None:
    values = np.random.default_rng(1).normal(2.0, 1.0, 400)
    interval = bootstrap_interval(list(values), [f"chair:{i}" for i in range(400)], seed=0)
    assert interval.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_interval_counts_objects_rather_than_images() -> None:
    """Ten equal images of each object say no more than one."""
    values = np.random.default_rng(2).normal(0, 1, 50)
    one = bootstrap_interval(list(values), [str(i) for i in range(50)], seed=0)
    ten = bootstrap_interval(list(np.repeat(values, 10)), [str(i // 10) for i in range(500)], seed=0)
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.1)


def test_interval_is_a_function_of_its_seed() -> None:
    values, objects = [1.0, 2.0, 4.0, 8.0], ["a", "b", "c", "d"]
    first = bootstrap_interval(values, objects, seed=3)
    np.random.seed(0)
    torch.manual_seed(0)
    assert bootstrap_interval(values, objects, seed=3) == first
    with pytest.raises(ValueError, match="object ids"):
        bootstrap_interval(values, objects[:3], seed=3)
