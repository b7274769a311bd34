"""What a model must beat: by task, predictors that know nothing of light or of scenes, and the user's own.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import cv2
import numpy as np

from pairbridge.datagen.core.user_code import UserCode
from pairbridge.datagen.imaging.colour import transfer_colour_statistics
from pairbridge.training.evaluation.tasks import Task

# (source, mask) -> what the target is taken to be.
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
# (source, target, mask) of one split, as often as they are asked for.
Pairs = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
# (training pairs, validation pairs), each None where there are none -> None where those it needs are missing.
Fit = Callable[[Pairs | None, Pairs | None], Predictor | None]


class Baseline(Protocol):
    """A baseline of the user's own, made as `Class(**settings)` once for each source of an evaluation. If it
    has a method `fit(train, validation)`, that is given `Pairs` of both splits, or None, before.
    """

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What the target is taken to be: as the source, or float32 in [-1, 1] for depth and normals."""


class OwnBaseline(UserCode):
    """A class of the user's own: a `Baseline`, made from its settings."""

    named_by: ClassVar[str] = "baseline"
    group: ClassVar[str] = "pairbridge.baselines"
    method: ClassVar[str] = "predict"

    baseline: str
    """The baseline's class: path/to/file.py:Class, or the name of an entry point."""

    def fit(self, train: Pairs | None, validation: Pairs | None) -> Predictor:
        made = self.make()
        if hasattr(made, "fit"):
            made.fit(train, validation)
        return made.predict


RIDGE_LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
INPAINT_RADIUS_PX = 3
# Spread of grey levels and of pixels that a bilateral filter averages over.
BILATERALS = ((10, 1), (20, 1), (20, 2), (40, 2), (40, 4), (80, 4))


def colour_transfer(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The foreground with the CIELAB mean and spread of the background; unchanged where there is none."""
    background = mask == 0
    if not background.any() or not mask.any():
        return source
    return transfer_colour_statistics(source, mask, source[background])


@dataclass(frozen=True, slots=True)
class ColourShiftRidge:
    """Ridge regression from colour statistics of a source to one RGB shift of its foreground.

    A model that does not beat it has learned exposure and tint, but no light. Features: mean and standard
    deviation per channel of foreground and background, standardised on the training pairs, and a constant,
    which is not penalised.
    """

    feature_mean: np.ndarray
    feature_std: np.ndarray
    weights: np.ndarray
    penalty: float

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The source with its foreground shifted, weighted by the mask."""
        features = (_features(source, mask) - self.feature_mean) / self.feature_std
        shift = np.append(features, 1.0) @ self.weights
        shifted = source + mask[..., None] / 255 * shift
        return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


def fit_colour_shift_ridge(train: Pairs, validation: Pairs) -> ColourShiftRidge:
    """Fit on (source, target, mask) of the training side; the penalty of `RIDGE_LAMBDAS` best on validation.

    Closed form. Raises ValueError where a side has no pairs.
    """
    x, y = _design(train)
    x_val, y_val = _design(validation)
    mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    x, x_val = (np.c_[(features - mean) / std, np.ones(len(features))] for features in (x, x_val))
    fits = {penalty: _solve(x, y, penalty) for penalty in RIDGE_LAMBDAS}
    best = min(fits, key=lambda penalty: np.square(x_val @ fits[penalty] - y_val).mean())
    return ColourShiftRidge(feature_mean=mean, feature_std=std, weights=fits[best], penalty=best)


def _solve(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    penalties = np.full(x.shape[1], penalty)
    penalties[-1] = 0
    return np.linalg.solve(x.T @ x + np.diag(penalties), x.T @ y)


def _design(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    rows = [(_features(source, mask), _best_shift(source, target, mask)) for source, target, mask in pairs]
    if not rows:
        raise ValueError("the colour shift ridge needs at least one pair on each side")
    features, shifts = zip(*rows, strict=True)
    return np.stack(features), np.stack(shifts)


def _features(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(12,): mean and standard deviation per channel, foreground then background, 0..255."""
    foreground = mask.astype(np.float64) / 255
    return np.concatenate([_moments(source, foreground), _moments(source, 1 - foreground)])


def _moments(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = max(weight.sum(), 1e-6)
    mean = np.tensordot(weight, image, axes=2) / total
    variance = np.tensordot(weight, np.square(image - mean), axes=2) / total
    return np.concatenate([mean, np.sqrt(variance)])


def _best_shift(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The RGB shift s that minimises sum m (target - source - m s)^2, m the mask: the best for `predict`."""
    m = mask.astype(np.float64) / 255
    difference = target.astype(np.float64) - source.astype(np.float64)
    return np.tensordot(m**2, difference, axes=2) / max((m**3).sum(), 1e-6)


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


def fit_mean_shadow(train: Pairs) -> Predictor:
    """The source plus the mean of target - source over the training pairs, pixel by pixel.

    Of all predictors that add one fixed image it has the least square error. Pairs have one size.
    """
    differences = (target.astype(np.float64) - source for source, target, _ in train)
    shadow = _mean(differences)

    def predict(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(source + shadow), 0, 255).astype(np.uint8)

    return predict


def fit_bilateral(pairs: Pairs) -> Predictor:
    """The bilateral filter of `BILATERALS` with the least square error on `pairs`."""
    errors = dict.fromkeys(BILATERALS, 0.0)
    for source, target, _ in pairs:
        for setting in BILATERALS:
            difference = _bilateral(source, setting).astype(np.float64) - target
            errors[setting] += float(np.square(difference).mean())
    best = min(errors, key=errors.__getitem__)
    return lambda source, mask: _bilateral(source, best)


def fit_training_mean(train: Pairs) -> Predictor:
    """The mean target over the training pairs, pixel by pixel, whatever the source shows."""
    total, weight = 0.0, 0.0
    for _, target, valid in train:
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


class _Entry(NamedTuple):
    label: str
    tasks: tuple[Task, ...]
    fit: Fit


_LIT = (Task.RELIGHTING, Task.CONTROLLABLE_RELIGHTING)
# By the names that results have; order is that of tables.
BASELINES = {
    "source": _Entry(
        "Untouched source", (*_LIT, Task.SHADOW, Task.RESTORATION), lambda train, validation: _untouched
    ),
    "colour_transfer": _Entry("Colour transfer", _LIT, lambda train, validation: colour_transfer),
    "colour_shift_ridge": _Entry(
        "Ridge, one colour shift",
        _LIT,
        lambda train, validation: (
            fit_colour_shift_ridge(train, validation).predict if train and validation else None
        ),
    ),
    "mean_fill": _Entry("Mean fill", (Task.REMOVAL,), lambda train, validation: mean_fill),
    "inpaint": _Entry("Inpainting from the rim", (Task.REMOVAL,), lambda train, validation: inpaint),
    "mean_shadow": _Entry(
        "Mean shadow", (Task.SHADOW,), lambda train, validation: train and fit_mean_shadow(train)
    ),
    "bilateral": _Entry(
        "Bilateral filter",
        (Task.RESTORATION,),
        lambda train, validation: (validation or train) and fit_bilateral(validation or train),
    ),
    "training_mean": _Entry(
        "Training mean",
        (Task.DEPTH, Task.NORMALS),
        lambda train, validation: train and fit_training_mean(train),
    ),
}
MODEL = "model"


def baselines(
    task: Task, train: Pairs | None, validation: Pairs | None, own: Iterable[OwnBaseline] = ()
) -> dict[str, Predictor]:
    """Baselines by name; those that have to be fitted only where there are the pairs to fit them on."""
    fits = {name: entry.fit for name, entry in BASELINES.items() if task in entry.tasks}
    fits |= {one.class_name: one.fit for one in own}
    fitted = {name: fit(train, validation) for name, fit in fits.items()}
    return {name: predict for name, predict in fitted.items() if predict}


def method_label(name: str) -> str:
    """What a table calls a method of an evaluation."""
    if name == MODEL:
        return "Bridge model"
    return BASELINES[name].label if name in BASELINES else name
