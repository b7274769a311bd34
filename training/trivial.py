"""Predictors that know nothing of light or of scenes, for each task: a model that does not beat them is none.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground, or to remove. Geometry targets are
float32 (H, W, 3), and their "mask" is 255 where the target holds. Whatever is fitted sees the training side,
and is chosen on the validation side where there is one; never the side that is judged.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from training.baselines import colour_transfer, fit_colour_shift_ridge
from training.tasks import Task

# (source, mask) -> what the target is taken to be.
Baseline = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Pairs of one split, as often as they are asked for.
Pairs = Callable[[], Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]]

INPAINT_RADIUS_PX = 3
# Spread of grey levels and of pixels that a bilateral filter averages over.
BILATERALS = ((10, 1), (20, 1), (20, 2), (40, 2), (40, 4), (80, 4))


def baselines(task: Task, train: Pairs | None, validation: Pairs | None) -> dict[str, Baseline]:
    """Baselines by name; those that have to be fitted only where there are training pairs to fit them on."""
    if task in (Task.RELIGHTING, Task.CONTROLLABLE_RELIGHTING):
        found: dict[str, Baseline] = {"source": _untouched, "colour_transfer": colour_transfer}
        if train and validation:
            found["colour_shift_ridge"] = fit_colour_shift_ridge(train(), validation()).predict
        return found
    if task is Task.REMOVAL:
        return {"mean_fill": mean_fill, "inpaint": inpaint}
    if task is Task.SHADOW:
        return {"source": _untouched} | ({"mean_shadow": fit_mean_shadow(train)} if train else {})
    if task is Task.RESTORATION:
        chosen_on = validation or train
        return {"source": _untouched} | ({"bilateral": fit_bilateral(chosen_on)} if chosen_on else {})
    return {"training_mean": fit_training_mean(train)} if train else {}


def mean_fill(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The hole in the mean colour of what surrounds it; grey where nothing does."""
    hole = mask > 0
    colour = source[~hole].mean(axis=0) if not hole.all() else np.full(3, 127.5)
    return np.where(hole[..., None], np.rint(colour).astype(np.uint8), source)


def inpaint(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The hole filled from its rim inwards (Telea 2004)."""
    hole = (mask > 0).astype(np.uint8)
    if hole.all():
        return mean_fill(source, mask)
    return cv2.inpaint(np.ascontiguousarray(source), hole, INPAINT_RADIUS_PX, cv2.INPAINT_TELEA)


def fit_mean_shadow(train: Pairs) -> Baseline:
    """The source plus the mean of target - source over the training pairs, pixel by pixel.

    Of all predictors that add one fixed image it has the least square error. Pairs have one size.
    """
    differences = (target.astype(np.float64) - source for source, target, _ in train())
    shadow = _mean(differences)

    def predict(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(source + shadow), 0, 255).astype(np.uint8)

    return predict


def fit_bilateral(pairs: Pairs) -> Baseline:
    """The bilateral filter of `BILATERALS` with the least square error on `pairs`."""
    errors = dict.fromkeys(BILATERALS, 0.0)
    for source, target, _ in pairs():
        for setting in BILATERALS:
            difference = _bilateral(source, setting).astype(np.float64) - target
            errors[setting] += float(np.square(difference).mean())
    best = min(errors, key=errors.__getitem__)
    return lambda source, mask: _bilateral(source, best)


def fit_training_mean(train: Pairs) -> Baseline:
    """The mean target over the training pairs, pixel by pixel, whatever the source shows."""
    total, weight = 0.0, 0.0
    for _, target, valid in train():
        holds = (valid == 255).astype(np.float64)[..., None]
        total, weight = total + target * holds, weight + holds
    mean = (total / np.maximum(weight, 1)).astype(np.float32)
    return lambda source, mask: mean


def _untouched(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return source


def _bilateral(image: np.ndarray, setting: tuple[int, int]) -> np.ndarray:
    colour, space = setting
    return cv2.bilateralFilter(np.ascontiguousarray(image), -1, colour, space)


def _mean(images: Iterable[np.ndarray]) -> np.ndarray:
    total, count = 0.0, 0
    for image in images:
        total, count = total + image, count + 1
    if not count:
        raise ValueError("a mean needs at least one training pair")
    return total / count
