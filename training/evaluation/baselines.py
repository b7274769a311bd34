"""What a model must beat: by task, predictors that know nothing of scenes, and the user's own.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground. Every predictor may look at all
that the model sees: the source, its mask and its conditions.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple, Protocol

import cv2
import numpy as np

from pairbridge.datagen.core.user_code import UserCode
from pairbridge.datagen.imaging.colour import transfer_colour_statistics
from pairbridge.datagen.imaging.compositing import pasted_over
from pairbridge.datagen.imaging.filters import grown
from pairbridge.training.data.smooth_fill import fill_picture_smoothly
from pairbridge.training.evaluation.linear_baselines import (
    Conditions,
    Pairs,
    Predictor,
    StandardisedRidge,
    best_shift,
    fit_aligned_shadow_ridge,
    fit_light_colour_ridge,
    fit_light_gain_ridge,
    fit_light_ridge,
    fit_nearest_lights,
    statistics,
)
from pairbridge.training.evaluation.pixel_ridges import fit_pixel_ridge, fit_whole_ridge
from pairbridge.training.evaluation.tasks import Task

# (training pairs, validation pairs), each None where there are none -> None where those it needs are missing.
Fit = Callable[[Pairs | None, Pairs | None], Predictor | None]


class Baseline(Protocol):
    """A baseline of the user's own, made as `Class(**settings)` once for each source of an evaluation. If it
    has a method `fit(train, validation)`, that is given `Pairs` of both splits, or None, before.
    """

    def predict(self, source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        """What the target is taken to be: as the source, or float32 in [-1, 1] for depth, normals and light.
        conditions: what the model sees beside the source, by its name; its mask is among them if it sees it.
        """


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


INPAINT_RADIUS_PX = 3
# The condition with the objects that are inserted, on black.
CUT_OUT = "foreground"
# What a mask is grown by at most and at least, as shares of the shorter side.
GROWTHS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24)
# Spread of grey levels and of pixels that a bilateral filter averages over.
BILATERALS = ((10, 1), (20, 1), (20, 2), (40, 2), (40, 4), (80, 4))


def colour_transfer(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The foreground with the CIELAB mean and spread of the background; unchanged where there is none."""
    background = mask == 0
    if not background.any() or not mask.any():
        return source
    return transfer_colour_statistics(source, mask, source[background])


def fit_colour_shift_ridge(train: Pairs, validation: Pairs) -> Predictor:
    """Ridge regression from colour statistics of a source to one RGB shift of its foreground.

    A model that does not beat it has learned exposure and tint, but no light. Features: mean and standard
    deviation per channel of foreground and background. The shift is weighted by the mask. Raises ValueError
    where a side has no pairs.
    """
    fitted = StandardisedRidge(*_shifts(train), *_shifts(validation))

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        shifted = source + mask[..., None] / 255 * fitted(statistics(source, mask))
        return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)

    return predict


def _shifts(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    rows = [(statistics(one.source, one.mask), best_shift(one)) for one in pairs]
    if not rows:
        raise ValueError("the colour shift ridge needs at least one pair on each side")
    features, shifts = zip(*rows, strict=True)
    return np.stack(features), np.stack(shifts)


def paste(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
    """The cut-out, on black, over the plate, as it was lit where it was cut out."""
    return pasted_over(source, conditions[CUT_OUT], mask)


def fit_paste_ridge(train: Pairs, validation: Pairs) -> Predictor:
    """The cut-out over the plate, its colour shifted as `fit_colour_shift_ridge` does it."""

    def pasted(pairs: Pairs) -> Pairs:
        return [one._replace(source=paste(one.source, one.mask, one.conditions)) for one in pairs]

    shift = fit_colour_shift_ridge(pasted(train), pasted(validation))
    return lambda source, mask, conditions: shift(paste(source, mask, conditions), mask, conditions)


def fit_grown_mask(pairs: Pairs) -> Predictor:
    """The mask, grown by the share of the side in `GROWTHS` that has the best mean IoU on `pairs`."""
    scores = dict.fromkeys(GROWTHS, 0.0)
    for one in pairs:
        right = one.target[..., 0] >= 128
        for growth in GROWTHS:
            marked = _grown_mask(one.mask, growth)[..., 0] > 0
            scores[growth] += float((marked & right).sum() / max((marked | right).sum(), 1))
    best = max(scores, key=scores.__getitem__)
    return lambda source, mask, conditions: _grown_mask(mask, best)


def _grown_mask(mask: np.ndarray, growth: float) -> np.ndarray:
    marked = grown(mask >= 128, round(growth * min(mask.shape)))
    return np.repeat(marked.astype(np.uint8)[..., None] * np.uint8(255), 3, axis=2)


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


def smooth_fill(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The hole as a training with `hole: smooth` starts from it: an interpolation of its surroundings."""
    return fill_picture_smoothly(source, mask)


def fit_mean_shadow(train: Pairs) -> Predictor:
    """The source plus the mean of target - source over the training pairs, pixel by pixel.

    Of all predictors that add one fixed image it has the least square error. Pairs have one size.
    """
    shadow = _mean(one.target.astype(np.float64) - one.source for one in train)

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        return np.clip(np.rint(source + shadow), 0, 255).astype(np.uint8)

    return predict


def fit_bilateral(pairs: Pairs) -> Predictor:
    """The bilateral filter of `BILATERALS` with the least square error on `pairs`."""
    errors = dict.fromkeys(BILATERALS, 0.0)
    for one in pairs:
        for setting in BILATERALS:
            difference = _bilateral(one.source, setting).astype(np.float64) - one.target
            errors[setting] += float(np.square(difference).mean())
    best = min(errors, key=errors.__getitem__)
    return lambda source, mask, conditions: _bilateral(source, best)


def fit_training_mean(train: Pairs) -> Predictor:
    """The mean target over the training pairs, pixel by pixel, whatever the source shows."""
    total, weight = 0.0, 0.0
    dtype = np.dtype(np.float32)
    for one in train:
        holds = one.valid.astype(np.float64)[..., None]
        total, weight, dtype = total + one.target * holds, weight + holds, one.target.dtype
    mean = total / np.maximum(weight, 1)
    found = np.rint(mean).astype(np.uint8) if dtype == np.uint8 else mean.astype(np.float32)
    return lambda source, mask, conditions: found


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


def _blind(predict: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fit:
    """Of a predictor that needs no fitting and sees source and mask alone."""
    return lambda train, validation: lambda source, mask, conditions: predict(source, mask)


def _of_both(fit: Callable[..., Predictor | None], **how: bool) -> Fit:
    """Of one that is fitted on the training side and tuned on the validation side."""
    return lambda train, validation: fit(train, validation, **how) if train and validation else None


def _on_cut_out(fit: Fit) -> Fit:
    """Of one that needs the cut-out among the conditions."""

    def fit_if_there(train: Pairs | None, validation: Pairs | None) -> Predictor | None:
        there = train and CUT_OUT in next(iter(train)).conditions
        return fit(train, validation) if there else None

    return fit_if_there


_LIT = (Task.RELIGHTING, Task.CONTROLLABLE_RELIGHTING)
_SURFACES = (Task.DELIGHT, Task.ALBEDO)
# By the names that results have; order is that of tables.
BASELINES = {
    "source": _Entry(
        "Untouched source",
        (*_LIT, *_SURFACES, Task.REMOVAL, Task.INSERTION, Task.SHADOW, Task.RESTORATION),
        _blind(_untouched),
    ),
    "colour_transfer": _Entry("Colour transfer", _LIT, _blind(colour_transfer)),
    "colour_shift_ridge": _Entry(
        "Ridge, one colour shift", (*_LIT, *_SURFACES, Task.INSERTION), _of_both(fit_colour_shift_ridge)
    ),
    "light_ridge": _Entry("Ridge on the light", _LIT, _of_both(fit_light_ridge)),
    "light_colour_ridge": _Entry("Ridge on light times colours", _LIT, _of_both(fit_light_colour_ridge)),
    "light_gain_ridge": _Entry("Ridge to a factor of light", _LIT, _of_both(fit_light_gain_ridge)),
    "mean_fill": _Entry("Mean fill", (Task.REMOVAL,), _blind(mean_fill)),
    "inpaint": _Entry("Inpainting from the rim", (Task.REMOVAL,), _blind(inpaint)),
    "smooth_fill": _Entry("Smooth fill", (Task.REMOVAL,), _blind(smooth_fill)),
    "grown_mask": _Entry(
        "Grown mask", (Task.REGION,), lambda train, validation: train and fit_grown_mask(train)
    ),
    "region_ridge": _Entry("Ridge on pixels, cut", (Task.REGION,), _of_both(fit_pixel_ridge, is_region=True)),
    "paste": _Entry("Paste", (Task.INSERTION,), _on_cut_out(lambda train, validation: paste)),
    "paste_ridge": _Entry(
        "Paste, one colour shift", (Task.INSERTION,), _on_cut_out(_of_both(fit_paste_ridge))
    ),
    "mean_shadow": _Entry(
        "Mean shadow", (Task.SHADOW,), lambda train, validation: train and fit_mean_shadow(train)
    ),
    "nearest_lights": _Entry("Mean shadow of like lamps", (Task.SHADOW,), _of_both(fit_nearest_lights)),
    "aligned_shadow_ridge": _Entry(
        "Ridge on the lamp, around the object", (Task.SHADOW,), _of_both(fit_aligned_shadow_ridge)
    ),
    "bilateral": _Entry(
        "Bilateral filter",
        (Task.RESTORATION,),
        lambda train, validation: (validation or train) and fit_bilateral(validation or train),
    ),
    "training_mean": _Entry(
        "Training mean",
        (Task.DEPTH, Task.NORMALS, Task.PICTURE, Task.ENVIRONMENT),
        lambda train, validation: train and fit_training_mean(train),
    ),
    "foreground_ridge": _Entry("Ridge on pixels", _SURFACES, _of_both(fit_pixel_ridge, of_foreground=True)),
    "pixel_ridge": _Entry(
        "Ridge on pixels", (Task.DEPTH, Task.NORMALS, Task.PICTURE), _of_both(fit_pixel_ridge)
    ),
    "shape_ridge": _Entry(
        "Ridge on shading's slopes", (Task.DEPTH, Task.NORMALS), _of_both(fit_pixel_ridge, has_slopes=True)
    ),
    "whole_ridge": _Entry("Ridge on the picture", (Task.ENVIRONMENT,), _of_both(fit_whole_ridge)),
}
MODEL = "model"


def baselines(
    task: Task,
    train: Pairs | None,
    validation: Pairs | None,
    own: Iterable[OwnBaseline] = (),
    *,
    against: Iterable[str] | None = None,
) -> dict[str, Predictor]:
    """Baselines by name, of `BASELINES` those of the task or those that `against` names; those to be
    fitted only where there are the pairs to fit them on and the conditions that they look at.
    """
    names = [name for name, entry in BASELINES.items() if task in entry.tasks]
    fits = {name: BASELINES[name].fit for name in (names if against is None else against)}
    fits |= {one.class_name: one.fit for one in own}
    fitted = {name: fit(train, validation) for name, fit in fits.items()}
    return {name: predict for name, predict in fitted.items() if predict}


def method_label(name: str) -> str:
    """What a table calls a method of an evaluation."""
    if name == MODEL:
        return "Bridge model"
    return BASELINES[name].label if name in BASELINES else name
