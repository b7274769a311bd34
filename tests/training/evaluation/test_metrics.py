"""Metrics against their definitions and other implementations; the bootstrap against known spreads."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import peak_signal_noise_ratio as peak_signal_noise_ratio_torch
from torchmetrics.functional.image import structural_similarity_index_measure

from pairbridge.training.data.targets import light_planes
from pairbridge.training.evaluation.metrics import (
    bootstrap_interval,
    foreground_mse,
    image_metrics,
    light_metrics,
    mask_metrics,
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


def crossed(of_lightings: float, of_objects: float) -> tuple[list[float], list[str], list[str]]:
    """30 objects under 10 lightings, each of which adds something of its own to all of its images."""
    draw = np.random.default_rng(4)
    values = of_objects * draw.normal(size=(30, 1)) + of_lightings * draw.normal(size=(1, 10))
    ids = [(f"mug:{row}", f"sky-{column}") for row in range(30) for column in range(10)]
    return values.ravel().tolist(), [one for one, _ in ids], [one for _, one in ids]


def test_interval_counts_lightings_as_well_as_objects() -> None:
    values, objects, lightings = crossed(of_lightings=1.0, of_objects=0.0)
    over_objects = bootstrap_interval(values, objects, seed=0)
    both = bootstrap_interval(values, objects, lightings, seed=0)
    assert over_objects.high - over_objects.low < 1e-9
    # Ten draws of what each lighting adds.
    spread = np.std(values) / np.sqrt(10)
    assert both.high - both.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    values, objects, lightings = crossed(of_lightings=0.0, of_objects=1.0)
    widths = [
        found.high - found.low
        for found in (
            bootstrap_interval(values, objects, seed=0),
            bootstrap_interval(values, objects, lightings, seed=0),
        )
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_a_lighting_of_one_object_alone_is_drawn_with_it() -> None:
    values = np.random.default_rng(5).normal(0, 1, 60).tolist()
    objects = [f"mug:{number // 2}" for number in range(60)]
    own = [f"lamp {number}" for number in range(60)]
    found, expected = (bootstrap_interval(values, objects, of, seed=1) for of in (own, ()))
    # Sums of another order.
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_interval_of_few_images_survives_draws_that_hold_none() -> None:
    found = bootstrap_interval([1.0, 3.0, 2.0], ["a", "b", "b"], ["x", "y", "x"], seed=0)
    assert 1 <= found.low <= found.mean <= found.high <= 3


def test_regions_are_compared_by_what_they_share() -> None:
    right, marked = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
    right[:4], marked[2:6] = 255, 200
    found = mask_metrics(marked, right)
    assert found == {"iou": pytest.approx(1 / 3), "precision": 0.5, "recall": 0.5}
    nothing = np.zeros((8, 8), np.uint8)
    assert mask_metrics(nothing, nothing) == {"iou": 1.0, "precision": 1.0, "recall": 1.0}
    assert mask_metrics(nothing, right)["iou"] == 0


def test_light_is_compared_by_its_logarithm_and_by_where_it_comes_from() -> None:
    def seen_light(texel: tuple[int, int], radiance: float) -> np.ndarray:
        light = np.zeros((32, 64, 3), np.float32)
        light[texel] = radiance
        return light_planes(light)[..., 3:]

    # The right of the middle of the map, a quarter turn apart.
    ahead, right = seen_light((15, 32), 50.0), seen_light((15, 48), 50.0)
    assert light_metrics(ahead, right)["light_angle"] == pytest.approx(90, abs=0.2)
    assert light_metrics(ahead, ahead) == {"log_rmse": 0.0, "light_angle": pytest.approx(0, abs=1e-4)}
    bright, dark = (light_planes(np.full((32, 64, 3), level, np.float32))[..., 3:] for level in (3.0, 1.0))
    assert light_metrics(bright, dark)["log_rmse"] == pytest.approx(np.log(4 / 2), abs=1e-3)


def test_interval_is_a_function_of_its_seed() -> None:
    values, objects = [1.0, 2.0, 4.0, 8.0], ["a", "b", "c", "d"]
    first = bootstrap_interval(values, objects, seed=3)
    np.random.seed(0)
    torch.manual_seed(0)
    assert bootstrap_interval(values, objects, seed=3) == first
    with pytest.raises(ValueError, match="object ids"):
        bootstrap_interval(values, objects[:3], seed=3)
