"""Trivial predictors of every task on pairs whose answer is known."""

import cv2
import numpy as np
import pytest

from pairbridge.training.evaluation.baselines import (
    baselines,
    fit_bilateral,
    inpaint,
    mean_fill,
    smooth_fill,
)
from pairbridge.training.evaluation.evaluation_config import EvaluationSource
from pairbridge.training.evaluation.linear_baselines import FittingPair
from pairbridge.training.evaluation.tasks import Task

FULL = np.full((24, 24), 255, np.uint8)


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [
        cv2.resize(
            draw.integers(40, 200, (4, 4, 3), dtype=np.uint8), (24, 24), interpolation=cv2.INTER_LINEAR
        )
        for _ in range(n)
    ]


def fitting(source: np.ndarray, target: np.ndarray, mask: np.ndarray = FULL) -> FittingPair:
    return FittingPair(source, target, mask, {}, mask == 255)


def test_every_task_has_its_predictors() -> None:
    pairs = [fitting(image, image) for image in pictures(6)]
    names = {task: set(baselines(task, pairs, pairs)) for task in Task}
    assert names[Task.RELIGHTING] == names[Task.CONTROLLABLE_RELIGHTING]
    assert names[Task.RELIGHTING] == {"source", "colour_transfer", "colour_shift_ridge"}
    assert names[Task.REMOVAL] == {"source", "mean_fill", "inpaint", "smooth_fill"}
    assert names[Task.SHADOW] == {"source", "mean_shadow"}
    assert names[Task.RESTORATION] == {"source", "bilateral"}
    assert names[Task.DEPTH] == names[Task.NORMALS] == {"training_mean", "pixel_ridge", "shape_ridge"}
    assert all(of for task, of in names.items() if task is not Task.INSERTION)
    # Without a training side only what needs no fit is left.
    assert set(baselines(Task.SHADOW, None, None)) == {"source"}
    assert baselines(Task.DEPTH, None, None) == {}


def test_other_predictors_than_those_of_the_task_can_be_named() -> None:
    pairs = [fitting(image, image) for image in pictures(6)]
    found = baselines(Task.RELIGHTING, pairs, pairs, against=["foreground_ridge", "source", "paste"])
    # Nothing can be pasted without a cut-out.
    assert list(found) == ["foreground_ridge", "source"]
    source = {"name": "a", "path": "run:data", "recipe": "b"}
    assert EvaluationSource.model_validate({**source, "against": ["source"]}).against == ("source",)
    with pytest.raises(ValueError, match="no baseline sources; there are source, "):
        EvaluationSource.model_validate({**source, "against": ["sources"]})


@pytest.mark.parametrize("fill", [mean_fill, inpaint, smooth_fill])
def test_fills_change_the_hole_alone_and_ignore_what_is_in_it(fill) -> None:
    image = np.full((24, 24, 3), (90, 120, 150), np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    mask[8:14, 6:15] = 255
    mask[14, 6:15] = 3
    spoilt = np.where(mask[..., None] > 0, 255, image).astype(np.uint8)
    assert np.abs(fill(spoilt, mask).astype(int) - image).max() <= 3
    busy = pictures(1)[0]
    assert np.array_equal(fill(busy, mask)[mask == 0], busy[mask == 0])
    assert fill(busy, FULL).shape == busy.shape


def test_the_mean_shadow_is_the_best_fixed_image_to_add() -> None:
    shadow = np.zeros((24, 24, 3))
    shadow[4:12, 4:12] = -30
    train = [fitting(image, np.clip(image + shadow, 0, 255).astype(np.uint8)) for image in pictures(8)]
    predict = baselines(Task.SHADOW, train, None)["mean_shadow"]
    source = pictures(1, seed=5)[0]
    assert np.abs(predict(source, FULL, {}) - (source + shadow)).max() <= 1


def test_the_bilateral_filter_is_chosen_where_it_is_fitted() -> None:
    draw = np.random.default_rng(2)
    clean = pictures(4)
    noisy = [np.clip(image + draw.normal(0, 15, image.shape), 0, 255).astype(np.uint8) for image in clean]
    predict = fit_bilateral([fitting(*pair) for pair in zip(noisy, clean, strict=True)])

    def error(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.square(a.astype(float) - b).mean())

    assert error(predict(noisy[0], FULL, {}), clean[0]) < 0.5 * error(noisy[0], clean[0])
    untouched = fit_bilateral([fitting(image, image) for image in noisy])
    # Where nothing is to be restored the weakest filter wins.
    assert error(untouched(noisy[0], FULL, {}), noisy[0]) < error(predict(noisy[0], FULL, {}), noisy[0])


def test_the_training_mean_counts_valid_pixels_alone() -> None:
    near, far = np.full((24, 24, 3), -0.5, np.float32), np.full((24, 24, 3), 0.5, np.float32)
    left = FULL.copy()
    left[:, 12:] = 0
    image = pictures(1)[0]
    predict = baselines(Task.DEPTH, [fitting(image, near), fitting(image, far, left)], None)["training_mean"]
    mean = predict(image, FULL, {})
    assert mean.dtype == np.float32
    assert (mean[:, :12] == 0).all()
    assert (mean[:, 12:] == -0.5).all()
