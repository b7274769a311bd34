"""Predictors that are linear in what is seen around a pixel, or, of a whole picture, in its colours."""

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np

from pairbridge.training.data.condition_specs import MASK
from pairbridge.training.evaluation.linear_baselines import (
    Conditions,
    FittingPair,
    Pairs,
    Predictor,
    StandardisedRidge,
    across,
    rounded,
    solve,
    statistics,
)

# Of pixels there are thousands in a picture, and the penalty is on their mean.
PIXEL_LAMBDAS = (1e-6, 1e-4, 1e-2)
# Side of what pictures are averaged to before they become features.
_PICTURE_SIDE = 8
# Widths of the surroundings that a pixel's features average over, as shares of the picture's side.
_BLURS = (1 / 32, 1 / 8)


def fit_pixel_ridge(
    train: Pairs,
    validation: Pairs,
    *,
    of_foreground: bool = False,
    is_region: bool = False,
    has_slopes: bool = False,
) -> Predictor:
    """Ridge regression, pixel by pixel, from the source, aligned conditions (the mask, normals, depth, a
    cut-out), what these are on average around the pixel and in the whole picture, and the place in it.

    of_foreground: fitted where the mask is, and the source elsewhere. is_region: a mask is predicted, marked
    above the level that gives the training pairs the best mean IoU. has_slopes: also from how these rise to
    the right and down, and from the place in the object where a mask is among the conditions: shape from
    shading and outline, as far as it is linear (Pentland, Linear Shape from Shading, IJCV 4, 1990).
    """
    features = partial(_pixel_features, has_slopes=has_slopes)

    def weight(one: FittingPair) -> np.ndarray:
        return (one.mask / 255.0 if of_foreground else one.valid.astype(np.float64)).ravel()

    gram, moments, total = 0.0, 0.0, 0.0
    for one in train:
        x, w = features(one.source, one.conditions), weight(one)
        weighted = x * w[:, None]
        gram, moments = gram + weighted.T @ x, moments + weighted.T @ _levels(one.target).reshape(-1, 3)
        total += w.sum()
    fits = {penalty: solve(gram / total, moments / total, penalty) for penalty in PIXEL_LAMBDAS}
    errors = dict.fromkeys(fits, 0.0)
    for one in validation:
        x, w = features(one.source, one.conditions), weight(one)
        for penalty, weights in fits.items():
            off = np.square(x @ weights - _levels(one.target).reshape(-1, 3)).mean(axis=1)
            errors[penalty] += float((w * off).sum())
    weights = fits[min(errors, key=errors.__getitem__)]

    def levels(source: np.ndarray, conditions: Conditions) -> np.ndarray:
        return (features(source, conditions) @ weights).reshape(*source.shape[:2], 3)

    if is_region:
        threshold = _best_threshold(
            [(levels(one.source, one.conditions)[..., 0], one.target) for one in train]
        )

        def region(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
            marked = levels(source, conditions)[..., :1] > threshold
            return np.repeat(marked, 3, axis=2).astype(np.uint8) * np.uint8(255)

        return region
    if next(iter(train)).target.dtype != np.uint8:
        return lambda source, mask, conditions: levels(source, conditions).clip(-1, 1).astype(np.float32)

    def picture(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        made = (levels(source, conditions) + 1) * 127.5
        if of_foreground:
            share = mask[..., None] / 255.0
            made = share * made + (1 - share) * source
        return rounded(made)

    return picture


def _best_threshold(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The level above which predictions (H, W) in [-1, 1] have the best mean IoU with uint8 (H, W, 3)."""

    def score(threshold: float) -> float:
        found = []
        for levels, target in pairs:
            marked, right = levels > threshold, target[..., 0] >= 128
            found.append((marked & right).sum() / max((marked | right).sum(), 1))
        return float(np.mean(found))

    return max(np.linspace(-0.8, 0.8, 17).tolist(), key=score)


def _pixel_features(source: np.ndarray, conditions: Conditions, *, has_slopes: bool = False) -> np.ndarray:
    """(H x W, F), the last of them 1."""
    height, width = source.shape[:2]
    aligned = [image for name, image in sorted(conditions.items()) if _is_aligned(name, image, source)]
    planes = np.concatenate([_levels(image) for image in (source, *aligned)], axis=2).astype(np.float32)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    around = [cv2.GaussianBlur(planes, (0, 0), share * min(height, width)) for share in _BLURS]
    whole = np.broadcast_to(planes.mean(axis=(0, 1)), planes.shape)
    place = np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], axis=2)
    around = [one.reshape(planes.shape) for one in around]
    slopes = _slopes(around, conditions, source) if has_slopes else []
    stacked = [planes, *around, whole, *slopes, place]
    return np.concatenate(stacked, axis=2).reshape(height * width, -1).astype(np.float64)


def _slopes(around: list[np.ndarray], conditions: Conditions, source: np.ndarray) -> Iterator[np.ndarray]:
    """What rises down and to the right, per averaging width, and the place in the object that is masked."""
    for share, plane in zip(_BLURS, around, strict=True):
        for axis in (0, 1):
            yield share * min(source.shape[:2]) * np.gradient(plane, axis=axis)
    mask = conditions.get(MASK)
    if mask is not None:
        yield mask[..., None] / 255.0 * across(mask)


def _is_aligned(name: str, image: np.ndarray, source: np.ndarray) -> bool:
    return not name.startswith("light") and image.shape[:2] == source.shape[:2]


def _levels(image: np.ndarray) -> np.ndarray:
    """float64 (H, W, C) in [-1, 1]."""
    deep = image if image.ndim == 3 else image[..., None]
    if deep.dtype.kind == "f":
        return deep.astype(np.float64)
    return deep.astype(np.float64) / np.iinfo(deep.dtype).max * 2 - 1


def fit_whole_ridge(train: Pairs, validation: Pairs) -> Predictor:
    """Ridge regression from colour statistics of the source and the source at 8 x 8 to the whole target,
    whose pixels have nothing to do with the source's: an environment map.
    """

    def features(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        small = cv2.resize(source, (_PICTURE_SIDE, _PICTURE_SIDE), interpolation=cv2.INTER_AREA)
        return np.concatenate([statistics(source, mask), small.ravel().astype(np.float64)])

    def rows(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        found = [(features(one.source, one.mask), _levels(one.target).ravel()) for one in pairs]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    fitted = StandardisedRidge(*rows(train), *rows(validation))

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        made = fitted(features(source, mask)).reshape(source.shape)
        return made.clip(-1, 1).astype(np.float32)

    return predict
