"""Depth, normals and FID: values by hand, closed forms, torchmetrics, and the published network's shape."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchmetrics.image.fid import _compute_fid

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.evaluation.metrics import align_depth, depth_metrics, normal_metrics
from pairbridge.training.evaluation.set_figures import SetFigures
from pairbridge.training.perceptual.frechet import (
    ClassMeans,
    FeatureMoments,
    class_mean_distance,
    frechet_distance,
    local_crop,
    mean_distance,
)
from pairbridge.training.perceptual.inception import (
    InceptionV3,
    inception_features,
    inception_logits,
    load_inception,
    resize_as_tensorflow_1,
)
from tests.training.bridge import gaussian_case as g2


def moments(batches: Iterable[np.ndarray]) -> FeatureMoments:
    found = FeatureMoments()
    for features in batches:
        found.add(features)
    return found


def test_depth_is_compared_after_the_best_scale_and_shift() -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (12, 16))
    valid = np.ones(depth.shape, bool)
    exact = depth_metrics(0.1 * depth - 3, depth, valid)
    assert exact["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert (exact["delta1"], exact["delta2"]) == (1, 1)
    noisy = depth + np.random.default_rng(1).normal(0, 0.5, depth.shape)
    slope, shift = np.polyfit(noisy.ravel(), depth.ravel(), 1)
    np.testing.assert_allclose(align_depth(noisy, depth, valid), slope * noisy + shift)


def test_depth_figures_by_hand() -> None:
    """A constant aligns to the mean, 3: errors 2/1, 1/2, 0, 1/4, 2/5; ratios 3, 1.5, 1, 4/3, 5/3."""
    depth = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    found = depth_metrics(np.zeros_like(depth), depth, np.ones(depth.shape, bool))
    assert found["abs_rel"] == pytest.approx((2 + 0.5 + 0 + 0.25 + 0.4) / 5)
    assert (found["delta1"], found["delta2"]) == (pytest.approx(1 / 5), pytest.approx(3 / 5))


def test_pixels_without_depth_do_not_count() -> None:
    depth = np.array([[1.0, 2.0, np.inf, 4.0]])
    valid = np.isfinite(depth)
    assert depth_metrics(np.array([[2.0, 4.0, 99.0, 8.0]]), depth, valid)["abs_rel"] == pytest.approx(0)
    with pytest.raises(ValueError, match="without a valid pixel"):
        depth_metrics(depth, depth, np.zeros_like(valid))


def test_normal_angles_by_hand() -> None:
    def tilted(degrees: float) -> list[float]:
        return [np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))]

    truth = np.array([[[0, 0, 1.0]] * 4])
    predicted = np.array([[tilted(0), tilted(11), tilted(29), tilted(-60)]]) * 0.3
    found = normal_metrics(predicted, truth, np.ones((1, 4), bool))
    assert found["mean_angle"] == pytest.approx(25)
    assert (found["within_11"], found["within_30"]) == (0.5, 0.75)
    nowhere = normal_metrics(np.zeros_like(truth), truth, np.ones((1, 4), bool))
    assert nowhere["mean_angle"] == pytest.approx(90)


def test_frechet_distance_of_gaussian_features_is_the_closed_form_and_torchmetrics() -> None:
    x0, x1 = (ends.numpy() for ends in g2.draw_pairs(200_000, seed=8))
    a, b = moments(np.array_split(x0, 7)), moments([x1])
    found = frechet_distance(a, b)
    assert found == pytest.approx(g2.w2_squared(g2.M0, g2.S0, g2.M1, g2.S1), rel=0.01)
    tensors = [torch.from_numpy(part) for part in (a.mean, a.covariance, b.mean, b.covariance)]
    assert found == pytest.approx(float(_compute_fid(*tensors)), rel=1e-6)
    np.testing.assert_allclose(a.covariance, np.cov(x0.T), rtol=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="two or more"):
        frechet_distance(a, moments([x0[:1]]))
    assert FeatureMoments().count == 0


def test_simplified_distances_see_means_alone() -> None:
    """SFID is FID's first term; CSFID finds two classes that changed places, which SFID cannot see."""
    draws = np.random.default_rng(0)
    wide, narrow = draws.normal(0, 3, (400, 5)), draws.normal(2, 0.1, (300, 5))
    shift = wide.mean(axis=0) - narrow.mean(axis=0)
    assert mean_distance(moments([wide[:150], wide[150:]]), moments([narrow])) == pytest.approx(shift @ shift)
    # Equal covariances leave nothing else of FID.
    moved = moments([wide + 0.5])
    assert mean_distance(moments([wide]), moved) == pytest.approx(frechet_distance(moments([wide]), moved))
    assert mean_distance(moments([wide]), moved) == pytest.approx(5 * 0.5**2)

    features = np.concatenate([wide[:100], 4 + wide[100:200]])
    of_class, swapped = ["cat"] * 100 + ["dog"] * 100, ["dog"] * 100 + ["cat"] * 100
    right, wrong = ClassMeans(), ClassMeans()
    for part in (slice(0, 130), slice(130, 200)):
        right.add(features[part], of_class[part])
    wrong.add(features, swapped)
    apart = features[:100].mean(axis=0) - features[100:].mean(axis=0)
    assert class_mean_distance(right, right) == 0
    assert class_mean_distance(wrong, right) == pytest.approx(apart @ apart)
    # A class that was never asked for does not count.
    cats = ClassMeans()
    cats.add(features[:100] + 1, ["cat"] * 100)
    assert class_mean_distance(cats, right) == pytest.approx(5)


def test_local_crops_are_squares_around_the_mask() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 180:200] = 200
    mask = np.zeros((100, 200), np.uint8)
    mask[40:60, 180:200] = 255
    crop = local_crop(image, mask)
    assert crop.shape == (299, 299, 3)
    # 20 + 2 x 2 pixels, moved inside at the right edge: the object fills 20 x 20 of 24 x 24.
    assert crop.mean() / 200 == pytest.approx((20 / 24) ** 2, abs=0.02)
    assert local_crop(image, np.full_like(mask, 255)).shape == (299, 299, 3)
    with pytest.raises(ValueError, match="empty mask"):
        local_crop(image, np.zeros_like(mask))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout with random weights: what a converted file of the real ones looks like."""
    torch.manual_seed(0)
    weights = {
        key: value
        for key, value in InceptionV3().state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(weights, path)
    return path


def test_inception_has_the_published_size_and_reads_the_published_layout(inception_file: Path) -> None:
    network = load_inception(inception_file)
    # 23,834,568 of torchvision's network without its auxiliary head, which has a classifier of 1000.
    features = 23_834_568 - 2_049_000
    assert sum(weight.numel() for weight in network.parameters()) == features + 1008 * 2049
    assert network.Mixed_6b.branch7x7dbl_3.conv.weight.shape == (128, 128, 1, 7)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    features = inception_features(network, images)
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features[1:], inception_features(network, images[1:]), rtol=1e-3, atol=1e-5)
    # The published score leaves the bias out.
    logits = network.fc(torch.from_numpy(features)) - network.fc.bias
    np.testing.assert_allclose(inception_logits(network, features), logits.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.long  # covariances of 2048 features
def test_a_class_that_took_another_s_place_is_seen_by_csfid_alone(inception_file: Path) -> None:
    draws = np.random.default_rng(0)
    dark, bright = (draws.integers(low, low + 60, (2, 40, 40, 3), np.uint8) for low in (0, 190))
    targets = [SimpleNamespace(target=image, mask=None) for image in (*dark, *bright)]
    figures = SetFigures(load_inception(inception_file), local=False)
    figures.add("model", [*bright, *dark], targets, ["dark", "dark", "bright", "bright"])
    found = figures.figures()["model"]
    assert found.keys() == {"fid", "sfid", "csfid", "inception_score"}
    assert found["sfid"] < 1e-6 * found["csfid"]
    plain = SetFigures(figures.network, local=False)
    plain.add("model", [*bright, *dark], targets)
    assert "csfid" not in plain.figures()["model"]


def test_inception_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pt_inception-2015-12-05"):
        load_inception(tmp_path / "missing.safetensors")
    save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="it lacks"):
        load_inception(tmp_path / "other.safetensors")


def test_images_are_resized_as_tensorflow_1_did() -> None:
    """Two pixels to four: places 0, .5, 1, 1.5, the last one past the end held there."""
    line = torch.tensor([[[[10.0, 20.0]]]])
    assert resize_as_tensorflow_1(line, 4)[0, 0, 0].tolist() == [10, 15, 20, 20]
